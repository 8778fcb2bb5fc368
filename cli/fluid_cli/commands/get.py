"""`fluid get`: FluidJobs as a table for people, or as objects for programs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import typer

from fluid_cli.columns import lines, widths_of
from fluid_cli.console import say, stdout, width_of
from fluid_cli.errors import BadUsage
from fluid_cli.job import Job
from fluid_cli.job_table import by_age, header, row
from fluid_cli.options import Context, Form, Kubeconfig, Labels, Namespace, QueueName, Type, run
from fluid_cli.output import Output, objects
from fluid_cli.selection import Filters, get_jobs, list_jobs, phase_named
from fluid_cli.session import Access, Session, open_session
from fluid_cli.translation import kube_sentence
from fluid_cli.watching import Follower
from fluid_operator.kube.keys import FLUID_JOBS

EPILOG = """\b
Examples:
  fluid get                              all jobs of the namespace, the newest last
  fluid get --phase failed --type email  the emails that failed
  fluid get -l app=billing -A -o wide    by label, in all namespaces, with queue, worker and message
  fluid get email-welcome -o yaml        one job whole
  fluid get -w                           go on and print each change
"""


def get(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", show_default=False, help="Only these jobs.")
    ] = None,
    labels: Labels = "",
    type_: Type = "",
    queue: QueueName = "",
    phase: Annotated[str, typer.Option(metavar="PHASE", help="Only jobs in this phase, such as Failed.")] = "",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Jobs of all namespaces.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and print each job that changes.")] = False,
    output: Form = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show FluidJobs."""
    filters = Filters(labels, type_, queue, phase_named(phase))
    if names and (filters or everywhere):
        raise BadUsage("NAME", "cannot be given together with filters or --all-namespaces")
    access = Access(namespace, context, kubeconfig)
    view = _View(output, namespaces=everywhere)
    run(_watch(access, names or (), filters, view) if watch else _get(access, names or (), filters, view))


class _View:
    """Prints jobs in the form that was asked for; further ones go below the first in the same columns."""

    def __init__(self, form: Output | None, *, namespaces: bool) -> None:
        self._form = form
        self._wide = form is Output.WIDE
        self.namespaces = namespaces
        self._console = stdout()
        self._widths: list[int] = []

    @property
    def for_programs(self) -> bool:
        return self._form is not None and self._form.for_programs

    def show(self, jobs: Sequence[Job], *, single: bool = False) -> None:
        if self._form is not None and self._form.for_programs:
            self._console.out(objects([job.raw for job in jobs], self._form, single=single), end="", highlight=False)
            return
        now = datetime.now(UTC)
        rows = [row(job, now, wide=self._wide, namespaces=self.namespaces) for job in jobs]
        if not self._widths:
            rows = [header(wide=self._wide, namespaces=self.namespaces), *rows]
        self._widths = widths_of(rows, self._widths)
        for line in lines(rows, self._widths, width_of(self._console)):
            self._console.print(line, soft_wrap=True)


async def _get(access: Access, names: Sequence[str], filters: Filters, view: _View) -> None:
    async with open_session(access) as session:
        if names:
            view.show(await get_jobs(session, names), single=len(names) == 1)
            return
        jobs, _ = await list_jobs(session, filters, everywhere=view.namespaces)
        if jobs or view.for_programs:
            view.show(by_age(jobs))
        else:
            say(_nothing(session, filters, everywhere=view.namespaces))


def _nothing(session: Session, filters: Filters, *, everywhere: bool) -> str:
    where = "any namespace" if everywhere else f"namespace {session.namespace}"
    return f"no such FluidJob in {where}" if filters else f"no FluidJob in {where}"


async def _watch(access: Access, names: Sequence[str], filters: Filters, view: _View) -> None:
    async with open_session(access) as session:
        if names:
            await get_jobs(session, names)  # a name that does not exist is a mistake, not something to wait for
        namespace = "" if view.namespaces else session.namespace
        selectors = {"fieldSelector": f"metadata.name={names[0]}"} if len(names) == 1 else filters.selectors(live=True)
        follower = Follower(session.kube, FLUID_JOBS, namespace, selectors, lambda error: say(kube_sentence(error)))

        def wanted(job: Job) -> bool:
            return filters.match(job) and (not names or job.name in names)

        found = [job for job in map(Job, await follower.start()) if wanted(job)]
        if view.for_programs:
            for job in by_age(found):
                view.show([job], single=True)
        else:
            view.show(by_age(found))
        async with aclosing(follower.changes()) as changes:
            async for change in changes:
                job = Job(change.object)
                if wanted(job):
                    view.show([_gone(job) if change.deleted else job], single=True)


def _gone(job: Job) -> Job:
    """The last state of a deleted job, marked as such: objects without a finalizer go without a deletionTimestamp."""
    meta = {"deletionTimestamp": datetime.now(UTC).isoformat(), **job.raw["metadata"]}
    return Job({**job.raw, "metadata": meta})
