"""`fluid pause` and `resume-queue`: stop and start the claims of one queue, by a request on its FluidEnvironment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import typer

from fluid_cli.console import say, stdout
from fluid_cli.environments import ENVIRONMENTS, Environment, find_environment
from fluid_cli.errors import BadUsage, CliError, NotThere, StillWaiting
from fluid_cli.options import Context, EnvironmentName, Kubeconfig, Namespace, Timeout, Wait, run
from fluid_cli.output import name_of
from fluid_cli.session import WRITE_QUERY, Access, Session, open_session
from fluid_cli.steering import request_patch, request_text
from fluid_cli.watching import Follower
from fluid_operator.api.fields import QUEUE
from fluid_operator.kube.errors import Conflict

Word = Literal["pause", "resume"]
Queue = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue.")]

PAUSE_EPILOG = """\b
Examples:
  fluid pause email                      jobs that run go on, no other starts
  fluid pause email -e staging --wait    in another environment; wait until it holds
"""
RESUME_EPILOG = """\b
Examples:
  fluid resume-queue email
"""

_QUEUE: Final = re.compile(QUEUE)
_QUEUE_LENGTH: Final = 63
_EARLIER_SECONDS: Final = 10.0
"""How long an earlier request may take to be carried out: an environment has one annotation, and a new request takes
the place of the one before."""
_TRIES: Final = 5


def pause(
    queue: Queue,
    environment: EnvironmentName = "",
    wait: Wait = False,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Pause a queue: running jobs go on, no other starts."""
    access = Access(namespace, context, kubeconfig)
    run(_request(access, environment, "pause", _checked(queue), timeout if wait else None, wait=wait))


def resume(
    queue: Queue,
    environment: EnvironmentName = "",
    wait: Wait = False,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Let a paused queue go on."""
    access = Access(namespace, context, kubeconfig)
    run(_request(access, environment, "resume", _checked(queue), timeout if wait else None, wait=wait))


def _checked(queue: str) -> str:
    if len(queue) > _QUEUE_LENGTH or not _QUEUE.fullmatch(queue):
        raise BadUsage("QUEUE", f"{queue!r} is no name of a queue")
    return queue


async def _request(access: Access, name: str, word: Word, queue: str, timeout: float | None, *, wait: bool) -> None:
    async with open_session(access) as session:
        environment = await find_environment(session, name)
        written, text = await _write(session, environment, word, queue)
        stdout().out(f"{name_of(written.raw)} {word} of queue {queue} requested", highlight=False)
        if written.paused_by_spec(queue):
            say(f"its spec pauses {queue} as well: only a change of the spec lets it go on", "yellow")
        if wait:
            await _until_handled(session, written.name, text, timeout)


async def _write(session: Session, environment: Environment, word: Word, queue: str) -> tuple[Environment, str]:
    """Write the request once no other stands there that nobody has carried out."""
    for _ in range(_TRIES):
        environment = await _after_the_earlier_one(session, environment)
        text = request_text(f"{word}/{queue}", datetime.now(UTC))
        # With the version nobody's request is overwritten that came in between.
        patch = request_patch(text, resourceVersion=environment.resource_version)
        try:
            written = await session.kube.patch(ENVIRONMENTS, session.key(environment.name), patch, query=WRITE_QUERY)
            return Environment(written), text
        except Conflict:
            environment = await find_environment(session, environment.name)
    raise CliError(f"FluidEnvironment {environment.name} changes all the time: try again")


async def _after_the_earlier_one(session: Session, environment: Environment) -> Environment:
    if environment.request in ("", environment.handled_request):
        return environment
    try:
        async with asyncio.timeout(_EARLIER_SECONDS):
            return await _followed(session, environment.name, lambda now: now.request == now.handled_request)
    except TimeoutError:
        say(f"an earlier request has not been carried out and is replaced: {environment.request}", "yellow")
        return await find_environment(session, environment.name)


async def _until_handled(session: Session, name: str, text: str, timeout: float | None) -> None:
    try:
        async with asyncio.timeout(timeout):
            await _followed(session, name, lambda now: text == now.handled_request or now.request != text)
    except TimeoutError as error:
        raise StillWaiting(f"the request {text}", timeout or 0) from error


async def _followed(session: Session, name: str, wanted: Callable[[Environment], bool]) -> Environment:
    """The environment as soon as it is as wanted. Raises NotThere when it is deleted."""
    follower = Follower(session.kube, ENVIRONMENTS, session.namespace, {"fieldSelector": f"metadata.name={name}"})
    found = [Environment(raw) for raw in await follower.start()]
    if found and wanted(found[0]):
        return found[0]
    async with aclosing(follower.changes()) as changes:
        async for change in changes:
            if change.deleted:
                break
            if wanted(now := Environment(change.object)):
                return now
    raise NotThere("FluidEnvironment", name, session.namespace)
