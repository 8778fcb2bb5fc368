"""A real redis-server on a loopback port of its own, with a password, found again by its state folder.

The password lies in a configuration file that only its owner can read; it is in no argument list and no log.
"""

import secrets
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fluid_dev.errors import DevError, PortTaken, ProcessDied
from fluid_dev.pki import write_private
from fluid_dev.ports import free_port, is_free
from fluid_dev.processes import Process, find_program
from fluid_dev.waiting import until

_REMEDY = "run 'scripts/packages' as root, or install your distribution's redis-server (7.0 or newer)"
_PORT_ATTEMPTS = 5
_START_SECONDS = 15.0


def find_redis() -> Path:
    """The redis-server of this machine; MissingTool names what to install."""
    return find_program("redis-server", _REMEDY)


class RedisServer:
    def __init__(
        self,
        state: Path,
        *,
        port: int = 0,
        die_with_parent: bool = False,
        appendonly: bool = False,
        args: Sequence[str] = (),
        logs: Path | None = None,
    ) -> None:
        """`port` 0: any free one, kept in `state`. `args`: further `--option value` words, none of them secret."""
        self.state = state
        self._wanted_port = port
        self._appendonly = appendonly
        self._args = tuple(args)
        self._port_file = state / "port"
        self._password_file = state / "password"
        self.process = Process("redis", state, die_with_parent=die_with_parent, logs=logs)

    @property
    def port(self) -> int:
        return int(self._port_file.read_text())

    @property
    def password(self) -> str:
        return self._password_file.read_text()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> bool:
        """Start it unless it runs and wait until it answers; True if it was started."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._password_file.exists():
            write_private(self._password_file, secrets.token_urlsafe(24).encode())
        for _ in range(_PORT_ATTEMPTS):
            self._choose_port()
            self._configure()
            started = self.process.ensure()
            try:
                until(self._answers, _START_SECONDS, "Redis answers")
            except ProcessDied as error:
                if "Address already in use" not in error.tail:
                    raise
                if self._wanted_port:
                    raise PortTaken("Redis", self._wanted_port) from error
                self._port_file.unlink()
            else:
                return started
        raise DevError(f"Redis found no free port in {_PORT_ATTEMPTS} attempts; its log is {self.process.log}")

    def kill(self, sig: int) -> None:
        """Send any signal: SIGKILL, SIGSTOP, SIGCONT."""
        self.process.signal(sig)

    def restart(self) -> None:
        """Stop it if it runs and start it on the same port; what it keeps is up to `appendonly`."""
        self.process.stop()
        self.start()

    def stop(self, *, wipe: bool = False) -> None:
        self.process.stop(within=0 if wipe else 10)
        if wipe:
            shutil.rmtree(self.state, ignore_errors=True)

    def cli(self, *args: str) -> str:
        """The answer of redis-cli; the password travels in the environment."""
        done = subprocess.run(
            [find_program("redis-cli", _REMEDY), "-p", str(self.port), *args],
            env={"REDISCLI_AUTH": self.password},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout.strip()

    def _choose_port(self) -> None:
        """Keep the old port if it is ours or free: clients that know it find the server again."""
        if self._wanted_port:
            self._port_file.write_text(str(self._wanted_port))
        elif not self._port_file.exists() or not (self.process.running or is_free(self.port)):
            self._port_file.write_text(str(free_port()))

    def _configure(self) -> None:
        config = self.state / "redis.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f'dir "{self.state}"',
            f"requirepass {self.password}",
            f"appendonly {'yes' if self._appendonly else 'no'}",
            'save ""',
            "maxmemory-policy noeviction",
        ]
        write_private(config, "\n".join(lines).encode() + b"\n")
        self.process.argv = [find_redis(), config, *self._args]
        self.process.fingerprint = "\n".join(lines)

    def _answers(self) -> bool:
        self.process.check()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                connection.settimeout(1)
                answer = b""
                while b"PONG" not in answer and (chunk := connection.recv(200)):
                    answer += chunk
        except OSError:
            return False
        return answer.startswith(b"+OK") and b"+PONG" in answer
