"""How cron expressions are read: what they stand for, where and how they are refused, H."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from fluid_operator.timetables.cron import Cron, CronError, Timetable, UnknownTimeZone
from fluid_operator.timetables.zones import zone_named

SEED = "team-a/nightly"


def resolved(text: str, seed: str = SEED) -> str:
    return Cron.parse(text, seed=seed).resolved


def refused(text: str) -> CronError:
    with pytest.raises(CronError) as caught:
        Cron.parse(text, seed=SEED)
    return caught.value


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("*/5 0 * * MON-fri", "*/5 0 * * MON-FRI"),
        ("  0\t3  1,15 * *\n", "0 3 1,15 * *"),
        ("@weekly", "0 0 * * 0"),
        ("5/20 20/2 * * 1/2", "5-59/20 20-23/2 * * 1-6/2"),
        ("0 0 * * FRI-SUN", "0 0 * * 5-7"),
        ("0 0 * * 7-2", "0 0 * * 0-2"),
        ("5-5/10 0 * * 7/2", "5 0 * * 7"),
    ],
)
def test_an_expression_is_resolved_to_five_plain_fields(text: str, want: str):
    assert resolved(text) == want
    assert resolved(want) == want
    assert Cron.parse(text, seed=SEED).text == text


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("61 * * * *", 0, "'61' is no minute: write 0-59, * or H"),
        ("0 24 * * *", 2, "'24' is no hour"),
        ("0 0 0 * *", 4, "'0' is no day of month: write 1-31"),
        ("0 0 1,32 * *", 6, "'32' is no day of month"),
        ("0 0 * 13 *", 6, "'13' is no month: write 1-12 or JAN-DEC"),
        ("0 0 * JANUARY *", 6, "'JANUARY' is no month"),
        ("0 0 * * 8", 8, "'8' is no day of week: write 0-7 or SUN-SAT"),
        ("0 0 * * MON-FOO", 12, "'FOO' is no day of week"),
        ("0  0\t* *  x", 10, "'x' is no day of week"),
        ("-5 * * * *", 0, "the minute is missing here"),
        ("5,,6 * * * *", 2, "the minute is missing here"),
        ("5, * * * *", 2, "the minute is missing here"),
        ("+5 * * * *", 0, "'+5' is no minute"),
        ("005 * * * *", 0, "'005' is no minute"),
        ("\u0663 * * * *", 0, "is no minute"),
        ("*5 * * * *", 0, "'*5' is no minute"),
        ("h * * * *", 0, "'h' is no minute"),
        ("*/0 * * * *", 2, "'0' is no step for the minute: write a number of 1 to 59"),
        ("*/60 * * * *", 2, "'60' is no step"),
        ("*/ * * * *", 2, "'' is no step"),
        ("*/5/2 * * * *", 2, "'5/2' is no step"),
        ("0 22-6 * * *", 2, "the range 22-6 runs backwards: write 22-23,0-6"),
        ("0 0 * * 1,FRI-MON", 10, "runs backwards: write FRI-SAT,SUN-MON"),
        ("0 0 * NOV-FEB *", 6, "runs backwards: write NOV-DEC,JAN-FEB"),
        ("H(50-10) * * * *", 0, "the range in H(50-10) runs backwards"),
        ("H(0-60) * * * *", 4, "'60' is no minute"),
        ("H(5) * * * *", 0, "is not H(from-to), such as H(0-59)"),
        ("H-5 * * * *", 0, "'H' is no minute"),
        ("0 0 H(1-31) * *", 4, "H stands for a day of month of 1 to 28"),
        ("0 0 ? * *", 4, "write * instead of ?"),
        ("0 0 L * *", 4, "L (the last day) is not supported"),
        ("0 0 15W * *", 4, "W (the nearest working day) is not supported"),
        ("0 0 * * MON#2", 8, "# (the n-th weekday of a month) is not supported"),
        ("0 0 30 2 *", 4, "never comes: FEB has no day 30"),
        ("0 0 31 feb,4,6-6 *", 4, "never comes: none of FEB, APR, JUN has a day 31"),
        ("0 0 30,31 2 */2", 4, "never comes: FEB has no day 30"),
        ("0 0 * *", 7, "4 fields, but an expression has five"),
        ("0 0 * * * *", 10, "6 fields, but an expression has five"),
        ("", 0, "0 fields"),
        ("daily", 5, "1 field, but"),
        ("TZ=Europe/Berlin 0 3 * * *", 0, "the zone belongs into the field timeZone"),
        ("@reboot", 0, "'@reboot' is no word for a time; there are @yearly"),
        ("  @Daily", 2, "'@Daily' is no word"),
        ("0 0 * * *" + " " * 250, 256, "at most 256 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_column(text: str, column: int, words: str):
    error = refused(text)
    assert words in error.reason
    assert error.position == column
    assert error.expression == text
    assert str(error).startswith(f"{text!r}, column {column + 1}: ")


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 31 */2 *", "0 0 30 2 MON", "0 0 30,1 2 *", "0 0 31 1-12 *"])
def test_dates_that_come_now_and_then_are_accepted(text: str):
    timetable = Timetable.of([text], None, seed=SEED)
    assert timetable.after(datetime(2026, 1, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize(
    ("text", "by_interval"),
    [
        ("30 2 * * *", False),
        ("0,30 1-3 * * *", False),
        ("0-30/10 2 * * *", False),
        ("H H * * *", False),
        ("H(0-29)/10 H * * *", False),
        ("@daily", False),
        ("* 2 * * *", True),
        ("*/15 2 * * *", True),
        ("30 */2 * * *", True),
        ("H/15 2 * * *", True),
        ("H H/6 * * *", True),
        ("@hourly", True),
    ],
)
def test_stars_and_steps_from_them_say_how_often_and_numbers_at_what_time(text: str, by_interval: bool):
    assert Cron.parse(text, seed=SEED).by_interval is by_interval


def test_h_is_the_same_at_each_reading_and_another_for_another_schedule():
    # As long as these lines stand, no release moves a schedule that is in use.
    assert resolved("H H H H H", "team-a/nightly") == "24 13 12 7 3"
    assert resolved("H H H H H", "team-b/nightly") == "43 16 24 5 0"
    assert resolved("H/15 H(1-5) H/7 * H(MON-FRI)", "team-a/nightly") == "9-59/15 5 5-28/7 * 1"


def test_h_spreads_a_thousand_schedules_evenly_over_minutes_and_hours():
    fields = [resolved("H H * * *", f"team-a/schedule-{number}").split() for number in range(1200)]
    minutes, hours = Counter(field[0] for field in fields), Counter(field[1] for field in fields)
    assert (len(minutes), len(hours)) == (60, 24)
    # 20 and 50 are even; chance alone goes beyond twice that, or under a fifth, once in a million fields.
    assert all(4 <= count <= 40 for count in minutes.values())
    assert all(20 <= count <= 100 for count in hours.values())
    assert len({tuple(field[:2]) for field in fields}) > 700


@pytest.mark.parametrize(
    ("text", "field", "allowed"),
    [
        ("H * * * *", 0, set(range(60))),
        ("H(10-12) * * * *", 0, {10, 11, 12}),
        ("H/15 * * * *", 0, set(range(15))),
        ("H(0-29)/10 * * * *", 0, set(range(10))),
        ("0 H * * *", 1, set(range(24))),
        ("0 0 H * *", 2, set(range(1, 29))),
        ("0 0 H(20-28) * *", 2, set(range(20, 29))),
        ("0 0 1 H *", 3, set(range(1, 13))),
        ("0 0 * * H", 4, set(range(7))),
        ("0 0 * * H(TUE-THU)", 4, {2, 3, 4}),
    ],
)
def test_h_reaches_each_value_that_it_may_stand_for_and_no_other(text: str, field: int, allowed: set[int]):
    found = {int(resolved(text, f"n/{number}").split()[field].split("-")[0]) for number in range(2000)}
    assert found == allowed


def test_a_step_from_h_goes_through_the_whole_range():
    for number in range(50):
        first, last = resolved("H(10-50)/10 * * * *", f"n/{number}").split()[0].removesuffix("/10").split("-")
        assert 10 <= int(first) <= 19
        assert last == "50"


def test_several_expressions_are_one_timetable():
    timetable = Timetable.of(["0 9 * * *", "*/30 9 * * *", "@daily"], "Europe/Berlin", seed=SEED)
    assert timetable.resolved == "0 9 * * *; */30 9 * * *; 0 0 * * *"
    times = timetable.upcoming(datetime(2026, 6, 1, 6, tzinfo=UTC), 4)
    assert [time.astimezone(timetable.zone).strftime("%d %H:%M") for time in times] == [
        "01 09:00",
        "01 09:30",
        "02 00:00",
        "02 09:00",
    ]


def test_the_refused_one_of_several_expressions_is_named():
    with pytest.raises(CronError) as caught:
        Timetable.of(["0 9 * * *", "0 99 * * *"], None, seed=SEED)
    assert caught.value.expression == "0 99 * * *"


def test_without_a_zone_times_are_utc():
    assert Timetable.of(["@daily"], None, seed=SEED).zone.key == "UTC"


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Asia/Katmandoo", "Asia/Kathmandu"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_likeliest_name(name: str, similar: str):
    with pytest.raises(UnknownTimeZone, match="did you mean") as caught:
        Timetable.of(["@daily"], name, seed=SEED)
    assert caught.value.name == name
    assert similar in caught.value.similar


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "/etc/passwd", "zone.tab", "zzzzzz"])
def test_what_is_like_no_zone_is_refused_with_an_example(name: str):
    with pytest.raises(UnknownTimeZone, match="write a name such as Europe/Berlin"):
        zone_named(name)


def test_zones_do_not_depend_on_the_files_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path):
    zone_named.cache_clear()
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    summer = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert zone_named("US/Eastern").utcoffset(summer) == zone_named("America/New_York").utcoffset(summer)
