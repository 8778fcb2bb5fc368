"""What `fluid backfill` prints of each time."""

from datetime import UTC, datetime, timedelta

from fluid_cli.backfill_table import header, report, row, summary
from fluid_cli.columns import lines, widths_of
from fluid_operator.timetables.manual import Backfilled, Outcome, Plan
from fluid_operator.timetables.zones import zone_named

BERLIN = zone_named("Europe/Berlin")
HALF_PAST_TWO = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
DONE = [
    Backfilled(HALF_PAST_TWO, "sync-hs17i", Outcome.CREATED),
    Backfilled(HALF_PAST_TWO + timedelta(hours=1), "sync-hs196", Outcome.EXISTS),
    Backfilled(HALF_PAST_TWO + timedelta(hours=2), "sync-hs1au", Outcome.FOREIGN),
]


def text(*, wide):
    rows = [header("Europe/Berlin", wide=wide), *(row(each, BERLIN, wide=wide) for each in DONE)]
    return [line.plain for line in lines(rows, widths_of(rows), None)]


def test_times_are_local_and_tell_the_two_apart_that_look_alike():
    assert text(wide=False) == [
        "TIME (Europe/Berlin)     JOB          OUTCOME",
        "2026-10-25 02:30+02:00   sync-hs17i   created",
        "2026-10-25 02:30+01:00   sync-hs196   exists",
        "2026-10-25 03:30+01:00   sync-hs1au   foreign",
    ]


def test_the_wide_table_has_utc_too():
    assert text(wide=True)[1] == "2026-10-25 02:30+02:00   2026-10-25T00:30:00Z   sync-hs17i   created"


def test_the_summary_counts_what_happened():
    assert summary(DONE) == "1 created, 1 there already, 1 not created, because another FluidJob has the name"
    assert summary([DONE[0]._replace(outcome=Outcome.WOULD_CREATE)]) == "1 would be created"


def test_programs_get_times_in_utc_and_the_outcome_as_a_word():
    schedule = {"metadata": {"namespace": "team", "name": "sync", "uid": "u"}}
    assert report(Plan(schedule, BERLIN, [HALF_PAST_TWO]), DONE[:1]) == {
        "schedule": "sync",
        "namespace": "team",
        "timeZone": "Europe/Berlin",
        "times": [{"time": "2026-10-25T00:30:00Z", "job": "sync-hs17i", "outcome": "created"}],
    }
