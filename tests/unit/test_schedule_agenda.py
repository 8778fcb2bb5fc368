"""One timer for all schedules."""

import asyncio
from datetime import UTC, datetime, timedelta

from fluid_operator.kube.keys import ObjectKey
from fluid_operator.schedules.agenda import Agenda
from fluid_operator.schedules.clock import SystemClock
from support.schedules import HandClock
from support.waiting import auntil

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
A, B, C = (ObjectKey("team", name) for name in "abc")


class Bell:
    """An agenda that runs, and whom it has rung for."""

    def __init__(self, clock) -> None:
        self.rung: list[ObjectKey] = []
        self.agenda = Agenda(clock, self.rung.append)

    async def __aenter__(self):
        self._task = asyncio.create_task(self.agenda.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def rings(self, *keys: ObjectKey) -> None:
        await auntil(lambda: self.rung == list(keys), 5, f"it rang for {keys}, not {self.rung}")


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


async def test_it_rings_once_for_each_in_the_order_of_their_times():
    clock = HandClock(START)
    async with Bell(clock) as bell:
        bell.agenda.set(B, after(2))
        bell.agenda.set(A, after(1))
        clock.advance(minutes=1)
        await bell.rings(A)
        clock.advance(minutes=10)
        await bell.rings(A, B)
        assert len(bell.agenda) == 0


async def test_a_time_that_was_replaced_does_not_ring():
    clock = HandClock(START)
    async with Bell(clock) as bell:
        bell.agenda.set(A, after(1))
        bell.agenda.set(B, after(2))
        bell.agenda.set(A, after(3))
        clock.advance(minutes=2)
        await bell.rings(B)
        clock.advance(minutes=1)
        await bell.rings(B, A)


async def test_a_time_that_was_taken_back_does_not_ring():
    clock = HandClock(START)
    async with Bell(clock) as bell:
        bell.agenda.set(A, after(1))
        bell.agenda.set(A, None)
        bell.agenda.set(B, after(2))
        clock.advance(minutes=5)
        await bell.rings(B)


async def test_an_earlier_time_cuts_the_wait_short():
    async with Bell(SystemClock()) as bell:
        bell.agenda.set(A, datetime.now(UTC) + timedelta(days=1))
        await asyncio.sleep(0)
        bell.agenda.set(B, datetime.now(UTC))
        await bell.rings(B)


async def test_a_clock_that_is_set_forward_rings_for_all_that_it_passed():
    clock = HandClock(START)
    async with Bell(clock) as bell:
        for number, key in enumerate((A, B, C)):
            bell.agenda.set(key, after(number * 60))
        await bell.rings(A)
        clock.advance(days=1)
        await bell.rings(A, B, C)


async def test_a_clock_that_is_set_back_waits_for_the_time_of_the_clock():
    clock = HandClock(START)
    async with Bell(clock) as bell:
        bell.agenda.set(A, after(10))
        clock.advance(hours=-1)
        bell.agenda.set(B, after(-30))
        clock.advance(minutes=45)
        await bell.rings(B)
        clock.set(after(10))
        await bell.rings(B, A)


async def test_a_clock_that_is_set_back_rings_for_all_at_once_and_again_at_their_times():
    clock = HandClock(START)
    async with Bell(clock) as bell:
        bell.agenda.set(A, after(-1))
        await bell.rings(A)
        bell.agenda.set(A, after(10))
        bell.agenda.set(B, after(20))
        clock.advance(minutes=-5)
        await bell.rings(A, A, B)
        clock.set(after(10))
        await bell.rings(A, A, B, A)


async def test_thousands_of_changes_leave_no_trace():
    clock = HandClock(START)
    async with Bell(clock) as bell:
        for number in range(10_000):
            bell.agenda.set(A, after(number + 1))
        clock.set(after(9_999))
        bell.agenda.set(B, after(9_999))
        await bell.rings(B)
        assert len(bell.agenda) == 1
