"""Expressions whose every local time is one that the clock leaves out."""

from datetime import UTC, datetime, timedelta

import pytest

from fluid_operator.timetables.cron import Timetable

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SINCE = datetime(2007, 1, 1, tzinfo=UTC)
"""New York has put its clocks forward on the second Sunday of March since then; before, these times did come."""

NEVER = {
    "the last Sunday of March in Berlin": ("* 2 31 3 */7", "Europe/Berlin"),
    "the second Sunday of March in New York": ("*/30 2 8 3 */7", "America/New_York"),
}


@pytest.fixture(params=NEVER.values(), ids=NEVER.keys())
def never(request):
    """An expression and a zone in which it never comes."""
    return request.param


def test_a_time_that_the_clock_always_leaves_out_never_comes_and_never_came(never):
    expression, zone = never
    timetable = Timetable.of([expression], zone, seed="a/b")
    assert timetable.after(NOW) is None
    assert timetable.latest(SINCE, NOW) is None
    assert timetable.upcoming(NOW, 5) == []
    assert timetable.count(SINCE, NOW) == 0


def test_an_expression_that_never_comes_holds_up_no_other_of_the_same_timetable(never):
    expression, zone = never
    both = Timetable.of([expression, "0 12 * * *"], zone, seed="a/b")
    alone = Timetable.of(["0 12 * * *"], zone, seed="a/b")
    assert both.upcoming(NOW, 5) == alone.upcoming(NOW, 5)
    assert both.latest(NOW - timedelta(days=2), NOW) == alone.latest(NOW - timedelta(days=2), NOW)


def test_the_same_expression_comes_where_the_clock_is_not_changed():
    timetable = Timetable.of(["* 2 31 3 */7"], None, seed="a/b")
    assert timetable.after(NOW) == datetime(2030, 3, 31, 2, tzinfo=UTC)
