"""What is due, by the clock and the cursor alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.schedules.course import ON_TIME, Course, begun, due, jitter

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Every:
    """A time each so many minutes, from START on."""

    def __init__(self, minutes: int) -> None:
        self.step = timedelta(minutes=minutes)

    def after(self, moment: datetime) -> datetime | None:
        if moment < START:
            return START
        return START + ((moment - START) // self.step + 1) * self.step

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        if until < START:
            return None
        found = START + ((until - START) // self.step) * self.step
        return found if found > after else None

    def count(self, after: datetime, until: datetime) -> int:
        first = self.after(after)
        assert first is not None
        return max(0, (until - first) // self.step + 1)


class Never(Every):
    def after(self, moment: datetime) -> datetime | None:
        return None


def none(time: datetime) -> timedelta:
    return timedelta()


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


FRESH = Course(not_before=START - MINUTE)


def test_before_its_time_nothing_is_due_and_the_time_is_told():
    found = due(Every(10), FRESH, at(-0.5), HOUR, none)
    assert (found.time, found.until, found.missed, found.wake) == (None, None, 0, START)


def test_at_its_time_it_is_due_and_the_next_one_is_told():
    found = due(Every(10), FRESH, at(0), HOUR, none)
    assert (found.time, found.missed, found.wake) == (START, 0, at(10))


def test_what_has_fired_is_not_due_again():
    found = due(Every(10), FRESH.fired(START), at(9), HOUR, none)
    assert (found.time, found.wake) == (None, at(10))


def test_after_an_outage_the_latest_is_due_and_the_others_are_missed():
    found = due(Every(10), FRESH, at(35), HOUR, none)
    assert (found.time, found.missed, found.wake) == (at(30), 3, at(40))


def test_what_is_older_than_the_window_is_missed():
    found = due(Every(120), FRESH, at(61), HOUR, none)
    assert (found.time, found.until, found.missed, found.wake) == (None, START, 1, at(120))


def test_a_window_of_nothing_still_lets_a_job_be_created_in_time():
    window = timedelta()
    assert due(Every(10), FRESH, START + ON_TIME, window, none).time == START
    assert due(Every(10), FRESH, START + ON_TIME + timedelta(seconds=1), window, none).time is None


def test_a_schedule_that_names_no_time_to_come_is_never_woken():
    assert due(Never(1), FRESH, at(0), HOUR, none).wake is None


def test_jitter_moves_the_moment_but_not_the_time():
    late = lambda time: timedelta(seconds=30)  # noqa: E731 - a value for one argument
    before = due(Every(10), FRESH, at(0.4), HOUR, late)
    assert (before.time, before.wake) == (None, at(0.5))
    found = due(Every(10), FRESH, at(0.5), HOUR, late)
    assert (found.time, found.ripe, found.wake) == (START, at(0.5), at(10.5))


def test_while_the_jitter_of_the_latest_runs_the_one_before_it_is_due():
    late = lambda time: timedelta(minutes=5) if time == at(20) else timedelta()  # noqa: E731 - as above
    found = due(Every(10), FRESH, at(22), HOUR, late)
    assert (found.time, found.missed, found.wake) == (at(10), 1, at(25))


def test_a_clock_that_went_back_fires_nothing_again():
    fired = FRESH.fired(at(30))
    found = due(Every(10), fired, at(5), HOUR, none)
    assert (found.time, found.missed, found.wake) == (None, 0, at(40))


def test_resumed_it_forgets_the_past():
    resumed = FRESH.afresh(at(35))
    assert due(Every(10), resumed, at(39), HOUR, none).time is None
    assert due(Every(10), resumed, at(40), HOUR, none).time == at(40)


def test_a_time_that_begins_with_the_second_of_the_resumption_counts_as_past():
    assert due(Every(10), FRESH.afresh(at(30)), at(30), HOUR, none).time is None


def test_a_new_schedule_begins_after_the_second_of_its_creation():
    assert due(Every(10), begun(START), at(5), HOUR, none).time is None
    assert due(Every(10), begun(START - timedelta(seconds=1)), at(5), HOUR, none).time == START


def test_only_one_job_waits_and_the_one_before_is_missed():
    waiting = FRESH.waits(at(0)).waits(at(10))
    assert (waiting.waiting, waiting.missed) == (at(10), 1)
    assert due(Every(10), waiting, at(19), HOUR, none).time is None


def test_the_job_that_waited_moves_the_last_time_only_forward():
    course = FRESH.waits(at(0)).fired(at(10)).fired(at(0))
    assert (course.last, course.waiting) == (at(10), None)


def test_what_waits_is_missed_when_it_is_put_off():
    course = FRESH.waits(at(0)).put_off()
    assert (course.waiting, course.missed) == (None, 1)
    assert course.put_off() == course


@given(
    looks=st.lists(st.integers(0, 5000), min_size=1, max_size=30).map(sorted),
    step=st.integers(1, 90),
    window=st.integers(0, 7200),
)
def test_every_time_is_either_fired_once_or_missed_once(looks, step, window):
    course, times, fired = FRESH, Every(step), []
    for minute in looks:
        found = due(times, course, at(minute), timedelta(seconds=window), none)
        if found.missed:
            assert found.until is not None
            before = found.until if found.time is None else found.time - MINUTE
            course = course.dealt_with(before, missed=found.missed)
        if found.time is not None:
            fired.append(found.time)
            course = course.fired(found.time)
        again = due(times, course, at(minute), timedelta(seconds=window), none)
        assert (again.time, again.missed) == (None, 0), "a look that is repeated finds nothing to do"
    assert len(fired) == len(set(fired))
    assert len(fired) + course.missed == times.count(START - MINUTE, at(looks[-1]))


@pytest.mark.parametrize("seconds", [0, 1, 30, 3600])
def test_jitter_is_the_same_for_all_who_ask_and_ends_before_the_next_time(seconds):
    delays = [jitter("uid", at(n), seconds, at(n + 1)) for n in range(200)]
    assert delays == [jitter("uid", at(n), seconds, at(n + 1)) for n in range(200)]
    assert all(timedelta() <= each <= timedelta(seconds=min(seconds, 59)) for each in delays)
    assert seconds == 0 or len(set(delays)) > 100


def test_jitter_differs_between_schedules():
    assert jitter("one", START, 600, None) != jitter("another", START, 600, None)
