"""What stands in for public images runs by itself: looked at from inside, with none of this machine's files at hand."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from fluid_dev import stand_ins


def unpacked(archive: Path, to: Path) -> list[str]:
    """The environment that the image asks for; its files are below `to`."""
    with tarfile.open(archive) as content:
        (manifest,) = json.load(content.extractfile("manifest.json"))
        (layer,) = manifest["Layers"]
        with tarfile.open(fileobj=content.extractfile(layer)) as files:
            files.extractall(to, filter="fully_trusted")  # noqa: S202 - our own archive
        return json.load(content.extractfile(manifest["Config"]))["config"]["Env"]


@pytest.mark.parametrize(
    ("make", "command"),
    [
        (stand_ins.pause, ["sleep", "0"]),
        (stand_ins.redis, ["sh", "-c", "redis-server --version && redis-cli --version && test -d /data"]),
        (stand_ins.python, ["python3", "-c", "import ssl, sqlite3, ctypes, asyncio, venv, ensurepip, zoneinfo"]),
        (stand_ins.python, ["sh", "-c", "python3 -m venv /v && /v/bin/pip --version"]),
    ],
)
def test_it_runs_what_its_namesake_runs(make, command, tmp_path):
    environment = dict(value.split("=", 1) for value in unpacked(make(tmp_path / "image.tar"), tmp_path / "root"))
    done = subprocess.run(
        ["/usr/sbin/chroot", tmp_path / "root", *command], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
