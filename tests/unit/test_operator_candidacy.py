"""When a term begins and ends. The Lease itself is tested on a real API server; here only its word counts."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from fluid_operator.candidacy import Candidacy
from fluid_operator.errors import TermEnded, TermStuck
from support.waiting import auntil


class Lease:
    """Stands in for the elector's task; notes when it was given back."""

    def __init__(self, log):
        self.log = log

    async def run(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("given back")


class Terms:
    """Terms that run until cancelled, unless told otherwise."""

    def __init__(self):
        self.log = []
        self.ends = asyncio.Event()
        self.error: Exception | None = None
        self.deaf = False

    async def serve(self):
        self.log.append("begins")
        try:
            await self.ends.wait()
            if self.error:
                raise self.error
        except asyncio.CancelledError:
            while self.deaf:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    self.log.append("ignores it")
            raise
        finally:
            self.log.append("ends")


@asynccontextmanager
async def standing(terms, **times):
    candidacy = Candidacy(terms.serve, grace=5, **times)
    stop = asyncio.Event()
    task = asyncio.create_task(candidacy.run(Lease(terms.log), stop))
    yield candidacy, stop, task
    terms.deaf = False
    terms.ends.set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_on_a_clean_stop_the_lease_is_given_back_after_the_term_has_ended():
    terms = Terms()
    async with standing(terms) as (candidacy, stop, task):
        candidacy.won()
        await auntil(lambda: terms.log == ["begins"])
        stop.set()
        await asyncio.wait_for(task, 5)
        assert terms.log == ["begins", "ends", "given back"]


async def test_a_replica_that_never_led_stops_as_well():
    terms = Terms()
    async with standing(terms) as (_, stop, task):
        stop.set()
        await asyncio.wait_for(task, 5)
        assert terms.log == ["given back"]


async def test_a_lost_lease_ends_the_term_and_a_won_one_begins_another():
    terms = Terms()
    async with standing(terms) as (candidacy, _, task):
        candidacy.won()
        await auntil(lambda: terms.log == ["begins"])
        candidacy.lost()
        candidacy.won()
        await auntil(lambda: terms.log == ["begins", "ends", "begins"])
        assert not task.done()


async def test_an_error_inside_a_term_ends_the_candidacy():
    terms = Terms()
    terms.error = RuntimeError("a defect")
    async with standing(terms) as (candidacy, _, task):
        candidacy.won()
        terms.ends.set()
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(task, 5)
        assert ended.value.exceptions == (terms.error,)
        assert terms.log == ["begins", "ends", "given back"]


async def test_a_term_that_ends_by_itself_is_an_error():
    terms = Terms()
    async with standing(terms) as (candidacy, _, task):
        candidacy.won()
        terms.ends.set()
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(task, 5)
        assert isinstance(ended.value.exceptions[0], TermEnded)


async def test_a_term_that_does_not_end_makes_the_process_end():
    terms = Terms()
    terms.deaf = True
    async with standing(terms, patience=0.05) as (candidacy, _, task):
        candidacy.won()
        await auntil(lambda: terms.log == ["begins"])
        candidacy.lost()
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(task, 10)
        assert isinstance(ended.value.exceptions[0], TermStuck)
        assert "ignores it" in terms.log
