"""What a child process may cost, and what is known when one has died. Values only."""

from dataclasses import dataclass
from typing import Any, Literal

from fluid_processors.definitions import Processor
from fluid_processors.processes.system import signal_name

Killed = Literal["stop", "deadline", "memory", "close"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may cost.

    `stop_grace_seconds`: between a stop and SIGKILL. `max_jobs`: then it is replaced. `memory_megabytes`: of
    resident memory; None without a limit.
    """

    stop_grace_seconds: float = 0.5
    max_jobs: int = 1000
    memory_megabytes: int | None = None

    def of(self, processor: Processor[Any]) -> "Limits":
        """These limits, where the processor does not set its own."""
        return Limits(
            self.stop_grace_seconds if processor.stop_grace is None else processor.stop_grace,
            processor.max_jobs_per_child or self.max_jobs,
            processor.memory_limit_megabytes or self.memory_megabytes,
        )


class ChildDied(Exception):
    """The process ended before its job had. `started`: the job had begun. `killed`: why we did it, if it was us.

    `trace` is where Python was, if the child could still write that down; `megabytes` what it held above its limit.
    """

    def __init__(self, *, started: bool, killed: Killed | None, exit_code: int, megabytes: int, trace: str) -> None:
        self.started = started
        self.killed = killed
        self.exit_code = exit_code
        self.megabytes = megabytes
        self.trace = trace
        self.signal = signal_name(-exit_code) if exit_code < 0 else ""
        fate = f"was killed by {self.signal}" if self.signal else f"exited with code {exit_code}"
        super().__init__(f"the child process {fate}")
