"""`fluid trigger`: run the job of a FluidSchedule now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from fluid_cli.created import see_it_end, show_created
from fluid_cli.errors import BadUsage
from fluid_cli.options import Context, Counted, Form, Kubeconfig, Namespace, ScheduleName, Timeout, run
from fluid_cli.output import Output
from fluid_cli.schedules import schedule_expected
from fluid_cli.session import Access, open_session
from fluid_operator.timetables.manual import trigger as trigger_job

EPILOG = """\b
Examples:
  fluid trigger daily-summary                    create its job now; the times to come stay as they are
  fluid trigger daily-summary --wait             and see how it ends
  fluid trigger daily-summary --dry-run -o yaml  what the job would be, placeholders filled in
"""


def trigger(
    name: ScheduleName,
    counted: Counted = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the job to its end; exit code 0 if it succeeds, else 1.")
    ] = False,
    timeout: Timeout = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Have the API server check the job, and create nothing.")
    ] = False,
    output: Form = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Run the job of a FluidSchedule now, also while it is suspended."""
    if wait and dry_run:
        raise BadUsage("--wait", "nothing is created with --dry-run, so there is nothing to wait for")
    access = Access(namespace, context, kubeconfig)
    run(_trigger(access, name, output, timeout, counted=counted, wait=wait, dry_run=dry_run))


async def _trigger(
    access: Access,
    name: str,
    form: Output | None,
    timeout: float | None,
    *,
    counted: bool,
    wait: bool,
    dry_run: bool,
) -> int:
    async with open_session(access) as session:
        with schedule_expected(session, name):
            created = await trigger_job(
                session.kube, session.key(name), now=datetime.now(UTC), counted=counted, dry_run=dry_run
            )
        show_created(created, form, dry_run=dry_run)
        return await see_it_end(session, created, timeout, form) if wait else 0
