"""What somebody asks of one FluidJob by annotation: `retry@2026-12-01T07:00:00Z`. Pure.

The time makes each request another value, so that the same verb can be asked twice; it is not compared with any clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from fluid_operator.api.meta import REQUEST_ANNOTATION

Verb = Literal["retry", "cancel", "suspend", "resume"]

_FORM = re.compile(r"(retry|cancel|suspend|resume)@\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, executed once. `text` goes into status.lastHandledRequest; `verb` is None when it cannot be
    understood."""

    text: str
    verb: Verb | None


def parse_request(text: str) -> Request | None:
    """The request in the annotation's value; None for an empty one."""
    if not text:
        return None
    match = _FORM.fullmatch(text)
    return Request(text, cast("Verb", match[1]) if match else None)


def misread(text: str) -> str:
    """Why the annotation's value is no request; empty when it is one, or when there is none."""
    request = parse_request(text)
    if request is None or request.verb is not None:
        return ""
    return f"annotation {REQUEST_ANNOTATION}: not of the form retry@2026-12-01T07:00:00Z (or cancel, suspend, resume)"
