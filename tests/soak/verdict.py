"""The judge: what was planned, seen, recorded and written, all as data; out come the problems. Pure, so that forged
evidence can show that it condemns.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise

from fluid_queue import JobRecord
from soak.checks import CHECKS, PHASES, cancelled_unseen
from soak.facts import Case, Evidence, Problem, Told
from soak.history import Gap, Run, cause, gaps_of, runs_of
from soak.plan import PlannedJob, children_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, and the numbers of the report."""

    problems: Sequence[Problem]
    outcomes: Mapping[str, int] = field(default_factory=dict)
    reruns: Mapping[str, int] = field(default_factory=dict)
    """Further claims of a job, by what explains them."""
    runs: int = 0
    done_twice: int = 0
    """Jobs whose handler came to a good end more than once, because the first word of it never arrived."""
    late_starts: int = 0
    """Attempts that began after a later one: their worker was frozen between claim and start. The epoch tells."""
    histories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of the jobs with problems: how they ended by the record, and each of their runs."""

    @property
    def good(self) -> bool:
        return not self.problems


def judge(evidence: Evidence) -> Verdict:
    """All checks over all jobs."""
    runs, impossible = runs_of(evidence.sightings)
    told: dict[str, list[Told]] = defaultdict(list)
    for each in evidence.told:
        told[each.job].append(each)
    cases = [_case(evidence, job, runs, told) for job in evidence.planned]
    indexes = [index for case in cases if case.job.indexes for index in _indexes(evidence, case.job, runs)]
    problems = [Problem("impossible", job, text) for job, text in impossible]
    problems += [problem for case in cases for check in CHECKS for problem in check(case)]
    problems += [problem for case in indexes for problem in _index_ran(case)]
    problems += _keys_are_held_once(evidence, [case for case in cases if case.job.key])
    problems += _parents_end_last(cases)
    problems += _pauses_are_kept(evidence, [*cases, *indexes])
    problems += _strangers(evidence, runs, {case.id for case in indexes})
    problems += _counts(evidence)
    wrong = {problem.job for problem in problems}
    everything = [*cases, *indexes]
    return Verdict(
        problems=problems,
        outcomes=dict(Counter(_outcome(case) for case in cases)),
        reruns=_causes(everything),
        runs=sum(map(len, runs.values())),
        done_twice=sum(sum(run.how == "ok" for run in case.runs) > 1 for case in everything),
        late_starts=sum(a.started > b.started for each in runs.values() for a, b in pairwise(each)),
        histories={case.id: _history(case) for case in everything if case.id in wrong},
    )


# -- one job ----------------------------------------------------------------------------------------------------------


def _case(
    evidence: Evidence,
    job: PlannedJob,
    runs: Mapping[str, Sequence[Run]],
    told: Mapping[str, Sequence[Told]],
) -> Case:
    job_id = evidence.ids.get(job.name, job.name)
    record = evidence.records.get(job_id)
    its_runs = runs.get(job_id, ())
    gaps = gaps_of(its_runs, record.created_at * 1000 if record else 0)
    if record and record.reason == "Stalled" and not job.indexes:
        gaps.append(_last_gap(record, its_runs))
    causes = [(gap, _cause(evidence, job, gap)) for gap in gaps]
    return Case(job, job_id, record, its_runs, evidence.objects.get(job.name), causes, told.get(job_id, ()))


def _cause(evidence: Evidence, job: PlannedJob, gap: Gap) -> str:
    if job.kind == "suspended" and gap.handed_back:
        return "suspended meanwhile"
    return cause(gap, evidence.faults, round(evidence.lease * 1_000_000), may_retry=job.may_fail)


def _last_gap(record: JobRecord, runs: Sequence[Run]) -> Gap:
    """The lost lease that nobody took over, because it was the last one allowed."""
    ended = record.finished_at * 1000
    last = runs[-1] if runs else None
    since = last.epoch if last else record.created_at * 1000
    return Gap(last, Run(ended, record.attempt + 1, "", ended), since, record.attempt - (last.attempt if last else 0))


def _indexes(evidence: Evidence, job: PlannedJob, runs: Mapping[str, Sequence[Run]]) -> Iterator[Case]:
    """Each index of an index job, of which the queue keeps no record."""
    record = evidence.records.get(evidence.ids.get(job.name, job.name))
    for number in range(job.indexes):
        index = f"{evidence.ids.get(job.name, job.name)}.{number}"
        gaps = gaps_of(runs.get(index, ()), record.created_at * 1000 if record else 0)
        yield Case(job, index, None, runs.get(index, ()), None, [(gap, _cause(evidence, job, gap)) for gap in gaps], ())


def _index_ran(case: Case) -> Iterator[Problem]:
    if not any(run.how == "ok" for run in case.runs):
        yield Problem("index", case.id, "it never came to a good end")
    for gap, why in case.gaps:
        if not why:
            yield Problem("re-run", case.id, f"nothing explains {gap.later}")


# -- the whole --------------------------------------------------------------------------------------------------------


def _keys_are_held_once(evidence: Evidence, cases: Sequence[Case]) -> Iterator[Problem]:
    """Jobs of one concurrency key run one after the other, unless a lease was lost."""
    held: dict[tuple[str, str], list[tuple[Run, Case]]] = defaultdict(list)
    for case in cases:
        held[case.job.queue, case.job.key] += [(run, case) for run in case.runs]
    for runs in held.values():
        runs.sort(key=lambda each: each[0].epoch)
        for (earlier, _), (later, case) in pairwise(runs):
            over = earlier.ended and earlier.ended <= later.epoch
            # What takes a lease away explains it, as if this were the next attempt of the same job.
            gap = Gap(earlier, replace(later, attempt=earlier.attempt + 1), earlier.epoch, 0)
            if not over and not _cause(evidence, case.job, gap):
                yield Problem("key", case.id, f"{case.job.key} was held by {earlier} when it was given to {later}")


def _parents_end_last(cases: Sequence[Case]) -> Iterator[Problem]:
    """A job with children has all of them, and ends when the last one has."""
    records = {case.job.name: case.record for case in cases}
    for case in cases:
        if not case.job.children or case.record is None or case.record.state != "completed":
            continue
        if case.record.children_succeeded != case.job.children:
            text = f"{case.record.children_succeeded} of {case.job.children} children succeeded, by its record"
            yield Problem("children", case.id, text)
        for child in children_of(case.job):
            record = records.get(child.name)
            if record and record.finished_at > case.record.finished_at:
                yield Problem("children", case.id, f"it ended before its child {child.name}")


def _pauses_are_kept(evidence: Evidence, cases: Sequence[Case]) -> Iterator[Problem]:
    """Nothing of a paused queue is claimed."""
    for case in cases:
        for window in evidence.pauses:
            if window.queue == case.job.queue:
                for run in case.runs:
                    if window.since < run.epoch < window.until:
                        yield Problem("pause", case.id, f"{window.queue} was paused when it started: {run}")


def _strangers(evidence: Evidence, ran: Mapping[str, Sequence[Run]], indexes: set[str]) -> Iterator[Problem]:
    """Nothing ran that nobody planned."""
    for job in sorted(set(ran) - set(evidence.ids.values()) - indexes):
        yield Problem("stranger", job, "it ran, but nobody asked for it")
    planned = {job.name for job in evidence.planned}
    for name in sorted(set(evidence.objects) - planned):
        yield Problem("stranger", name, "a FluidJob that nobody made")


def _counts(evidence: Evidence) -> Iterator[Problem]:
    """Each end was counted once, and nothing is left over."""
    ended: Counter[str] = Counter(record.state for record in evidence.records.values() if record.ended)
    for state in PHASES:
        if evidence.counted.get(state, 0) != ended[state]:
            text = f"{evidence.counted.get(state, 0)} {state} by the statistics, {ended[state]} by the records"
            yield Problem("count", "", text)
    for each in fields(evidence.left):
        if number := getattr(evidence.left, each.name):
            yield Problem("left over", "", f"{number} {each.name}")


# -- for the report ---------------------------------------------------------------------------------------------------


def _causes(cases: Sequence[Case]) -> dict[str, int]:
    causes: Counter[str] = Counter()
    for case in cases:
        for gap, why in case.gaps:
            causes[why or "nothing"] += 1 + gap.unseen
    return dict(causes.most_common())


def _outcome(case: Case) -> str:
    if case.record is None:
        return "Cancelled" if cancelled_unseen(case) else "lost"
    if case.record.reason in ("Stalled", "Deduplicated"):
        return f"{PHASES[case.record.state]} as {case.record.reason}"
    return PHASES.get(case.record.state, case.record.state)


def _history(case: Case) -> list[str]:
    record = case.record
    end = "no record"
    if record:
        end = (
            f"{record.state} ({record.reason}) epoch {record.epoch} attempt {record.attempt} on {record.worker}, "
            f"{record.stalls} stalls, created {record.created_at}, finished {record.finished_at}"
        )
    told = [f"{told.command} at {told.sent}: {told.answer} at {told.answered}" for told in case.told]
    return [f"{case.job.kind} in {case.job.queue}: {end}", *map(str, case.runs), *told]
