"""A timetable that remembers answers as one that does not, whatever it was asked before, and asks it less often."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.schedules.ahead import Ahead
from fluid_operator.timetables.cron import Timetable

START = datetime(2026, 3, 28, tzinfo=UTC)
"""The day before the clocks of Berlin are put forward."""

TIMETABLES = [
    Timetable.of(expressions, zone, seed="a/b")
    for expressions, zone in (
        (["*/5 * * * *"], None),
        (["30 2 * * *"], "Europe/Berlin"),
        (["0 * * * *", "30 12 * * 1-5"], "Australia/Lord_Howe"),
        (["0 0 29 2 *"], "America/New_York"),
    )
]

MOMENTS = st.integers(0, 3 * 24 * 3600 * 2).map(lambda halves: START + timedelta(seconds=halves / 2))
QUESTIONS = st.one_of(
    st.tuples(st.just("after"), MOMENTS),
    st.tuples(st.just("upcoming"), MOMENTS, st.integers(1, 12)),
    st.tuples(st.just("latest"), MOMENTS, MOMENTS),
    st.tuples(st.just("count"), MOMENTS, MOMENTS),
)


class Counted:
    """A timetable that counts what it is asked."""

    def __init__(self, timetable):
        self._timetable = timetable
        self.asked = []

    def upcoming(self, moment, count):
        self.asked.append(count)
        return self._timetable.upcoming(moment, count)

    def latest(self, after, until):
        self.asked.append("latest")
        return self._timetable.latest(after, until)


def ask(timetable, question):
    verb, *arguments = question
    return getattr(timetable, verb)(*arguments)


@given(timetable=st.sampled_from(TIMETABLES), questions=st.lists(QUESTIONS, max_size=12))
def test_the_answers_do_not_depend_on_what_was_asked_before(timetable, questions):
    ahead = Ahead(timetable)
    assert [ask(ahead, each) for each in questions] == [ask(timetable, each) for each in questions]


@pytest.mark.parametrize("timetable", TIMETABLES[:2])
def test_from_one_time_to_the_next_a_single_new_time_is_worked_out(timetable):
    counted = Counted(timetable)
    ahead, cursor = Ahead(counted), START
    ahead.upcoming(cursor, 6)
    for _ in range(20):
        due = ahead.after(cursor)
        assert ahead.latest(cursor, due) == due
        for _look in range(3):
            assert len(ahead.upcoming(due, 5)) == 5
        cursor = due
    assert counted.asked == [6] + 19 * [1]


def test_after_the_last_time_there_is_none():
    class Once(Counted):
        def upcoming(self, moment, count):
            return [START] if moment < START else []

    ahead = Ahead(Once(TIMETABLES[0]))
    assert ahead.upcoming(START - timedelta(days=1), 5) == [START]
    assert ahead.after(START) is None
    assert ahead.upcoming(START, 5) == []
