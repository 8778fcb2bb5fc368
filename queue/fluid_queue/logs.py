"""Log records of every program of Fluid Jobs: constant messages, facts as fields, one JSON object or one plain line
each.

Facts come as plain extras (`extra={"namespace": ...}`) or together under `fields`. Whoever logs sees to it that no
secret is among them: payloads, results and addresses with passwords are logged nowhere. This module must not know
which program it serves.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

_BUILT_IN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, the program's own facts, the record's."""

    def __init__(self, facts: Mapping[str, Any] | None = None) -> None:
        """`facts` stand in every line: who is speaking."""
        super().__init__()
        self._facts = dict(facts or {})

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line without its end."""
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._facts,
            **_fields(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()


class TextFormatter(logging.Formatter):
    """For people: time, level, message, then the fields as key=value; tracebacks on lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one or more lines."""
        fields = _fields(record)
        trace = fields.pop("traceback", None) or (self.formatException(record.exc_info) if record.exc_info else None)
        facts = "".join(f" {key}={value}" for key, value in fields.items())
        line = f"{_time(record)} {record.levelname:<7} {record.getMessage()}{facts}"
        return f"{line}\n{trace}" if trace else line


def configure(
    level: str,
    format: Literal["json", "text"],  # noqa: A002 - the setting's name
    facts: Mapping[str, Any] | None = None,
    stream: TextIO | None = None,
) -> logging.Handler:
    """Send all records of the process from `level` up to one stream (standard error), and return its handler."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(facts) if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    return handler


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The facts of a record: those under `fields`, and those that came as plain extras."""
    extras = {key: value for key, value in vars(record).items() if key not in _BUILT_IN}
    return {**extras.pop("fields", {}), **extras}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
