"""Jobs of the queue's model, and how one's move moves others: parents, children, indexes, twins. Plain Python; what a
command does with them is told by queue_model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fluid_queue import QueueSettings, Settings

MAX_STALLED = 3
ENDED = ("completed", "failed", "cancelled")


@dataclass
class Job:
    """One job, or one index of an index job."""

    id: str
    queue: str
    type: str
    priority: int
    state: str = ""
    key: str = ""
    hash: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    ack: bool = False
    acked: bool = False
    dedup: str = ""
    attempt: int = 0
    failures: int = 0
    stalls: int = 0
    epoch: int = 0
    started: bool = False
    stop: str = ""
    expired: bool = False
    """Its lease has run out, or the deadline of a parent that waits."""
    later: bool = False
    """It has a due time to come, also while it is suspended."""
    due: bool = False
    """Its due time has come."""
    has_deadline: bool = False
    overdue: bool = False
    """It has passed its active deadline."""
    start_by: Literal["", "ahead", "passed"] = ""
    """Whether it has to start by some time, which has passed or not."""
    begun: bool = False
    """It has started before it was held back, or is to run again."""
    parent: str = ""
    index: int | None = None
    children: dict[str, str] | None = None
    """Of a parent: child -> how it ended, or nothing yet."""
    completions: int = 0
    parallelism: int = 0
    max_failed: int | None = None
    next: int = 0
    index_ends: dict[int, str] = field(default_factory=dict)
    place: str = "new"
    """Whether it has taken a new place in its queue since it was last looked at, or keeps its old one."""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def gates(self) -> list[str]:
        return ([f"key:{self.key}"] if self.key else []) + ([f"index:{self.parent}"] if self.index is not None else [])


@dataclass
class Circuit:
    """A queue's circuit breaker, as far as it has seen failures."""

    error: str
    failures: int
    open: bool = False
    probe_due: bool = False


class Moves:
    """The jobs of one key space, and their moves between states."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.graves: dict[str, str] = {}
        self.ends: Counter[tuple[str, str, str]] = Counter()
        self.twins: dict[str, str] = {}
        self.settings = Settings()
        self.paused: set[str] = set()
        self.limits: set[str] = set()
        self.starts: Counter[str] = Counter()
        self.creations: dict[str, float] = {}
        """Queue -> seconds until its creation limit would be untouched again."""
        self.circuits: dict[str, Circuit] = {}

    def setting(self, queue: str) -> QueueSettings:
        return self.settings.queues.get(queue, QueueSettings())

    def fed(self, parent: Job) -> list[Job]:
        """The indexes of a job that have records now."""
        return [job for job in self.jobs.values() if job.index is not None and job.parent == parent.id]

    # -- between states -----------------------------------------------------------------------------------------------

    def start(self, job: Job, place: str = "new") -> None:
        job.later = job.due = False
        if not job.completions:
            job.state, job.place = "ready", place
            return
        job.state, job.next = "waiting-children", 0
        self.feed(job)

    def feed(self, parent: Job) -> None:
        fed = {job.index for job in self.fed(parent)}
        while len(fed) < 2 * parent.parallelism:
            rest = (index for index in range(parent.next, parent.completions) if index not in parent.index_ends)
            if (index := next(rest, None)) is None:
                parent.next = parent.completions
                return
            parent.next = index + 1
            if index not in fed:
                fed.add(index)
                one = Job(f"{parent.id}.{index}", parent.queue, parent.type, parent.priority, "ready", parent.key)
                one.parent, one.index = parent.id, index
                self.jobs[one.id] = one

    def stop_indexes(self, parent: Job, word: str) -> int:
        """No further index starts; how many still run."""
        running = 0
        for job in self.fed(parent):
            if job.state == "active":
                job.stop = word
                running += 1
            else:
                del self.jobs[job.id]
        if parent.completions:
            parent.stop = word
        return running

    def end(self, job: Job, state: str) -> None:
        """A job has its last word, and so perhaps has who waited for it."""
        following: tuple[Job, str] | None = (job, state)
        while following:
            job, state = following
            following = None
            job.expired = False
            if job.index is not None:
                following = self.end_index(job, state)
            elif state == "suspended":
                job.state, job.stop, job.started, job.begun = state, "", False, job.begun or job.started
            else:
                job.state, job.stop = state, ""
                self.ends[job.queue, state, job.type] += 1
                self.graves[job.id] = state
                self.release_twin(job)
                following = self.end_child(job, state)

    def miss_start(self, job: Job) -> None:
        """It has not started by the time at which it had to."""
        self.stop_indexes(job, "cancel")
        self.end(job, "failed")

    def release_twin(self, job: Job) -> None:
        if job.dedup and self.twins.get(job.dedup) == job.id:
            del self.twins[job.dedup]

    def end_child(self, job: Job, state: str) -> tuple[Job, str] | None:
        parent = self.jobs.get(job.parent)
        if not parent or not parent.children or parent.children.get(job.id) != "":
            return None
        parent.children[job.id] = state
        if parent.state != "waiting-children" or "" in parent.children.values():
            return None
        return parent, "cancelled" if parent.stop else sum_of(parent.children.values())

    def end_index(self, job: Job, state: str) -> tuple[Job, str] | None:
        del self.jobs[job.id]
        parent = self.jobs[job.parent]
        assert job.index is not None
        if state == "completed" or state == "failed" or (state == "cancelled" and not parent.stop):
            parent.index_ends[job.index] = "completed" if state == "completed" else "failed"
        else:
            parent.next = min(parent.next, job.index)
        failed = list(parent.index_ends.values()).count("failed")
        if not parent.stop and parent.max_failed is not None and failed > parent.max_failed:
            self.stop_indexes(parent, "fail")
        if len(parent.index_ends) == parent.completions:
            return parent, sum_of(parent.index_ends.values())
        if not parent.stop:
            self.feed(parent)
        elif not self.fed(parent):
            return parent, {"suspend": "suspended", "cancel": "cancelled"}.get(parent.stop, "failed")
        return None

    def hand_back(self, job: Job) -> None:
        job.expired = False
        if job.stop == "suspend":
            job.state, job.stop, job.started, job.later, job.place = "suspended", "", False, False, "old"
            job.overdue = False
        else:
            job.state, job.place = "ready", "old"

    def forget(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)
        self.graves.pop(job_id, None)


def sum_of(ends: Any) -> str:
    return "completed" if all(end == "completed" for end in ends) else "failed"
