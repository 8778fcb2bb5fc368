"""The commands of `python -m fluid_dev`, which the Makefile calls. Parses and reports; does nothing itself."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from fluid_dev import binaries as programs
from fluid_dev import smtp_server
from fluid_dev.cluster import Cluster
from fluid_dev.demo import Demo
from fluid_dev.errors import DevError, Interrupted
from fluid_dev.image_build import project_image
from fluid_dev.node_demo import NodeDemo
from fluid_dev.ports import LOOPBACK
from fluid_dev.queue_demo import QueueDemo
from fluid_dev.smtp import AUTH_VARIABLE

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The local cluster and the demo of Fluid Jobs.")
State = Annotated[Path, typer.Option(help="Where everything of it lies.")]
_CHECKOUT = Path(__file__).parents[2]
_LOCAL = _CHECKOUT / ".local"
_QUEUE = "queue"
_NODE = "node"


@app.command()
def binaries(node: Annotated[bool, typer.Option("--node", help="Those of a real node too.")] = False) -> None:
    """Find or build the programs of a cluster and print where they are."""
    found = vars(programs.provide()) | (vars(programs.provide_node()) if node else {})
    for name, path in found.items():
        print(f"{name.replace('_', '-'):24} {path}")


@app.command()
def up(state: State = _LOCAL) -> None:
    """Start the demo, or whatever of it does not run any more."""
    Demo(_CHECKOUT, state).up()


@app.command()
def node_up(state: State = _LOCAL) -> None:
    """Start a control plane with a real node, and in it everything as pods of this checkout's image (as root)."""
    NodeDemo(_CHECKOUT, state / _NODE).up()


@app.command()
def image() -> None:
    """Build the image of this checkout, unless that was done, and print its name and its archive."""
    built = project_image(_CHECKOUT)
    print(built.tag, built.archive)


@app.command()
def down(state: State = _LOCAL) -> None:
    """Stop all demos and remove everything that they left."""
    NodeDemo(_CHECKOUT, state / _NODE).down()
    QueueDemo(_CHECKOUT, state / _QUEUE).down()
    Demo(_CHECKOUT, state).down()


@app.command()
def queue_up(state: State = _LOCAL) -> None:
    """Start Redis and a worker without any cluster, run a few jobs, and show how they went."""
    demo = QueueDemo(_CHECKOUT, state / _QUEUE)
    print(f"\n{demo.up()}\n{demo.how_to_go_on()}")


@app.command()
def demo_check(
    state: State = _LOCAL,
    within: Annotated[float, typer.Option(help="Seconds for all examples to get where they belong.")] = 120.0,
) -> None:
    """Compare each example with the phase, attempts and mail that its annotations promise, in whichever demo runs."""
    node = NodeDemo(_CHECKOUT, state / _NODE)
    demo = Demo(_CHECKOUT, state)
    if node.running:
        node.check(within)
    if demo.running or not node.running:
        demo.check(within)


@app.command()
def cluster_up(state: Annotated[Path, typer.Argument(help="A folder for its data.")]) -> None:
    """Start a control plane of its own, without Redis and the demo."""
    cluster = Cluster(state.absolute(), programs.provide())
    cluster.start()
    print(f"export KUBECONFIG={cluster.kubeconfig}")


@app.command()
def cluster_down(state: Annotated[Path, typer.Argument(help="The folder given to cluster-up.")]) -> None:
    """Stop that control plane and remove its folder."""
    Cluster(state.absolute(), programs.provide(may_build=False)).stop(wipe=True)


@app.command()
def smtp_catcher(
    port: Annotated[int, typer.Option(min=1, max=65535)],
    maildir: Annotated[Path, typer.Option(help="Each mail becomes a file here.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = LOOPBACK,
    starttls: Annotated[tuple[Path, Path] | None, typer.Option(help="Certificate and key, PEM files.")] = None,
    auth: Annotated[
        str, typer.Option(envvar=AUTH_VARIABLE, help="user:password; better in the environment than here.")
    ] = "",
) -> None:
    """Take mails by SMTP and keep them as files."""
    tls = smtp_server.server_context(*starttls) if starttls else None
    asyncio.run(smtp_server.serve(port, maildir, host=host, tls=tls, auth=auth))


def main() -> int:
    """One line on standard error for whatever goes wrong, and an exit code that says so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        app()
    except Interrupted as error:
        print(f"\n{error}", file=sys.stderr)
        return 130
    except DevError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
