"""From "something about this object changed" to one call of a reconciler, with retries, delays and fairness.

The contract of a reconciler, all of it:

    returns None              settled; its failures are forgotten
    returns Again(after=s)    look once more in s seconds; waiting is not failing, so failures are forgotten
    too raises Terminal           logged and counted, not retried; a later change of the object wakes it again
    raises anything else      logged, and retried with a delay that doubles per key up to a limit, or with the
                              error's own `retry_after` if that is longer

A key is never in two reconciliations at once. A key that is added while it is being reconciled is reconciled
again afterwards. A queue serves one term of leadership: once shut down it stays so. Which key is next is
decided in `pending`; this module owns the tasks, the timer and the clock. It must not know what a key stands
for.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from fluid_operator.kube.errors import KubeError, NotLeader, Terminal
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.pending import Pending

log = logging.getLogger(__name__)

Outcome: TypeAlias = Literal["settled", "again", "terminal", "retry"]


class Again(NamedTuple):
    """A reconciler's wish to be called once more in `after` seconds."""

    after: float


class Reconciled(NamedTuple):
    """One finished call, for metrics: seconds from due to taken, and seconds in the reconciler."""

    key: ObjectKey
    outcome: Outcome
    waited: float
    took: float


Reconcile: TypeAlias = Callable[[ObjectKey], Awaitable[Again | None]]


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """Delays between failed attempts at one key. All in seconds."""

    first: float = 0.1
    """After the first failure; doubled with each further one."""
    longest: float = 60.0
    """A recovered API server or Redis is used again within this time at the latest."""
    jitter: float = 0.2
    """Share of each delay by which it varies either way, so that keys do not fail in step."""

    def delay(self, failures: int, spread: float) -> float:
        """Return the delay after so many failures in a row (1 or more); `spread` is a number from -1 to 1."""
        doubled = self.first * 2.0 ** min(failures - 1, 60)
        return min(doubled, self.longest) * (1 + self.jitter * spread)


class WorkQueue:
    """Keys in, reconciliations out. Must be created and used inside one running loop."""

    def __init__(
        self,
        *,
        backoff: BackoffSettings | None = None,
        observe: Callable[[Reconciled], None] | None = None,
        clock: Callable[[], float] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`clock` gives seconds, by default the loop's; `observe` is told of each finished call."""
        self._loop = asyncio.get_running_loop()
        self._clock = clock or self._loop.time
        self._backoff = backoff or BackoffSettings()
        self._observe = observe or (lambda reconciled: None)
        self._rng = rng or random.Random()
        self._pending = Pending()
        self._failures: dict[ObjectKey, int] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False

    @property
    def depth(self) -> int:
        """How many keys could be reconciled now if a worker were free."""
        return self._pending.waiting

    @property
    def delayed(self) -> int:
        """How many keys wait for a time: Again, back-off or add_after."""
        return self._pending.delayed

    @property
    def processing(self) -> int:
        """How many keys are being reconciled."""
        return self._pending.processing

    def add(self, key: ObjectKey) -> None:
        """Have the key reconciled as soon as a worker is free."""
        if not self._stopping and self._pending.add(key, self._clock()):
            self._wake(1)

    def add_after(self, key: ObjectKey, seconds: float) -> None:
        """Have the key reconciled in so many seconds; of several such wishes the earliest wins."""
        if seconds <= 0:
            self.add(key)
        elif not self._stopping and self._pending.add_at(key, self._clock() + seconds):
            self._set_timer()

    def retry(self, key: ObjectKey, at_least: float = 0.0) -> None:
        """Have the key reconciled after its back-off, which grows with each call until `forget`.

        `at_least` seconds pass in any case, for a server that said how long to wait.
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.add_after(key, max(at_least, self._backoff.delay(failures, self._rng.uniform(-1, 1))))

    def failures(self, key: ObjectKey) -> int:
        """Return how often the key failed in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: ObjectKey) -> None:
        """Start the key's back-off from its first delay again."""
        self._failures.pop(key, None)

    def shut_down(self) -> None:
        """Hand out no further key and accept none; `run` sees to the end of what is in progress."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake(len(self._idle))

    async def run(self, workers: int, reconcile: Reconcile, *, grace: float = 10.0) -> None:
        """Reconcile with so many workers until shut down or cancelled.

        Either way, calls in progress may finish within `grace` seconds and are cancelled after that; then it
        returns, or lets the cancellation out. A worker that dies of a defect in the queue itself ends `run`
        with that error.
        """
        tasks = [self._loop.create_task(self._work(reconcile), name=f"reconcile {n}") for n in range(workers)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.shut_down()
            try:
                await asyncio.wait(tasks, timeout=grace)
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def _work(self, reconcile: Reconcile) -> None:
        while (taken := await self._take()) is not None:
            key, due = taken
            started = self._clock()
            try:
                outcome = await self._attempt(key, reconcile)
            finally:
                if self._pending.done(key):
                    self._wake(1)
            self._observe(Reconciled(key, outcome, started - due, self._clock() - started))

    async def _attempt(self, key: ObjectKey, reconcile: Reconcile) -> Outcome:
        """Call the reconciler once and do what the contract says."""
        try:
            result = await reconcile(key)
        except Terminal as error:
            log.error("Reconciliation failed for good.", extra={"key": str(key), "error": str(error)})
            self.forget(key)
            return "terminal"
        except NotLeader as error:
            log.debug("The term is over.", extra={"key": str(key), "error": str(error)})
            self.retry(key)
            return "retry"
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _being_cancelled():
                raise
            self.retry(key, at_least=getattr(error, "retry_after", None) or 0.0)
            # The API's refusals and silences explain themselves; anything else needs its traceback.
            explained = isinstance(error, KubeError)
            facts = {"key": str(key), "error": str(error), "failures": self.failures(key)}
            log.warning("Reconciliation failed, will retry.", extra=facts, exc_info=not explained)
            return "retry"
        self.forget(key)
        if result is None:
            return "settled"
        self.add_after(key, result.after)
        return "again"

    async def _take(self) -> tuple[ObjectKey, float] | None:
        """Return the next key and since when it was due; None when shut down."""
        while not self._stopping:
            if (taken := self._pending.take()) is not None:
                return taken
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter
        return None

    def _wake(self, workers: int) -> None:
        while workers > 0 and self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():  # else its worker was cancelled
                waiter.set_result(None)
                workers -= 1

    def _set_timer(self) -> None:
        """Let the timer ring when the first delayed key is due."""
        if self._timer is not None:
            self._timer.cancel()
        due = self._pending.next_due()
        if due is not None and not self._stopping:
            self._timer = self._loop.call_later(max(0.0, due - self._clock()), self._ring)

    def _ring(self) -> None:
        self._wake(self._pending.promote(self._clock()))
        self._set_timer()


def _being_cancelled() -> bool:
    """Whether it is this worker that was cancelled, and not something that the reconciler awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
