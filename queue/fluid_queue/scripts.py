"""The Lua commands as Python sees them: text with its includes, hash, and the contract in its header.

A command is one file in `lua/`; a function that several commands share is one file in `lua/includes/`. A line `--
include: a, b` brings
functions in, each once, those that they need before them. Nothing here speaks to Redis.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fluid_queue.errors import ScriptError

LUA = Path(__file__).parent / "lua"

_INCLUDE = re.compile(r"^-- include: (.+)$", re.MULTILINE)
_HEADER = re.compile(r"\A--\[\[ (?P<text>.*?)\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Script:
    """One command, ready for EVALSHA."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The command `name`."""
    text = flatten(name)
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def names() -> list[str]:
    """Every command, sorted."""
    return sorted(path.stem for path in LUA.glob("*.lua"))


def flatten(name: str, folder: Path = LUA) -> str:
    """The text of a command with all includes in front, in an order in which each finds what it needs."""
    done: dict[str, str] = {}
    body = _resolve(folder / f"{name}.lua", folder, done, ())
    return "\n".join([*done.values(), body])


def _resolve(path: Path, folder: Path, done: dict[str, str], above: tuple[str, ...]) -> str:
    if not path.is_file():
        raise ScriptError(f"{' -> '.join((*above, path.stem))}: there is no {path.name}")
    if path.stem in above:
        raise ScriptError(f"includes go in a circle: {' -> '.join((*above, path.stem))}")
    text = path.read_text()
    for match in _INCLUDE.finditer(text):
        for wanted in re.split(r",\s*", match[1]):
            if wanted not in done:
                found = _resolve(folder / "includes" / f"{wanted}.lua", folder, done, (*above, path.stem))
                done[wanted] = found
    return _INCLUDE.sub("", text)


@dataclass(frozen=True, slots=True)
class Header:
    """What a command's header promises. `codes` are the first words of its answers."""

    purpose: str
    keys: str
    argv: str
    returns: str
    codes: tuple[str, ...]
    events: str


def header(name: str) -> Header:
    """The contract of a command, read from its file. Raises ScriptError when a part is missing."""
    match = _HEADER.match((LUA / f"{name}.lua").read_text())
    if not match:
        raise ScriptError(f"{name}.lua does not begin with a header")
    parts = _sections(match["text"])
    missing = {"KEYS", "ARGV", "RETURNS", "CODES", "EVENTS"} - parts.keys()
    if missing:
        raise ScriptError(f"the header of {name}.lua does not tell its {', '.join(sorted(missing))}")
    codes = () if parts["CODES"] == "none" else tuple(part.split()[0] for part in parts["CODES"].split("   "))
    return Header(parts[""], parts["KEYS"], parts["ARGV"], parts["RETURNS"], codes, parts["EVENTS"])


def _sections(text: str) -> Mapping[str, str]:
    pieces = re.split(r"\b(KEYS|ARGV|RETURNS|CODES|EVENTS)\s+", text)
    found = {"": pieces[0].strip()}
    for title, content in zip(pieces[1::2], pieces[2::2], strict=True):
        found[title] = re.sub(r"\n\s*", "   " if title == "CODES" else " ", content.strip())
    return found
