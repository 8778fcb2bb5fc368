"""The FluidSchedule that a command is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fluid_cli.errors import NotThere
from fluid_cli.session import Session
from fluid_cli.translation import kinds_are_missing
from fluid_operator.kube.errors import NotFound
from fluid_operator.kube.keys import FLUID_SCHEDULES


async def get_schedule(session: Session, name: str) -> dict[str, Any]:
    """The schedule as the API server has it. Raises NotThere."""
    with schedule_expected(session, name):
        return await session.kube.get(FLUID_SCHEDULES, session.key(name))


@contextmanager
def schedule_expected(session: Session, name: str) -> Iterator[None]:
    """Turns what the API server says of a schedule that does not exist into NotThere."""
    try:
        yield
    except NotFound as error:
        if kinds_are_missing(error):
            raise
        raise NotThere("FluidSchedule", name, session.namespace) from error
