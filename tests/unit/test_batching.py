"""Many questions, one call."""

import asyncio

import pytest

from fluid_operator.environments.batching import Batcher, Calm


async def test_questions_that_come_together_are_asked_together():
    calls = []

    async def ask(questions):
        calls.append(list(questions))
        return [question * 2 for question in questions]

    batcher = Batcher(ask)
    assert await asyncio.gather(*(batcher(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert calls == [[0, 1, 2, 3, 4]]
    assert await batcher(7) == 14


async def test_whoever_asks_alone_does_not_wait_and_many_in_a_row_gather():
    calls = []

    async def ask(questions):
        calls.append(list(questions))
        return questions

    batcher = Batcher(ask, linger=0.2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await batcher("alone") == "alone"
    assert loop.time() - began < 0.2, "nobody waited for company"
    for n in range(40):  # more than are answered without waiting
        asked = [asyncio.ensure_future(batcher((n, part))) for part in range(2)]
        await asyncio.wait(asked, timeout=0.005)
        if not all(each.done() for each in asked):
            break
    late = asyncio.ensure_future(batcher("late"))
    assert await asyncio.gather(*asked, late) == [(n, 0), (n, 1), "late"]
    assert calls[-1] == [(n, 0), (n, 1), "late"]


def test_few_questions_at_once_and_few_a_second_are_little():
    calm = Calm()
    assert all(calm.after(1, now=5.0) for _ in range(16))
    assert not calm.after(1, now=5.0)
    assert all(calm.after(1, now=6.0 + n / 90) for n in range(1000))


def test_it_is_calm_again_soon_after_the_last_of_many_questions():
    calm = Calm()
    assert not calm.after(5_000, now=1.0)
    assert not calm.after(1, now=1.1)
    assert calm.after(1, now=1.4)


async def test_a_failed_call_fails_every_asker_and_not_the_next():
    answers = iter([ValueError("away"), None])

    async def ask(questions):
        if error := next(answers):
            raise error
        return questions

    batcher = Batcher(ask)
    results = await asyncio.gather(batcher(1), batcher(2), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert await batcher(3) == 3


async def test_nothing_is_asked_for_someone_who_has_gone():
    asked = []

    async def ask(questions):
        asked.extend(questions)
        return questions

    batcher = Batcher(ask)
    gone = asyncio.ensure_future(batcher("gone"))
    stays = asyncio.ensure_future(batcher("stays"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "stays"
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert asked == ["stays"]
