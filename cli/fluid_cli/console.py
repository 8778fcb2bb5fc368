"""The two streams of a command: facts go to standard output, everything said about them to standard error.

Colours and live lines appear only on a terminal (and never with NO_COLOR); into a pipe goes plain text that is neither
wrapped nor cut, because a program or a pager reads it.
"""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text

PHASE_STYLES: Final = {
    "Succeeded": "green",
    "Failed": "bold red",
    "Cancelled": "red",
    "Running": "bold cyan",
    "Retrying": "yellow",
    "Queued": "blue",
    "Scheduled": "blue",
    "Pending": "yellow",
    "Suspended": "magenta",
}
_UNBOUNDED: Final = 100_000


def stdout() -> Console:
    """The console for facts."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for progress, questions, warnings and errors."""
    return _console(stderr=True)


def width_of(console: Console) -> int | None:
    """Columns that lines should fit into; None where nobody looks at columns."""
    return console.width if console.is_terminal else None


def phase_text(phase: str) -> Text:
    """A phase in its colour."""
    return Text(phase, style=PHASE_STYLES.get(phase, ""))


def say(message: str, style: str = "") -> None:
    """One line about what is going on, on standard error."""
    stderr().print(Text(message, style=style), soft_wrap=True)


def print_trimmed(console: Console, renderable: RenderableType) -> None:
    """Print without the spaces with which rich fills up the ends of lines."""
    for segments in console.render_lines(renderable, pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()
        console.print(line, soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNBOUNDED
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)
