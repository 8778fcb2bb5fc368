"""Build one pinned Go program into the user's cache, safely beside other builds and after killed ones.

A finished program appears under its name at once or not at all: it is built under another name, flushed to the disk and
renamed. One build runs at a time per user, since linking takes up to 2 GB of memory; the others wait and say so.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluid_dev.errors import BuildFailed, DiskFull, MissingTool
from fluid_dev.processes import find_program
from fluid_dev.progress import step
from fluid_dev.tools import Tool

_GIB = 2**30
# Measured with empty Go caches; with the sources already there only the compiler's cache still grows.
_COLD_BUILD_BYTES = 10 * _GIB
_WARM_BUILD_BYTES = 2 * _GIB
_USUAL_GO = Path("/usr/local/go/bin/go")  # where Go's own installer puts it, without touching PATH
_FLAGS = ("-trimpath",)
_ENVIRONMENT = {"GOFLAGS": "-buildvcs=false -p=2", "GOWORK": "off"}
_INSTALL_GO = "install Go 1.26 or newer (https://go.dev/dl), or put the programs into a folder named by FLUID_BIN_DIR"
# What the Go command says, and what the reader should do about it.
_KNOWN_FAILURES = (
    ("no space left on device", "the disk is full: free about 10 GiB"),
    ("requires go >=", "this Go is too old: install the newest Go"),
    ("dial tcp", "Go could not reach its module proxy: check the network and GOPROXY"),
    ("libseccomp", "the headers of libseccomp are missing: run 'scripts/packages node' as root"),
    ("executable file not found", "a C compiler or pkg-config is missing: run 'scripts/packages node' as root"),
    ("signal: killed", "the compiler was killed, probably for lack of memory: it needs about 3 GiB"),
)


def cache_folder() -> Path:
    """Where built programs lie, shared by all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fluid-jobs" / "bin"


def cached(tool: Tool, cache: Path) -> Path | None:
    """The finished program, if it was built once: by the Go of this machine, or by any when there is none here."""
    try:
        found = cache / _key(tool, _go_version(_find_go())) / tool.name
    except MissingTool:
        others = sorted(cache.glob(f"{_key(tool, '*')}/{tool.name}"))
        return others[-1] if others else None
    return found if found.exists() else None


def build(tool: Tool, cache: Path) -> Path:
    """Build the program unless it is there, and return its path; MissingTool, DiskFull or BuildFailed otherwise."""
    go = _find_go()
    target = cache / _key(tool, _go_version(go)) / tool.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_build(cache):
        if not target.exists():  # the build we waited for may have been this one
            _check_space(tool, go, cache)
            with step(f"building {tool.name} {tool.version} from source (minutes at the first time)"):
                _build_into(target, tool, go)
    return target


def _build_into(target: Path, tool: Tool, go: Path) -> None:
    for leftover in target.parent.glob(f".{target.name}.*"):  # of killed builds; we hold the lock
        leftover.unlink()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    log = target.with_name(f"{target.name}.log")
    command = [str(go), "build", *_flags(tool), f"-ldflags={tool.linker_flags}", "-o", str(temporary), tool.package]
    try:
        # Without its parent a build would go on unseen and without the lock.
        with log.open("wb") as output:
            done = subprocess.run(
                ["setpriv", "--pdeathsig", "TERM", "--", *command],
                cwd=tool.folder,
                env={**os.environ, **_environment(tool)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode:
            raise BuildFailed(tool.name, _reason(log.read_text(errors="replace")), log)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    log.unlink()


def _flags(tool: Tool) -> list[str]:
    return [*_FLAGS, *([f"-tags={','.join(tool.tags)}"] if tool.tags else [])]


def _environment(tool: Tool) -> dict[str, str]:
    return {**_ENVIRONMENT, "CGO_ENABLED": "1" if tool.cgo else "0"}


def _reason(output: str) -> str:
    for mark, meaning in _KNOWN_FAILURES:
        if mark in output:
            return meaning
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "the Go command said nothing"


@contextmanager
def _only_build(cache: Path) -> Iterator[None]:
    """Hold the lock of all builds of this user; the kernel releases it with our last breath."""
    with (cache / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            with step(f"waiting for another build to finish (process {lock.read().strip() or 'unknown'})"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _key(tool: Tool, go_version: str) -> str:
    """One folder per (module, version, Go version, flags); readable, so that old ones can be removed by hand."""
    flags = "\n".join([tool.module, *_flags(tool), tool.linker_flags, *sorted(_environment(tool).values())])
    digest = hashlib.sha256(flags.encode()).hexdigest()[:12]
    return f"{tool.folder.name}-{tool.version}-{go_version}-{digest}"


def _find_go() -> Path:
    with contextlib.suppress(MissingTool):
        return find_program("go", _INSTALL_GO)
    if _USUAL_GO.exists():
        return _USUAL_GO
    raise MissingTool("Go", _INSTALL_GO)


def _go_version(go: Path) -> str:
    return _go_env(go, "GOVERSION")


def _go_env(go: Path, name: str) -> str:
    return subprocess.run([go, "env", name], capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _check_space(tool: Tool, go: Path, cache: Path) -> None:
    sources = Path(_go_env(go, "GOMODCACHE")) / f"{tool.module}@{tool.version}"
    needed = _WARM_BUILD_BYTES if sources.exists() else _COLD_BUILD_BYTES
    for folder in (Path(_go_env(go, "GOCACHE")), sources, cache):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise DiskFull(existing, needed=needed, free=free)
