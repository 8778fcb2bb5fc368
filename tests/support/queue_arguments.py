"""The ARGV section of a script's header, as numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fluid_queue.scripts import LUA


@dataclass(frozen=True)
class Arguments:
    """So many words always, and whether more may follow."""

    fixed: int
    repeats: bool


def arguments_of(name: str) -> Arguments:
    """What the header of a command numbers; an open end such as `3.. ids` may also be empty."""
    text = (LUA / f"{name}.lua").read_text()
    section = re.search(r"^  ARGV(.*?)^  RETURNS", text, re.MULTILINE | re.DOTALL)
    assert section, f"the header of {name} has no ARGV"
    numbered = [match.groups() for match in re.finditer(r"(?:^ +|   )(\d+)(\.\.)?\S* ", section[1], re.MULTILINE)]
    if not numbered:
        assert section[1].split() == ["none"], f"the header of {name} numbers no argument"
        return Arguments(0, False)
    numbers = [int(number) for number, _ in numbered]
    assert numbers == list(range(1, len(numbers) + 1)), f"the header of {name} counts {numbers}"
    repeats = numbered[-1][1] is not None
    return Arguments(len([1 for _, dots in numbered if dots is None]), repeats)
