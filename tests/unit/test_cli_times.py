"""Times and durations as the command `fluid` writes them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fluid_cli.times import age, clock, distance, from_milliseconds, parse_time, span

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (3600, "1h"),
        (7500, "2h5m"),
        (86_400, "1d"),
        (93_600, "1d2h"),
        (12 * 86_400 + 5, "12d"),
        (400 * 86_400, "1y35d"),
        (-5, "0s"),
    ],
)
def test_an_age_has_at_most_two_units(seconds, want):
    assert age(seconds) == want


@pytest.mark.parametrize(("seconds", "want"), [(0.04, "40ms"), (0.9996, "1.0s"), (1.24, "1.2s"), (12.4, "12s")])
def test_a_short_span_shows_its_fractions(seconds, want):
    assert span(seconds) == want


def test_a_clock_shows_the_date_only_of_another_day():
    assert clock(NOON, NOON, UTC) == "12:00:00.000"
    assert clock(NOON - timedelta(days=1), NOON, UTC) == "2026-11-23 12:00:00.000"


def test_a_clock_follows_the_time_zone():
    zone = timezone(timedelta(hours=13))
    assert clock(NOON, NOON, zone) == "01:00:00.000"


def test_a_distance_tells_past_and_future_apart():
    assert distance(NOON - timedelta(seconds=8), NOON) == "8s ago"
    assert distance(NOON + timedelta(seconds=8), NOON) == "in 8s"


@pytest.mark.parametrize("text", ["", None, "tomorrow"])
def test_a_text_that_is_no_time_is_none(text):
    assert parse_time(text) is None


def test_a_time_without_a_zone_is_utc():
    assert parse_time("2026-11-24T12:00:00") == NOON


@pytest.mark.parametrize("value", [0, 10**18])
def test_milliseconds_beyond_the_calendar_are_none(value):
    assert from_milliseconds(value) is None
