"""A real key space beside its model, and what has to be true of the two after every step. Knows no deeds: those are the
test's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import redis
from hypothesis.stateful import RuleBasedStateMachine

from fluid_queue import Queue
from support.queue_invariants import problems
from support.queue_model import Model
from support.queue_moves import Job
from support.queue_snapshot import Snapshot, snapshot
from support.queue_time import Time

T = TypeVar("T")


class World:
    """A database of Redis for one key space, several clients of it, and a loop for them. Emptied before each
    example."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.clients = [Queue.from_url(url, "model") for _ in range(3)]
        self.server = redis.Redis.from_url(url)
        self.prefix = self.clients[0].keys.prefix
        self.time = Time(self.server, self.prefix)

    def run(self, command: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(command)

    def look(self) -> Snapshot:
        return snapshot(self.server, self.prefix)

    def close(self) -> None:
        for client in self.clients:
            self.run(client.aclose())
        self.server.close()
        self.runner.close()


class Watch(RuleBasedStateMachine):
    """A world and its model side by side; whoever moves both calls `check` after each step."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.model = Model()
        self.attempts: list[tuple[str, str, int]] = []
        """Every attempt that was ever given out: worker, id, epoch."""
        self.asleep: set[str] = set()
        """Selectors of which every worker has found nothing more to do."""
        self.seen: dict[str, tuple[Job, int, str, int]] = {}
        """Id -> what the model had for it at the last look, version, state, and seq."""
        self.last_seq = 0
        self.once_fair: set[str] = set()
        self.reborn: set[str] = set()
        """Ids whose tombstones have gone."""
        self.leaders: list[str] = [""]
        self.history: list[str] = []
        self.sound = False
        self.turn = 0
        world.server.flushdb()
        self.now = world.look()

    @property
    def queue(self) -> Queue:
        """Another client each time."""
        self.turn += 1
        return self.world.clients[self.turn % len(self.world.clients)]

    # -- what is looked at after each step ----------------------------------------------------------------------------

    def check(self) -> None:
        self.now = self.world.look()
        assert problems(self.now, self.reborn) == []
        self.compare_jobs()
        self.compare_rest()
        self.look_at_history()
        self.look_at_sleepers()

    def compare_jobs(self) -> None:
        real = {job_id: _fields(record) for job_id, record in self.now.records.items()}
        want = {job_id: _predicted(job) for job_id, job in self.model.jobs.items()}
        differing = {
            job_id: (real.get(job_id), want.get(job_id))
            for job_id in real | want
            if real.get(job_id) != want.get(job_id)
        }
        assert not differing, f"(is, predicted): {differing}"

    def compare_rest(self) -> None:
        ends = {tuple(name.split(":")): int(value) for name, value in self.now.get("counts").items()}
        assert {
            name: n for name, n in ends.items() if name[1] in ("completed", "failed", "cancelled")
        } == self.model.ends
        assert {job_id: line.split()[0] for job_id, line in self.now.get("tombstones").items()} == self.model.graves
        assert {key: value.decode() for key, value in self.now.by_name("deduplication:").items()} == self.model.twins
        assert {scope for scope, until in self.now.get("limits").items() if until > self.now.now} == self.model.limits
        assert set(self.now.get("paused")) == self.model.paused

    def look_at_history(self) -> None:
        """Versions grow with each change of state; a place in the queue is new or the old one, as it ought to be."""
        top = self.last_seq
        for job_id, record in self.now.records.items():
            job, version, seq = self.model.jobs[job_id], int(record["version"]), int(record.get("seq", 0))
            known, before, state, place = self.seen.get(job_id, (None, 0, "", 0))
            if known is job:
                assert version > before or (version == before and state == record["state"])
                if record["state"] in ("waiting", "blocked") and job.queue not in self.once_fair:
                    assert job.place == "any" or (seq == place if job.place == "old" else seq > self.last_seq)
            if job.state == "ready":
                job.place = "old"
            self.seen[job_id] = (job, version, record["state"], seq)
            top = max(top, seq)
        self.last_seq = top

    def look_at_sleepers(self) -> None:
        """If a job could start, a marker waits for some worker of each selector that covers it."""
        for selector in self.asleep:
            covers = None if selector == "*" else selector.split(",")
            could = [job.id for job in self.claimable(covers) if self.now.records[job.id]["state"] == "waiting"]
            assert not could or self.now.get(f"wake:{selector}"), f"nobody of {selector} wakes for {could}"

    def claimable(self, covers: Sequence[str] | None) -> list[Job]:
        jobs = self.model.jobs.values()
        return [job for job in jobs if (covers is None or job.queue in covers) and not self.model.why_not(job)]

    def named(self, wanted: Sequence[int]) -> list[str]:
        """Ids of jobs that are there, or one that is not."""
        known = [*sorted(self.model.jobs), "nobody"]
        return list(dict.fromkeys(known[pick % len(known)] for pick in wanted))

    def coded(self, answers: Sequence[str], predicted: Sequence[str]) -> None:
        """The answers of a command are the predicted ones."""
        ready = [
            answer.replace("waiting-children", "-").replace("waiting", "ready").replace("blocked", "ready")
            for answer in answers
        ]
        assert [answer.replace("-", "waiting-children") for answer in ready] == list(predicted)
        self.check()


def _fields(record: Any) -> dict[str, Any]:
    state = record["state"]
    numbers = ("priority", "attempt", "failures", "stalls", "epoch")
    found = {name: int(record.get(name, 0)) for name in numbers}
    stop = record.get("stop", "").partition(" ")[0]
    return found | {
        "queue": record["queue"],
        "start_by": "startBy" in record,
        "state": "ready" if state in ("waiting", "blocked") else state,
        "stop": stop,
    }


def _predicted(job: Job) -> dict[str, Any]:
    names = ("priority", "attempt", "failures", "stalls", "epoch", "queue", "state", "stop")
    return {name: getattr(job, name) for name in names} | {"start_by": job.start_by != ""}
