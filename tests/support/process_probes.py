"""A job type for the tests of child processes: what it does is what nobody should do to an interpreter."""

import asyncio
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fluid_processors import Context, Outbound, PermanentError, RateLimited, RetryLater, processor, resource
from fluid_queue import Backoff, Deduplication, InvalidJob


class Deed(BaseModel):
    """`mark` is a file to which the process id is added at the start, `seconds` is for deeds that last."""

    do: str = "tell"
    mark: str = ""
    seconds: float = 60


@resource("counted")
@asynccontextmanager
async def counted() -> AsyncIterator[list[int]]:
    """A list with the process that opened it; says when it is closed."""
    yield [os.getpid()]
    logging.getLogger(__name__).info("the resource is closed")


def _note(deed: Deed, line: str) -> None:
    if deed.mark:
        with Path(deed.mark).open("a") as file:
            file.write(line + "\n")


def _tell(ctx: Context, deed: Deed) -> Any:
    ctx.log("a line")
    ctx.progress(40, "nearly half")
    logging.getLogger("a.library").info("hello from inside", extra={"fields": {"answer": 42}})
    return {
        "pid": os.getpid(),
        "opened by": ctx.resources[counted],
        "token": ctx.fencing_token,
        "key": ctx.idempotency_key,
        "attempt": ctx.attempt,
        "tags": dict(ctx.tags),
        "has a deadline": ctx.remaining() is not None,
        "redirected to": ctx.outbound.redirect_to,
        "live": ctx.outbound == Outbound(),
    }


def _spin(_: Context, __: Deed) -> Any:
    return sum(range(10**15))


def _backtrack(_: Context, __: Deed) -> Any:
    return bool(re.match(r"(a+)+$", "a" * 64 + "b"))


def _wait(ctx: Context, deed: Deed) -> Any:
    stopped = ctx.cancelled.wait(deed.seconds)
    _note(deed, f"stopped {ctx.cancelled.reason}" if stopped else "done")


def _sleep(_: Context, deed: Deed) -> Any:
    time.sleep(deed.seconds)


def _crash(_: Context, __: Deed) -> Any:
    return ctypes.string_at(0)


def _leave(_: Context, __: Deed) -> Any:
    os._exit(7)


def _die(_: Context, __: Deed) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _grow(_: Context, __: Deed) -> Any:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)))


def _flood(ctx: Context, deed: Deed) -> Any:
    """Far more than fits between the two processes, which only somebody who reads makes room for."""
    for number in range(20_000):
        ctx.log(f"line {number} {'.' * 100}")
    _note(deed, "flooded")


def _start_another(_: Context, deed: Deed) -> Any:
    """A process of the child's own, which has to go when the child goes."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _note(deed, str(other.pid))
    time.sleep(deed.seconds)


def _signal_itself(_: Context, __: Deed) -> Any:
    """What a terminal and an init process send."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)
    return "still here"


def _raise_permanent(_: Context, __: Deed) -> Any:
    raise PermanentError("no such user", type="NoSuchUser", reason="UserGone")


def _raise_later(_: Context, __: Deed) -> Any:
    raise RetryLater("soon", after=12.5)


def _raise_limited(_: Context, __: Deed) -> Any:
    raise RateLimited("slowly", after=3, scope="key")


def _exit(_: Context, __: Deed) -> Any:
    sys.exit("enough")


def _large(_: Context, __: Deed) -> Any:
    return "x" * (2 << 20)


def _odd(_: Context, __: Deed) -> Any:
    return {"an object": object()}


def _surrogate(ctx: Context, _: Deed) -> Any:
    ctx.log("half a character: \ud800")
    raise ValueError("\udfff")


