"""What the handlers saw: one line at each start and each end of an attempt, in a file of each worker process.

A line is one write to a file opened for appending, so it survives the death of the process, and nothing of it passes
through the queue or its Redis. The clock is the machine's, which is also the one that epochs are made of.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".witness"


class Sighting(NamedTuple):
    """`at` in microseconds since 1970. `how` is `start`, or for an end `ok`, `error` or `stopped`."""

    at: int
    how: str
    job: str
    attempt: int
    epoch: int
    worker: str


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class Pen:
    """Writes for one worker process."""

    def __init__(self, folder: Path, worker: str, clock: Callable[[], int] = now) -> None:
        self._worker = worker
        self._clock = clock
        self._file = os.open(folder / (worker + SUFFIX), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, how: str, job: str, attempt: int, epoch: int) -> None:
        """One line, whole or not at all."""
        os.write(self._file, f"{self._clock()} {how} {job} {attempt} {epoch} {self._worker}\n".encode())


def read(folder: Path) -> list[Sighting]:
    """Everything that was seen, in the order of time."""
    lines = [line for file in folder.glob("*" + SUFFIX) for line in file.read_text().splitlines()]
    return sorted((parse(line) for line in lines), key=lambda seen: seen.at)


def parse(line: str) -> Sighting:
    """One line. Raises ValueError."""
    at, how, job, attempt, epoch, worker = line.split(" ")
    return Sighting(int(at), how, job, int(attempt), int(epoch), worker)
