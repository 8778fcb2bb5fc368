"""The options that several commands share, and how a command's work is run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from fluid_cli.errors import Interrupted
from fluid_cli.output import Output

Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Namespace; unset: that of the kubeconfig's context."),
]
Context = Annotated[str | None, typer.Option(metavar="NAME", help="Context of the kubeconfig; unset: the current one.")]
Kubeconfig = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Kubeconfig; unset: $KUBECONFIG, else ~/.kube/config.")
]
Form = Annotated[
    Output | None, typer.Option("--output", "-o", metavar="FORM", help="json, yaml, wide or name; unset: for people.")
]
Labels = Annotated[
    str, typer.Option("--selector", "-l", metavar="LABELS", help="Only jobs with these labels: a=b,c!=d.")
]
Type = Annotated[str, typer.Option("--type", metavar="TYPE", help="Only jobs of this type.")]
QueueName = Annotated[str, typer.Option("--queue", metavar="QUEUE", help="Only jobs of this queue.")]
EnvironmentName = Annotated[
    str,
    typer.Option("--environment", "-e", metavar="NAME", help='FluidEnvironment; unset: "default", else the only one.'),
]
RedisUrl = Annotated[
    str,
    typer.Option(
        metavar="URL",
        envvar="FLUID_REDIS_URL",
        show_envvar=True,
        help="Redis of the environment, instead of the URL in its Secret. Better in the variable than here.",
    ),
]
ScheduleName = Annotated[str, typer.Argument(metavar="NAME", help="The FluidSchedule.")]
Counted = Annotated[
    bool, typer.Option("--counted", help="Let concurrencyPolicy count it like a job that the clock has created.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is carried out.")]
Timeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0.001, help="How long --wait waits at most; unset: for ever.")
]


def run(work: Coroutine[Any, Any, int | None]) -> None:
    """Do a command's work; its number, if any, becomes the exit code. Raises Interrupted after Ctrl-C or SIGTERM, when
    everything that the work had open is closed."""
    try:
        code = asyncio.run(_stoppable(work))
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        raise Interrupted from error
    if code:
        raise typer.Exit(code)


async def _stoppable(work: Coroutine[Any, Any, int | None]) -> int | None:
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # on Windows a SIGTERM ends the process as it is
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
