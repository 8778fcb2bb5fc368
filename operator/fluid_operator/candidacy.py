"""When a term begins and ends: with the Lease, with the process, or with a failure.

**A replica that loses the Lease stands again instead of exiting.** What a term builds is torn down as a whole and
nothing of it is used again, so a new process would know no more than the old one; and where the Lease was lost with the
API server, as in most cases, a hundred restarting processes are the last thing that a recovering server needs. Only a
term that does not end when told to makes the process exit: nobody can say then who still writes.

On a clean stop whoever writes stops first, and the Lease is given back after that.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fluid_operator.errors import TermEnded, TermStuck
from fluid_operator.kube.lease import Elector

_LOST_GRACE = 1.0
"""Seconds for what is in progress when the Lease is lost. Its writes are refused already; it may only tidy up."""


class Candidacy:
    """Serves a term whenever the elector leads. Wire `won` and `lost` to the elector's callbacks."""

    def __init__(self, serve: Callable[[], Coroutine[Any, Any, None]], *, grace: float, patience: float = 5.0) -> None:
        """`serve` is one term, to be cancelled. All in seconds: on a clean stop it has `grace` to finish what is in
        progress before it is told a second time, and `patience` to end after that."""
        self._serve = serve
        self._grace = grace
        self._patience = patience
        self._won = asyncio.Event()
        self._lost = asyncio.Event()

    def won(self) -> None:
        """The Lease is ours."""
        self._lost.clear()
        self._won.set()

    def lost(self) -> None:
        """The Lease is ours no more."""
        self._won.clear()
        self._lost.set()

    async def run(self, elector: Elector, stop: asyncio.Event) -> None:
        """Stand and serve until `stop` is set, then give the Lease back. Raises what ended a term, in an
        ExceptionGroup."""
        async with asyncio.TaskGroup() as tasks:
            candidate = tasks.create_task(elector.run(), name="elector")
            terms = tasks.create_task(self._serve_terms(), name="terms")
            await stop.wait()
            terms.cancel()
            await asyncio.wait([terms])
            candidate.cancel()

    async def _serve_terms(self) -> None:
        while True:
            await self._won.wait()
            await self._serve_one()

    async def _serve_one(self) -> None:
        """Serve until the Lease is lost, or we are cancelled. Returns or raises when the term is over, not before."""
        term = asyncio.create_task(self._serve(), name="term")
        lost = asyncio.create_task(self._lost.wait(), name="loss of the Lease")
        grace = self._grace
        try:
            await asyncio.wait([term, lost], return_when=asyncio.FIRST_COMPLETED)
            grace = _LOST_GRACE
            if term.done() and not self._lost.is_set():
                term.result()
                raise TermEnded
        finally:
            lost.cancel()
            await self._end(term, grace)

    async def _end(self, term: asyncio.Task[None], grace: float) -> None:
        """Cancel the term, and once more when `grace` is over; give it up when patience is (TermStuck)."""
        for seconds in (grace, self._patience):
            term.cancel()
            await asyncio.wait([term], timeout=seconds)
            if term.done():
                break
        else:
            raise TermStuck(grace + self._patience)
        if not term.cancelled():
            term.result()
