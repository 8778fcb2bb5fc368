"""From a review to a verdict, within a bounded time, and in doubt in favour of the job.

A refusal is spoken only from what was read a moment ago: workers that have just published a wider schema must not
wait for a memory of ours to fade. Long checks give way to the loop, which may be a leader's, every few milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fluid_operator.admission.catalogue import Catalogue, Knowledge
from fluid_operator.admission.checks import changed, check_against, check_form, is_refusal, takes_over
from fluid_operator.admission.reviews import Outcome, Refusal, Review
from fluid_operator.api.conditions import cut
from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.jobs.problems import Problem
from fluid_operator.kube.errors import KubeError

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 0.5
"""What a refusal rests on may be so old."""

_SLICE_SECONDS: Final = 0.005
"""For so long one review may hold up the loop."""

_LATER: Final = "; the job is checked when it is enqueued"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`warnings` are for whoever applies."""

    outcome: Outcome
    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()


ALLOWED: Final = Verdict("allowed")


def unchecked(why: str) -> Verdict:
    """Let the job pass, and say what was not looked at."""
    return Verdict("unchecked", warnings=(f"spec.payload was not checked: {why}{_LATER}",))


class Reviewer:
    """Judges one review at a time, many side by side."""

    def __init__(
        self,
        catalogue: Catalogue,
        has_run: Callable[[Review], Awaitable[bool]],
        *,
        serves: Callable[[str], bool] = lambda namespace: True,
    ) -> None:
        """`has_run` tells whether an object's spec has had its run already, or raises a KubeError; `serves`, whether
        this operator looks after a namespace at all."""
        self._catalogue = catalogue
        self._has_run = has_run
        self._serves = serves

    async def judge(self, review: Review) -> Verdict:
        """Allow or refuse. Raises only for a defect of ours."""
        if not self._serves(review.namespace):
            return ALLOWED
        try:
            spec = check_form(changed(review))
            verdict = ALLOWED if spec is None else await self._judge_payload(review, spec)
        except Problem as problem:
            verdict = _verdict_on(problem)
        if verdict.refusal is None:
            return verdict
        if takes_over(review) and await self._may_have_run(review):
            return Verdict("unchecked", warnings=(verdict.refusal.message,))
        log.info("Refused a FluidJob at admission.", extra={"fields": _facts(review, verdict.refusal)})
        return verdict

    async def _may_have_run(self, review: Review) -> bool:
        try:
            return await self._has_run(review)
        except KubeError as error:
            facts = {"namespace": review.namespace, "error": str(error)}
            log.warning("The ledger could not be read for admission.", extra={"fields": facts})
            return True

    async def _judge_payload(self, review: Review, spec: FluidJobSpec) -> Verdict:
        known = await self._catalogue.look(review.namespace, spec.environment)
        verdict = await self._hold(spec, known)
        if verdict.refusal is None:
            return verdict
        newer = await self._catalogue.look(review.namespace, spec.environment, max_age=_FRESH_SECONDS)
        return verdict if newer is known else await self._hold(spec, newer)

    async def _hold(self, spec: FluidJobSpec, known: Knowledge) -> Verdict:
        """Hold a job against what is known about its environment."""
        if known.doubt:
            return unchecked(known.doubt)
        kind = known.types.get(spec.type)
        if kind is None:
            where = f"no worker of environment {known.environment} can run {spec.type} yet"
            return Verdict("unchecked", warnings=(f"spec.type: {where}; the job waits for one",))
        try:
            await _in_slices(check_against(spec, kind))
        except Problem as problem:
            return _verdict_on(problem)
        return ALLOWED


def _verdict_on(problem: Problem) -> Verdict:
    # Cut as the condition is, so that both say the same.
    text = cut(problem.message)
    return Verdict("refused", Refusal(text)) if is_refusal(problem) else Verdict("unchecked", warnings=(text,))


async def _in_slices(steps: Iterator[None]) -> None:
    due = time.monotonic() + _SLICE_SECONDS
    for _ in steps:
        if time.monotonic() >= due:
            await asyncio.sleep(0)
            due = time.monotonic() + _SLICE_SECONDS


def _facts(review: Review, refusal: Refusal) -> dict[str, str]:
    """For the log: which field, never what stands in it."""
    field = refusal.causes()[0]["field"]
    return {"namespace": review.namespace, "name": review.name, "field": field}
