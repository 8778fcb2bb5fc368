"""Many single questions, one call: whoever asks within a few milliseconds shares a round trip.

A call to Redis costs a process some hundred microseconds whatever it carries, so reconcilers that run side by side
must not each pay for one. Where little is asked nobody waits for company: a job that comes alone would pay with its
latency, and save nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from fluid_operator.kube.throttle import TokenBucket

Question = TypeVar("Question")
Answer = TypeVar("Answer")

LINGER = 0.002
"""Seconds that the first question waits for company while much is asked."""


def unhurried() -> TokenBucket:
    """Tells whether little is asked: so many calls at once, and so many a second, are made without waiting."""
    return TokenBucket(rate=100.0, burst=16.0)


class Batcher(Generic[Question, Answer]):
    """Gathers questions and asks them together, in order; `ask` answers each or raises for all."""

    def __init__(
        self, ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], *, linger: float = LINGER
    ) -> None:
        self._ask = ask
        self._linger = linger
        self._calm = unhurried()
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, question: Question) -> Answer:
        """The answer to this question. Raises what `ask` raised for its batch."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, answer))
        if len(self._waiting) == 1:
            loop.call_later(0.0 if self._calm.take(loop.time()) else self._linger, self._send)
        return await answer

    def _send(self) -> None:
        batch, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._answer(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        # A reconciler that was cancelled meanwhile wants no answer, and its write must not happen for nobody.
        wanted = [(question, future) for question, future in batch if not future.done()]
        if not wanted:
            return
        try:
            answers = await self._ask([question for question, _ in wanted])
        except Exception as error:  # noqa: BLE001 - handed to every asker, none of whom may hang
            for _, future in wanted:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(wanted, answers, strict=True):
            if not future.done():
                future.set_result(answer)
