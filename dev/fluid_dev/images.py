"""Container images without a builder or a registry: a folder of files becomes an archive that any runtime loads.

`Root` gathers programs of this machine with the libraries that they need; `write` makes a one-layer image of it, in the
format of `docker save`. The same files give the same bytes. Knows nothing of what the images are for.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from fluid_dev.errors import ImageError

_MERGED = ("bin", "lib", "lib32", "lib64", "sbin")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_FOLDER_MODE = 0o755


class Root:
    """The root directory of an image in the making, below `folder`; paths inside are those of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _MERGED:  # as Debian and most others have it
            (folder / "usr" / name).mkdir(parents=True)
            (folder / name).symlink_to(f"usr/{name}")
        for name in ("dev", "etc", "proc", "run", "sys", "var"):
            (folder / name).mkdir()
        for name in ("tmp", "var/tmp"):
            (folder / name).mkdir()
            (folder / name).chmod(0o1777)

    def program(self, source: Path, name: str | None = None) -> None:
        """A program with all libraries that it names; links become what they lead to. `name`: another name for it."""
        self.file(source, source.with_name(name) if name else None)
        self.libraries([source])

    def libraries(self, sources: Iterable[Path]) -> None:
        """What these programs and libraries name, and what that names in turn."""
        for library in sorted({each for source in sources for each in _named_libraries(source)}):
            self.file(library)

    def file(self, source: Path, target: Path | None = None) -> None:
        there = self._inside(target or source)
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, there)

    def tree(self, source: Path, ignore: Callable[[str, list[str]], set[str]] | None = None) -> None:
        """A folder with all that is in it; links become what they lead to, dangling ones are left out."""
        shutil.copytree(source, self._inside(source), ignore=ignore, ignore_dangling_symlinks=True, dirs_exist_ok=True)

    def text(self, target: Path, content: str) -> None:
        there = self._inside(target)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(content)

    def link(self, target: Path, to: str) -> None:
        there = self._inside(target)
        if not there.exists():
            there.symlink_to(to)

    def _inside(self, path: Path) -> Path:
        return self.folder / path.absolute().relative_to("/")


def write(target: Path, root: Path, *, tag: str, config: Mapping[str, Any]) -> Path:
    """An image of these files at `target`; `config` is that of the OCI specification (Cmd, Env, User, ...)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    layer = target.with_suffix(".layer")
    try:
        with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as archive:
            archive.add(root, arcname=".", filter=_anonymous)
        digest = hashlib.sha256()
        with layer.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        description = {
            "architecture": _MACHINES.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "files of this machine"}],
        }
        _write_archive(target, layer, digest.hexdigest(), description, tag)
    finally:
        layer.unlink(missing_ok=True)
    return target


def _write_archive(target: Path, layer: Path, digest: str, description: dict[str, Any], tag: str) -> None:
    config = json.dumps(description, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [layer_name]}]
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as archive, layer.open("rb") as content:
            _add(archive, config_name, io.BytesIO(config), len(config))
            _add(archive, layer_name, content, layer.stat().st_size)
            listed = json.dumps(manifest).encode()
            _add(archive, "manifest.json", io.BytesIO(listed), len(listed))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    archive.addfile(entry, content)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whoever owned the file here, and whenever it was made: it is root's there, and readable by all."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    entry.mode |= _FOLDER_MODE if entry.isdir() else 0o444
    return entry


def _named_libraries(source: Path) -> list[Path]:
    """Absolute paths as the dynamic linker finds them; none for a static program or a script."""
    done = subprocess.run(["ldd", str(source)], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        return []
    if missing := re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE):
        raise ImageError(f"{source} needs {missing[0]}, which this machine does not have: reinstall what it belongs to")
    return [Path(found) for found in re.findall(r"(?:=>|^\s+)\s*(/\S+) \(0x", done.stdout, re.MULTILINE)]
