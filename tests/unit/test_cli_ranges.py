"""The beginning and the end of a range, as somebody types them."""

from datetime import UTC, datetime, timedelta

import pytest

from fluid_cli.errors import BadUsage
from fluid_cli.ranges import beginning, end
from fluid_operator.timetables.zones import zone_named

BERLIN = zone_named("Europe/Berlin")
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def first(text, zone=BERLIN):
    return beginning("--from", text, zone, NOW).isoformat()


def last(text, zone=BERLIN):
    return end("--to", text, zone, NOW).isoformat()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2026-11-20T06:00:00Z", "2026-11-20T06:00:00+00:00"),
        ("2026-11-20T06:00:00-05:00", "2026-11-20T11:00:00+00:00"),
        ("2026-11-20T07:00", "2026-11-20T06:00:00+00:00"),
        (" 2026-11-20 07:00:30 ", "2026-11-20T06:00:30+00:00"),
        ("2026-07-20T07:00", "2026-07-20T05:00:00+00:00"),
        ("now", "2026-11-24T12:30:00+00:00"),
        ("NOW", "2026-11-24T12:30:00+00:00"),
    ],
)
def test_a_moment_is_the_same_at_both_ends(text, want):
    assert (first(text), last(text)) == (want, want)


def test_a_date_begins_at_midnight_of_the_zone_and_ends_with_its_day():
    assert first("2026-11-20") == "2026-11-19T23:00:00+00:00"
    assert last("2026-11-20") == "2026-11-20T22:59:59.999999+00:00"


def test_a_day_of_25_hours_belongs_to_its_range_as_a_whole():
    begun, ended = (datetime.fromisoformat(text) for text in (first("2026-10-25"), last("2026-10-25")))
    assert ended - begun == timedelta(hours=25) - timedelta(microseconds=1)


def test_today_ends_now_and_tomorrow_is_still_to_come():
    assert last("2026-11-24") == "2026-11-24T12:30:00+00:00"
    assert last("2026-11-25") == "2026-11-25T22:59:59.999999+00:00"


def test_whose_day_it_is_is_for_the_zone_to_say():
    apia = zone_named("Pacific/Apia")  # there it is 01:30 of the 25th
    assert last("2026-11-25", apia) == "2026-11-24T12:30:00+00:00"
    assert last("2026-11-24", apia) == "2026-11-24T10:59:59.999999+00:00"


def test_a_time_that_the_clock_shows_twice_takes_in_both():
    assert first("2026-10-25T02:30") == "2026-10-25T00:30:00+00:00"
    assert last("2026-10-25T02:30") == "2026-10-25T01:30:00+00:00"


def test_a_time_that_the_clock_jumps_over_is_the_moment_of_the_jump():
    assert first("2026-03-29T02:30") == last("2026-03-29T02:30") == "2026-03-29T01:00:00+00:00"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-11-24T25:00", "1795500000x", "24.11.2026"])
def test_what_is_no_time_is_refused_with_an_example(text):
    for read, option in ((beginning, "--from"), (end, "--to")):
        with pytest.raises(BadUsage, match="write 2026-11-24") as raised:
            read(option, text, BERLIN, NOW)
        assert raised.value.subject == option


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
def test_what_is_outside_of_any_calendar_is_refused(text):
    with pytest.raises(BadUsage, match="outside of any calendar"):
        end("--to", text, BERLIN, NOW)


def test_a_time_in_the_first_year_of_the_calendar_is_refused_and_not_crashed_on():
    with pytest.raises(BadUsage, match="outside of any calendar"):
        beginning("--from", "0001-01-01", BERLIN, NOW)
