"""`fluid backfill`: create the jobs of a FluidSchedule for times that have passed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from fluid_cli.backfill_table import header, local_text, report, row, summary
from fluid_cli.bars import Steps, steps
from fluid_cli.columns import Row, lines, widths_of
from fluid_cli.console import say, stdout, width_of
from fluid_cli.errors import BadUsage, Declined
from fluid_cli.options import Context, Counted, Form, Kubeconfig, Namespace, ScheduleName, run
from fluid_cli.output import Output, document
from fluid_cli.ranges import beginning, end
from fluid_cli.schedules import get_schedule
from fluid_cli.session import Access, Session, open_session
from fluid_operator.kube.keys import FLUID_JOBS
from fluid_operator.timetables.creation import job_name
from fluid_operator.timetables.errors import BadRange, TooManyTimes
from fluid_operator.timetables.manual import (
    LIMIT,
    MOST,
    Backfilled,
    Outcome,
    Plan,
    carry_out,
    plan,
    zone_of,
)

EPILOG = """\b
Examples:
  fluid backfill daily-summary --from 2026-11-01 --to 2026-11-07 --dry-run
  fluid backfill daily-summary --from 2026-11-01 --to 2026-11-07
  fluid backfill sync --from 2026-11-24T07:00 --to now   the times of the schedule's zone since seven
  fluid backfill sync --from 2026-11-24T06:00:00Z -o json
\b
A time that has its job is left alone, so a backfill that was interrupted is simply asked for again. A job that was
deleted since, by hand or by a history limit, is created again.
"""

_ASKED_ABOVE = 10
"""Jobs that a person may create without being asked."""

_FROM, _TO = "--from", "--to"


@dataclass(frozen=True, slots=True)
class _Wish:
    """Everything that the command line says."""

    name: str
    first: str
    last: str
    counted: bool
    limit: int
    yes: bool
    dry_run: bool
    form: Output | None


def backfill(
    name: ScheduleName,
    first: Annotated[
        str,
        typer.Option(_FROM, metavar="TIME", help="Where to begin: RFC 3339, or a date or time of the schedule's zone."),
    ],
    last: Annotated[
        str, typer.Option(_TO, metavar="TIME", help="Where to end, which belongs to it; of a date the whole day.")
    ] = "now",
    counted: Counted = False,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=MOST, help="How many times at most.")] = LIMIT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Have the API server check each job, and create none.")
    ] = False,
    output: Form = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Create the jobs of a FluidSchedule's past times."""
    wish = _Wish(name, first, last, counted=counted, limit=limit, yes=yes, dry_run=dry_run, form=output)
    run(_backfill(Access(namespace, context, kubeconfig), wish))


async def _backfill(access: Access, wish: _Wish) -> int:
    async with open_session(access) as session:
        planned = await _plan(session, wish, datetime.now(UTC))
        _confirm(wish, planned)
        done = await _carry_out(session, wish, planned)
        _tell_end(wish, planned, done)
        return 1 if any(each.outcome is Outcome.FOREIGN for each in done) else 0


async def _plan(session: Session, wish: _Wish, now: datetime) -> Plan:
    schedule = await get_schedule(session, wish.name)
    zone = zone_of(schedule)
    first, last = beginning(_FROM, wish.first, zone, now), end(_TO, wish.last, zone, now)
    try:
        return plan(schedule, first, last, now=now, limit=wish.limit)
    except BadRange as error:
        told = f"{local_text(first, zone)} to {local_text(last, zone)}, {zone.key}"
        raise BadUsage(f"{_FROM} and {_TO}", f"{error} ({told})") from error
    except TooManyTimes as error:
        raise BadUsage("--limit", _too_many(wish.name, error)) from error


def _too_many(name: str, error: TooManyTimes) -> str:
    if error.count > MOST:
        return f"{name} comes more than {MOST} times in this range: take a shorter one"
    told = f"{name} comes {error.count} times in this range, of which {error.limit} are allowed"
    return f"{told}: take a shorter one, or --limit {error.count}"


def _confirm(wish: _Wish, planned: Plan) -> None:
    """Who sits at a terminal may not know how many times are meant. A script is not asked: --limit keeps it from
    flooding the namespace. Raises Declined."""
    if wish.dry_run or wish.yes or len(planned.times) <= _ASKED_ABOVE or not sys.stdin.isatty():
        return
    first, last = (local_text(planned.times[index], planned.zone) for index in (0, -1))
    question = f"Create {len(planned.times)} jobs of {wish.name}, for {first} to {last} ({planned.zone.key})?"
    if not typer.confirm(question, err=True):
        raise Declined


async def _carry_out(session: Session, wish: _Wish, planned: Plan) -> list[Backfilled]:
    table = None if wish.form is not None and wish.form.for_programs else _Table(planned, wide=wish.form is Output.WIDE)
    count = 0
    with steps("checking jobs" if wish.dry_run else "creating jobs", len(planned.times)) as under_way:

        def progress(done: Backfilled) -> None:
            nonlocal count
            count += 1
            if table is not None:
                table.show(done, under_way)
            under_way.advance()

        try:
            return await carry_out(session.kube, planned, dry_run=wish.dry_run, counted=wish.counted, progress=progress)
        except BaseException:
            if count and not wish.dry_run:
                under_way.note(f"{count} of {len(planned.times)} times are done: the same command goes on from there")
            raise


class _Table:
    """Prints each time as it is done."""

    def __init__(self, planned: Plan, *, wide: bool) -> None:
        self._zone = planned.zone
        self._wide = wide
        self._waiting = [header(planned.zone.key, wide=wide)]
        # What is to come is known but for the outcomes, which stand last, and so are the widths.
        rows = [self._row(Backfilled(time, job_name(planned.name, time), Outcome.CREATED)) for time in planned.times]
        self._widths = widths_of([*self._waiting, *rows])

    def show(self, done: Backfilled, under_way: Steps) -> None:
        """One line for this time, below the names of the columns if it is the first."""
        rows, self._waiting = [*self._waiting, self._row(done)], []
        for line in lines(rows, self._widths, width_of(stdout())):
            under_way.fact(line)

    def _row(self, done: Backfilled) -> Row:
        return row(done, self._zone, wide=self._wide)


def _tell_end(wish: _Wish, planned: Plan, done: Sequence[Backfilled]) -> None:
    if wish.form is Output.NAME:
        kind = f"{FLUID_JOBS.kind.lower()}.{FLUID_JOBS.group}"
        names = (f"{kind}/{each.name}\n" for each in done if each.outcome is not Outcome.FOREIGN)
        stdout().out("".join(names), end="", highlight=False)
    elif wish.form is not None and wish.form.for_programs:
        stdout().out(document(report(planned, done), wish.form), end="", highlight=False)
    if done:
        say(summary(done))
    else:
        say(f"{wish.name} does not come in this range ({planned.zone.key})")
