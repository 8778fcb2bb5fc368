"""Placeholders in what a schedule's jobs carry: what they become, and what is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.timetables.errors import PlaceholderError, TemplateError
from fluid_operator.timetables.placeholders import DEEPEST, NAMES, Facts, check, fill, moved, refuse

BERLIN = ZoneInfo("Europe/Berlin")
MORNING = Facts(datetime(2026, 3, 5, 6, 4, 9, 500_000, tzinfo=UTC), BERLIN, "nightly")
PATH = "spec.jobTemplate.spec.payload"


def filled(text: str, facts: Facts = MORNING) -> str:
    return fill(text, facts, PATH)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("{{ scheduledTime }}", "2026-03-05T07:04:09+01:00"),
        ("{{ date }}", "2026-03-05"),
        ("{{ year }}", "2026"),
        ("{{ month }}", "03"),
        ("{{ day }}", "05"),
        ("{{ hour }}", "07"),
        ("{{ name }}", "nightly"),
        ("{{date}}", "2026-03-05"),
        ("{{\n  date  -  1d\t}}", "2026-03-04"),
        ("{{ date-5d }}", "2026-02-28"),
        ("{{ date+1w }}", "2026-03-12"),
        ("{{ month-5d }}", "02"),
        ("{{ hour+2h }}", "09"),
        ("{{ scheduledTime-90m }}", "2026-03-05T05:34:09+01:00"),
        ("{{ scheduledTime+0d }}", "2026-03-05T07:04:09+01:00"),
        ("{{ date-0001d }}", "2026-03-04"),
        ("{{ date-" + "0" * 5000 + "1d }}", "2026-03-04"),
        ("{{ year+3650d }}", "2036"),
        ("from {{ date-1d }} to {{ date }}.", "from 2026-03-04 to 2026-03-05."),
        ("{{ year }}{{ month }}{{ day }}", "20260305"),
        ("}} { } {date} %Y", "}} { } {date} %Y"),
        ("", ""),
    ],
)
def test_a_placeholder_becomes_what_it_stands_for(text, want):
    assert filled(text) == want
    check(text, PATH)


@pytest.mark.parametrize(
    ("zone", "time", "count", "unit", "want"),
    [
        # The clock in Berlin goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
        ("Europe/Berlin", "2026-03-28T01:30:00+00:00", 1, "d", "2026-03-29T03:30:00+02:00"),
        ("Europe/Berlin", "2026-03-28T06:00:00+00:00", 1, "d", "2026-03-29T07:00:00+02:00"),
        ("Europe/Berlin", "2026-03-28T06:00:00+00:00", 24, "h", "2026-03-29T08:00:00+02:00"),
        ("Europe/Berlin", "2026-03-29T05:00:00+00:00", -1, "d", "2026-03-28T07:00:00+01:00"),
        ("Europe/Berlin", "2026-10-24T00:30:00+00:00", 1, "d", "2026-10-25T02:30:00+02:00"),
        ("Europe/Berlin", "2026-10-25T01:30:00+00:00", 0, "d", "2026-10-25T02:30:00+01:00"),
        ("Europe/Berlin", "2026-10-25T00:30:00+00:00", 60, "m", "2026-10-25T02:30:00+01:00"),
        ("Europe/Berlin", "2026-10-25T01:30:00+00:00", -1, "w", "2026-10-18T02:30:00+02:00"),
        ("Australia/Lord_Howe", "2026-10-02T15:40:00+00:00", 1, "d", "2026-10-04T02:40:00+11:00"),
        ("Asia/Kathmandu", "2026-01-01T00:00:00+00:00", -1, "d", "2025-12-31T05:45:00+05:45"),
        ("Pacific/Apia", "2011-12-29T20:00:00+00:00", 1, "d", "2011-12-31T10:00:00+14:00"),
    ],
)
def test_days_keep_the_time_of_the_day_and_hours_are_exact(zone, time, count, unit, want):
    assert moved(datetime.fromisoformat(time), ZoneInfo(zone), count, unit).isoformat() == want


def test_texts_are_replaced_at_any_depth_and_all_else_stays():
    payload = {"a": ["{{ date }}", 1, None, {"b": "x{{ day }}"}], "n": 1.5, "t": True}
    assert fill(payload, MORNING, PATH) == {"a": ["2026-03-05", 1, None, {"b": "x05"}], "n": 1.5, "t": True}
    assert payload["a"][0] == "{{ date }}"


def test_what_was_put_in_is_not_looked_at_again():
    tricky = Facts(MORNING.time, BERLIN, "{{ date }}")
    assert filled("{{ name }}", tricky) == "{{ date }}"


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("{{ dat }}", 0, "did you mean date?"),
        ("on {{ scheduledtime }}", 3, "did you mean scheduledTime?"),
        ("{{ Date-1d }}", 0, "did you mean date?"),
        ("{{ xyz }}", 0, "there are scheduledTime, date, year, month, day, hour and name"),
        ("{{ }}", 0, "is no placeholder: write one such as {{ date }}"),
        ("{{}}", 0, "is no placeholder"),
        ("{{ date | upper }}", 0, "is no placeholder"),
        ("{{ date-1d-1h }}", 0, "is no placeholder"),
        ("{{ 1+1 }}", 0, "is no placeholder"),
        ("{{ date-d }}", 0, "is no placeholder"),
        ("{{ date.today() }}", 0, "is no placeholder"),
        ("ok {{ date }} but {{ date", 18, "not closed"),
        ("{{{ date }}}", 0, "not closed"),
        ("{{ {date} }}", 0, "not closed"),
        ("{{", 0, "see payloadFrom"),
        ("{{ name-1d }}", 0, "a name takes no offset"),
        ("{{ date-1 }}", 0, "m (minutes), h (hours), d (days) or w (weeks)"),
        ("{{ date-1M }}", 0, "an offset is a number and"),
        ("{{ date+1months }}", 0, "an offset is a number and"),
        ("{{ date-3651d }}", 0, "no farther than ten years"),
        ("{{ date-" + "9" * 5000 + "m }}", 0, "no farther than ten years"),
        ("{{ date-１d }}", 0, "is no placeholder"),
        ("{{ a\n\x1b[31m }}", 0, "{{ a??[31m }} is no placeholder"),
    ],
)
def test_anything_else_between_braces_is_refused_with_its_place(text, position, says):
    with pytest.raises(PlaceholderError) as raised:
        filled(text)
    error = raised.value
    assert (error.path, error.position) == (PATH, position)
    assert str(error).startswith(f"{PATH}: at character {position + 1}: ")
    assert says in error.message
    assert len(str(error)) < 400
    with pytest.raises(PlaceholderError, match=re.escape(error.message)):
        check(text, PATH)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"to": ["ok", "{{ nope }}"]}, f"{PATH}.to[1]"),
        ([{"a b": "{{ nope }}"}], f"{PATH}[0]['a b']"),
        ({"{{ date }}": 1}, f"{PATH}['{{{{ date }}}}']"),
        ({"deep": {"x{{": {}}}, f"{PATH}.deep['x{{{{']"),
    ],
)
def test_the_path_leads_to_the_refused_text(value, path):
    with pytest.raises(PlaceholderError) as raised:
        fill(value, MORNING, PATH)
    assert raised.value.path == path


def test_where_no_placeholder_is_replaced_none_may_stand():
    refuse({"tags": {"day": "{ date }"}}, "spec")
    with pytest.raises(PlaceholderError, match="replaced in payload and items only"):
        refuse({"tags": {"day": "{{ date }}"}}, "spec")


def test_a_value_that_is_nested_beyond_reason_is_refused_and_not_crashed_on():
    value: object = "{{ date }}"
    for _ in range(DEEPEST + 1):
        value = [value]
    check(value, PATH)
    with pytest.raises(TemplateError, match="nested in more than"):
        check([value], PATH)


# -- properties -------------------------------------------------------------------------------------------------------

TIMES = st.integers(315_532_800, 3_471_292_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
"""From 1980 to 2080."""
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
PLAIN = st.text().filter(lambda text: "{{" not in text)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PLAIN,
    lambda inner: st.lists(inner) | st.dictionaries(PLAIN, inner),
)
OFFSETS = st.just("") | st.builds("{}{}{}".format, st.sampled_from("+-"), st.integers(0, 500), st.sampled_from("mhdw"))


@st.composite
def placeholders(draw: st.DrawFn) -> tuple[str, str]:
    """One placeholder as it may be written, and its offset ("" for none)."""
    name = draw(st.sampled_from(NAMES))
    offset = "" if name == "name" else draw(OFFSETS)
    space = st.text(" \t\n", max_size=2)
    written = f"{{{{{draw(space)}{name}{draw(space)}{offset}{draw(space)}}}}}"
    return written, f"{name}{offset}"


def naive(said: str, facts: Facts) -> str:
    """What a placeholder means, told once more in the plainest way."""
    name, count, unit = (*re.split(r"([+-]\d+)", said), "0", "h")[:3]
    if name == "name":
        return facts.name
    if unit in "mh":
        seconds = int(count) * {"m": 60, "h": 3600}[unit]
        local = datetime.fromtimestamp(facts.time.timestamp() + seconds, facts.zone)
    else:
        start = facts.time.astimezone(facts.zone)
        wall = start.replace(tzinfo=None) + timedelta(days=int(count) * {"d": 1, "w": 7}[unit])
        same = int(count) == 0
        local = datetime.fromtimestamp(
            wall.replace(tzinfo=facts.zone, fold=start.fold if same else 0).timestamp(), facts.zone
        )
    if name == "scheduledTime":
        return local.replace(microsecond=0).isoformat()
    return local.strftime({"date": "%Y-%m-%d", "year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}[name])


@given(st.lists(st.tuples(PLAIN.filter(lambda text: "{" not in text), placeholders())), TIMES, ZONES)
def test_a_text_with_placeholders_is_its_parts_put_together(parts, time, zone):
    facts = Facts(time, ZoneInfo(zone), "nightly")
    text = "".join(plain + written for plain, (written, _) in parts)
    want = "".join(plain + naive(said, facts) for plain, (_, said) in parts)
    found = filled(text, facts)
    assert found == want
    assert "{{" not in found


@given(JSON, TIMES)
def test_a_value_without_opening_braces_stays_as_it_is(value, time):
    assert fill(value, Facts(time, BERLIN, "nightly"), PATH) == value


@given(st.text("{} date-1dw", max_size=40), TIMES)
def test_a_text_is_either_filled_whole_or_refused(text, time):
    facts = Facts(time, BERLIN, "nightly")
    at = refused_at(text)
    if at is None:
        assert "{{" not in filled(text, facts)
    else:
        assert text[at:].startswith("{{")
        with pytest.raises(PlaceholderError):
            filled(text, facts)


def refused_at(text: str) -> int | None:
    try:
        check(text, PATH)
    except PlaceholderError as error:
        return error.position
    return None
