"""Images that stand in for public ones where no registry can be reached, made of this machine's own programs.

Each does what its namesake does as far as our manifests and our Dockerfile use it: the same programs on PATH, a shell,
a few of coreutils. For trying things locally; nothing that is published is made of them.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fluid_dev import images
from fluid_dev.errors import ImageError
from fluid_dev.images import Root
from fluid_dev.node_config import PAUSE
from fluid_dev.processes import find_program
from fluid_dev.redis import find_redis

REDIS = "docker.io/library/redis:7-alpine"
PYTHON = f"localhost/stand-in/python:{sys.version_info.major}.{sys.version_info.minor}"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REMEDY = "reinstall your distribution's coreutils"
_TOOLS = (
    *(
        "basename",
        "cat",
        "chmod",
        "chown",
        "cp",
        "cut",
        "date",
        "dirname",
        "echo",
        "env",
        "expr",
        "false",
        "head",
        "id",
    ),
    *("ln", "ls", "mkdir", "mv", "printf", "pwd", "readlink", "rm", "rmdir", "sleep", "sort", "stat", "tail", "tee"),
    *("test", "timeout", "touch", "tr", "true", "uname", "wc", "find", "grep", "sed", "xargs"),
)
_USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
_GROUPS = "root:x:0:\nnogroup:x:65534:\n"
# Of Python's own library: what no server imports.
_UNUSED = shutil.ignore_patterns(
    "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "config-*", "site-packages"
)
# Of what compiled wheels may link without bringing it along, that which a small image could lack.
_TAKEN_FOR_GRANTED = (
    *("libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libstdc++.so.6"),
    "libutil.so.1",
)
_WHEELS = Path("/usr/share/python-wheels")  # where Debian keeps the pip of new virtual environments
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def pause(target: Path) -> Path:
    """Holds a pod's namespaces and does nothing; it reaps no orphans, as only pods that share processes need that."""

    def fill(root: Root) -> None:
        root.program(find_program("sleep", _REMEDY))

    return _image(target, fill, PAUSE, {"Entrypoint": ["/usr/bin/sleep", "infinity"], "User": "65535:65535"})


def redis(target: Path) -> Path:
    """redis-server and redis-cli of this machine."""

    def fill(root: Root) -> None:
        server = find_redis()
        root.program(server, "redis-server")
        root.program(find_program("redis-cli", "install your distribution's redis-tools"))
        _shell(root)
        root.text(Path("/etc/passwd"), f"{_USERS}redis:x:999:1000:redis:/data:/bin/false\n")
        root.text(Path("/etc/group"), f"{_GROUPS}redis:x:1000:\n")
        (root.folder / "data").mkdir(mode=0o777)

    config = {"Cmd": ["redis-server"], "Env": [_path(find_redis().parent)], "WorkingDir": "/data"}
    return _image(target, fill, REDIS, config)


def python(target: Path) -> Path:
    """A Python of this machine without its packages: like a slim Python image, with pip for virtual environments."""
    program, library = _interpreter()

    def fill(root: Root) -> None:
        root.program(program)
        root.link(program.with_name("python3"), program.name)
        root.tree(library, _UNUSED)
        root.libraries((library / "lib-dynload").glob("*.so"))
        for library_path in filter(None, map(_library, _TAKEN_FOR_GRANTED)):
            root.program(library_path)
        for path in (_WHEELS, _CERTIFICATES):
            if path.is_dir():
                root.tree(path)
            elif path.exists():
                root.file(path)
        _shell(root)
        root.text(Path("/etc/passwd"), _USERS)
        root.text(Path("/etc/group"), _GROUPS)

    return _image(target, fill, PYTHON, {"Cmd": ["python3"], "Env": [_path(program.parent)]})


def _interpreter() -> tuple[Path, Path]:
    """The distribution's Python if it is as new as ours, and its library: it is smaller than one that runs anywhere."""
    theirs = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    question = "import ensurepip, sysconfig; print(sysconfig.get_path('stdlib'))"
    if theirs.exists():
        done = subprocess.run([theirs, "-c", question], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode == 0:
            return theirs, Path(done.stdout.strip())
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve(), Path(sysconfig.get_path("stdlib"))


def _shell(root: Root) -> None:
    shell = Path("/bin/dash") if Path("/bin/dash").exists() else Path("/bin/sh").resolve()
    root.program(shell, "sh")
    for name in _TOOLS:
        root.program(find_program(name, _REMEDY))


def _path(folder: Path | None = None) -> str:
    usual = _PATH.split(":")
    return "PATH=" + ":".join([str(folder), *usual] if folder and str(folder) not in usual else usual)


def _library(name: str) -> Path | None:
    """Where the dynamic linker finds it."""
    listed = subprocess.run(
        [find_program("ldconfig", _REMEDY), "-p"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    found: Sequence[str] = [line.rpartition("=> ")[2] for line in listed.splitlines() if line.split()[:1] == [name]]
    return Path(found[0]) if found else None


def _image(target: Path, fill: Callable[[Root], None], tag: str, config: dict[str, Any]) -> Path:
    with tempfile.TemporaryDirectory(prefix="fluid-image-") as folder:
        root = Root(Path(folder) / "root")
        try:
            fill(root)
        except OSError as error:
            raise ImageError(f"{tag} cannot be made of this machine's programs: {error}") from error
        config.setdefault("Env", [_path()])
        return images.write(target, root.folder, tag=tag, config=config)
