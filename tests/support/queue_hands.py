"""What operators and people do to the jobs of the queue's model: stop, hold, hurry, repeat, resize, drain. No Redis.
Methods are named as those of `Queue`, and answer what it has to answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from support.queue_moves import Job, Moves


class Hands(Moves):
    """The jobs of one key space, and who lays hands on them."""

    def cancel(self, job_ids: Sequence[str], *, withdraw: bool = False) -> list[str]:
        """These jobs first, then their children, then theirs; children of an index are those of its job."""
        codes, wanted = [], list(job_ids)
        for job_id in wanted:
            job = self.jobs.get(job_id)
            family = [job, *self.fed(job)] if job else []
            children = [child for one in family for child, end in (one.children or {}).items() if not end]
            codes.append(self._cancel(job_id, withdraw))
            if not withdraw and not codes[-1].startswith("finished"):
                wanted += children
        return codes[: len(job_ids)]

    def _cancel(self, job_id: str, withdraw: bool) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.ended:
            return f"finished {job.state}" if job else "gone"
        runs = (job.state == "active" and not job.expired) or (job.state == "waiting-children" and job.started)
        if withdraw and runs:
            return "active"
        if job.completions and job.state == "waiting-children":
            if self.stop_indexes(job, "cancel"):
                return "stopping"
        elif runs or job.state == "waiting-children":
            job.stop = "cancel"
            return "stopping"
        self.end(job, "cancelled")
        return "cancelled"

    def suspend(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.ended:
            return f"finished {job.state}" if job else "gone"
        if job.stop and job.stop != "suspend":
            return "stopping"
        if job.state == "waiting-children" and not job.completions:
            return "unchanged"
        if job.state == "active":
            job.stop = "suspend"
            return "stopping"
        if job.state == "waiting-children":
            if self.stop_indexes(job, "suspend"):
                return "stopping"
            self.end(job, "suspended")
        elif job.state != "suspended":
            job.state, job.place, job.started, job.overdue = "suspended", "old", False, False
        return "suspended"

    def resume(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.ended:
            return f"finished {job.state}" if job else "gone"
        if job.stop == "suspend":
            job.stop = ""
            if job.completions:
                job.next = 0
                self.feed(job)
            return "resumed"
        if job.state != "suspended":
            return "unchanged"
        if job.start_by == "passed":
            self.miss_start(job)
            return "finished failed"
        if job.later and not job.due:
            job.state = "delayed"
        else:
            self.start(job, place="any")
        return "resumed"

    def promote(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.state != "delayed":
            return "unchanged" if job else "gone"
        self.start(job)
        return "promoted"

    def retry(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.state not in ("failed", "cancelled"):
            return "unchanged" if job else "gone"
        del self.graves[job_id]
        job.start_by, job.begun = "", True
        job.failures, job.stalls, job.started, job.acked, job.overdue, job.children = 0, 0, False, False, False, None
        job.index_ends = {index: end for index, end in job.index_ends.items() if end == "completed"}
        parent = self.jobs.get(job.parent)
        if parent and not parent.ended and parent.children and job_id in parent.children:
            parent.children[job_id] = ""
        if job.dedup:
            self.twins.setdefault(job.dedup, job_id)
        self.start(job)
        return "retried"

    def reprioritize(self, job_id: str, priority: int) -> str:
        job = self.jobs.get(job_id)
        if job is None or job.ended:
            return f"finished {job.state}" if job else "gone"
        for one in [job, *self.fed(job)]:
            one.priority = priority
        return "reprioritized"

    def resize(self, job_id: str, parallelism: int | None, max_failed: Any) -> str:
        """`max_failed`: ... for no other one."""
        job = self.jobs.get(job_id)
        if job is None or job.ended:
            return f"finished {job.state}" if job else "gone"
        most = job.max_failed if max_failed is ... else max_failed
        if not job.completions or (parallelism in (None, job.parallelism) and most == job.max_failed):
            return "unchanged"
        job.parallelism, job.max_failed = parallelism or job.parallelism, most
        if job.state == "waiting-children" and not job.stop:
            if most is not None and list(job.index_ends.values()).count("failed") > most:
                if not self.stop_indexes(job, "fail"):
                    self.end(job, "failed")
            else:
                self.feed(job)
        return "resized"

    def drain(self, queue: str, states: Sequence[str]) -> int:
        """An index goes with its whole job, and only if none has started."""
        wanted = {"ready" if state in ("waiting", "blocked") else state for state in states}
        ended = 0
        while job := next((job for job in self.jobs.values() if self._drainable(job, queue, wanted)), None):
            if job.index is not None:
                job = self.jobs[job.parent]
                self.stop_indexes(job, "cancel")
            self.end(job, "cancelled")
            ended += 1
        return ended

    def _drainable(self, job: Job, queue: str, states: Collection[str]) -> bool:
        started = job.index is not None and self.jobs[job.parent].started
        return job.queue == queue and job.state in states and not started

    def acknowledge(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job and not job.ended:
            return "unfinished"
        if job:
            job.acked = True
        return "done" if job else "gone"
