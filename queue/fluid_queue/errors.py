"""What can go wrong with a queue, as types.

The tree, for whoever wants to catch a branch:

    QueueError
        InvalidJob            a field of a job, a name or an id that the queue cannot take
        InvalidAddress        the URL of a Redis, or its TLS options; never repeats any of it
        QueueUnavailable      Redis cannot be reached, is loading, or refuses to write; worth another try
            QueueFull         Redis is at maxmemory
            QueueAccessDenied wrong password, or a user that may not do this; somebody has to mend it
            KeySpaceInUse     somebody else owns the key space; it is not touched
        LeaderFenced          a newer leader owns this shard; check the Lease before anything else
        StaleAttempt          an attempt whose lease is lost has no say any more
        QueueLimited          the creation limit of a queue is used up for the moment
        LayoutMismatch        the key space was written by another layout version
        ScriptError           a Lua file that cannot be loaded, or an answer that its header does not name
        JobNotFound           nobody knows the job that somebody waits for
        InvalidKeyRing        the keys for encryption cannot be used; names every problem and shows no key
        MissingExtra          what was asked for needs an optional package that is not installed
        UnreadableValue       a stored payload, result, message or line cannot be decoded
            UnknownKey        it is encrypted with a key that this process does not have
            NotEncrypted      it is not encrypted, and only encrypted values are accepted
            DecryptionFailed  it was altered, moved from another job, or encrypted with another key of the same id
            CorruptValue      it is cut off, or no value of this version
    ProcessorError
        PermanentError        the attempt failed and no retry can help
        RetryLater            the attempt failed, and says when to try again
        Postponed             nothing failed: the job has to wait, and no failure is counted
            RateLimited       a provider wants a pause
"""

from __future__ import annotations

from collections.abc import Sequence
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


class InvalidAddress(QueueError, ValueError):
    """The address of a Redis cannot be used: `field` (url or tls) and `message` say why; no part of it is repeated."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"the Redis {field} {message}" if field == "url" else f"{field}: {message}")
        self.field = field
        self.message = message


class QueueFull(QueueUnavailable):
    """Redis is at its memory limit and takes no new jobs; running ones can still finish."""


class QueueAccessDenied(QueueUnavailable):
    """Redis knows the user or password not, or does not let the user do this. Trying again helps once it is mended."""


class KeySpaceInUse(QueueUnavailable):
    """The key space `key_prefix` is owned by `owner`, a name for people; see `Queue.own`."""

    def __init__(self, key_prefix: str, owner: str) -> None:
        super().__init__(
            f"the key prefix {key_prefix} of this Redis is in use by FluidEnvironment {owner}: delete that one, or "
            "create this one anew with another spec.redis.keyPrefix or another Redis"
        )
        self.key_prefix = key_prefix
        self.owner = owner


class LeaderFenced(QueueError):
    """`leader` is the refused "<shard>:<epoch>", `current` the epoch that leads, or "nobody" in an emptied Redis."""

    def __init__(self, leader: str, current: str) -> None:
        super().__init__(f"{leader} leads no more; the shard's epoch is {current}")
        self.leader = leader
        self.current = current


class StaleAttempt(QueueError):
    """The attempt `epoch` of `job_id` does not hold the job's lease any more."""

    def __init__(self, job_id: str, epoch: int) -> None:
        super().__init__(f"the attempt {epoch} of job {job_id!r} has lost its lease: another one may run")
        self.job_id = job_id
        self.epoch = epoch


class QueueLimited(QueueError):
    """`queue` takes no new job for `wait_seconds`."""

    def __init__(self, queue: str, wait_seconds: float) -> None:
        super().__init__(f"the creation limit of queue {queue!r} is used up: try again in {wait_seconds:g} s")
        self.queue = queue
        self.wait_seconds = wait_seconds


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


class JobNotFound(QueueError):
    """`job_id` was never enqueued here, or ended so long ago that nothing is left of it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id!r} is known: it was never enqueued in this key space, or it is forgotten")
        self.job_id = job_id


class InvalidKeyRing(QueueError):
    """`problems` says what is wrong, line by line; no problem shows a key."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(f"the key ring cannot be used: {'; '.join(problems)}")
        self.problems = tuple(problems)


class MissingExtra(QueueError):
    """The package `needs` is not installed; the extra `extra` of fluid-jobs brings it."""

    def __init__(self, extra: str, needs: str) -> None:
        super().__init__(f"{extra} needs the package {needs}: pip install 'fluid-jobs[{extra}]'")
        self.extra = extra
        self.needs = needs


class UnreadableValue(QueueError):
    """The value stored at `place` ("<key prefix> <kind> <job id>") cannot be decoded."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"the value at {place!r} cannot be read: {message}")
        self.place = place
        self.message = message


class UnknownKey(UnreadableValue):
    """`key_id` is not in the key ring of this process."""

    def __init__(self, place: str, key_id: str) -> None:
        super().__init__(
            place, f"it is encrypted with the key {key_id!r}, which is not in this process's key ring: add it there"
        )
        self.key_id = key_id


class NotEncrypted(UnreadableValue):
    """The value is plain where only encrypted ones are accepted."""

    def __init__(self, place: str) -> None:
        super().__init__(place, "it is not encrypted, and this process accepts only encrypted values")


class DecryptionFailed(UnreadableValue):
    """The key `key_id` does not fit the value, its place or its header."""

    def __init__(self, place: str, key_id: str) -> None:
        super().__init__(
            place,
            f"the key {key_id!r} does not fit: the value was altered or moved here from elsewhere, "
            "or the key of that id is another one",
        )
        self.key_id = key_id


class CorruptValue(UnreadableValue):
    """The value is damaged, or of another version."""


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
