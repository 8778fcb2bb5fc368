"""What holds for every expression, in every zone, also on the days on which clocks are changed: compared with an oracle
that looks at the clock minute by minute.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from fluid_operator.timetables.cron import Timetable
from fluid_operator.timetables.zones import LONGEST_STEP_BACK, offset_at, stretches, zone_named
from support.cron_oracle import MINUTE, Expression, Field, times

SECOND = timedelta(seconds=1)

# Some moments, in UTC, at which clocks were or will be put forward, then back.
CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("America/Sao_Paulo", "2018-11-04T03:00"),
    ("America/Sao_Paulo", "2018-02-18T02:00"),
    ("Asia/Kathmandu", "1985-12-31T18:30"),
    ("Africa/Cairo", "2026-04-23T22:00"),
    ("Asia/Beirut", "2026-10-24T21:00"),
    ("Antarctica/Troll", "2026-10-25T01:00"),
    ("Antarctica/Casey", "2018-03-10T17:00"),
    ("UTC", "2028-02-29T00:00"),
]


def field(low: int, high: int, last: int | None = None) -> st.SearchStrategy[Field]:
    """A field in any of its forms, with the values that it means: numbers up to `high`, of which `last` is the last."""
    last = high if last is None else last
    number, step = st.integers(low, high), st.integers(1, high)
    return st.one_of(
        every(low, last),
        st.builds(lambda n: Field(f"*/{n}", frozenset(range(low, last + 1, n))), step),
        st.builds(lambda values: Field(",".join(map(str, values)), frozenset(values)), st.lists(number, min_size=1)),
        st.builds(lambda a, n: Field(f"{a}/{n}", frozenset(range(a, last + 1, n))), number, step),
        st.builds(lambda ends: Field(f"{ends[0]}-{ends[1]}", frozenset(range(ends[0], ends[1] + 1))), span(low, high)),
        st.builds(
            lambda ends, n: Field(f"{ends[0]}-{ends[1]}/{n}", frozenset(range(ends[0], ends[1] + 1, n))),
            span(low, high),
            step,
        ),
    )


def every(low: int, last: int) -> st.SearchStrategy[Field]:
    return st.just(Field("*", frozenset(range(low, last + 1))))


def span(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=2, max_size=2).map(sorted)


# Most drawn dates would never come in a window of hours, so most draws leave the date open. Days end at 28, so that
# each of them comes in each month.
days = st.one_of(every(1, 31), every(1, 31), field(1, 28, 31))
months = st.one_of(every(1, 12), every(1, 12), field(1, 12))
weekdays = st.one_of(every(0, 6), every(0, 6), field(0, 6))
hours_around_changes = st.one_of(
    field(0, 23),
    st.lists(st.integers(0, 4), min_size=1).map(lambda hours: Field(",".join(map(str, hours)), frozenset(hours))),
    st.just(Field("22-23", frozenset({22, 23}))),
)
expressions = st.builds(Expression, field(0, 59), hours_around_changes, days, months, weekdays)
windows = st.builds(
    lambda change, before, length: (
        change[0],
        datetime.fromisoformat(change[1]).replace(tzinfo=UTC) - before * MINUTE,
        length * MINUTE,
    ),
    st.sampled_from(CHANGES),
    st.integers(-60, 400),
    st.integers(1, 700),
)
moments = st.integers(0, 55_000_000).map(lambda minutes: datetime(1975, 1, 1, tzinfo=UTC) + minutes * MINUTE)
some_zones = st.sampled_from(sorted({zone for zone, _ in CHANGES}))


def timetable_of(drawn: Iterable[Expression], zone: str) -> Timetable:
    return Timetable.of([expression.text for expression in drawn], zone, seed="team-a/any")


@settings(deadline=None, max_examples=300)
@given(expressions, windows)
def test_a_schedule_comes_when_the_clock_says_so_minute_by_minute(expression, window):
    zone, start, length = window
    want = times(expression, zone_named(zone), start, start + length)
    timetable = timetable_of([expression], zone)
    assert [time for time in timetable.upcoming(start, len(want) + 1) if time <= start + length] == want
    assert timetable.count(start, start + length) == len(want)
    assert timetable.latest(start, start + length) == (want[-1] if want else None)


@settings(deadline=None, max_examples=150)
@given(st.lists(expressions, min_size=2, max_size=4), windows)
def test_a_minute_that_several_expressions_name_counts_once(drawn, window):
    zone, start, length = window
    want = sorted({time for each in drawn for time in times(each, zone_named(zone), start, start + length)})
    timetable = timetable_of(drawn, zone)
    assert [time for time in timetable.upcoming(start, len(want) + 1) if time <= start + length] == want
    assert timetable.count(start, start + length) == len(want)
    assert timetable.latest(start, start + length) == (want[-1] if want else None)


@settings(deadline=None, max_examples=100)
@given(expressions, windows, st.data())
def test_nothing_changes_between_two_times_and_looking_back_finds_the_same(expression, window, data):
    zone, start, _ = window
    timetable = timetable_of([expression], zone)
    coming = timetable.upcoming(start, 4)
    assert all(earlier < later for earlier, later in pairwise([start, *coming]))
    for earlier, later in pairwise(coming):
        seconds = data.draw(st.integers(0, min(int((later - earlier) / SECOND), 200_000) - 1))
        between = earlier + seconds * SECOND + timedelta(microseconds=data.draw(st.integers(0, 999_999)))
        assert timetable.after(between) == later
        assert timetable.latest(earlier - SECOND, between) == earlier
        assert timetable.count(earlier, between) == 0


@settings(deadline=None, max_examples=200)
@given(expressions, some_zones, moments)
def test_the_next_time_is_later_a_whole_minute_and_one_of_the_expression(expression, zone, moment):
    time = timetable_of([expression], zone).after(moment)
    assert time is not None
    assert time > moment
    assert time.tzinfo is UTC
    local = time.astimezone(zone_named(zone)).replace(tzinfo=None)
    assert (local.second, local.microsecond) == (0, 0)
    jumped = offset_at(zone_named(zone), time - SECOND) < offset_at(zone_named(zone), time)
    assert expression.names(local) or (jumped and not expression.by_interval)


@settings(deadline=None, max_examples=100)
@given(expressions, some_zones, moments, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_a_later_look_never_finds_an_earlier_time(expression, zone, moment, later):
    timetable = timetable_of([expression], zone)
    first, second = timetable.after(moment), timetable.after(moment + later)
    assert first is not None
    assert second is not None
    assert first <= second


@settings(deadline=None, max_examples=60)
@given(expressions, some_zones, moments, st.integers(1, 50))
def test_a_count_stops_where_it_is_told_to(expression, zone, moment, at_most):
    timetable = timetable_of([expression], zone)
    nth = timetable.upcoming(moment, at_most)[-1]
    assert timetable.count(moment, nth, at_most=at_most) == at_most
    assert timetable.count(moment, nth + timedelta(days=400), at_most=at_most) == at_most
    assert timetable.count(moment, moment - SECOND) == 0


def test_no_clock_is_put_back_by_more_than_the_search_looks_ahead():
    begin, end = datetime(1975, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
    for name in sorted({zone for zone, _ in CHANGES} | {"Antarctica/Vostok", "Africa/Casablanca", "Asia/Pyongyang"}):
        for earlier, later in pairwise(stretches(zone_named(name), begin, end)):
            assert earlier.offset - later.offset <= LONGEST_STEP_BACK, (name, later.start)
