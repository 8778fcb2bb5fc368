"""What is killed and frozen, and when. Pure: a seed in, a schedule out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Target = Literal["worker", "operator", "redis", "machine"]
"""`machine` is nobody's target: it stands for pauses of the whole machine that the soak has noticed."""

Blow = Literal["kill", "drain", "short freeze", "long freeze", "pause"]
"""`drain` is the orderly end of a worker in a rollout; its grace is shorter than some jobs."""

EVERY_SECONDS = 6.0
"""From one fault to the next, on average."""

_CYCLE: Sequence[tuple[Target, Blow]] = (
    ("worker", "kill"),
    ("worker", "kill"),
    ("worker", "kill"),
    ("worker", "drain"),
    ("worker", "short freeze"),
    ("worker", "long freeze"),
    ("worker", "long freeze"),
    ("operator", "kill"),
    ("operator", "kill"),
    ("operator", "short freeze"),
    ("operator", "long freeze"),
    ("redis", "kill"),
    ("redis", "kill"),
    ("redis", "short freeze"),
    ("redis", "long freeze"),
)
"""Each kind of fault in each turn, so that no seed leaves one out."""

_LEASES: Mapping[Blow, tuple[float, float]] = {"short freeze": (0.1, 0.4), "long freeze": (1.3, 2.2)}
"""How long a freeze lasts, in leases. With a renewal each third of a lease, a short one must cost none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to come: `at` in seconds since the start, `seconds` how long a freeze lasts, else 0."""

    at: float
    target: Target
    blow: Blow
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that happened, in microseconds since 1970: from the blow until the victim, or who replaced it, works."""

    target: Target
    blow: Blow
    victim: str
    began: int
    ended: int


def schedule(seed: int, seconds: float, lease: float) -> list[Fault]:
    """Faults over so many seconds; quiet at the start, while workers and operators come up, and at the end."""
    chance = random.Random(f"{seed} faults")
    faults: list[Fault] = []
    turn: list[tuple[Target, Blow]] = []
    at = 4.0
    while at < seconds - 3:
        if not turn:
            turn = chance.sample(_CYCLE, len(_CYCLE))
        target, blow = turn.pop()
        length = lease * chance.uniform(*_LEASES[blow]) if blow in _LEASES else 0
        faults.append(Fault(at, target, blow, length))
        at += EVERY_SECONDS * chance.uniform(0.6, 1.4)
    return faults
