"""Which times a backfill goes through, and what it refuses before it asks the API server anything."""

from datetime import UTC, datetime, timedelta

import pytest

from fluid_operator.timetables.errors import BadRange, CronError, PlaceholderError, TooManyTimes, UnknownTimeZone
from fluid_operator.timetables.manual import LIMIT, MOST, plan, timetable_of, zone_of

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def schedule(expression="0 7 * * *", *, payload=None, **spec):
    return {
        "metadata": {"namespace": "team", "name": "nightly", "uid": "u-1"},
        "spec": {
            "schedule": expression,
            "timeZone": "Europe/Berlin",
            "jobTemplate": {"spec": {"type": "email", "payload": payload or {}}},
            **spec,
        },
    }


def times(raw, first, last, **limit):
    return [time.isoformat() for time in plan(raw, first, last, now=NOW, **limit).times]


def test_both_ends_belong_to_the_range():
    seven = datetime(2026, 11, 20, 6, tzinfo=UTC)
    assert times(schedule(), seven, seven + 2 * DAY) == [
        "2026-11-20T06:00:00+00:00",
        "2026-11-21T06:00:00+00:00",
        "2026-11-22T06:00:00+00:00",
    ]
    assert times(schedule(), seven, seven) == ["2026-11-20T06:00:00+00:00"]
    assert times(schedule(), seven + timedelta(seconds=1), seven + DAY - timedelta(seconds=1)) == []


def test_the_times_are_those_of_the_zone_across_a_change_of_the_clock():
    assert times(schedule(), datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC)) == [
        "2026-10-24T05:00:00+00:00",
        "2026-10-25T06:00:00+00:00",
    ]


def test_several_expressions_are_one_row_of_times():
    raw = schedule(None, schedules=["0 7 * * *", "30 7 * * *", "0 7 * * *"])
    first = datetime(2026, 11, 20, tzinfo=UTC)
    assert times(raw, first, first + DAY) == ["2026-11-20T06:00:00+00:00", "2026-11-20T06:30:00+00:00"]


def test_the_plan_names_what_it_is_for():
    planned = plan(schedule(), NOW - DAY, NOW, now=NOW)
    assert (planned.name, planned.namespace, planned.zone.key) == ("nightly", "team", "Europe/Berlin")


def test_without_a_zone_it_is_utc():
    assert zone_of(schedule(timeZone=None)).key == "UTC"


def test_h_stands_for_a_time_of_its_own_for_each_namespace_and_name():
    resolved = set()
    for number in range(5):
        raw = schedule("H H * * *")
        raw["metadata"]["name"] = f"nightly-{number}"
        resolved.add(timetable_of(raw).resolved)
    assert len(resolved) > 1
    assert not any("H" in each for each in resolved)


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (NOW, NOW - DAY, "ends before it begins"),
        (NOW, NOW + timedelta(seconds=1), "in the future"),
        (datetime(1969, 12, 31, tzinfo=UTC), NOW, "before 1970"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(first, last, says):
    with pytest.raises(BadRange, match=says) as raised:
        plan(schedule(), first, last, now=NOW)
    assert (raised.value.first, raised.value.last) == (first, last)


def test_more_than_a_thousand_times_must_be_asked_for():
    begun = NOW - timedelta(minutes=LIMIT)
    with pytest.raises(TooManyTimes) as raised:
        plan(schedule("* * * * *"), begun, NOW, now=NOW)
    assert (raised.value.count, raised.value.limit) == (LIMIT + 1, LIMIT)
    assert len(plan(schedule("* * * * *"), begun, NOW, now=NOW, limit=LIMIT + 1).times) == LIMIT + 1


def test_nobody_can_ask_for_more_than_the_most():
    with pytest.raises(TooManyTimes) as raised:
        plan(schedule("* * * * *"), NOW - 60 * DAY, NOW, now=NOW, limit=1_000_000)
    assert (raised.value.count, raised.value.limit) == (MOST + 1, MOST)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (schedule("61 * * * *"), CronError),
        (schedule(timeZone="Europe/Berlni"), UnknownTimeZone),
        (schedule(payload={"to": "{{ dat }}"}), PlaceholderError),
    ],
)
def test_a_schedule_that_cannot_be_used_is_refused_before_anything_is_created(raw, error):
    with pytest.raises(error):
        plan(raw, NOW - DAY, NOW, now=NOW)
