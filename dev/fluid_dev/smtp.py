"""The SMTP catcher as a process of its own, so that a busy test cannot slow it down: start, look at mails, stop."""

import email
import email.policy
import shutil
import socket
import sys
from email.message import EmailMessage
from pathlib import Path

from fluid_dev.errors import DevError, ProcessDied
from fluid_dev.ports import LOOPBACK, free_port, is_free
from fluid_dev.processes import Process
from fluid_dev.waiting import until

AUTH_VARIABLE = "FLUID_SMTP_AUTH"
_PORT_ATTEMPTS = 5
_START_SECONDS = 15.0


def read_mails(maildir: Path) -> list[EmailMessage]:
    """All caught mails, oldest first."""
    return [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in sorted(maildir.glob("*.eml"))
    ]


class SmtpCatcher:
    """The catcher as a process: a free port kept in `state`, mails in `maildir`, one log line per mail."""

    def __init__(
        self,
        state: Path,
        maildir: Path | None = None,
        *,
        host: str = LOOPBACK,
        starttls: tuple[Path, Path] | None = None,
        auth: str = "",
        die_with_parent: bool = False,
        logs: Path | None = None,
    ) -> None:
        """`host`: the address to listen on. `starttls`: certificate and key files. `auth`: `user:password`, which is
        handed over in the environment."""
        self.state = state
        self.maildir = maildir or state / "mails"
        self._port_file = state / "port"
        self._host = host
        self._starttls = starttls
        env = {AUTH_VARIABLE: auth} if auth else {}
        self.process = Process("smtp", state, env=env, die_with_parent=die_with_parent, logs=logs)

    @property
    def url(self) -> str:
        """For a worker's SMTP_URL."""
        return f"smtp://{self._host}:{self.port}"

    @property
    def port(self) -> int:
        return int(self._port_file.read_text())

    def start(self) -> bool:
        """Start it unless it runs and wait until it greets; True if it was started."""
        self.state.mkdir(parents=True, exist_ok=True)
        for _ in range(_PORT_ATTEMPTS):
            if not self._port_file.exists() or not (self.process.running or is_free(self.port, self._host)):
                self._port_file.write_text(str(free_port(self._host)))
            self.process.argv = self._command()
            started = self.process.ensure()
            try:
                until(self._greets, _START_SECONDS, "the SMTP catcher greets")
            except ProcessDied as error:
                if "address already in use" not in error.tail:
                    raise
                self._port_file.unlink()
            else:
                return started
        raise DevError(f"the SMTP catcher found no free port in {_PORT_ATTEMPTS} attempts")

    def mails(self) -> list[EmailMessage]:
        """What has been caught so far, oldest first."""
        return read_mails(self.maildir)

    def stop(self, *, wipe: bool = False) -> None:
        self.process.stop()
        if wipe:
            shutil.rmtree(self.state, ignore_errors=True)

    def _command(self) -> list[str | Path]:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "fluid_dev",
            "smtp-catcher",
            "--host",
            self._host,
            "--port",
            str(self.port),
            "--maildir",
            self.maildir,
        ]
        return [*command, "--starttls", *self._starttls] if self._starttls else command

    def _greets(self) -> bool:
        self.process.check()
        try:
            with socket.create_connection((self._host, self.port), timeout=1) as connection:
                return connection.recv(4).startswith(b"220")
        except OSError:
            return False
