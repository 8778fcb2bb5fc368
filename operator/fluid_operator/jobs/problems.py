"""Why a job cannot be enqueued.

A problem either waits for something outside the object (`terminal` False: Pending, looked at again when that
changes, or after `again`
seconds), or ends the run (`terminal` True).
"""

from __future__ import annotations

from fluid_operator.api.conditions import Reason


class Problem(Exception):
    """`message` is a sentence for people that says what to do."""

    def __init__(self, reason: Reason, message: str, *, terminal: bool, again: float | None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.terminal = terminal
        self.again = again


class NothingToRun(Exception):
    """The run has no index, and so has succeeded; `field` says so."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def waiting(reason: Reason, message: str, *, again: float | None = None) -> Problem:
    """The job goes on when the cause is gone."""
    return Problem(reason, message, terminal=False, again=again)


def ending(reason: Reason, message: str) -> Problem:
    """No waiting can help; a change of the spec starts a new run."""
    return Problem(reason, message, terminal=True, again=None)
