"""When schedules come, row by row: `data/cron_times.txt`. Its rows of days without a change of clocks were compared
with croniter when they were written, and still are; those around a change were written by hand.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from croniter import croniter

from fluid_operator.api.cron_fields import CRON_WORDS
from fluid_operator.timetables.cron import Timetable
from fluid_operator.timetables.zones import zone_named

TABLE = Path(__file__).parent / "data" / "cron_times.txt"


class Row(NamedTuple):
    expression: str
    zone: str
    start: datetime
    times: list[datetime]
    differs: str

    @property
    def timetable(self) -> Timetable:
        return Timetable.of([self.expression], self.zone, seed="team-a/table")


def rows() -> list[Row]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [row(line) for line in lines if line and not line.startswith("#")]


def row(line: str) -> Row:
    expression, zone, start, times, *differs = (part.strip() for part in line.split("|"))
    text = expression.strip('"').replace("\\t", "\t")
    return Row(text, zone, moment(start), [moment(time) for time in times.split(", ")], "".join(differs))


def moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def name(row: Row) -> str:
    return f"{row.expression} {row.zone} {row.start:%Y-%m-%dT%H:%MZ}"


each_row = pytest.mark.parametrize("row", rows(), ids=name)


@each_row
def test_a_schedule_comes_at_the_times_of_the_table(row: Row):
    assert row.timetable.upcoming(row.start, len(row.times)) == row.times


@each_row
def test_latest_and_count_find_the_same_times_looking_back(row: Row):
    timetable, last = row.timetable, row.times[-1]
    assert timetable.latest(row.start, last) == last
    before = row.times[-2] if len(row.times) > 1 else None
    assert timetable.latest(row.start, last - timedelta(microseconds=1)) == before
    assert timetable.count(row.start, last) == len(row.times)
    assert timetable.count(row.start, last - timedelta(microseconds=1)) == len(row.times) - 1


@each_row
def test_croniter_agrees_except_where_the_table_says_so(row: Row):
    expression = CRON_WORDS.get(row.expression, row.expression).strip()
    times = croniter(expression, row.start.astimezone(zone_named(row.zone)), implement_cron_bug=True)
    theirs = [times.get_next(datetime).astimezone(UTC) for _ in row.times]
    assert (theirs != row.times) == bool(row.differs)


def test_the_table_is_large_and_croniter_has_a_say_in_nearly_all_of_it():
    table = rows()
    assert len(table) >= 200
    assert sum(bool(row.differs) for row in table) <= len(table) // 10
