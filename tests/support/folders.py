"""One folder per test run for everything that the run leaves on the disk, and its removal, also after a killed run."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from fluid_dev.processes import Identity, identify, reap

_VARIABLE = "FLUID_TEST_RUN_DIR"
_NAME = re.compile(r"fluid-test-(\d+)-(\d+)$")


def run_folder() -> Path:
    """Of this run; the workers of pytest-xdist inherit it from their controller."""
    return Path(os.environ[_VARIABLE])


def fresh_folder(prefix: str) -> Path:
    """A new folder of this run, its path short enough for unix sockets."""
    return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=run_folder()))


def open_run_folder() -> bool:
    """Make the folder of this run unless a controller has done so; True if it is ours to close."""
    sweep()
    if _VARIABLE in os.environ:
        return False
    me = identify(os.getpid())
    assert me
    folder = _base() / f"fluid-test-{me.pid}-{me.start_time}"
    folder.mkdir(mode=0o700)
    os.environ[_VARIABLE] = str(folder)
    return True


def close_run_folder() -> None:
    folder = Path(os.environ.pop(_VARIABLE))
    _remove(folder)


def sweep() -> None:
    """Remove what killed runs left; the name of a run's folder says which process would still own it."""
    for folder in _base().glob("fluid-test-*"):
        owner = _NAME.search(folder.name)
        if owner and not Identity(int(owner[1]), int(owner[2])).alive:
            _remove(folder)


def _remove(folder: Path) -> None:
    reap(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _base() -> Path:
    return Path(tempfile.gettempdir())
