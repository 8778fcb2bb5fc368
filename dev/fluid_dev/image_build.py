"""Our own image, built from a checkout's Dockerfile into an archive: by Docker where an engine runs, else by buildah.

Where the Dockerfile's base cannot be pulled, the same Dockerfile is built on the stand-in for it. An image is named
after what went into it, so one that was built is not built again. Knows nothing of nodes and clusters.
"""

import configparser
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fluid_dev import building, stand_ins
from fluid_dev.errors import ImageError, MissingTool
from fluid_dev.progress import step

NAME = "localhost/fluid-jobs"
_PULL_SECONDS = 120
_BUILD_SECONDS = 1200
_KEPT = 4
_PIP_SECRET = "pip"  # noqa: S105 - its name
# What the build may know of this machine's pip; paths and credentials of other tools stay here.
_PIP_SETTINGS = ("index-url", "extra-index-url", "cert", "proxy", "trusted-host", "timeout", "retries")


@dataclass(frozen=True)
class Image:
    tag: str
    archive: Path


class Builder(Protocol):
    """What builds images. Names are those of its own store."""

    name: str

    def pull(self, image: str) -> bool: ...
    def load(self, archive: Path) -> None: ...
    def build(self, checkout: Path, tag: str, arguments: dict[str, str], pip_conf: Path) -> None: ...
    def save(self, tag: str, target: Path) -> None: ...


def project_image(checkout: Path) -> Image:
    """Build the image of this checkout unless it is in the cache; ImageError or MissingTool say what to do."""
    inputs = _inputs(checkout)
    digest = _digest(checkout, inputs)
    folder = building.cache_folder().parent / "images"
    image = Image(f"{NAME}:{digest}", folder / f"fluid-jobs-{digest}.tar")
    if not image.archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with step("building the image (some minutes at the first time)"), _builder() as builder:
            _build(builder, checkout, image)
    _forget_old(folder, image.archive)
    return image


def _build(builder: Builder, checkout: Path, image: Image) -> None:
    with tempfile.TemporaryDirectory(prefix="fluid-image-") as folder:
        base = _default_base(checkout)
        if not builder.pull(base):
            builder.load(stand_ins.python(Path(folder) / "base.tar"))
            base = stand_ins.PYTHON
        pip_conf = Path(folder) / "pip.conf"
        pip_conf.touch(mode=0o600)
        pip_conf.write_text(_pip_settings())
        builder.build(checkout, image.tag, {"BASE": base, **_origin(checkout)}, pip_conf)
        unfinished = image.archive.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        builder.save(image.tag, unfinished)
        unfinished.replace(image.archive)


class _Docker:
    name = "docker"

    def pull(self, image: str) -> bool:
        return _succeeds([self.name, "pull", "--quiet", image])

    def load(self, archive: Path) -> None:
        _run([self.name, "load", "--quiet", "--input", str(archive)])

    def build(self, checkout: Path, tag: str, arguments: dict[str, str], pip_conf: Path) -> None:
        secret = f"--secret=id={_PIP_SECRET},src={pip_conf}"
        _run([self.name, "build", f"--tag={tag}", secret, *_build_arguments(arguments), str(checkout)])

    def save(self, tag: str, target: Path) -> None:
        _run([self.name, "save", "--output", str(target), tag])


class _Buildah:
    """With a store of its own, which goes with it: no layers are kept, and nothing of the user's is touched."""

    name = "buildah"

    def __init__(self, store: Path) -> None:
        folders = [f"--root={store / 'root'}", f"--runroot={store / 'run'}"]
        # The plain driver and isolation work everywhere, in containers too; they only take more of the disk.
        self._command = [self.name, *folders, "--storage-driver=vfs"]

    def pull(self, image: str) -> bool:
        return _succeeds([*self._command, "pull", "--quiet", image])

    def load(self, archive: Path) -> None:
        _run([*self._command, "pull", "--quiet", f"docker-archive:{archive}"])

    def build(self, checkout: Path, tag: str, arguments: dict[str, str], pip_conf: Path) -> None:
        secret = f"--secret=id={_PIP_SECRET},src={pip_conf}"
        how = ["--isolation=chroot", "--pull-never", "--format=docker", f"--tag={tag}", secret]
        _run([*self._command, "build", *how, *_build_arguments(arguments), str(checkout)])

    def save(self, tag: str, target: Path) -> None:
        _run([*self._command, "push", "--quiet", tag, f"docker-archive:{target}:{tag}"])


@contextmanager
def _builder() -> Iterator[Builder]:
    """A Docker engine that answers, else buildah; the `docker` command alone is no proof of an engine."""
    if shutil.which("docker") and _succeeds(["docker", "info"]):
        yield _Docker()
    elif shutil.which("buildah"):
        with tempfile.TemporaryDirectory(prefix="fluid-buildah-", dir="/var/tmp") as folder:  # it is large
            yield _Buildah(Path(folder))
    else:
        raise MissingTool("a builder of images", "start a Docker engine, or run 'scripts/packages node' as root")


def _inputs(checkout: Path) -> list[Path]:
    """The files that .dockerignore lets through: it says so by name, one a line."""
    allowed = re.findall(r"^!(\S+)$", (checkout / ".dockerignore").read_text(), re.MULTILINE)
    files = [checkout / "Dockerfile", checkout / ".dockerignore"]
    for name in allowed:
        path = checkout / name
        files += [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sorted(each for each in files if each.suffix != ".pyc")


def _digest(checkout: Path, inputs: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in inputs:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(checkout)} {content}\n".encode())
    return digest.hexdigest()[:12]


def _default_base(checkout: Path) -> str:
    found = re.search(r"^ARG BASE=(\S+)$", (checkout / "Dockerfile").read_text(), re.MULTILINE)
    if found is None:
        raise ImageError(f"{checkout}/Dockerfile has no line 'ARG BASE=image'")
    return found[1]


def _origin(checkout: Path) -> dict[str, str]:
    """Version, commit and its time, for the labels: the same for every build of one commit."""
    version = re.search(r'^version = "(\S+)"$', (checkout / "pyproject.toml").read_text(), re.MULTILINE)
    known = {"VERSION": version[1]} if version else {}
    done = subprocess.run(
        ["git", "-C", str(checkout), "log", "-1", "--format=%H %cI"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        known["REVISION"], known["CREATED"] = done.stdout.split()
    return known


def _pip_settings() -> str:
    """A pip.conf of what this machine's pip is told about its index, from files and environment alike."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=False
    )
    settings = configparser.ConfigParser(interpolation=None)
    settings["global"] = {}
    listed = re.findall(r"^(\S+)\.([\w-]+)='(.*)'$", done.stdout, re.MULTILINE)
    for _, name, value in sorted(listed, key=lambda each: each[0] == ":env:"):  # the environment has the last word
        if name in _PIP_SETTINGS:
            settings["global"][name] = value
    text = io.StringIO()
    settings.write(text)
    return text.getvalue()


def _build_arguments(arguments: dict[str, str]) -> list[str]:
    return [f"--build-arg={name}={value}" for name, value in arguments.items()]


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PULL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-20:])
        raise ImageError(f"{command[0]} could not make the image; the end of what it said:\n{tail}")


def _forget_old(folder: Path, newest: Path) -> None:
    """Keep this one and a few others, by the time at which they were last wanted."""
    newest.touch()
    others = sorted(folder.glob("fluid-jobs-*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT:]:
        path.unlink(missing_ok=True)
