"""How a processor's function is called within this process, on the loop or in a thread, and how it is made to
stop.

The promise to the caller is the same for each kind of isolation, also for the one in `processes`: the awaitable
ends only when the function has really ended, so the lease is held for as long as the job can still have
effects.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from pydantic import BaseModel

from fluid_processors.context import Context
from fluid_processors.definitions import Processor


class Threads:
    """The threads of one worker for plain functions: one for each job that may run at a time, and never those of
    the loop's default executor, which DNS and files need: jobs that block could starve them.

    After a stop the coroutine waits for the function. When that takes longer than `stop_grace_seconds` (None:
    nobody counts), the slot counts as leaked and `on_leak(context)` is called once: nothing can stop a thread
    but the end of its process.
    """

    def __init__(self, size: int, *, stop_grace_seconds: float | None, on_leak: Callable[[Context], None]) -> None:
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="processor")
        self._stop_grace_seconds = stop_grace_seconds
        self._on_leak = on_leak
        self.leaked = 0
        """Threads that are past their stop grace now."""

    async def run(
        self, function: Callable[..., Any], context: Context, payload: BaseModel, stop_grace: float | None = None
    ) -> Any:
        """Calls the function in a thread. A stop wins over what the function returns or raises afterwards.
        `stop_grace`, in seconds, is the processor's own."""
        copied = contextvars.copy_context()
        running = asyncio.get_running_loop().run_in_executor(self._pool, copied.run, function, context, payload)
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            context.cancelled.set()
            await self._returned(running, context, self._stop_grace_seconds if stop_grace is None else stop_grace)
            raise
        return running.result()

    async def _returned(self, running: "asyncio.Future[Any]", context: Context, grace: float | None) -> None:
        """Waits for the function, however often this task is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        leaks_at = None if grace is None else loop.time() + grace
        leaked = False
        while not running.done():
            try:
                await asyncio.wait({running}, timeout=None if leaks_at is None else max(0.0, leaks_at - loop.time()))
            except asyncio.CancelledError:
                continue
            if leaks_at is not None and not running.done():
                leaks_at, leaked = None, True
                self.leaked += 1
                self._on_leak(context)
        self.leaked -= leaked
        running.exception()  # seen, so that asyncio does not report it as never retrieved

    def close(self) -> None:
        """Lets idle threads go. Does not wait: a leaked one would never come back."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def execute(processor: Processor[Any], context: Context, payload: BaseModel, threads: Threads) -> Any:
    """Runs one attempt: gives what the function returned, raises what it raised, or CancelledError after a stop."""
    if not processor.asynchronous:
        return await threads.run(processor.function, context, payload, processor.stop_grace)
    try:
        return await cast("Awaitable[Any]", processor.function(context, payload))
    except asyncio.CancelledError:
        context.cancelled.set()
        raise
