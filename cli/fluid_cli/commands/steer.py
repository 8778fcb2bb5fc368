"""`fluid cancel`, `suspend`, `resume` and `retry`: ask something of one FluidJob or of thousands."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from fluid_cli.bars import steps
from fluid_cli.console import say, stdout
from fluid_cli.errors import BadUsage, Declined, StillWaiting
from fluid_cli.job import Job
from fluid_cli.options import Context, Kubeconfig, Labels, Namespace, QueueName, Timeout, Type, Wait, run
from fluid_cli.output import name_of
from fluid_cli.requests import Asked, ask, carried_out
from fluid_cli.selection import Filters, get_jobs, list_jobs
from fluid_cli.session import Access, Session, open_session
from fluid_cli.steering import Plan, Verb, plan, request_text

HELP = {
    Verb.CANCEL: "End jobs: waiting ones do not start, running ones are stopped.",
    Verb.SUSPEND: "Hold jobs back until they are resumed; running ones are stopped, and the attempt does not count.",
    Verb.RESUME: "Let suspended jobs go on.",
    Verb.RETRY: "Run jobs again that have ended; of many at once only those that failed or were cancelled.",
}
_TOLD = {Verb.CANCEL: "cancelled", Verb.SUSPEND: "suspended", Verb.RESUME: "resumed", Verb.RETRY: "retried"}

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False, help="The jobs.")]
All = Annotated[bool, typer.Option("--all", help="All jobs of the namespace.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say of which jobs it would be asked, and ask nothing.")]


def epilog(verb: Verb) -> str:
    """Examples for one of the verbs."""
    return f"""\b
Examples:
  fluid {verb} email-welcome report-7
  fluid {verb} --type email --queue bulk --dry-run
  fluid {verb} -l app=billing --yes --wait
"""


@dataclass(frozen=True, slots=True)
class _Wish:
    """Everything that the command line says."""

    verb: Verb
    names: Sequence[str]
    filters: Filters
    yes: bool
    dry_run: bool
    wait: bool
    timeout: float | None


def command(verb: Verb) -> Callable[..., None]:
    """The command of a verb; all four take the same options."""

    def steer(
        names: Names = None,
        labels: Labels = "",
        type_: Type = "",
        queue: QueueName = "",
        everything: All = False,
        yes: Yes = False,
        dry_run: DryRun = False,
        wait: Wait = False,
        timeout: Timeout = None,
        namespace: Namespace = None,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
    ) -> None:
        filters = Filters(labels, type_, queue)
        if bool(names) + bool(filters) + everything != 1:
            raise BadUsage("NAME", "name the jobs, or choose by -l, --type and --queue, or take --all of the namespace")
        wish = _Wish(verb, names or (), filters, yes=yes, dry_run=dry_run, wait=wait, timeout=timeout)
        run(_steer(Access(namespace, context, kubeconfig), wish))

    return steer


async def _steer(access: Access, wish: _Wish) -> int:
    async with open_session(access) as session:
        by_name = bool(wish.names)
        jobs = await get_jobs(session, wish.names) if by_name else (await list_jobs(session, wish.filters))[0]
        wanted = plan(wish.verb, jobs, by_name=by_name)
        _tell_passed_over(wanted, by_name=by_name)
        failed = bool(wanted.passed_over) and by_name
        if wish.dry_run:
            _tell_dry_run(wish.verb, wanted)
        elif wanted.asked:
            _confirm(wish, session, wanted)
            failed |= await _ask_and_wait(session, wish, wanted)
        elif not by_name:
            say(f"no job in namespace {session.namespace} to {wish.verb}")
        return 1 if failed else 0


def _tell_passed_over(wanted: Plan, *, by_name: bool) -> None:
    if by_name:
        for job, reason in wanted.passed_over:
            say(f"{job.name} {reason}", "yellow")
    elif wanted.passed_over:
        say(f"{len(wanted.passed_over)} passed over: the request would have no effect on them")


def _tell_dry_run(verb: Verb, wanted: Plan) -> None:
    for job in wanted.asked:
        stdout().out(f"{name_of(job.raw)} would be {_TOLD[verb]} ({job.phase})", highlight=False)
    say(f"{_jobs(len(wanted.asked))} would be {_TOLD[verb]}")


def _confirm(wish: _Wish, session: Session, wanted: Plan) -> None:
    """Who chose jobs by what they have in common may not know how many they are. Raises Declined, BadUsage."""
    count = len(wanted.asked)
    if wish.yes or wish.names or count <= 1:
        return
    question = f"{wish.verb.capitalize()} {_jobs(count)} in namespace {session.namespace}?"
    if not sys.stdin.isatty():
        raise BadUsage("--yes", f"needed where nobody can be asked: {question}")
    if not typer.confirm(question, err=True):
        raise Declined


async def _ask_and_wait(session: Session, wish: _Wish, wanted: Plan) -> bool:
    """Whether anything went wrong."""
    text = request_text(wish.verb, datetime.now(UTC))
    with steps(f"asking to {wish.verb}", len(wanted.asked)) as under_way:

        def asked(answer: Asked) -> None:
            if answer.error:
                under_way.note(f"{answer.job.name}: {answer.error}", "red")
            else:
                under_way.fact(f"{name_of(answer.job.raw)} {wish.verb} requested")
            under_way.advance()

        answers = await ask(session, wanted.asked, text, asked)
    refused = [answer for answer in answers if answer.error]
    if len(answers) > 1:
        say(f"{_jobs(len(answers) - len(refused))} asked to {wish.verb}, {len(refused)} refused")
    if wish.wait:
        await _wait(session, wish, text, [answer.job for answer in answers if not answer.error])
    return bool(refused)


async def _wait(session: Session, wish: _Wish, text: str, jobs: Sequence[Job]) -> None:
    one = jobs[0].name if len(jobs) == 1 else ""
    selectors = {"fieldSelector": f"metadata.name={one}"} if one else wish.filters.selectors(live=True)
    try:
        with steps(f"waiting until they are {_TOLD[wish.verb]}", len(jobs)) as under_way:
            async with asyncio.timeout(wish.timeout):
                await carried_out(session, wish.verb, text, jobs, selectors, lambda job: under_way.advance())
    except TimeoutError as error:
        raise StillWaiting(f"the {wish.verb} of {one or 'all jobs'}", wish.timeout or 0) from error


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
