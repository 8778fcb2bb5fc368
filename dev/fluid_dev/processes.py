"""Processes that outlive the command which started them, found again by pid and start time, never by name.

A process leaves `<state>/run/<name>.json` with its pid, the kernel's start time of that pid (a pid alone may have been
given to somebody else since) and a fingerprint of what was started, so that a later command can tell whether it still
runs and is still the right one. Knows nothing of what it runs.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fluid_dev.errors import MissingTool, ProcessDied, TimedOut
from fluid_dev.waiting import until

_TAIL_LINES = 20
_SYSTEM_FOLDERS = ":/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True)
class Identity:
    """One process of this boot: the pid and its start time in clock ticks since boot."""

    pid: int
    start_time: int

    @property
    def alive(self) -> bool:
        """False also for a zombie: it does nothing any more, whoever has to collect it.

        Except while it has threads: a killed process whose main thread ended first still holds its sockets then.
        """
        now = _look(self.pid)
        return now is not None and now.start_time == self.start_time and (now.state not in "ZX" or now.threads > 1)

    def collect(self) -> None:
        """Take its exit status if it is a zombie of ours: else it would stay one until we end."""
        now = _look(self.pid)
        if now and now.start_time == self.start_time and now.state == "Z":
            with contextlib.suppress(ChildProcessError):  # somebody else's child, or collected meanwhile
                os.waitpid(self.pid, os.WNOHANG)

    def signal(self, number: int) -> bool:
        """Send the signal unless the process is gone; the descriptor keeps the pid from being reused meanwhile."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive:
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


class _Look(NamedTuple):
    """What the kernel says of a process: its state as one letter, start time in ticks, number of threads."""

    state: str
    start_time: int
    threads: int


def identify(pid: int) -> Identity | None:
    """The process that has this pid now."""
    now = _look(pid)
    return Identity(pid, now.start_time) if now else None


def _look(pid: int) -> _Look | None:
    try:
        # The command name, in parentheses, may itself contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _Look(fields[0], int(fields[19]), int(fields[17]))


class Process:
    """One long-running program with its own session, log and pid file under `state`."""

    def __init__(
        self,
        name: str,
        state: Path,
        argv: Sequence[str | Path] = (),
        *,
        env: Mapping[str, str] | None = None,
        fingerprint: str = "",
        die_with_parent: bool = False,
        logs: Path | None = None,
    ) -> None:
        """`env` is added to ours; `logs` is `<state>/logs` unless said.

        `fingerprint` names what the command line does not show (the content of a file). It and `argv` may be set later,
        before the first start: signals and stopping do not need them.
        """
        self.name = name
        self.argv = argv
        self.fingerprint = fingerprint
        self.log = (logs or state / "logs") / f"{name}.log"
        self._pid_file = state / "run" / f"{name}.json"
        self._env = dict(env or {})
        self._die_with_parent = die_with_parent

    @property
    def identity(self) -> Identity | None:
        return _read_identity(self._pid_file)

    @property
    def pid(self) -> int:
        identity = self.identity
        if identity is None:
            raise ProcessDied(self.name, self.log, self.tail())
        return identity.pid

    @property
    def running(self) -> bool:
        identity = self.identity
        if identity is None:
            return False
        identity.collect()
        return identity.alive

    def start(self) -> None:
        """Start anew; the caller has made sure that no earlier one runs."""
        for folder in (self.log.parent, self._pid_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        # PDEATHSIG is set by a program between us and the target, as code between fork and exec is unsafe with threads.
        prefix = ["setpriv", "--pdeathsig", "KILL", "--"] if self._die_with_parent else []
        argv = prefix + [str(part) for part in self.argv]
        try:
            # Not subprocess.Popen: that takes an object whose process outlives it for a mistake.
            pid = os.posix_spawnp(
                argv[0],
                argv,
                {**os.environ, **self._env},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE],  # Python ignores it, and ignored it would stay
            )
        except FileNotFoundError as error:
            raise MissingTool(argv[0], "it is not installed, or was removed a moment ago") from error
        self._remember(pid)

    def ensure(self) -> bool:
        """Let the right one run on, replace another, start a missing one; True if something was started."""
        if self.running:
            if self._remembered_digest() == self._digest():
                return False
            self.stop()
        self.start()
        return True

    def signal(self, number: int) -> None:
        identity = self.identity
        if identity is None or not identity.signal(number):
            raise ProcessDied(self.name, self.log, self.tail())

    def stop(self, within: float = 3.0) -> None:
        """SIGTERM, after `within` seconds SIGKILL; returns when the process is gone. Nothing to stop is fine."""
        if self.running and (identity := self.identity):
            identity.signal(signal.SIGTERM)
            identity.signal(signal.SIGCONT)  # one that was SIGSTOPped would never see the SIGTERM
            try:
                self.wait(within)
            except TimedOut:
                self.kill()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL, and wait until it has happened."""
        if identity := self.identity:
            identity.signal(signal.SIGKILL)
            self.wait(10)

    def wait(self, within: float) -> None:
        until(lambda: not self.running, within, f"{self.name} ends", pause=0.01)

    def check(self) -> None:
        """Raise ProcessDied with the end of the log unless it runs."""
        if not self.running:
            raise ProcessDied(self.name, self.log, self.tail())

    def tail(self, lines: int = _TAIL_LINES) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def _remember(self, pid: int) -> None:
        identity = identify(pid)
        if identity is None:
            raise ProcessDied(self.name, self.log, self.tail())
        record = {"pid": pid, "start_time": identity.start_time, "digest": self._digest()}
        temporary = self._pid_file.with_suffix(".new")
        temporary.write_text(json.dumps(record))
        temporary.replace(self._pid_file)

    def _digest(self) -> str:
        """Tells a process of today's settings from one of yesterday's; a hash, as the environment holds secrets."""
        parts = [[str(part) for part in self.argv], sorted(self._env.items()), self.fingerprint]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _remembered_digest(self) -> str | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return str(json.loads(self._pid_file.read_text()).get("digest"))
        return None


def _read_identity(pid_file: Path) -> Identity | None:
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        record = json.loads(pid_file.read_text())
        return Identity(record["pid"], record["start_time"])
    return None


def reap(state: Path) -> None:
    """Kill every process remembered below `state`, whoever started it; for states whose owner is gone."""
    identities = [identity for file in state.rglob("run/*.json") if (identity := _read_identity(file))]
    for identity in identities:
        identity.signal(signal.SIGKILL)
    for identity in identities:
        _wait_gone(identity)


def _wait_gone(identity: Identity) -> None:
    until(lambda: not identity.alive, 10, f"process {identity.pid} ends", pause=0.01)
    identity.collect()


def find_program(name: str, remedy: str) -> Path:
    """The program on PATH or in a system folder that a user's PATH may leave out; MissingTool otherwise."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + _SYSTEM_FOLDERS)
    if found is None:
        raise MissingTool(name, remedy)
    return Path(found)
