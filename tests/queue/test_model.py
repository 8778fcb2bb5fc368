"""The queue against its model: whatever producers, workers, operators and time do to it, in whatever order, every
answer and every record is what plain Python predicts, and the key space is sound after each step.

The usual run draws the same steps each time; FLUID_MODEL_EXAMPLES=2000 draws others, and more of them. A failure tells
its steps. Examples are not shrunk: Redis has the only clock, so a repetition may go another way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from fluid_queue import Ending, LeaderFenced, NewJob, Parent, QueueSettings, Settings
from support.queue_chances import (
    COMMON,
    DEEDS,
    HOUR,
    KINDS,
    QUEUES,
    SELECTORS,
    SHARES,
    deed,
    endings,
    index_jobs,
    keys,
    most_failed,
    parallelisms,
    picks,
    plain_jobs,
    priorities,
    queue_settings,
    queues,
    targets,
)
from support.queue_moves import Job
from support.queue_watch import Watch, World

USUAL = 150
EXAMPLES = int(os.environ.get("FLUID_MODEL_EXAMPLES", USUAL))

LASTING = {
    *("meta", "leaders", "workers", "worker", "control", "selectors", "wake", "events", "settings", "seq", "counts"),
    *("queues", "gates", "busy", "paused", "served", "histogram", "rounds", "lanes", "rate", "creation", "circuit"),
    *("limits", "completed", "failed", "cancelled", "tombstones", "deduplication"),
}
"""What a key space may hold when all jobs have gone: nothing whose number grows with that of the jobs."""


@pytest.fixture
def world(redis_server) -> Iterator[World]:
    address, _, _ = redis_server.url.rpartition("/")
    opened = World(f"{address}/5")  # a database of its own, so that one look at all keys is a look at this key space
    yield opened
    opened.close()


class QueueMachine(Watch):
    """Producers, workers, operators and time, one step after the other."""

    @initialize()
    def open(self) -> None:
        self.world.run(self.queue.open())
        self.check()

    # -- producers ----------------------------------------------------------------------------------------------------

    def enqueue(self, jobs: Sequence[NewJob]) -> None:
        answers = self.world.run(self.queue.enqueue(jobs))
        told = [f"{a.code} {a.state if a.code == 'exists' else a.first}".strip() for a in answers]
        self.coded(told, [self.model.enqueue(job) for job in jobs])

    @deed(10, jobs=st.lists(plain_jobs, min_size=1, max_size=4))
    def enqueue_jobs(self, jobs: list[NewJob]) -> None:
        self.enqueue(jobs)

    @deed(3, job=index_jobs)
    def enqueue_index_job(self, job: NewJob) -> None:
        self.enqueue([job])

    @deed(5, pick=picks, suffix=st.sampled_from(["x", "y"]), fields=st.fixed_dictionaries(COMMON))
    def enqueue_child(self, pick: int, suffix: str, fields: dict[str, Any]) -> None:
        if not self.attempts:
            return
        _, parent, epoch = self.attempts[-1 - pick % len(self.attempts)]
        child, origin = f"{parent}/{suffix}", {"kind": "Child"}
        if child in self.model.graves and child not in self.model.jobs:
            self.reborn.add(
                child
            )  # of which only the tombstone is left, and a new attempt of its parent may ask for it
        self.enqueue([NewJob(id=child, parent=Parent(parent, epoch), origin=origin, **fields)])

    # -- workers ------------------------------------------------------------------------------------------------------

    @deed(16, worker=st.sampled_from(sorted(SELECTORS)), n=st.integers(0, 4), suspects=st.sampled_from([1000, 1000, 0]))
    def claim(self, worker: str, n: int, suspects: int) -> None:
        selector = ",".join(SELECTORS[worker])
        covers = None if selector == "*" else SELECTORS[worker]
        if n:
            self.world.server.lpop(f"{self.world.prefix}wake:{selector}")
        claim = self.world.run(self.queue.claim(worker, SELECTORS[worker], n, HOUR, suspects=suspects))
        assert len(claim.jobs) <= n
        self.model.pass_time(covers)
        self.meet_overdue(covers)
        for got in claim.jobs:
            assert covers is None or got.queue in covers
            assert suspects or got.stalls < 2
            assert not (wrong := self.model.claim(got.id, got.epoch)), wrong
            self.attempts.append((worker, got.id, got.epoch))
        self.look_at_fairness(worker, claim.jobs, n, suspects)
        if n > 0 and suspects and len(claim.jobs) < n:
            self.asleep.add(selector)
        self.check()

    def meet_overdue(self, covers: Sequence[str] | None) -> None:
        """Which jobs past their deadline a claim comes across depends on its way through the queues; those it met have
        failed."""
        now = self.world.look()
        for job in list(self.model.jobs.values()):
            if job.overdue and job.state == "ready" and now.records[job.id].get("reason") == "DeadlineExceeded":
                assert covers is None or job.queue in covers
                self.model.fail_overdue(job.id)

    def look_at_fairness(self, worker: str, got: Sequence[Any], n: int, suspects: int) -> None:
        """Nothing that could run was left although there was room; and nothing was left for something that comes after
        it."""
        now = self.world.look()
        covers = None if SELECTORS[worker] == ("*",) else SELECTORS[worker]
        left = [job for job in self.claimable(covers) if suspects or job.stalls < 2]
        assert not left or len(got) >= n, f"{[job.id for job in left]} were left behind"
        for job in left:
            for taken in got:
                theirs = now.records.get(taken.id, {})
                if taken.queue == job.queue and job.queue not in self.once_fair and "index" not in theirs:
                    assert _rank(theirs) < _rank(now.records[job.id]), f"{taken.id} was preferred to {job.id}"

    @deed(12, words=st.lists(st.tuples(picks, endings, st.sampled_from(KINDS)), min_size=1, max_size=3))
    def finish(self, words: Sequence[tuple[int, Ending, str]]) -> None:
        if not self.attempts:
            return
        told, predicted = [], []
        for pick, ending, kind in words:
            _, job_id, epoch = self.attempts[-1 - pick % len(self.attempts)]
            error = (
                orjson.dumps({"type": kind, "message": "it broke"}) if ending.outcome in ("failed", "retry") else b""
            )
            told.append(
                (
                    job_id,
                    epoch,
                    Ending(ending.outcome, ending.reason, ending.delay_seconds, ending.result, error, ending.scope),
                )
            )
            predicted.append(self.model.finish(job_id, epoch, ending, kind))
        self.coded(self.world.run(self.queue.finish(told)), predicted)

    @deed(1, pick=picks)
    def renew(self, pick: int) -> None:
        if not self.attempts:
            return
        worker, _, _ = self.attempts[-1 - pick % len(self.attempts)]
        held = {job_id: epoch for name, job_id, epoch in self.attempts if name == worker}
        words = [word for lease in held.items() for word in lease]
        lost, stop, _ = self.world.run(self.queue._run("renew", worker, HOUR * 1000, *words))
        predicted = {job_id: self.model.renew(job_id, epoch) for job_id, epoch in held.items()}
        assert {name.decode() for name in lost} == {name for name, word in predicted.items() if word == "lost"}
        assert {name.decode() for name in stop} == {name for name, word in predicted.items() if word == "stop"}
        self.check()

    @deed(1, pick=picks, line=st.booleans())
    def report(self, pick: int, line: bool) -> None:
        if not self.attempts:
            return
        _, job_id, epoch = self.attempts[-1 - pick % len(self.attempts)]
        job = self.model.jobs.get(job_id)
        predicted = "gone" if job is None else "done" if (job.state, job.epoch) == ("active", epoch) else "stale"
        queue = self.queue
        answer = queue.log(job_id, epoch, ["a line"]) if line else queue.progress(job_id, epoch, 50)
        self.coded([self.world.run(answer)], [predicted])

    # -- operators and people -----------------------------------------------------------------------------------------

    @deed(2, wanted=targets, leader=st.booleans())
    def cancel(self, wanted: list[int], leader: bool) -> None:
        names = self.named(wanted)
        answers = self.world.run(self.queue.cancel(names, leader=self.leaders[-1] if leader else ""))
        self.coded(answers, self.model.cancel(names))

    @deed(1, wanted=targets)
    def withdraw(self, wanted: list[int]) -> None:
        names = self.named(wanted)
        answers = self.world.run(self.queue.withdraw(names))
        self.coded(answers, self.model.cancel(names, withdraw=True))

    @deed(5, wanted=targets, command=st.sampled_from(["suspend", "resume", "promote", "retry", "acknowledge"]))
    def command(self, wanted: list[int], command: str) -> None:
        names = self.named(wanted)
        answers = self.world.run(getattr(self.queue, command)(names))
        self.coded(answers, [getattr(self.model, command)(job_id) for job_id in names])

    @deed(1, wanted=targets, priority=priorities)
    def reprioritize(self, wanted: list[int], priority: int) -> None:
        names = self.named(wanted)
        answers = self.world.run(self.queue.reprioritize(names, priority))
        self.coded(answers, [self.model.reprioritize(job_id, priority) for job_id in names])

    @deed(1, wanted=targets, parallelism=st.none() | parallelisms, max_failed=st.just(...) | most_failed)
    def resize(self, wanted: list[int], parallelism: int | None, max_failed: Any) -> None:
        names = self.named(wanted)
        answers = self.world.run(self.queue.resize(names, parallelism=parallelism, max_failed=max_failed))
        self.coded(answers, [self.model.resize(job_id, parallelism, max_failed) for job_id in names])

    @deed(1, queue=queues, further=st.lists(st.sampled_from(["delayed", "suspended"]), unique=True))
    def drain(self, queue: str, further: list[str]) -> None:
        states: list[Any] = ["waiting", "blocked", *further]

        async def drained() -> int:
            return sum([n async for n in self.queue.drain(queue, states=states)])

        ended = self.model.drain(queue, states)
        assert self.world.run(drained()) == ended
        self.check()

    @deed(1, queue=queues, pause=st.sampled_from([False, False, True]))
    def pause(self, queue: str, pause: bool) -> None:
        news = self.world.run(self.queue.pause(queue) if pause else self.queue.unpause(queue))
        assert news == ((queue in self.model.paused) != pause)
        self.model.paused = self.model.paused | {queue} if pause else self.model.paused - {queue}
        self.check()

    @deed(1, queue=queues, key=keys, seconds=st.sampled_from([0, 0, HOUR]))
    def limit(self, queue: str, key: str, seconds: float) -> None:
        until = self.world.run(self.queue.limit(queue, seconds, key=key))
        scope = {f"key:{queue}:{key}" if key else f"queue:{queue}"}
        self.model.limits = self.model.limits | scope if seconds else self.model.limits - scope
        assert bool(until) == bool(seconds)
        self.check()

    @deed(1, suspend=st.sampled_from([False] * 5 + [True]), queues=st.dictionaries(queues, queue_settings))
    def configure(self, suspend: bool, queues: dict[str, QueueSettings]) -> None:
        wanted = Settings(suspend, queues)
        self.once_fair |= {queue for queue, found in queues.items() if found.fairness}
        before, _ = self.world.run(self.queue.settings())
        version = self.world.run(self.queue.configure(wanted))
        assert version == before + (wanted != self.model.settings or before == 0)
        self.model.settings = wanted
        assert self.world.run(self.queue.settings()) == (version, wanted)
        self.check()

    @deed(1)
    def lead(self) -> None:
        self.leaders.append(self.world.run(self.queue.lead(0, "me")))
        self.check()

    @deed(
        1, wanted=targets, command=st.sampled_from(["cancel", "suspend", "resume", "promote", "retry", "acknowledge"])
    )
    def speak_as_an_old_leader(self, wanted: list[int], command: str) -> None:
        if len(self.leaders) < 3:
            return
        names = self.named(wanted)
        with pytest.raises(LeaderFenced):
            self.world.run(getattr(self.queue, command)(names, leader=self.leaders[-2]))
        self.check()

    # -- time ---------------------------------------------------------------------------------------------------------

    @deed(2, worker=st.sampled_from(sorted(SELECTORS)))
    def worker_dies(self, worker: str) -> None:
        for job in self.model.jobs.values():
            if job.state == "active" and self.now.records[job.id]["worker"] == worker:
                self.world.time.lease_runs_out(job.id)
                job.expired = True
        self.time_has_passed()

    @deed(1, pick=picks)
    def deadline_passes(self, pick: int) -> None:
        if not (jobs := [job for job in self.model.jobs.values() if job.has_deadline]):
            return
        job = jobs[pick % len(jobs)]
        if job.state == "waiting-children" and job.id in self.now.get("leases"):
            self.world.time.lease_runs_out(job.id)
            job.expired = True
        elif job.state in ("ready", "delayed") and job.started and not job.completions:
            self.world.time.deadline_passes(job.id)
            job.overdue = True
        self.time_has_passed()

    @deed(2, pick=picks)
    def start_is_missed(self, pick: int) -> None:
        if not (jobs := [job for job in self.model.jobs.values() if job.start_by and not job.ended]):
            return
        job = jobs[pick % len(jobs)]
        self.world.time.start_is_missed(job.id)
        job.start_by = "passed"
        self.time_has_passed()

    @deed(1, queue=queues)
    def delays_are_over(self, queue: str) -> None:
        for job in self.model.jobs.values():
            if job.queue == queue and job.later and job.state in ("delayed", "suspended"):
                self.world.time.falls_due(job.id, queue)
                job.due = True
        self.time_has_passed()

    @deed(2, queue=queues)
    def limits_are_over(self, queue: str) -> None:
        self.world.time.windows_pass(queue)
        self.world.time.limits_end(self.now)
        self.world.time.probe_is_due(queue)
        self.model.starts[queue] = 0
        self.model.creations.pop(queue, None)
        self.model.limits.clear()
        if queue in self.model.circuits:
            self.model.circuits[queue].probe_due = True
        self.time_has_passed()

    @deed(2, pick=picks, forgotten=st.booleans())
    def record_expires(self, pick: int, forgotten: bool) -> None:
        if not (graves := sorted(self.model.graves)):
            return
        job_id = graves[pick % len(graves)]
        if f"job:{job_id}" in self.now.expiring:
            self.world.time.expires(self.now, *(name for name in self.now.kinds if name.partition(":")[2] == job_id))
            self.model.expire(job_id)
        if forgotten and job_id in self.model.graves and job_id not in self.model.jobs:
            self.world.time.tombstone_goes(job_id)
            del self.model.graves[job_id]
            self.reborn.add(job_id)
        self.check()

    @deed(1, key=st.sampled_from(["twin1", "twin2"]))
    def deduplication_expires(self, key: str) -> None:
        name = f"deduplication:{key}"
        if name in self.now.expiring:
            self.world.time.expires(self.now, name)
            del self.model.twins[key]
        self.check()

    def time_has_passed(self) -> None:
        """Whoever sleeps knows until when, and may wake without a marker."""
        self.asleep.clear()
        self.check()

    # -- the end ------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Every job comes to its end when nothing holds it back, and when the records have gone nothing is left of
        them."""
        if not self.sound:
            return
        self.configure(suspend=False, queues={})
        for queue in QUEUES:
            self.pause(queue, pause=False)
            self.limits_are_over(queue)
        for _ in range(200):
            live = [job for job in self.model.jobs.values() if not job.ended]
            if not live:
                break
            self.hurry(live)
        assert not live, f"{[job.id for job in live]} never came to an end"
        self.let_everything_go()

    def hurry(self, live: Sequence[Job]) -> None:
        """A round of work: what is held goes on, and whatever a worker can get succeeds."""
        held = [job.id for job in live if job.state == "suspended" or job.stop == "suspend"]
        self.coded(self.world.run(self.queue.resume(held)), [self.model.resume(job_id) for job_id in held])
        for queue in QUEUES:
            self.delays_are_over(queue)
        self.claim("w1", 50, 1000)
        done = Ending("completed", "Completed")
        active = [(job.id, job.epoch, done) for job in self.model.jobs.values() if job.state == "active"]
        self.coded(self.world.run(self.queue.finish(active)), [self.model.finish(*words) for words in active])

    def let_everything_go(self) -> None:
        ended = sorted(self.model.jobs)
        self.coded(self.world.run(self.queue.acknowledge(ended)), [self.model.acknowledge(job_id) for job_id in ended])
        assert all(f"job:{job_id}" in self.now.expiring for job_id in ended)
        self.world.time.expires(self.now, *self.now.kinds)
        left = {name.partition(":")[0] for name in self.world.look().kinds}
        assert left <= LASTING, f"left are {sorted(left - LASTING)}"

    @rule(chosen=st.sampled_from(SHARES).flatmap(lambda name: st.tuples(st.just(name), DEEDS[name])))
    def step(self, chosen: tuple[str, dict[str, Any]]) -> None:
        name, arguments = chosen
        self.history.append(f"self.{name}(**{arguments})")
        self.sound = False
        try:
            getattr(self, name)(**arguments)
        except BaseException as error:
            # The clock of Redis decides which of two queues comes first: a repetition may go another way, so this
            # one is told.
            error.add_note("\n".join(self.history))
            raise
        self.sound = True


def _rank(record: Any) -> tuple[int, int]:
    return -int(record["priority"]), int(record["seq"])


@pytest.mark.timeout(60 + EXAMPLES)
def test_the_queue_does_what_its_model_says(world):
    run_state_machine_as_test(
        lambda: QueueMachine(world),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=60,
            deadline=None,
            derandomize=EXAMPLES == USUAL,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
