"""What Python sends to each script, and what comes back, is what the script's header promises."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fluid_queue import Indexes, NewJob, Queue
from fluid_queue.scripts import Header, header, names
from support.queue_arguments import arguments_of
from support.queue_oddities import CALLS

BY_THREAD = {"renew"}
"""Sent by the renewal thread on a connection of its own, not by `Queue`."""


class Recording(Queue):
    """A queue that remembers which scripts it has sent, with which words, and the answers."""

    said: list[tuple[str, tuple[Any, ...], Any]]

    async def _run(self, name: str, *arguments: Any, **options: Any) -> Any:
        answer = await super()._run(name, *arguments, **options)
        self.said.append((name, arguments, answer))
        return answer


@pytest.fixture
async def recording(redis_server, key_prefix) -> AsyncIterator[Recording]:
    async with Recording.from_url(redis_server.url, key_prefix) as queue:
        queue.said = []
        await queue.open()
        await queue.enqueue([NewJob(id=name, type="t", queue="q") for name in "ab"])
        await queue.enqueue([NewJob(id="i", type="t", queue="q", indexes=Indexes(2, items=[{}, {}]))])
        for call in CALLS.values():
            await call.run(queue, call.good)
        await queue.stats()
        yield queue


async def test_python_sends_as_many_words_as_the_header_numbers(recording):
    assert {name for name, _, _ in recording.said} == set(names()) - BY_THREAD
    for name, words, _ in recording.said:
        promised = arguments_of(name)
        assert len(words) >= promised.fixed, f"{name} got {words}"
        assert promised.repeats or len(words) == promised.fixed, f"{name} got {words}"


async def test_an_answer_has_the_shape_of_the_header(recording):
    for name, words, answer in recording.said:
        assert shape(name, header(name), words, answer), f"{name} answered {answer!r} to {words}"


def shape(name: str, promised: Header, words: tuple[Any, ...], answer: Any) -> bool:
    """Whether an answer is what RETURNS and CODES say."""
    if promised.returns.startswith("a code for each"):
        asked = len(words[0].splitlines()) if name == "finish" else None if name == "enqueue" else words
        codes = {code.decode().split(" ")[0] for code in answer}
        return codes <= set(promised.codes) and (not isinstance(asked, int) or len(answer) == asked)
    if promised.returns == "a code":
        return answer.decode() in promised.codes
    if promised.returns.startswith("{"):
        named = re.split(r",\s*(?![^{]*\})", promised.returns.strip("{}.").split("...")[0])
        return isinstance(answer, list) and (len(answer) == len(named) or "..." in promised.returns)
    if promised.returns.startswith("for each id"):
        return isinstance(answer, list)
    return isinstance(answer, int | bytes) and str(int(answer)).isdigit()
