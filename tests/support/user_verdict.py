"""What must be true of FluidJobs whatever users, tools and disasters did to them. Pure: what was seen goes in, and
sentences about what is wrong come out."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from fluid_operator.api.spechash import spec_hash
from support.random_users import Op, Version

SLACK = 0.3
"""Seconds by which a watch may lag behind the answer to a request."""


class Line(NamedTuple):
    """One line of the probe's ledger: start, done, failed or stopped."""

    word: str
    at: float
    pid: str
    job_id: str
    attempt: str
    value: str
    key: str

    @property
    def uid(self) -> str:
        return self.job_id.partition(".")[0]

    @property
    def run(self) -> str:
        """The id of the run, without an index."""
        return ".".join(self.job_id.split(".")[:2])


class Disaster(NamedTuple):
    """A flush of Redis, or a frozen worker: leases may be lost from `begun` to `over`."""

    begun: float
    over: float


@dataclass
class Evidence:
    """All that was seen. `versions` by uid."""

    versions: Mapping[str, Sequence[Version]]
    ops: Sequence[Op]
    lines: Sequence[Line]
    disasters: Sequence[Disaster]
    by_name: dict[str, list[Op]] = field(init=False)
    by_uid: dict[str, list[Line]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name, self.by_uid = defaultdict(list), defaultdict(list)
        for op in self.ops:
            self.by_name[op.name].append(op)
        for line in self.lines:
            self.by_uid[line.uid].append(line)

    def name(self, uid: str) -> str:
        return str(self.versions[uid][0].raw["metadata"]["name"])

    def excused(self, begun: float, over: float) -> bool:
        """Whether leases may have been lost in this time."""
        return any(begun <= each.over and over >= each.begun for each in self.disasters)

    def deleted_by_user(self, uid: str) -> bool:
        last = self.versions[uid][-1]
        return last.gone and any(
            op.what == "delete" and op.refused is None and op.sent - SLACK <= last.seen <= op.done + 1
            for op in self.by_name[self.name(uid)]
        )


def verdict(evidence: Evidence) -> list[str]:
    """Everything that is wrong."""
    unknown = [f"unknown object ran: {uid}" for uid in evidence.by_uid.keys() - evidence.versions.keys()]
    problems = [*unknown, *_overlaps(evidence), *_ran_although_mirrored(evidence)]
    checks = (_goes_back, _ends_wrongly, _runs_too_often, _starts_while_held, _writes_too_often)
    for uid, versions in evidence.versions.items():
        for check in checks:
            problems += [f"{evidence.name(uid)} {uid}: {text}" for text in check(evidence, uid, versions)]
    return problems


def _goes_back(evidence: Evidence, uid: str, versions: Sequence[Version]) -> Iterator[str]:
    """Within the life of an object runs and generations only grow, and an end is the end of its run."""
    for before, after in pairwise(version for version in versions if not version.gone):
        old, new = before.status, after.status
        for name in ("run", "observedGeneration"):
            if new.get(name, -1) < old.get(name, -1):
                yield f"{name} went from {old[name]} to {new.get(name)} ({old['phase']}, {new['phase']})"
        ended = old["phase"] in ("Succeeded", "Failed", "Cancelled")
        if ended and new.get("run") == old.get("run") and new["phase"] != old["phase"]:
            yield f"run {old.get('run')} went from {old['phase']} to {new['phase']}"
        if after.settled and new["specHash"] != spec_hash(after.raw["spec"]):
            yield f"generation {after.generation} has the outcome of another spec"


def _ends_wrongly(evidence: Evidence, uid: str, versions: Sequence[Version]) -> Iterator[str]:
    """What is there at the end has the outcome that its spec deserves; what is gone had ended, or a user deleted it."""
    last = versions[-1]
    spec, status = last.raw["spec"], last.status
    if last.gone and not evidence.deleted_by_user(uid):
        if "ttlSecondsAfterFinished" not in spec:
            yield "deleted by nobody"
        if not last.settled:
            yield f"deleted before it had ended: {status}"
    if last.gone or last.reason.startswith(("Already", "Deduplicated")):
        return
    asked = {op.what for op in evidence.by_name[evidence.name(uid)]}
    if status["phase"] == "Cancelled" and not asked & {"cancel", "cancelled"}:
        yield "cancelled by nobody"
    if status["phase"] == "Failed" and "colour" not in spec["payload"] and last.reason != "StartingDeadlineExceeded":
        yield f"failed without a reason: {status}"
    if status["phase"] == "Succeeded":
        done = [line for line in evidence.by_uid[uid] if line.word == "done" and line.value == spec["payload"]["value"]]
        indexes = {line.job_id.split(".")[2] for line in done if line.job_id.count(".") == 2}
        wanted = spec.get("completions") or len(spec.get("items", ()))
        # A retry does not repeat the indexes that were done; so they may belong to several runs.
        if len(indexes) < wanted or not any(line.run == status["jobId"] or indexes for line in done):
            yield f"succeeded, but was never done: {status}"


def _runs_too_often(evidence: Evidence, uid: str, versions: Sequence[Version]) -> Iterator[str]:
    """A spec runs as often as it was given or a retry was asked for; a run starts again only for a reason."""
    starts = [line for line in evidence.by_uid[uid] if line.word == "start"]
    runs: dict[str, set[str]] = defaultdict(set)
    for line in starts:
        runs[line.value].add(line.run)
    ops = [op for op in evidence.by_name[evidence.name(uid)] if op.uid == uid]
    for value, ids in runs.items():
        if len(ids) > max(1, _given(ops, value)):
            yield f"{value} ran as {sorted(ids)}, but was given {_given(ops, value)} times"
    fails = versions[-1].raw["spec"]["payload"].get("fails", 0)
    holds = sum(op.what in ("hold", "suspend") for op in evidence.by_name[evidence.name(uid)])
    for job_id, times in Counter(line.job_id for line in starts).items():
        of_job = [line.at for line in starts if line.job_id == job_id]
        excuses = len(evidence.disasters) if evidence.excused(min(of_job), max(of_job)) else 0
        if times > 1 + fails + holds + excuses:
            yield f"{job_id} started {times} times"


def _given(ops: Sequence[Op], value: str, before: str = "") -> int:
    """How often users asked for this spec to run, where the one before had the hash `before`."""
    given = 0
    for op in ops:
        given += op.what == "retry" or (op.hash != before and op.value == value)
        before = op.hash
    return given


def _starts_while_held(evidence: Evidence, uid: str, versions: Sequence[Version]) -> Iterator[str]:
    """From the moment at which a status says Suspended until the next move of its user nothing starts."""
    for version in versions:
        status = version.status
        pending = version.request not in ("", status.get("lastHandledRequest"))
        if version.gone or status.get("phase") != "Suspended" or status["observedGeneration"] != version.generation:
            continue
        if pending and not version.raw["spec"].get("suspend"):
            continue
        moves = [op.sent for op in evidence.by_name[evidence.name(uid)] if op.done >= version.seen - SLACK]
        for line in evidence.by_uid[uid]:
            held = version.seen < line.at < min(moves, default=float("inf"))
            if line.word == "start" and held and not evidence.excused(version.seen - 5, line.at):
                yield f"{line.job_id} started although it was held"


def _writes_too_often(evidence: Evidence, uid: str, versions: Sequence[Version]) -> Iterator[str]:
    """Status writes are bounded by what happened to the object."""
    writes = sum(before.status != after.status for before, after in pairwise(versions))
    happened = sum(op.uid == uid for op in evidence.ops) + len(evidence.by_uid[uid])
    if writes > 8 + 4 * happened + 4 * len(evidence.disasters):
        yield f"{writes} status writes after {happened} changes"


def _overlaps(evidence: Evidence) -> Iterator[str]:
    """Of the jobs with one concurrency key one runs at a time."""
    begun: dict[tuple[str, str, str], Line] = {}
    spans: list[tuple[float, float, str]] = []
    for line in evidence.lines:
        if line.key == "-":
            continue
        attempt = (line.pid, line.job_id, line.attempt)
        if line.word == "start":
            begun[attempt] = line
        elif attempt in begun:
            spans.append((begun.pop(attempt).at, line.at, line.job_id))
    for (start, end, first), (begin, _, second) in pairwise(sorted(spans)):
        if begin < end and not evidence.excused(start - 3, begin):
            yield f"{first} and {second} ran at the same time under one key"


def _ran_although_mirrored(evidence: Evidence) -> Iterator[str]:
    """What retention has deleted and Git creates again does not run again."""
    objects: dict[str, list[str]] = defaultdict(list)
    for uid in evidence.versions:
        objects[evidence.name(uid)].append(uid)
    for name, uids in objects.items():
        for before, after in pairwise(uids if name.startswith("tracked") else ()):
            last, first = evidence.versions[before][-1], evidence.versions[after][0]
            spec = first.raw["spec"]
            if not last.gone or evidence.deleted_by_user(before) or spec_hash(spec) != last.status["specHash"]:
                continue
            value = spec["payload"]["value"]
            ops = [op for op in evidence.by_name[name] if op.uid == after]
            runs = {line.run for line in evidence.by_uid[after] if line.word == "start" and line.value == value}
            if len(runs) > _given(ops, value, spec_hash(spec)):
                yield f"{name}: {sorted(runs)} repeat what {before} had done"
