"""What somebody asks of an environment by annotation: `pause/email@2026-12-01T07:00:00Z`, `resume/email@...`, or
`rotate-passwords@...`. Pure.

A pause by request lives in status.pausedQueues, because a reconciler would take it out of the spec. The time makes
each request another value; it is not compared with any clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FORM = re.compile(
    r"((?P<verb>pause|resume)/(?P<queue>[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?)|rotate-passwords)@\d{4}-\d{2}-\d{2}"
    r"T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})"
)
_TEXT_LIMIT = 256
"""Characters of the annotation that count; the status shows no more."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """The queues that are paused by request, and the last request that was looked at."""

    queues: Sequence[str] = ()
    handled: str = ""
    problem: str = ""
    """Why that request has no effect."""


def carry_out(paused: Sequence[str], handled: str, annotation: str) -> Pauses:
    """What holds after the annotation was obeyed. One that was handled before, or cannot be understood, changes
    nothing."""
    text = annotation[:_TEXT_LIMIT]
    match = _FORM.fullmatch(text)
    if text and not match:
        problem = (
            "not of the form pause/email@2026-12-01T07:00:00Z, resume/email@2026-12-01T07:00:00Z or "
            "rotate-passwords@2026-12-01T07:00:00Z"
        )
        return Pauses(paused, text, problem)
    if not match or text == handled:
        return Pauses(paused, handled)
    if not match["verb"]:
        return Pauses(paused, text)
    names = set(paused) - {match["queue"]}
    return Pauses(sorted(names | ({match["queue"]} if match["verb"] == "pause" else set())), text)


def rotation(annotation: str) -> str:
    """The wish for other passwords that the annotation is, "" when it is none. Another text is another wish."""
    text = annotation[:_TEXT_LIMIT]
    match = _FORM.fullmatch(text)
    return text if match and not match["verb"] else ""
