"""`fluid why`: what happened to one FluidJob, what it waits for, and what holds for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from fluid_cli.console import print_trimmed, stdout
from fluid_cli.errors import BadUsage
from fluid_cli.events import events_of
from fluid_cli.explanation import Explanation, explain
from fluid_cli.explanation_text import as_data, render
from fluid_cli.options import Context, Form, Kubeconfig, Namespace, RedisUrl, run
from fluid_cli.output import Output, document
from fluid_cli.queue_facts import queue_facts
from fluid_cli.selection import get_job
from fluid_cli.session import Access, open_session

EPILOG = """\b
Examples:
  fluid why email-welcome
  fluid why email-welcome -o json
\b
The place in the queue and what holds the queue are known to Redis only. Its URL is read from the environment's
Secret with your rights; where the host is a Service of the cluster, through kubectl port-forward.
"""


def why(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The FluidJob.")],
    redis_url: RedisUrl = "",
    output: Form = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Explain a FluidJob: timeline, what it waits for, last error, next retry, settings."""
    if output in (Output.NAME, Output.WIDE):
        raise BadUsage("--output", "json or yaml; unset: a text")
    run(_why(Access(namespace, context, kubeconfig), name, redis_url, output))


async def _why(access: Access, name: str, redis_url: str, form: Output | None) -> None:
    async with open_session(access) as session:
        job = await get_job(session, name)
        # A job that has ended waits for nothing: no reason to ask for rights on Redis.
        facts = None if job.ended else await queue_facts(session, job, redis_url)
        events = await events_of(session, job)
    now = datetime.now(UTC)
    _show(explain(job, now, facts, events), now, form)


def _show(told: Explanation, now: datetime, form: Output | None) -> None:
    console = stdout()
    if form is None:
        print_trimmed(console, render(told, now))
    else:
        console.out(document(as_data(told), form), end="", highlight=False)
