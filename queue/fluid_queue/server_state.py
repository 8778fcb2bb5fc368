"""What a Redis server says about itself in INFO, as far as it decides whether jobs are safe in it. No I/O.

Servers of hosting services hide some of it, and a proxy in front of them may hide all: then a value is None, which
means that nobody knows, never that all is well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_PARTS = 3


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server at one moment.

    `version`: the release of Redis whose commands it has, Valkey's as well. `appendonly`: whether it keeps an
    append-only file. `max_memory` in bytes, 0 for no limit; `used_memory` in bytes, as far as it counts against that
    limit. `policy`: its maxmemory-policy, such as noeviction. `role`: master or slave. `run_id`: another one for each
    start of each server.
    """

    version: tuple[int, ...] | None = None
    appendonly: bool | None = None
    max_memory: int | None = None
    used_memory: int | None = None
    policy: str | None = None
    role: str | None = None
    run_id: str | None = None

    @classmethod
    def parse(cls, info: Mapping[str, Any]) -> Self:
        """Read INFO's answer, as redis-py parses it."""
        used = _amount(info, "used_memory")
        if used is not None:
            # What it holds for replicas and for its append-only file does not count against the limit.
            used = max(0, used - (_amount(info, "mem_not_counted_for_evict") or 0))
        enabled = _amount(info, "aof_enabled")
        return cls(
            version=_version(info),
            appendonly=None if enabled is None else bool(enabled),
            max_memory=_amount(info, "maxmemory"),
            used_memory=used,
            policy=_word(info, "maxmemory_policy"),
            role=_word(info, "role"),
            run_id=_word(info, "run_id"),
        )


def _version(info: Mapping[str, Any]) -> tuple[int, ...] | None:
    # A version of two parts reads as a float to redis-py.
    numbers = _NUMBER.findall(str(info.get("redis_version", "")))[:_PARTS]
    return tuple(map(int, numbers)) or None


def _amount(info: Mapping[str, Any], name: str) -> int | None:
    value = info.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def _word(info: Mapping[str, Any], name: str) -> str | None:
    value = info.get(name)
    return value if isinstance(value, str) and value else None