def _family(ctx: Context, _: Deed) -> Any:
    """Children with options of every sort, one of them twice, and what is refused."""
    found = [
        ctx.enqueue_and_wait("quick", Deed(do="a model"), key="one", queue="nursery", delay_seconds=60),
        ctx.enqueue_and_wait("quick", key="one"),
        ctx.enqueue_and_wait(
            "quick",
            {"do": "told"},
            key="two",
            detached=True,
            queue="nursery",
            backoff=Backoff(type="Fixed", delay_seconds=7),
            deduplication=Deduplication("twin"),
            start_after=datetime(2099, 1, 1, tzinfo=UTC),
            tags={"user": "u1"},
        ),
    ]
    for wrong in ({"payload": {"an object": object()}}, {"queue": "no such name!"}, {"colour": "red"}):
        try:
            ctx.enqueue_and_wait("quick", **{"payload": {}, "key": "wrong", **wrong})
        except InvalidJob as error:
            found.append(f"InvalidJob {error.field}")
        except Exception as error:  # noqa: BLE001 - its name is what the test looks at
            found.append(type(error).__name__)
    return found


_DEEDS = {
    "family": _family,
    "tell": _tell,
    "spin": _spin,
    "backtrack": _backtrack,
    "wait": _wait,
    "sleep": _sleep,
    "crash": _crash,
    "leave": _leave,
    "die": _die,
    "grow": _grow,
    "flood": _flood,
    "start another": _start_another,
    "signal itself": _signal_itself,
    "raise permanent": _raise_permanent,
    "raise later": _raise_later,
    "raise limited": _raise_limited,
    "exit": _exit,
    "large": _large,
    "odd": _odd,
    "surrogate": _surrogate,
}


def _act(ctx: Context, deed: Deed) -> Any:
    _note(deed, str(os.getpid()))
    return _DEEDS[deed.do](ctx, deed)


@processor("child", payload=Deed, queue="children", resources=[counted], isolation="process")
def plain(ctx: Context, deed: Deed) -> Any:
    """A plain function in a child."""
    return _act(ctx, deed)


@processor("child-loop", payload=Deed, queue="children", resources=[counted], isolation="process")
async def on_a_loop(ctx: Context, deed: Deed) -> Any:
    """An async function in a child; "pause" is the one deed that yields."""
    if deed.do == "pause":
        await asyncio.sleep(deed.seconds)
    if deed.do == "cancel itself":
        raise asyncio.CancelledError
    if deed.do == "enqueue":
        return await ctx.enqueue("quick", {"do": "told"}, key="one", queue="nursery")
    if deed.do == "enqueue in the wrong way":
        return ctx.enqueue_and_wait("quick", key="one")
    return _act(ctx, deed)


@processor("child-small", payload=Deed, queue="children", isolation="process", memory_limit_megabytes=128)
def small(ctx: Context, deed: Deed) -> Any:
    """A child with a memory limit."""
    return _act(ctx, deed)


@processor("child-short", payload=Deed, queue="children", resources=[counted], isolation="process",
           max_jobs_per_child=2)  # fmt: skip
def short_lived(ctx: Context, deed: Deed) -> Any:
    """A child for two jobs."""
    return _act(ctx, deed)


@processor("block", payload=Deed, queue="children")
async def block_the_loop(ctx: Context, deed: Deed) -> Any:
    """An async function that forgets that it is one."""
    _note(deed, f"start {ctx.attempt}")
    time.sleep(deed.seconds)  # noqa: ASYNC251 - the very fault that the test is about


@processor("stubborn", payload=Deed, queue="children", stop_grace=0.3)
def ignore_stops(ctx: Context, deed: Deed) -> Any:
    """A thread that heeds nothing, with a short grace of its own."""
    _note(deed, f"start {ctx.attempt}")
    if ctx.attempt == 1:
        time.sleep(deed.seconds)


@processor("thread", payload=Deed, queue="children")
def in_a_thread(ctx: Context, deed: Deed) -> Any:
    """A thread that waits, and heeds its stop."""
    if deed.do == "family":
        return _family(ctx, deed)
    ctx.cancelled.wait(deed.seconds)
    return None


@processor("quick", payload=Deed, queue="children")
async def quick(ctx: Context, deed: Deed) -> Any:
    """Asks the loop's default executor for something, as DNS look-ups do."""
    found = await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    return bool(found) and await asyncio.to_thread(lambda: "quick")


PROBES = (plain, on_a_loop, small, short_lived, block_the_loop, ignore_stops, in_a_thread, quick)
