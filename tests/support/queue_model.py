"""The queue as it is meant to be, in plain Python: what each command answers, and in which state every job is then. No
Redis, no clock.

Two things are left to the real queue: which of several claimable jobs a claim takes (`claim` says whether it was
allowed to), and whether a job that could run waits in the queue or beside it for a gate (both are "ready" here). Time
passes only when it is told to: `Job.expired`, `Job.due`, `Job.overdue`, and the methods that end a limit or a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from fluid_queue import Ending, NewJob
from support.queue_hands import Hands
from support.queue_moves import MAX_STALLED, Circuit, Job, sum_of

MODERN = datetime(2020, 1, 1, tzinfo=UTC)
"""What had to start before has missed it."""


class Model(Hands):
    """One key space. Methods are named as those of `Queue`, and answer what it has to answer (of longer answers the
    first word)."""

    # -- in ---------------------------------------------------------------------------------------------------------

    def enqueue(self, new: NewJob) -> str:
        parent = self.jobs.get(new.parent.id) if new.parent else None
        if new.parent and (parent is None or parent.state != "active" or parent.epoch != new.parent.epoch):
            return "stale"
        job, replaced = self.jobs.get(new.id), None
        end = self.graves.get(new.id) if job is None or job.ended else None
        if end and parent and end != "completed":
            self.forget(new.id)
            if parent.children:
                parent.children.pop(new.id, None)
        elif end:
            self._adopt(parent, new.id, end)
            return "finished"
        elif job and new.replace and not job.started and (job.hash, job.origin) != (new.hash, new.origin):
            replaced = job
            self.stop_indexes(job, "cancel")
            self.forget(new.id)
            self.release_twin(job)
        elif job:
            if parent and not job.parent:
                job.parent = parent.id
            self._adopt(parent, new.id, "")
            return f"exists {job.state}"
        if not replaced and not parent and not self._admit(new.queue):
            return "limited"
        return self._put(new, replaced, parent)

    def _put(self, new: NewJob, replaced: Job | None, parent: Job | None) -> str:
        job = Job(new.id, new.queue, new.type, new.priority, key=new.key, hash=new.hash, origin=new.origin)
        job.ack, job.has_deadline = new.acknowledged, new.active_deadline_seconds > 0
        job.attempt, job.failures = new.seed_attempt, new.seed_failures
        job.parent = parent.id if parent else replaced.parent if replaced else ""
        if new.indexes:
            job.completions, job.parallelism = new.indexes.completions, new.indexes.parallelism
            job.max_failed = new.indexes.max_failed
            job.index_ends = dict.fromkeys(numbers_of(new.indexes.completed), "completed")
        if new.start_by:
            job.start_by = "passed" if new.start_by < MODERN else "ahead"
        if replaced:
            self._go_on(job, replaced)
        self.jobs[new.id] = job
        self._adopt(parent, new.id, "")
        if new.deduplication and (first := self._twin(job, new.deduplication)):
            self.end(job, "completed")
            return f"duplicate {first}"
        if new.indexes and new.indexes.completed and len(job.index_ends) == job.completions:
            self.end(job, "completed")
        else:
            self._arrive(job, new, replaced)
        return "replaced" if replaced else "created"

    def _go_on(self, job: Job, replaced: Job) -> None:
        """The record that takes another's place is of the same run, or of another one, whose attempts are void."""
        if job.hash != replaced.hash or job.completions != replaced.completions or job.index_ends:
            job.epoch = replaced.epoch + bool(replaced.epoch)
            return
        job.attempt = max(job.attempt, replaced.attempt)
        job.failures = max(job.failures, replaced.failures)
        job.stalls, job.epoch, job.begun = replaced.stalls, replaced.epoch, replaced.begun
        job.index_ends, job.children = replaced.index_ends, replaced.children
        if job.epoch or job.begun:
            job.start_by = ""

    def _arrive(self, job: Job, new: NewJob, replaced: Job | None) -> None:
        job.later = new.delay_seconds > 0
        if new.suspended:
            job.state = "suspended"
            return
        if job.later:
            job.state = "delayed"
        else:
            stays = (
                replaced
                and replaced.state == "ready"
                and (replaced.queue, replaced.priority) == (job.queue, job.priority)
            )
            self.start(job, place="any" if stays else "new")
        if job.start_by == "passed":
            self.miss_start(job)

    def _adopt(self, parent: Job | None, child: str, end: str) -> None:
        if parent:
            parent.children = {child: end} | (parent.children or {})

    def _admit(self, queue: str) -> bool:
        if not (limit := self.setting(queue).creation_limit):
            return True
        ahead = self.creations.get(queue, 0) + limit.per_seconds / limit.max
        if ahead > limit.per_seconds:
            return False
        self.creations[queue] = ahead
        return True

    def _twin(self, job: Job, wanted: Any) -> str | None:
        """The job that makes this one needless; else this one is the first from now on."""
        first = self.twins.get(wanted.key)
        other = self.jobs.get(first or "")
        alive = other is not None and not other.ended
        if first in (None, job.id) or (wanted.mode != "Throttle" and not alive):
            first = None
        if first and wanted.mode == "Replace" and other and not other.started:
            self.stop_indexes(other, "cancel")
            self.end(other, "completed")
        elif first and wanted.mode != "Replace":
            return first
        job.dedup = wanted.key if wanted.mode != "Throttle" else ""
        self.twins[wanted.key] = job.id
        return None

    # -- out: claims --------------------------------------------------------------------------------------------------

    def pass_time(self, covers: Sequence[str] | None) -> None:
        """What a claim does before it takes jobs: leases that ran out, starts that were missed, and delayed jobs of
        these queues (None: of all) that are due."""
        for job in sorted((job for job in self.jobs.values() if job.expired), key=lambda job: job.id):
            if job.expired and self.jobs.get(job.id) is job:
                self._take_back(job)
        for job in [job for job in self.jobs.values() if job.start_by == "passed"]:
            if not job.ended and job.state != "suspended":
                self.miss_start(job)
        for job in list(self.jobs.values()):
            if job.state == "delayed" and job.due and (covers is None or job.queue in covers):
                self.start(job)

    def _take_back(self, job: Job) -> None:
        job.expired = False
        if job.state == "waiting-children":
            left = [child for child, end in (job.children or {}).items() if not end]
            if not job.completions or (not job.stop and not self.stop_indexes(job, "fail")):
                self.end(job, "failed")
                self.cancel(left)
            return
        job.stalls += 1
        if job.stop == "cancel":
            self.end(job, "cancelled")
        elif job.index is not None and job.stop:
            self.end(job, "released")
        elif job.stalls >= MAX_STALLED:
            self.end(job, "failed")
        else:
            self.hand_back(job)

    def claim(self, job_id: str, epoch: int) -> str:
        """Take note that a claim gave away this job; what was wrong about that, or nothing."""
        job = self.jobs.get(job_id)
        if job is None or (wrong := self.why_not(job)):
            return f"{job_id} was claimed: {wrong if job else 'nobody knows it'}"
        if epoch <= job.epoch:
            return f"{job_id} was claimed with the epoch {epoch} after {job.epoch}"
        job.state, job.epoch, job.started, job.attempt = "active", epoch, True, job.attempt + 1
        job.start_by = ""
        if job.index is not None:
            self.jobs[job.parent].started, self.jobs[job.parent].start_by = True, ""
        if self.setting(job.queue).rate_limit:
            self.starts[job.queue] += 1
        if (circuit := self.circuits.get(job.queue)) and self.setting(job.queue).circuit_breaker:
            circuit.probe_due = False
        return ""

    def why_not(self, job: Job) -> str:
        """Why no worker may start a job now; nothing if it may."""
        if job.state != "ready":
            return f"it is {job.state}"
        if job.overdue:
            return "it has passed its deadline"
        return self._queue_shut(job.queue) or next((gate for gate in job.gates if self._gate_full(job, gate)), "")

    def _queue_shut(self, queue: str) -> str:
        setting, circuit = self.setting(queue), self.circuits.get(queue)
        active = sum(job.state == "active" and job.queue == queue for job in self.jobs.values())
        shut = {
            "suspended": self.settings.suspend,
            "paused": setting.paused or queue in self.paused,
            "limited": f"queue:{queue}" in self.limits,
            "at its concurrency": setting.concurrency is not None and active >= setting.concurrency,
            "at its rate": setting.rate_limit is not None and self.starts[queue] >= setting.rate_limit.max,
            "cut off": bool(setting.circuit_breaker and circuit and circuit.open and not circuit.probe_due),
        }
        return next((f"its queue is {why}" for why, holds in shut.items() if holds), "")

    def _gate_full(self, job: Job, gate: str) -> bool:
        held = sum(
            other.state == "active" and other.queue == job.queue and gate in other.gates for other in self.jobs.values()
        )
        if gate.startswith("index:"):
            return held >= self.jobs[job.parent].parallelism
        scope = f"key:{job.queue}:{job.key}"
        return scope in self.limits or held >= (self.setting(job.queue).concurrency_per_key or 1)

    # -- out: ends ----------------------------------------------------------------------------------------------------

    def finish(self, job_id: str, epoch: int, ending: Ending, kind: str = "") -> str:
        """`kind` is the type of the error in `ending`."""
        job = self.jobs.get(job_id)
        if job is None or job.epoch != epoch:
            return "gone" if job is None else "stale"
        if job.state in ("ready", "suspended") and ending.outcome == "completed":
            self._complete(job)
        elif job.state != "active":
            return "again"
        elif ending.outcome == "completed":
            self._complete(job)
        elif job.stop == "cancel" and job.index is None:
            self.end(job, "cancelled")
        elif ending.outcome in ("stopped", "released") or (job.index is not None and job.stop):
            self._give_back(job)
        else:
            self._fail(job, ending, kind)
        return "done"

    def _complete(self, job: Job) -> None:
        if self.setting(job.queue).circuit_breaker:
            self.circuits.pop(job.queue, None)
        if job.children is None or "" not in job.children.values():
            self.end(job, sum_of((job.children or {}).values()))
        else:
            job.state, job.expired = "waiting-children", False
            job.stop = "" if job.stop == "suspend" else job.stop

    def _give_back(self, job: Job) -> None:
        if job.index is not None and job.stop:
            self.end(job, "released")
            return
        job.attempt -= 1
        job.started, job.overdue = job.started and job.attempt > 0, job.overdue and job.attempt > 0
        self.hand_back(job)

    def _fail(self, job: Job, ending: Ending, kind: str) -> None:
        counts = ending.outcome == "retry" or ending.reason == "BackoffLimitExceeded"
        cut = bool(self.setting(job.queue).circuit_breaker) and counts and self._note_failure(job.queue, kind)
        if ending.outcome == "failed" and not cut:
            self.end(job, "failed")
            return
        if ending.outcome == "postponed" and ending.scope == "queue":
            self.limits.add(f"queue:{job.queue}")
        if ending.outcome == "postponed" and ending.scope == "key" and job.key:
            self.limits.add(f"key:{job.queue}:{job.key}")
        job.failures += ending.outcome == "retry" and not cut
        job.expired = False
        if job.stop == "suspend":
            job.state, job.stop, job.started, job.overdue = "suspended", "", False, False
        else:
            job.state = "delayed"
        job.later, job.due = True, not ending.delay_seconds and not cut

    def _note_failure(self, queue: str, kind: str) -> bool:
        """Whether the circuit was open for errors of this kind."""
        found, breaker = self.circuits.get(queue), self.setting(queue).circuit_breaker
        assert breaker is not None
        if found and found.open and found.error == kind:
            found.probe_due = False
            return True
        if found and found.open:
            return False
        failures = found.failures + 1 if found and found.error == kind else 1
        self.circuits[queue] = Circuit(kind, failures, failures >= breaker.failures)
        return False

    def renew(self, job_id: str, epoch: int) -> str:
        """lost, stop, or kept."""
        job = self.jobs.get(job_id)
        if job is None or job.state != "active" or job.epoch != epoch:
            return "lost"
        job.expired = False
        return "stop" if job.stop else "kept"

    # -- what goes by itself ------------------------------------------------------------------------------------------

    def fail_overdue(self, job_id: str) -> None:
        """A claim has met a job that had passed its deadline."""
        self.end(self.jobs[job_id], "failed")

    def expire(self, job_id: str) -> None:
        """The record of an ended job has gone, its tombstone stays."""
        del self.jobs[job_id]


def numbers_of(ranges: str) -> Iterator[int]:
    """The indexes in "0-5,7"."""
    for part in ranges.split(",") if ranges else ():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
