"""The event recorder: series, budgets, a short queue; time passes when the test says so, requests end in a recorder."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from fluid_operator.kube.errors import Forbidden, NotFound, TooManyRequests, Unreachable
from fluid_operator.kube.events import (
    NOTE_LIMIT,
    EventRecorder,
    EventSettings,
    Happening,
    Regarding,
    cut_bytes,
    event_body,
    event_name,
)
from fluid_operator.kube.keys import ObjectKey
from support.waiting import auntil

START = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)


def happening(name="mail-1", namespace="team-a", **fields):
    values = {"type": "Warning", "reason": "Retrying", "action": "Retry", "note": "SMTPError: refused"} | fields
    regarding = Regarding("jobs.fluidcalendar.com/v1alpha1", "FluidJob", ObjectKey(namespace, name), f"uid-of-{name}")
    return Happening(regarding, **values)


class Door:
    """Where requests to the API server would go through: keeps what was written, and fails when told to."""

    def __init__(self):
        self.created, self.patched, self.errors = [], [], []
        self.closed = asyncio.Event()
        self.closed.set()

    async def create(self, resource, body):
        await self.closed.wait()
        self._fail()
        self.created.append(body)
        return body

    async def patch(self, resource, key, body):
        await self.closed.wait()
        self._fail()
        self.patched.append((key, body["series"]))
        return body

    def _fail(self):
        if self.errors:
            raise self.errors.pop(0)


class Scene:
    """A recorder with a clock of its own."""

    def __init__(self, **settings):
        self.now = 1000.0
        self.door = Door()
        self.lost = Counter()
        self.written = 0
        self.recorder = EventRecorder(
            self.door,
            "replica-1",
            self,
            settings=EventSettings(**{"series_seconds": 0.01} | settings),
            clock=lambda: self.now,
            now=lambda: START + timedelta(seconds=self.now - 1000),
        )
        self.task = asyncio.create_task(self.recorder.run())

    def event_written(self):
        self.written += 1

    def event_lost(self, why):
        self.lost[why] += 1

    async def settled(self, count):
        await auntil(lambda: self.written + self.lost.total() >= count, 10, f"{count} events are dealt with")


@pytest.fixture
async def scenes():
    made = []

    def make(**settings):
        made.append(Scene(**settings))
        return made[-1]

    yield make
    for scene in made:
        assert not scene.task.done(), "the recorder goes on whatever happens"
        scene.task.cancel()
        await asyncio.gather(scene.task, return_exceptions=True)


async def test_an_event_is_written_as_the_api_wants_it(scenes):
    scene = scenes()
    scene.recorder.record(happening())
    await scene.settled(1)
    (body,) = scene.door.created
    assert body["metadata"]["namespace"] == "team-a"
    assert body["metadata"]["name"].startswith("mail-1.")
    assert body["regarding"] == {
        "apiVersion": "jobs.fluidcalendar.com/v1alpha1",
        "kind": "FluidJob",
        "namespace": "team-a",
        "name": "mail-1",
        "uid": "uid-of-mail-1",
    }
    assert body["eventTime"] == "2026-12-01T07:00:00.000000Z"
    assert (body["type"], body["reason"], body["action"]) == ("Warning", "Retrying", "Retry")
    assert body["reportingInstance"] == "replica-1"


async def test_what_repeats_itself_is_one_event_with_a_count(scenes):
    scene = scenes()
    scene.recorder.record(happening())
    await scene.settled(1)
    for second in range(1, 10):
        scene.now = 1000.0 + second
        scene.recorder.record(happening())
    await scene.settled(2)
    assert len(scene.door.created) == 1
    assert scene.door.patched == [
        (
            ObjectKey("team-a", scene.door.created[0]["metadata"]["name"]),
            {"count": 10, "lastObservedTime": "2026-12-01T07:00:09.000000Z"},
        )
    ]


async def test_repetitions_before_the_first_write_are_told_afterwards(scenes):
    scene = scenes()
    scene.door.closed.clear()
    scene.recorder.record(happening())
    scene.recorder.record(happening())  # before the writer had a chance to look
    await asyncio.sleep(0.01)
    scene.recorder.record(happening())  # while it writes
    scene.door.closed.set()
    await scene.settled(2)
    assert [series["count"] for _, series in scene.door.patched] == [3]


async def test_another_note_or_object_is_another_event(scenes):
    scene = scenes()
    scene.recorder.record(happening())
    scene.recorder.record(happening(note="SMTPError: greylisted"))
    scene.recorder.record(happening("mail-2"))
    await scene.settled(3)
    assert len({body["metadata"]["name"] for body in scene.door.created}) == 3


async def test_what_comes_back_after_a_long_silence_is_a_new_event(scenes):
    scene = scenes(forget_seconds=360.0)
    scene.recorder.record(happening())
    await scene.settled(1)
    scene.now += 361
    scene.recorder.record(happening())
    await scene.settled(2)
    assert len({body["metadata"]["name"] for body in scene.door.created}) == 2


async def test_a_series_whose_event_has_expired_begins_anew(scenes):
    scene = scenes()
    scene.recorder.record(happening())
    await scene.settled(1)
    scene.door.errors = [NotFound(404, "NotFound", "", "")]
    scene.now += 60
    scene.recorder.record(happening())
    await scene.settled(2)
    assert [body["eventTime"][11:19] for body in scene.door.created] == ["07:00:00", "07:01:00"]


async def test_a_namespace_in_trouble_uses_up_its_own_budget_only(scenes):
    scene = scenes(namespace_rate=1.0, namespace_burst=5)
    for number in range(100):
        scene.recorder.record(happening(f"mail-{number}", "loud"))
    scene.recorder.record(happening("mail-1", "quiet"))
    await scene.settled(101)
    assert Counter(body["metadata"]["namespace"] for body in scene.door.created) == {"loud": 5, "quiet": 1}
    assert scene.lost == {"budget": 95}
    scene.now += 2
    for number in range(100, 110):
        scene.recorder.record(happening(f"mail-{number}", "loud"))
    await scene.settled(111)
    assert scene.written == 8


async def test_a_namespace_keeps_its_empty_budget_however_many_others_come(scenes):
    scene = scenes(namespace_rate=0.01, namespace_burst=1, burst=1000, queue=1000)
    scene.recorder.record(happening("mail-1", "loud"))
    for number in range(300):
        scene.recorder.record(happening("mail-1", f"team-{number}"))
    scene.recorder.record(happening("mail-2", "loud"))
    assert scene.lost == {"budget": 1}
    await scene.settled(302)


async def test_repetitions_cost_the_namespace_budget_too_and_none_is_forgotten(scenes):
    scene = scenes(namespace_rate=1.0, namespace_burst=1)
    scene.recorder.record(happening())
    await scene.settled(1)
    scene.recorder.record(happening())
    await scene.settled(2)
    assert (scene.written, scene.lost) == (1, {"budget": 1})
    scene.now += 1
    scene.recorder.record(happening())
    await scene.settled(3)
    assert [series["count"] for _, series in scene.door.patched] == [3]


async def test_all_namespaces_together_stay_within_the_rate(scenes):
    scene = scenes(rate=0.001, burst=3)
    for number in range(10):
        scene.recorder.record(happening("mail", f"team-{number}"))
    await scene.settled(3)
    await asyncio.sleep(0.05)  # the fourth would be written by now
    assert scene.written == 3


async def test_a_full_queue_drops_the_oldest_and_recording_never_waits(scenes):
    scene = scenes(queue=2)
    scene.door.closed.clear()
    for number in range(6):
        scene.recorder.record(happening(f"mail-{number}"))
    scene.door.closed.set()
    await scene.settled(6)
    assert [body["regarding"]["name"] for body in scene.door.created] == ["mail-4", "mail-5"]
    assert scene.lost == {"queue": 4}


async def test_it_remembers_a_bounded_number_of_series(scenes):
    scene = scenes(series=2)
    for name in ("mail-1", "mail-2", "mail-3"):
        scene.recorder.record(happening(name))
        await scene.settled(scene.written + 1)
    scene.recorder.record(happening("mail-1"))
    await scene.settled(4)
    assert len(scene.door.created) == 4


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("/apis", "connection refused"),
        Forbidden(403, "Forbidden", "no rule", "/apis"),
        TooManyRequests(429, "TooManyRequests", "slow down", "/apis", retry_after=0.01),
    ],
)
async def test_an_api_server_that_refuses_costs_one_event(scenes, error):
    scene = scenes()
    scene.door.errors = [error]
    scene.recorder.record(happening("mail-1"))
    scene.recorder.record(happening("mail-2"))
    await scene.settled(2)
    assert scene.lost == {"refused": 1}
    assert [body["regarding"]["name"] for body in scene.door.created] == ["mail-2"]


def test_a_note_is_cut_to_what_the_api_server_takes_and_stays_text():
    note = "ä" * 600
    cut = event_body(happening(note=note), START, "replica-1")["note"]
    assert len(cut.encode()) <= NOTE_LIMIT
    assert cut.endswith("ä…")
    assert cut_bytes("short") == "short"


def test_names_are_valid_for_every_object_and_tell_happenings_apart():
    long = event_name(happening("a" * 253), START)
    assert len(long) <= 253
    assert event_name(happening(), START) == event_name(happening(), START)
    assert event_name(happening(), START) != event_name(happening(), START + timedelta(microseconds=1))
    assert event_name(happening(), START) != event_name(happening(reason="Failed"), START)
