"""What threatens the jobs in a Redis that works: each flaw in a word, and in a sentence that says what to do. Pure.

A sentence holds no number that changes by itself, because every other text is another status to write. What a server
does not tell is no flaw.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from fluid_operator.api.conditions import Reason
from fluid_queue import ServerState, Stats

LEAST_VERSION: Final = (6, 2)
NEARLY_FULL: Final = 0.80
FULL_NO_MORE: Final = 0.75
"""Of maxmemory: a Redis that hovers around one limit would turn the condition at every look."""
_NAMED: Final = 3
"""Queues that one sentence names; the others are counted."""


class Flaw(NamedTuple):
    """One thing that is not as it should be."""

    reason: Reason
    message: str


def health_of(
    state: ServerState | None, stats: Stats | None, earlier: Collection[Flaw] | None = None
) -> list[Flaw] | None:
    """All flaws, the gravest first; none when all is well, None when nobody knows, as while Redis is away.

    `earlier`: what the last look found. A half that is not known this time counts as it did then.
    """
    if state is None and stats is None:
        return None
    before = list(earlier or ())
    open_circuits = [flaw for flaw in before if flaw.reason is Reason.CIRCUIT_OPEN]
    server = [flaw for flaw in before if flaw not in open_circuits]
    return [
        *(server if state is None else _of_server(state, full=_has(server, Reason.MEMORY_NEARLY_FULL))),
        *(open_circuits if stats is None else _of_circuits(stats)),
    ]


def _has(flaws: Collection[Flaw], reason: Reason) -> bool:
    return any(flaw.reason is reason for flaw in flaws)


def _of_server(state: ServerState, *, full: bool) -> Iterator[Flaw]:
    if state.version is not None and state.version < LEAST_VERSION:
        version = ".".join(map(str, state.version))
        yield Flaw(
            Reason.REDIS_TOO_OLD, f"Redis {version} is too old: Fluid Jobs is made for 6.2 and newer. Upgrade it."
        )
    if state.appendonly is False:
        message = (
            "Redis keeps no append-only file: a restart loses the jobs that wait in it. FluidJobs are enqueued again; "
            "jobs that were enqueued directly are lost. Set appendonly to yes."
        )
        yield Flaw(Reason.PERSISTENCE_OFF, message)
    if state.max_memory and state.policy not in (None, "noeviction"):
        message = (
            f"Redis deletes data when its memory is full (maxmemory-policy {state.policy}), and that may be jobs. Set "
            "maxmemory-policy to noeviction."
        )
        yield Flaw(Reason.EVICTION_ON, message)
    if _nearly_full(state, before=full):
        message = (
            f"Redis uses more than {NEARLY_FULL:.0%} of its memory ({_mebibytes(state.max_memory or 0)}). A full one "
            "takes no new jobs. Raise maxmemory, or let jobs finish."
        )
        yield Flaw(Reason.MEMORY_NEARLY_FULL, message)


def _nearly_full(state: ServerState, *, before: bool) -> bool:
    if not state.max_memory or state.used_memory is None:
        return False
    return state.used_memory / state.max_memory > (FULL_NO_MORE if before else NEARLY_FULL)


def _mebibytes(size: int) -> str:
    return f"{size / 1024**2:.0f} MiB"


def _of_circuits(stats: Stats) -> Iterator[Flaw]:
    held = [(queue.queue, queue.circuit_error) for queue in stats.queues if queue.held_by == "CircuitOpen"]
    if not held:
        return
    named = ", ".join(f"{queue} ({error})" if error else queue for queue, error in sorted(held)[:_NAMED])
    more = f" and {len(held) - _NAMED} more" if len(held) > _NAMED else ""
    message = (
        f"These queues are stopped because their jobs kept failing: {named}{more}. One job at a time is tried until "
        "one succeeds. Look at the errors of their last jobs."
    )
    yield Flaw(Reason.CIRCUIT_OPEN, message)
