"""What can go wrong with a queue, as types.

The tree, for whoever wants to catch a branch:

    QueueError
        InvalidJob            a field of a job, a name or an id that the queue cannot take
        QueueUnavailable      Redis cannot be reached, is loading, or refuses to write; worth another try
            QueueFull         Redis is at maxmemory
        LeaderFenced          a newer leader owns this shard; check the Lease before anything else
        LayoutMismatch        the key space was written by another layout version
        ScriptError           a Lua file that cannot be loaded, or an answer that its header does not name
    ProcessorError
        PermanentError        the attempt failed and no retry can help
        RetryLater            the attempt failed, and says when to try again
        Postponed             nothing failed: the job has to wait, and no failure is counted
            RateLimited       a provider wants a pause
"""

from __future__ import annotations

from typing import Literal

TEN_YEARS = 315_360_000
"""Seconds; the longest wait that anything of ours accepts."""


class QueueError(Exception):
    """The queue could not do what was asked."""


class InvalidJob(QueueError):
    """`field` names what is wrong, `message` says what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class QueueUnavailable(QueueError):
    """Redis cannot serve at the moment; the command may or may not have been carried out."""


class QueueFull(QueueUnavailable):
    """Redis is at its memory limit and takes no new jobs; running ones can still finish."""


class LeaderFenced(QueueError):
    """`leader` is the refused "<shard>:<epoch>", `current` the epoch that leads, or "nobody" in an emptied Redis."""

    def __init__(self, leader: str, current: str) -> None:
        super().__init__(f"{leader} leads no more; the shard's epoch is {current}")
        self.leader = leader
        self.current = current


class LayoutMismatch(QueueError):
    """The key space holds layout `found`, this version writes `expected`."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"this key space has layout {found}, this version of fluid-jobs writes layout {expected}: "
            "use the version that wrote it, or another key prefix"
        )
        self.expected = expected
        self.found = found


class ScriptError(QueueError):
    """A Lua file is not what it should be."""


class ProcessorError(Exception):
    """What a handler may raise to say more than "it failed"."""


def seconds_of(after: float) -> float:
    """A wait as a number, also where it was copied from a header as text. Raises ValueError, which fails the attempt
    like any other."""
    seconds = float(after)
    if not 0 <= seconds <= TEN_YEARS:
        raise ValueError(f"after: {after!r} is not a number of seconds from 0 to {TEN_YEARS}")
    return seconds


class PermanentError(ProcessorError):
    """No retry can help. `type` becomes error.type of the job, `reason` (one word) the reason of its Failed
    condition."""

    def __init__(self, message: str = "", *, type: str | None = None, reason: str = "PermanentError") -> None:  # noqa: A002 - the field's name in the API
        super().__init__(message)
        self.type = str(type or self.__class__.__name__)
        self.reason = str(reason)


class RetryLater(ProcessorError):
    """Try again in `after` seconds; the attempt counts as failed."""

    def __init__(self, message: str = "", *, after: float) -> None:
        super().__init__(message or f"asked to be tried again in {after} s")
        self.after = seconds_of(after)


class Postponed(ProcessorError):
    """Not now: the job goes back for `after` seconds, and nothing counts as failed."""

    def __init__(self, message: str = "", *, after: float) -> None:
        super().__init__(message or f"postponed for {after} s")
        self.after = seconds_of(after)


class RateLimited(Postponed):
    """The provider wants a pause of `after` seconds, of the whole queue or of the job's concurrency key."""

    def __init__(self, message: str = "", *, after: float, scope: Literal["queue", "key"] = "queue") -> None:
        super().__init__(message or f"rate limited for {after} s", after=after)
        self.scope = scope
