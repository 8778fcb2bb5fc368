"""Many single questions, one call: whoever asks within a few milliseconds shares a round trip.

A call to Redis costs a process some hundred microseconds whatever it carries, so reconcilers that run side by side
must not each pay for one. Where little is asked nobody waits for company: a job that comes alone would pay with its
latency, and save nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

LINGER = 0.01
"""Seconds that the first question waits for company while much is asked. A call costs us and Redis the more the fewer
questions share it, and at some hundred jobs a second hardly two come within 2 ms."""

_CALM_BURST = 16.0
_CALM_RATE = 100.0


class Calm:
    """Tells whether little is asked: up to 16 questions at once, and up to 100 a second. The time is an argument, in
    seconds of any one clock that never goes back."""

    __slots__ = ("_at", "_level")

    def __init__(self) -> None:
        self._level = 0.0
        self._at = float("-inf")

    def after(self, questions: int, now: float) -> bool:
        """Whether so many more are still little. Calm returns within a third of a second after the last of many."""
        left = max(0.0, self._level - _CALM_RATE * max(0.0, now - self._at))
        self._level, self._at = min(left + questions, 2 * _CALM_BURST), now
        return self._level <= _CALM_BURST


class Batcher(Generic[Question, Answer]):
    """Gathers questions and asks them together, in order; `ask` answers each or raises for all."""

    def __init__(
        self, ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], *, linger: float = LINGER
    ) -> None:
        self._ask = ask
        self._linger = linger
        self._calm = Calm()
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, question: Question) -> Answer:
        """The answer to this question. Raises what `ask` raised for its batch."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, answer))
        calm = self._calm.after(1, loop.time())
        if len(self._waiting) == 1:
            loop.call_later(0.0 if calm else self._linger, self._send)
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
