"""`fluid version` and `fluid completion`."""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import version as version_of
from typing import Annotated, Any

import typer

# Typer's public module for this re-exports them without saying so to type checkers.
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]

from fluid_cli.console import say, stdout
from fluid_cli.errors import BadUsage, CliError
from fluid_cli.options import Context, Form, Kubeconfig, run
from fluid_cli.output import Output, document
from fluid_cli.session import Access, open_session
from fluid_cli.translation import kinds_are_missing, kube_sentence
from fluid_operator.kube.errors import KubeError
from fluid_operator.kube.keys import FLUID_JOBS

PROGRAM = "fluid"
COMPLETE_VARIABLE = "_FLUID_COMPLETE"

COMPLETION_EPILOG = """\b
Examples:
  source <(fluid completion bash)
  fluid completion zsh > "${fpath[1]}/_fluid"
  fluid completion fish > ~/.config/fish/completions/fluid.fish
"""


class Shell(StrEnum):
    """Shells that completion knows."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def version(
    client: Annotated[bool, typer.Option("--client", help="Only of this command; ask no API server.")] = False,
    output: Form = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the versions of this command, of Kubernetes and of the API that is installed there."""
    if output in (Output.NAME, Output.WIDE):
        raise BadUsage("--output", "json or yaml; unset: a text")
    run(_version(Access(None, context, kubeconfig), output, ask=not client))


async def _version(access: Access, form: Output | None, *, ask: bool) -> None:
    found = {"client": version_of("fluid-jobs")}
    if ask:
        try:
            found |= await _server(access)
        except (KubeError, CliError) as error:
            say(kube_sentence(error) if isinstance(error, KubeError) else str(error), "yellow")
    if form is not None:
        stdout().out(document(found, form), end="", highlight=False)
        return
    for name, value in found.items():
        stdout().out(f"{name}: {value}", highlight=False)


async def _server(access: Access) -> dict[str, str]:
    async with open_session(access) as session:
        answer: dict[str, Any] = await session.kube.request("get", "/version")
        try:
            await session.kube.request("get", f"/apis/{FLUID_JOBS.api_version}")
            installed = FLUID_JOBS.api_version
        except KubeError as error:
            if not kinds_are_missing(error):
                raise
            installed = "not installed"
    return {"kubernetes": str(answer.get("gitVersion", "unknown")), "api": installed}


def completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print a script that completes commands and options in your shell."""
    script: str = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell.value)
    stdout().out(script, highlight=False)


def prepare_completion() -> None:
    """Make the shells known to the parser, which answers what the scripts ask."""
    completion_init()
