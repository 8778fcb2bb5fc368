"""What commands show: that something happens (a spinner with a clock on a terminal, else one plain line per step), and
paths as the user would type them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is going on, and at its end how long it took."""
    started = time.monotonic()
    if console.is_terminal:
        columns = (SpinnerColumn(finished_text=""), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(text, total=None)
            yield
    else:
        console.print(f"{text} ...", markup=False)
        yield
    console.print(f"{text}: done in {time.monotonic() - started:.1f} s", markup=False)


def shown(path: Path) -> Path:
    """Relative to where the user is, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
