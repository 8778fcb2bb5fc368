"""The work queue: its bookkeeping against a model, its contract with reconcilers on a real event loop."""

import asyncio
import logging
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fluid_operator.kube.errors import Terminal, TooManyRequests
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.pending import Pending
from fluid_operator.kube.workqueue import Again, BackoffSettings, Reconciled, WorkQueue
from support.waiting import auntil

KEYS = [ObjectKey(namespace, name) for namespace in "xyz" for name in "abc"]
A, B = ObjectKey("x", "a"), ObjectKey("x", "b")
AT_ONCE = BackoffSettings(first=0.001, longest=0.001)


# -- the bookkeeping


class PendingMachine(RuleBasedStateMachine):
    """Any sequence of calls, against plain sets and dictionaries that say what must be true."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending()
        self.now = 0.0
        self.added: set[ObjectKey] = set()  # due and not yet taken, whether in processing or not
        self.processing: set[ObjectKey] = set()
        self.due: dict[ObjectKey, float] = {}

    @rule(key=st.sampled_from(KEYS))
    def add(self, key: ObjectKey) -> None:
        can_be_taken = key not in self.added and key not in self.processing
        self.added.add(key)
        assert self.pending.add(key, self.now) is can_be_taken

    @rule(key=st.sampled_from(KEYS), seconds=st.integers(1, 9))
    def add_later(self, key: ObjectKey, seconds: int) -> None:
        at = self.now + seconds
        self.due[key] = min(self.due.get(key, at), at)
        if self.pending.add_at(key, at):
            assert self.due[key] == min(self.due.values())

    @rule(seconds=st.integers(0, 5))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        rung = {key for key, at in self.due.items() if at <= self.now}
        assert self.pending.promote(self.now) == len(rung - self.added - self.processing)
        self.added |= rung
        self.due = {key: at for key, at in self.due.items() if key not in rung}

    @rule()
    def take(self) -> None:
        taken = self.pending.take()
        free = self.added - self.processing
        if taken is None:
            assert not free
            return
        key, since = taken
        assert key in free, "a key is never held twice, nor handed out without being due"
        assert since <= self.now
        self.added.remove(key)
        self.processing.add(key)

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        self.processing.remove(key)
        assert self.pending.done(key) is (key in self.added), "added meanwhile means processed again"

    @invariant()
    def counts_are_true(self) -> None:
        assert self.pending.waiting == len(self.added - self.processing)
        assert self.pending.processing == len(self.processing)
        assert self.pending.delayed == len(self.due)
        assert self.pending.next_due() == min(self.due.values(), default=None)


TestPending = PendingMachine.TestCase


def test_namespaces_take_turns():
    pending = Pending()
    crowd = [ObjectKey("crowded", str(n)) for n in range(1000)]
    for key in crowd:
        pending.add(key, 0)
    pending.add(A, 0)
    pending.add(B, 0)
    order = [taken[0] for taken in (pending.take() for _ in range(5)) if taken]
    assert order == [crowd[0], A, crowd[1], B, crowd[2]]


def test_the_earliest_of_several_delays_wins():
    pending = Pending()
    pending.add_at(A, 9)
    pending.add_at(A, 5)
    pending.add_at(A, 7)
    assert pending.promote(4.9) == 0
    assert pending.promote(5) == 1
    assert pending.take() == (A, 5)
    assert pending.promote(100) == 0


def test_delays_double_up_to_a_limit_and_spread():
    backoff = BackoffSettings(first=1, longest=10, jitter=0.5)
    assert [backoff.delay(failures, 0) for failures in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 10, 10]
    assert [backoff.delay(1, spread) for spread in (-1, 1)] == [0.5, 1.5]


# -- the contract


class Reconciler:
    """Does for each call what its script says next: return a value, raise an error, or hold until let go."""

    def __init__(self, *script: Again | BaseException | None) -> None:
        self.script = list(script)
        self.calls: list[ObjectKey] = []
        self.active: Counter[ObjectKey] = Counter()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, key: ObjectKey) -> Again | None:
        self.calls.append(key)
        self.active[key] += 1
        assert self.active[key] == 1, "a key is never reconciled twice at once"
        try:
            await self.go.wait()
        finally:
            self.active[key] -= 1
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            raise step
        return step


class Running:
    """A queue that works with a reconciler, and what it told about each call."""

    def __init__(self, reconciler: Reconciler, *, workers: int = 4, grace: float = 10) -> None:
        self.told: list[Reconciled] = []
        self.queue = WorkQueue(backoff=AT_ONCE, observe=self.told.append)
        self.task = asyncio.create_task(self.queue.run(workers, reconciler, grace=grace))

    async def outcomes(self, *want: str) -> None:
        await auntil(lambda: len(self.told) >= len(want), what=f"{len(want)} calls have ended")
        assert [each.outcome for each in self.told] == list(want)

    async def __aenter__(self) -> "Running":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.queue.shut_down()
        await self.task


async def test_a_settled_key_is_left_alone_until_it_is_added_again():
    reconciler = Reconciler()
    async with Running(reconciler) as running:
        running.queue.add(A)
        running.queue.add(A)
        await running.outcomes("settled")
        running.queue.add(A)
        await running.outcomes("settled", "settled")
    assert reconciler.calls == [A, A]


async def test_again_is_a_later_call_and_no_failure():
    reconciler = Reconciler(ValueError("once"), Again(0.001), None)
    async with Running(reconciler) as running:
        running.queue.add(A)
        await running.outcomes("retry", "again", "settled")
        assert running.queue.failures(A) == 0


async def test_a_failure_is_retried_with_growing_back_off_until_it_succeeds(caplog):
    reconciler = Reconciler(ValueError("1"), ValueError("2"), ValueError("3"))
    async with Running(reconciler) as running:
        running.queue.add(A)
        await running.outcomes("retry", "retry", "retry", "settled")
        assert running.queue.failures(A) == 0
    failures = [record.failures for record in caplog.records if record.levelno == logging.WARNING]
    assert failures == [1, 2, 3]


async def test_a_server_that_says_how_long_to_wait_is_waited_for():
    throttled = TooManyRequests(429, "TooManyRequests", "slow down", "/p", retry_after=3600)
    async with Running(Reconciler(throttled)) as running:
        running.queue.add(A)
        await running.outcomes("retry")
        assert running.queue.delayed == 1
        due = running.queue._pending.next_due()
        assert due is not None
        assert due > asyncio.get_running_loop().time() + 3000


async def test_a_terminal_failure_is_reported_and_not_retried(caplog):
    reconciler = Reconciler(Terminal("no such queue"))
    async with Running(reconciler) as running:
        running.queue.add(A)
        await running.outcomes("terminal")
        assert (running.queue.depth, running.queue.delayed) == (0, 0)
        running.queue.add(A)
        await running.outcomes("terminal", "settled")
    (report,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (report.key, report.error) == ("x/a", "no such queue")


async def test_a_cancellation_inside_a_reconciler_costs_no_worker():
    reconciler = Reconciler(asyncio.CancelledError())
    async with Running(reconciler, workers=1) as running:
        running.queue.add(A)
        await running.outcomes("retry", "settled")


async def test_a_key_added_while_it_is_reconciled_is_reconciled_once_more_afterwards():
    reconciler = Reconciler()
    reconciler.go.clear()
    async with Running(reconciler) as running:
        running.queue.add(A)
        await auntil(lambda: reconciler.calls == [A], what="the first call has begun")
        for _ in range(3):
            running.queue.add(A)
        running.queue.add(B)
        await auntil(lambda: reconciler.calls == [A, B], what="another key is not held up")
        assert (running.queue.processing, running.queue.depth) == (2, 0)
        reconciler.go.set()
        await running.outcomes("settled", "settled", "settled")
    assert Counter(reconciler.calls) == {A: 2, B: 1}


async def test_a_delayed_key_comes_in_its_time_and_an_earlier_wish_wins():
    async with Running(Reconciler()) as running:
        running.queue.add_after(A, 3600)
        running.queue.add_after(B, 0.01)
        running.queue.add_after(A, 0.02)
        await running.outcomes("settled", "settled")
        assert [each.key for each in running.told] == [B, A]
        assert running.queue.delayed == 0


async def test_many_keys_on_few_workers_are_all_reconciled_and_measured():
    keys = [ObjectKey(str(n % 7), str(n)) for n in range(500)]
    reconciler = Reconciler()
    async with Running(reconciler, workers=3) as running:
        for key in keys:
            running.queue.add(key)
        assert running.queue.depth == 500
        await running.outcomes(*["settled"] * 500)
        assert all(each.waited >= 0 and each.took >= 0 for each in running.told)
    assert sorted(reconciler.calls) == sorted(keys)


async def test_shutting_down_lets_the_current_calls_finish_and_starts_no_other():
    reconciler = Reconciler()
    reconciler.go.clear()
    running = Running(reconciler, workers=1)
    running.queue.add(A)
    running.queue.add(B)
    await auntil(lambda: reconciler.calls == [A], what="the call has begun")
    running.task.cancel()
    await asyncio.sleep(0)
    assert not running.task.done()
    running.queue.add(ObjectKey("x", "late"))
    reconciler.go.set()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert reconciler.calls == [A]
    assert [each.key for each in running.told] == [A]


async def test_a_call_that_outlasts_the_grace_is_cancelled():
    reconciler = Reconciler()
    reconciler.go.clear()
    running = Running(reconciler, grace=0.01)
    running.queue.add(A)
    await auntil(lambda: reconciler.active[A] == 1, what="the call has begun")
    running.queue.shut_down()
    await running.task
    assert reconciler.active[A] == 0
    assert running.told == []
