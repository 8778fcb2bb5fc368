"""Where every worker of the benchmark writes down when it started which job: `<job id> <monotonic ns>`, a line each.

All sides pay the same for it: an append to a deque in the handler, and a thread that writes what has gathered fifty
times a second. One file per process; the clock is the machine's, so that lines of several processes can be compared.
Knows nothing of queues, and imports nothing but the standard library: the peers' environment has nothing of ours.
"""

import os
import threading
import time
from collections import deque
from pathlib import Path

_FLUSH_SECONDS = 0.02


class Ledger:
    """One worker process's starts. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts: deque[tuple[str, int]] = deque()
        self._opening = threading.Lock()
        self._writer: threading.Thread | None = None

    @classmethod
    def of_environment(cls) -> "Ledger":
        """The ledger that the benchmark named to this process."""
        return cls(Path(os.environ["BENCH_LEDGER"]))

    def started(self, job_id: str) -> None:
        """Called first thing in a handler."""
        self._starts.append((job_id, time.monotonic_ns()))
        if self._writer is None:  # not earlier: some workers fork after the import, and threads do not survive that
            self._open()

    def _open(self) -> None:
        with self._opening:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
                self._writer.start()

    def _write(self) -> None:
        with (self._folder / f"{os.getpid()}.starts").open("a", buffering=1 << 20) as file:
            while True:
                for _ in range(len(self._starts)):
                    job_id, at = self._starts.popleft()
                    file.write(f"{job_id} {at}\n")
                file.flush()
                time.sleep(_FLUSH_SECONDS)
