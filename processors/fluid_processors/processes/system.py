"""What the operating system is asked about child processes: start, kill, watch, weigh.

Linux in full. Elsewhere the end of a child shows by the end of its stream alone, and memory is not watched.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

_MEGABYTE = 1 << 20


class Process:
    """A child process in a session of its own: the worker's end of its socket, and a file for its last words.

    No signal of a terminal or of the worker's process group reaches it.
    """

    def __init__(self) -> None:
        """Starts it. Raises OSError. Call from a thread that lives as long as the worker: on Linux the child dies
        with the thread that started it.
        """
        self.socket, theirs = socket.socketpair()
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        passed = (theirs.fileno(), self._words.fileno())
        command = [sys.executable, "-u", "-m", "fluid_processors.processes", str(os.getpid()), *map(str, passed)]
        try:
            with theirs:
                self._popen = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, pass_fds=passed, start_new_session=True
                )
        except OSError:
            self.close()
            raise
        self.pid = self._popen.pid
        self.socket.setblocking(False)

    def kill(self) -> None:
        """Kills it and all that it has started. Only before `reap`: later the number may be somebody else's."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Waits for the end; gives the exit code, or the negated number of the signal."""
        return self._popen.wait()

    def last_words(self, most: int) -> str:
        """The first bytes, at most so many, of what the child wrote while it crashed."""
        return os.pread(self._words.fileno(), most, 0).decode(errors="replace")

    def close(self) -> None:
        """Closes what the worker holds open for it."""
        self.socket.close()
        self._words.close()


def exit_descriptor(pid: int) -> int | None:
    """A descriptor that becomes readable with the end of the process; None where the system has no such thing."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or a sandbox
        return None


def resident_megabytes(pid: int) -> int:
    """How much memory a process holds; 0 when nobody can tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // _MEGABYTE


def signal_name(number: int) -> str:
    """`SIGSEGV` for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
