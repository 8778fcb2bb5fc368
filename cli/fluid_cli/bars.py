"""Long steps that show how far they are: a bar on a terminal, nothing of the kind elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from fluid_cli.console import stderr, stdout

_SHOWN_FROM = 20
"""With fewer parts a bar would be gone before anybody has read it."""


class Steps:
    """The parts of a long step, and what is said about them. On one screen with the bar, lines go above it; facts that
    go into a pipe stay there."""

    def __init__(self, facts: Console, notes: Console, advance: Callable[[], None]) -> None:
        self._facts = facts
        self._notes = notes
        self.advance = advance
        """One more part is done."""

    def fact(self, line: str | Text) -> None:
        """A line for standard output."""
        self._facts.print(line, soft_wrap=True)

    def note(self, line: str, style: str = "") -> None:
        """A line for standard error."""
        self._notes.print(Text(line, style=style), soft_wrap=True)


@contextmanager
def steps(text: str, count: int) -> Iterator[Steps]:
    """Go through so many parts."""
    facts, notes = stdout(), stderr()
    if count < _SHOWN_FROM or not notes.is_terminal:
        yield Steps(facts, notes, lambda: None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task(text, total=count)
        above = progress.console
        yield Steps(above if facts.is_terminal else facts, above, lambda: progress.advance(task))
