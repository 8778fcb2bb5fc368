"""Every key name that Python needs, and the rules for names. The layout itself is docs/decisions/0001; Lua derives
the rest from the prefix."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fluid_queue.checks import text, texts
from fluid_queue.errors import InvalidJob

LAYOUT = "1"
"""Version of the layout; raised when a key, a type or a field changes its meaning."""

ANY = "*"
"""The selector of a worker that takes from every queue."""

_ID = re.compile(r"[A-Za-z0-9._:/-]{1,256}")
_QUEUE = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The keys of one environment; all in the hash slot of `prefix`."""

    name: str

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.name):
            raise InvalidJob("keyPrefix", "1 to 128 letters, digits, dots, dashes or underscores")

    @property
    def prefix(self) -> str:
        return f"{{fluid:{self.name}}}:"

    def key(self, name: str) -> str:
        return self.prefix + name


def selector(queues: Collection[str]) -> str:
    """The canonical name of a set of queues: "*", or the names sorted and joined by commas."""
    wanted = sorted(set(texts("queues", queues)))
    if not wanted:
        raise InvalidJob("queues", 'name at least one queue, or "*" for all')
    if ANY in wanted:
        return ANY
    for queue in wanted:
        check_queue(queue)
    return ",".join(wanted)


def check_id(job_id: str) -> str:
    """The id itself. Raises InvalidJob."""
    given: Any = job_id
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise InvalidJob("id", "1 to 256 letters, digits or any of . _ : / -")
    return job_id


def check_key(field: str, key: str) -> str:
    """A concurrency or deduplication key itself. Raises InvalidJob, naming `field`."""
    if not text(field, key, least=1).isprintable():
        raise InvalidJob(field, "1 to 256 printable characters")
    return key


def check_queue(queue: str) -> str:
    """The name itself. Raises InvalidJob."""
    if not _QUEUE.fullmatch(text("queue", queue, 1024)):
        raise InvalidJob(
            "queue",
            f"{queue[:80]!r} is no queue name: up to 63 lower-case letters, digits, dots, dashes or underscores",
        )
    return queue
