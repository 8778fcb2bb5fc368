"""The checks of one job: each yields what is wrong. Pure. None of them trusts the queue about what ran: that is the
witness's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import orjson

from soak.facts import Case, Problem
from soak.history import Run

PHASES = {"completed": "Succeeded", "failed": "Failed", "cancelled": "Cancelled"}
STALLS = 3
"""Lost leases that fail a job."""


def ended_as_it_should(case: Case) -> Iterator[Problem]:
    """Nothing lost, nothing left, and the right end."""
    job, record = case.job, case.record
    if record is None:
        if not cancelled_unseen(case):
            yield Problem("lost", case.id, f"{job.kind}: the queue knows nothing of it")
    elif not record.ended:
        yield Problem("unfinished", case.id, f"{job.kind}: still {record.state}")
    elif record.state == "failed" and record.reason == "Stalled":
        if record.stalls < STALLS:
            yield Problem("outcome", case.id, f"{job.kind}: Stalled after {record.stalls} lost leases")
    elif record.state not in job.outcomes or (record.state == "failed" and record.reason != job.reason):
        expected = " or ".join(sorted(job.outcomes)) + (f" ({job.reason})" if job.reason else "")
        yield Problem("outcome", case.id, f"{job.kind}: {record.state} ({record.reason}) and not {expected}")


def by_the_right_word(case: Case) -> Iterator[Problem]:
    """The outcome is what the holder of the last epoch said, and that holder was really there."""
    record = case.record
    if record is None or not record.ended or case.job.indexes:
        return
    if record.reason == "Deduplicated":
        yield from _never_ran(case, f"its twin {record.deduplicated_by} made it needless")
        return
    later = [run for run in case.runs if run.epoch > record.epoch]
    if later:
        yield Problem("stale", case.id, f"ended by epoch {record.epoch}, but epoch {later[-1].epoch} ran after it")
    run = case.run(record.epoch)
    if record.state == "completed":
        yield from _completed_by(case, run)
    elif record.state == "failed" and record.reason in ("BackoffLimitExceeded", "PermanentError"):
        if run is None or run.how != "error":
            yield Problem("unwitnessed", case.id, f"epoch {record.epoch} failed it, but nobody saw that error")
        elif (record.error or {}).get("attempt") != record.attempt:
            yield Problem("stale", case.id, f"the error is of attempt {record.error}, not of {record.attempt}")


def _completed_by(case: Case, run: Run | None) -> Iterator[Problem]:
    record = case.record
    assert record
    told = orjson.loads(record.result or b"{}").get("epoch")
    if told != record.epoch:
        yield Problem("stale", case.id, f"the result comes from epoch {told}, not {record.epoch}")
    if run is None or run.how != "ok":
        yield Problem("unwitnessed", case.id, f"epoch {record.epoch} completed it, but nobody saw that end")
    elif run.worker != record.worker:
        yield Problem("stale", case.id, f"recorded for {record.worker}, but {run.worker} did it")


def _never_ran(case: Case, why: str) -> Iterator[Problem]:
    if case.runs:
        yield Problem("needless", case.id, f"{why}, and still it ran: {case.runs[0]}")


def attempts_go_up(case: Case) -> Iterator[Problem]:
    """Epochs and attempts rise together, and an attempt that failed is counted once."""
    for gap, why in case.gaps:
        earlier, later = gap.earlier, gap.later
        if earlier and later.attempt <= earlier.attempt and not (gap.handed_back and why):
            yield Problem("order", case.id, f"epoch {later.epoch} is attempt {later.attempt} after {earlier.attempt}")
    record = case.record
    if record and case.runs and case.runs[-1].attempt > record.attempt:
        yield Problem("order", case.id, f"attempt {case.runs[-1].attempt} ran, the record knows {record.attempt}")
    if record and record.reason == "BackoffLimitExceeded" and record.failures != case.job.backoff_limit:
        yield Problem("retries", case.id, f"{record.failures} failures counted, {case.job.backoff_limit} allowed")


def reruns_have_a_reason(case: Case) -> Iterator[Problem]:
    """A fault, a retry, or a suspend."""
    for gap, why in case.gaps:
        if not why:
            yield Problem("re-run", case.id, f"{case.job.kind}: nothing explains {gap.later}")
    if not case.job.may_fail:
        for run in case.runs:
            if run.how == "error":
                yield Problem("error", case.id, f"{case.job.kind}: its handler failed: {run}")


def status_agrees(case: Case) -> Iterator[Problem]:
    """What the FluidJob says is what the queue says."""
    if not case.job.fluid:
        return
    if case.object is None:
        yield Problem("status", case.id, f"FluidJob {case.job.name} is gone")
        return
    status, record = case.object.get("status", {}), case.record
    if record is None:
        return
    wanted = {"phase": PHASES.get(record.state), "jobId": case.id, "run": 1, "attempts": record.attempt}
    for name, value in wanted.items():
        if status.get(name, 0) != value:
            yield Problem("status", case.id, f"{case.job.name}: {name} is {status.get(name)}, the queue has {value}")
    if record.state == "completed" and status.get("result") != orjson.loads(record.result or b"null"):
        yield Problem("status", case.id, f"{case.job.name}: its result is {status.get('result')}")
    if record.state == "failed" and status.get("error", {}).get("type") != (record.error or {}).get("type"):
        yield Problem("status", case.id, f"{case.job.name}: its error is {status.get('error')}")


def cancels_are_kept(case: Case) -> Iterator[Problem]:
    """What the queue answered to a cancel has come true."""
    for told in case.told:
        if told.command != "cancel" or case.record is None:
            continue
        state = case.record.state
        came_true = {"cancelled": state == "cancelled", "stopping": True, f"finished {state}": True}
        if not came_true.get(told.answer, False):
            yield Problem("cancel", case.id, f"{told.answer}, said the queue, and now it is {state}")


def suspends_are_kept(case: Case) -> Iterator[Problem]:
    """From the answer to a suspend until a resume is asked for, no attempt begins."""
    for suspend, resume in pairwise(case.told):
        if suspend.command == "suspend" and resume.command == "resume" and suspend.answer in ("suspended", "stopping"):
            for run in case.runs:
                if suspend.answered < run.epoch < resume.sent:
                    yield Problem("suspend", case.id, f"{suspend.answer}, said the queue, and then it started: {run}")


CHECKS: Sequence[Callable[[Case], Iterator[Problem]]] = (
    ended_as_it_should,
    by_the_right_word,
    attempts_go_up,
    reruns_have_a_reason,
    status_agrees,
    cancels_are_kept,
    suspends_are_kept,
)


def cancelled_unseen(case: Case) -> bool:
    """A FluidJob may be cancelled before anybody enqueued it; then it has no record, and must never have run."""
    status = (case.object or {}).get("status", {})
    return "cancelled" in case.job.outcomes and status.get("phase") == "Cancelled" and not case.runs
