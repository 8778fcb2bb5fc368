"""A real redis-server on a loopback port of its own, with a password, found again by its state folder.

The password lies in a configuration file that only its owner can read; it is in no argument list and no log. What a
server is besides (a replica, a Cluster node, a Sentinel, one with users) is said by further lines of that file.
"""

import os
import secrets
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fluid_dev.errors import DevError, PortTaken, ProcessDied
from fluid_dev.pki import Authority, write_private
from fluid_dev.ports import free_port, is_free
from fluid_dev.processes import Process, find_program
from fluid_dev.waiting import until

_REMEDY = "run 'scripts/packages' as root, or install your distribution's redis-server (7.0 or newer)"
_PORT_ATTEMPTS = 5
_START_SECONDS = 15.0


def find_redis() -> Path:
    """The server that $FLUID_REDIS_SERVER names (another version, or a Valkey), else the redis-server of this machine;
    MissingTool names what to install."""
    return find_program(os.environ.get("FLUID_REDIS_SERVER") or "redis-server", _REMEDY)


class RedisServer:
    def __init__(
        self,
        state: Path,
        *,
        port: int = 0,
        die_with_parent: bool = False,
        appendonly: bool = False,
        args: Sequence[str] = (),
        settings: Sequence[str] = (),
        password: str = "",
        authority: Authority | None = None,
        program: Path | None = None,
        logs: Path | None = None,
    ) -> None:
        """`port` 0: any free one, kept in `state`. `args`: further `--option value` words, none of them secret.

        `settings`: further lines of the configuration file, which may be secret. `password`: instead of one of its own.
        With an `authority` it speaks TLS only, under a certificate of it. `program`: instead of this machine's
        redis-server.
        """
        self.state = state
        self._wanted_port = port
        self._appendonly = appendonly
        self._args = tuple(args)
        self._settings = tuple(settings)
        self._password = password
        self._authority = authority
        self._program = program
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
        scheme = "rediss" if self._authority else "redis"
        return f"{scheme}://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> bool:
        """Start it unless it runs and wait until it answers; True if it was started."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._password_file.exists():
            write_private(self._password_file, (self._password or secrets.token_urlsafe(24)).encode())
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
        tls = ["--tls", "--cacert", str(self._authority.certificate_file)] if self._authority else []
        done = subprocess.run(
            [find_program("redis-cli", _REMEDY), "-p", str(self.port), *tls, *args],
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
            *self._port_settings(),
            f'dir "{self.state}"',
            f"requirepass {self.password}",
            f"appendonly {'yes' if self._appendonly else 'no'}",
            'save ""',
            "maxmemory-policy noeviction",
            *self._settings,
        ]
        write_private(config, "\n".join(lines).encode() + b"\n")
        self.process.argv = [self._program or find_redis(), config, *self._args]
        self.process.fingerprint = "\n".join(lines)

    def _port_settings(self) -> list[str]:
        if self._authority is None:
            return [f"port {self.port}"]
        certificate, key = self._authority.server("redis")
        return [
            "port 0",
            f"tls-port {self.port}",
            f'tls-cert-file "{certificate}"',
            f'tls-key-file "{key}"',
            f'tls-ca-cert-file "{self._authority.certificate_file}"',
            "tls-auth-clients optional",
            "tls-replication yes",
            "tls-cluster yes",
        ]

    def _answers(self) -> bool:
        self.process.check()
        try:
            with self._connected() as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer and (chunk := connection.recv(200)):
                    answer += chunk
        except OSError:
            return False
        return answer.startswith(b"+OK") and b"+PONG" in answer

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        if self._authority is None:
            return connection
        context = ssl.create_default_context(cafile=self._authority.certificate_file)
        return context.wrap_socket(connection, server_hostname="127.0.0.1")
