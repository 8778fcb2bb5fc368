"""One command at a time for one folder: two at once would start everything twice."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluid_dev.errors import DemoError


@contextmanager
def only_command(state: Path) -> Iterator[None]:
    """Hold the folder, which is made if it is not there; DemoError if another command has it."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"another demo command works in {state}: wait for it, then run this again") from error
        yield
