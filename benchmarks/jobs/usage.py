"""What a process has cost so far, as the kernel counts it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = re.compile(r"^Vm(?P<name>RSS|HWM):\s+(?P<kib>\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time and resident memory. `peak_bytes` is the most since the process started."""

    cpu_seconds: float
    rss_bytes: int
    peak_bytes: int


def of(pid: int) -> Usage:
    """The usage of a process that runs. Raises OSError when it has ended."""
    folder = Path("/proc") / str(pid)
    return parse((folder / "stat").read_text(), (folder / "status").read_text())


def parse(stat: str, status: str) -> Usage:
    """From the two files of /proc. The CPU time of children is not in it: none of ours has any."""
    # The command name, in parentheses, may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    memory = {found["name"]: int(found["kib"]) * 1024 for found in _KIB.finditer(status)}
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, memory["RSS"], memory["HWM"])
