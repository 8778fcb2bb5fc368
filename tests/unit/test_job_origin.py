"""Which schedule a FluidJob belongs to and which time it stands for, and until when a schedule needs its name."""

import sys
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.jobs.origin import Origin, locked_time, origin
from fluid_operator.jobs.owners import recorded_until
from fluid_operator.jobs.view import JobView, project
from fluid_operator.timetables.creation import BACKFILL, MANUAL, TIME_ANNOTATION, job_for, job_name, manual_name

TIME = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
AT = TIME.timestamp()
SCHEDULE = {
    "metadata": {"namespace": "team-a", "name": "daily", "uid": "s1"},
    "spec": {"jobTemplate": {"spec": {"type": "email"}}},
}


def made(**more: Any) -> dict[str, Any]:
    """The metadata of a job that the schedule creates for TIME."""
    return job_for(SCHEDULE, TIME, ZoneInfo("Europe/Berlin"), **more)["metadata"]


def seen(meta: dict[str, Any]) -> JobView:
    """As the operator keeps it."""
    return project({"metadata": {**meta, "uid": "u1", "resourceVersion": "10"}, "spec": {"type": "email"}})


# -- where a job comes from -------------------------------------------------------------------------------------------


def test_a_job_that_the_clock_made_is_fired_and_locks_its_time():
    assert origin(made()) == Origin("daily", "s1", by_hand=False, counted=False, scheduled=AT)
    assert seen(made()).fired


def test_a_job_that_was_started_by_hand_locks_no_time():
    meta = made(name=manual_name("daily", TIME), instantiate=MANUAL)
    assert origin(meta) == Origin("daily", "s1", by_hand=True, counted=False, scheduled=0.0)
    assert origin(made(name=manual_name("daily", TIME), instantiate=MANUAL, counted=True)).counted
    assert not seen(meta).fired


def test_a_job_of_a_backfill_is_by_hand_and_locks_its_time():
    assert origin(made(instantiate=BACKFILL)) == Origin("daily", "s1", by_hand=True, counted=False, scheduled=AT)


@pytest.mark.parametrize(
    "changed",
    [
        {"ownerReferences": []},
        {"ownerReferences": [made()["ownerReferences"][0] | {"controller": False}]},
        {"ownerReferences": [made()["ownerReferences"][0] | {"kind": "FluidJob"}]},
        {"ownerReferences": [made()["ownerReferences"][0] | {"apiVersion": "example.org/v1"}]},
    ],
    ids=["orphaned", "not its controller", "another kind", "another group"],
)
def test_a_job_that_no_schedule_controls_belongs_to_none_whatever_its_name_and_marks(changed):
    assert origin(made() | changed) == Origin()
    assert not seen(made() | changed).fired


def test_a_later_version_of_our_group_is_still_ours():
    owner = made()["ownerReferences"][0] | {"apiVersion": "jobs.fluidcalendar.com/v1"}
    assert origin(made() | {"ownerReferences": [owner]}).schedule == "daily"


def test_an_annotation_that_somebody_has_changed_does_not_open_the_lock():
    assert origin(made() | {"annotations": {TIME_ANNOTATION: "1999-01-01T00:00:00Z"}}).scheduled == AT
    assert origin(made() | {"annotations": {}}).scheduled == AT


def test_jobs_of_one_schedule_share_their_strings():
    one, other = (seen({**made(), "ownerReferences": [dict(made()["ownerReferences"][0])]}) for _ in range(2))
    assert one.schedule is other.schedule is sys.intern("daily")
    assert one.schedule_uid is other.schedule_uid is sys.intern("s1")


@pytest.mark.parametrize(
    "name",
    ["daily", "daily-", "daily-a.b", "weekly-h51x6", "daily-0h51x6", "daily--h51x6", "daily-zzzzzzzzzzzzzzzz", "h51x6"],
)
def test_a_name_that_no_time_has_locks_none(name):
    assert locked_time("daily", name) == 0.0


schedules = st.from_regex(r"[a-z0-9]([-.a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)
# The bounds must have no zone: hypothesis adds it.
times = st.datetimes(datetime(2020, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda time: time.replace(second=0, microsecond=0)
)


@given(schedules, times)
def test_the_time_is_read_back_from_the_name_of_every_schedule(schedule, time):
    assert locked_time(schedule, job_name(schedule, time)) == time.timestamp()
    assert locked_time(schedule, manual_name(schedule, time)) == 0.0


# -- until when its name is needed ------------------------------------------------------------------------------------

BEFORE, LATER = "2026-11-24T07:29:59Z", "2026-11-24T07:30:01Z"


@pytest.mark.parametrize(
    ("status", "released"),
    [
        ({}, False),
        ({"lastScheduleTime": BEFORE}, False),
        ({"lastScheduleTime": "2026-11-24T07:30:00Z"}, True),
        ({"lastScheduleTime": "2026-11-24T08:30:00+01:00"}, True),
        ({"lastScheduleTime": BEFORE, "notBefore": "2026-11-24T07:30:00Z"}, False),
        ({"lastScheduleTime": BEFORE, "notBefore": LATER}, True),
        ({"lastScheduleTime": LATER, "notBefore": BEFORE}, True),
        ({"notBefore": LATER, "waitingTime": "2026-11-24T07:30:00Z"}, False),
        ({"notBefore": LATER, "waitingTime": "2026-11-24T07:31:00Z"}, True),
    ],
    ids=[
        "nothing is recorded",
        "an earlier time is",
        "this very time is",
        "in another zone",
        "the first time that may be made up",
        "too old to be made up",
        "a later time is recorded",
        "its job waits and will be created",
        "the job of a later time waits",
    ],
)
def test_a_schedule_needs_a_name_until_its_status_rules_out_that_the_time_fires_again(status, released):
    assert (recorded_until(status) >= AT) is released
