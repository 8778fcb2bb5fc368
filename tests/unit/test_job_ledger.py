"""What an entry says, what is none, who has to make room, and the status that mirrors an outcome."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.api.fluidjob_status import FluidJobStatus
from fluid_operator.api.meta import parse
from fluid_operator.jobs import ledger
from fluid_operator.jobs.ledger import Entry, entry_of, fit, mirrored, mirrors, read_entry, write_entry
from fluid_operator.jobs.requests import parse_request
from fluid_operator.jobs.runs import Target
from support.jobs import view

NOW = datetime(2026, 11, 24, 7, 0, 0, tzinfo=UTC)
NOON = NOW.timestamp()
HOUR = ledger.YOUNG_SECONDS
ENTRY = Entry("v1:a", "Succeeded", NOON - 3700.25, NOON - 100, "u0.2", "default")


def entry(**fields):
    return ENTRY._replace(**fields)


def finished(**fields):
    return view(**{"uid": "u0", "run": 2, "spec_hash": "v1:a", "phase": "Succeeded", "observed": 1} | fields)


# -- entries ----------------------------------------------------------------------------------------------------------


@given(
    st.builds(
        Entry,
        hash=st.text(max_size=80),
        outcome=st.sampled_from(["Succeeded", "Failed", "Cancelled"]),
        finished=st.integers(0, 4_000_000_000).map(float),
        recorded=st.integers(0, 4_000_000_000).map(float),
        job=st.text(max_size=80),
        environment=st.text(max_size=63),
    )
)
def test_what_was_written_is_read(written):
    assert read_entry(write_entry(written)) == written


def test_an_entry_tells_what_the_object_would_have_told():
    told = entry_of(finished(finished=NOON - 3700.25, environment="default"), NOON - 100)
    assert told == ENTRY
    assert told.uid == "u0"


def test_an_end_without_a_time_counts_from_the_creation():
    assert entry_of(finished(created=NOON - 50), NOON).finished == NOON - 50


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "notes of the team",
        "[]",
        "{}",
        write_entry(ENTRY).replace("Succeeded", "Running"),
        write_entry(ENTRY).replace("2026", "soon"),
        json.dumps(json.loads(write_entry(ENTRY)) | {"hash": 7}),
        "[" * 2000,
    ],
)
def test_what_is_no_entry_is_none(text):
    assert read_entry(text) is None


@given(st.text())
def test_no_text_is_too_strange_to_be_looked_at(text):
    assert read_entry(text) is None


# -- room -------------------------------------------------------------------------------------------------------------


def test_a_new_entry_replaces_the_one_of_its_name_and_touches_no_other():
    data = {"a": write_entry(entry(hash="v1:old")), "b": write_entry(ENTRY), "notes": "of the team"}
    found = fit(data, {"a": ENTRY}, NOON)
    assert found == ({"a": write_entry(ENTRY)}, {"a"})


def full(count=ledger.MAX_ENTRIES, *, age=2 * HOUR):
    """A ledger with so many entries; job-0 is the oldest."""
    return {f"job-{n}": write_entry(entry(recorded=NOON - age - count + n)) for n in range(count)}


def test_the_oldest_entry_makes_room_for_a_new_one():
    found = fit(full(), {"new": ENTRY}, NOON)
    assert found == ({"job-0": None, "new": write_entry(ENTRY)}, {"new"})


def test_an_entry_whose_object_may_be_on_its_way_back_is_not_pushed_out():
    """Else the object would run again: with more objects than entries, again and again."""
    data = full(age=-ledger.MAX_ENTRIES)
    assert fit(data, {"new": ENTRY}, NOON) == ({}, set())
    oldest = {**data, "job-7": write_entry(entry(recorded=NOON - HOUR - 1))}
    found = fit(oldest, {"new": ENTRY, "newer": ENTRY}, NOON)
    assert found == ({"job-7": None, "new": write_entry(ENTRY)}, {"new"})


def test_what_others_wrote_takes_room_and_stays():
    notes = "n" * (ledger.MAX_BYTES - 1000)
    data = {"notes": notes, **full(5)}
    found = fit(data, {f"new-{n}": ENTRY for n in range(20)}, NOON)
    assert {name for name, value in found.changes.items() if value is None} == {f"job-{n}" for n in range(5)}
    assert 0 < len(found.names) < 20
    assert fit({"notes": "n" * ledger.MAX_BYTES}, {"new": ENTRY}, NOON) == ({}, set())


names = st.text("abcdefgh-", min_size=1, max_size=6)
ages = st.floats(0, 3 * HOUR)


@given(
    st.dictionaries(names, ages.map(lambda age: entry(recorded=NOON - age)), max_size=30),
    st.dictionaries(names, st.just(ENTRY), max_size=10),
    st.integers(1, 25),
    st.integers(0, 8000),
)
def test_a_ledger_stays_within_its_bounds_and_loses_only_what_is_old(have, new, most, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "MAX_ENTRIES", most)
        patch.setattr(ledger, "MAX_BYTES", size)
        data = {name: write_entry(each) for name, each in have.items()}
        changes, admitted = fit(data, new, NOON)
    after = {name: value for name, value in {**data, **changes}.items() if value is not None}
    grown = sum(len(name) + len(value) for name, value in after.items())
    assert not admitted or (len(after) <= most and grown <= size)
    assert {name: after[name] for name in admitted} == {name: write_entry(ENTRY) for name in admitted}
    assert admitted <= set(new)
    gone = set(data) - set(after) - set(new)
    assert all(have[name].recorded < NOON - HOUR for name in gone)
    left = [have[name].recorded for name in after if name in have and name not in new]
    assert not gone or min(left, default=NOON) >= max(have[name].recorded for name in gone)


# -- mirrors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason", "kinds"),
    [
        ("Succeeded", "AlreadySucceeded", {"Ready", "Complete"}),
        ("Failed", "AlreadyFailed", {"Ready", "Failed", "Stalled"}),
        ("Cancelled", "AlreadyCancelled", {"Ready", "Failed", "Stalled"}),
    ],
)
def test_a_mirror_tells_the_outcome_of_the_job_that_ran(outcome, reason, kinds):
    fresh = view(uid="u1", generation=3, once=True)
    wanted = Target(1, "v1:a", parse_request("retry@2026-12-01T07:00:00Z"), known=False)
    told = mirrored(fresh, wanted, entry(outcome=outcome), now=NOW)
    parse(FluidJobStatus, told, at="status", unknown="forbid")
    assert (told["phase"], told["run"], told["specHash"]) == (outcome, 1, "v1:a")
    assert (told["jobId"], told["environment"]) == ("u0.2", "default")
    assert told["completionTime"] == "2026-11-24T05:58:19.750000Z"
    assert told["observedGeneration"] == 3
    assert told["lastHandledRequest"] == "retry@2026-12-01T07:00:00Z"
    assert {each["type"] for each in told["conditions"]} == kinds
    assert {each["reason"] for each in told["conditions"]} == {reason}
    assert "spec.runId" in told["conditions"][0]["message"]


def test_a_mirror_is_known_by_the_job_of_another_object():
    assert mirrors(finished(uid="u1", job_id="u0.2"))
    assert not mirrors(finished(job_id="u0.2"))
    assert not mirrors(finished(job_id=""))  # refused, or nothing to do: it never had a job
