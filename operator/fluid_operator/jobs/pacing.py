"""When may a status be written? Ends at once; what may be over in a moment waits that moment. Pure but for its
memory of the last write.

A job that ends within the hold costs one write, one that starts at once and succeeds costs two; progress and retries
cost at most one write a
second and object (design section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

from fluid_operator.kube.keys import ObjectKey


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """Seconds."""

    hold: float = 0.2
    """For how long Queued and Running may be held back."""
    interval: float = 1.0
    """Between two writes that do not change the phase."""


@dataclass(slots=True)
class _Pace:
    since: float
    written: float = float("-inf")
    phase: str = ""


class Pacing:
    """One memory for all objects; those that have ended are forgotten."""

    def __init__(self, settings: PaceSettings) -> None:
        self._settings = settings
        self._paces: dict[ObjectKey, _Pace] = {}

    def __len__(self) -> int:
        return len(self._paces)

    def wait(self, key: ObjectKey, phase: str, now: float, *, first: bool) -> float:
        """Seconds before this phase may be written; 0: now. `first`: the job is in its first attempt or before it."""
        pace = self._paces.setdefault(key, _Pace(now))
        if pace.since <= pace.written:
            pace.since = now
        due = pace.since + self._settings.hold
        if phase == pace.phase or not first:
            due = max(due, pace.written + self._settings.interval)
        return max(0.0, due - now)

    def written(self, key: ObjectKey, phase: str, now: float) -> None:
        """A status with this phase has been written."""
        pace = self._paces.setdefault(key, _Pace(now))
        pace.written, pace.phase = now, phase

    def forget(self, key: ObjectKey) -> None:
        """The object has ended, or is gone."""
        self._paces.pop(key, None)
