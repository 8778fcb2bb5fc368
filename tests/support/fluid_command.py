"""The command `fluid` as its user runs it: a process of its own, with what it printed and how it ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from support.folders import fresh_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 110
"""After which a command hangs, and is not only slow on a busy machine."""


def program(name: str = "fluid") -> str:
    """The installed command."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not installed"
    return found


class Said(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its output as one JSON document."""
        return json.loads(self.out)

    def lines(self) -> list[str]:
        return self.out.splitlines()


class Fluid:
    """Runs `fluid` as the user of one kubeconfig, in one namespace, or (empty) in that of the kubeconfig."""

    def __init__(self, kubeconfig: Path, namespace: str, **environment: str) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.env = {**kept, "KUBECONFIG": str(kubeconfig), **environment}
        self.namespace = namespace

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Said:
        """Run it to its end."""
        done = subprocess.run(
            self._command(arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env={**self.env, **environment},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def done(self, *arguments: str, stdin: str = "", **environment: str) -> Said:
        """As a call, for a command that must succeed."""
        said = self(*arguments, stdin=stdin, **environment)
        assert said.code == 0, said
        return said

    @contextmanager
    def going_on(self, *arguments: str) -> Iterator[Going]:
        """A command that goes on; it is killed at the end of the block if it still runs."""
        folder = fresh_folder("fluid")
        out, err = folder / "out", folder / "err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(self._command(arguments), stdout=stdout, stderr=stderr, env=self.env)
        try:
            yield Going(process, out, err)
        finally:
            process.kill()
            process.wait()

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [program(), *arguments, *([f"--namespace={self.namespace}"] if self.namespace else [])]


class Going(NamedTuple):
    """A command that runs, and the files that it prints into."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        return self.err_file.read_text()

    def ends(self, within: float = 30.0) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(within)
