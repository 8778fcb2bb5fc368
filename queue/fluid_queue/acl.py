"""The least that a Redis user needs for one key space, as rules for ACL SETUSER or lines of an ACL file.

Redis checks a script's commands against the rights of whoever sends it, so what the scripts use is granted because they
use it; there is no second list to keep in step. Redis cannot tell one script from another: a worker and an operator
differ in the commands that they send by themselves, and in that each can be watched, rotated and cut off alone. No user
can look outside its key space, list keys, empty or configure the server, or see its clients. Nothing here connects.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

from fluid_queue import scripts
from fluid_queue.keys import KeySpace

Role = Literal["operator", "worker"]
"""`worker` is also the one for programs that only enqueue."""

_ANYBODY = (
    # to find the right server, to know it again, and to send scripts
    *("cluster|slots", "eval", "evalsha", "info", "ping", "role", "select"),
    # to read what one's own user may write anyway
    *(
        "get",
        "hget",
        "hgetall",
        "lrange",
        "smembers",
        "xinfo|stream",
        "xrange",
        "xread",
        "xrevrange",
        "zcard",
        "zrange",
    ),
)
_OUTSIDE: Mapping[Role, tuple[str, ...]] = {
    "worker": ("blpop", "expire", "rpush"),  # to sleep until it is woken
    "operator": ("zscan",),  # to page through all that is not acknowledged
}
"""What is sent outside of scripts."""

_CALL = re.compile(r"redis\.p?call\(([^,)]*)")
_NAME = re.compile(r"'([A-Z]+)'")


@cache
def script_commands() -> frozenset[str]:
    """Every Redis command that a script uses, in lower case."""
    calls = [call for name in scripts.names() for call in _CALL.findall(scripts.flatten(name))]
    return frozenset(found.lower() for call in calls for found in _NAME.findall(call))


def commands(role: Role) -> list[str]:
    """Every command that this user may run, `command|subcommand` where only that, sorted."""
    return sorted({*_ANYBODY, *_OUTSIDE[role], *script_commands()})


def rules(role: Role, key_prefix: str) -> list[str]:
    """The rights of a user on one key space, without its passwords, as words of ACL SETUSER."""
    return [
        "resetkeys",
        "resetchannels",
        f"~{KeySpace(key_prefix).prefix}*",
        "-@all",
        *(f"+{command}" for command in commands(role)),
    ]


def user_line(name: str, role: Role, key_prefix: str, passwords: Sequence[str]) -> str:
    """The line of an ACL file for a user; it holds hashes only. Two passwords are good at once while one is rotated."""
    hashes = [f"#{hashlib.sha256(password.encode()).hexdigest()}" for password in passwords]
    return " ".join(["user", name, "reset", "on", *hashes, *rules(role, key_prefix)])
