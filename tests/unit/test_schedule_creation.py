"""The FluidJob for a time of a schedule."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.meta import parse
from fluid_operator.timetables.creation import (
    COUNTED_ANNOTATION,
    INSTANTIATE_ANNOTATION,
    SCHEDULE_LABEL,
    TIME_ANNOTATION,
    check_template,
    job_for,
    job_name,
    manual_name,
)
from fluid_operator.timetables.errors import PlaceholderError, TemplateError

BERLIN = ZoneInfo("Europe/Berlin")
SEVEN = datetime(2026, 11, 24, 6, tzinfo=UTC)

MINUTES = st.integers(0, 60_000_000)


def schedule(*, metadata=None, **spec):
    """A FluidSchedule as the API server would send it; `spec` sets fields of the template's spec."""
    template = {"spec": {"type": "email", "backoffLimit": 2, **spec}}
    if metadata is not None:
        template["metadata"] = metadata
    return {
        "metadata": {
            "namespace": "team",
            "name": "digest",
            "uid": "u-1",
            "labels": {"of": "the schedule"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {"schedule": "0 7 * * *", "timeZone": "Europe/Berlin", "jobTemplate": template},
        "status": {"missed": 3},
    }


def test_a_job_is_all_that_its_schedule_says_and_no_more():
    raw = schedule(payload={"day": "{{ date-1d }}"}, metadata={"labels": {"app": "mail"}, "annotations": {"a": "b"}})
    assert job_for(raw, SEVEN, BERLIN) == {
        "apiVersion": "jobs.fluidcalendar.com/v1alpha1",
        "kind": "FluidJob",
        "metadata": {
            "namespace": "team",
            "name": "digest-htea0",
            "labels": {"app": "mail", "jobs.fluidcalendar.com/schedule": "digest"},
            "annotations": {"a": "b", "jobs.fluidcalendar.com/scheduled-time": "2026-11-24T06:00:00Z"},
            "ownerReferences": [
                {
                    "apiVersion": "jobs.fluidcalendar.com/v1alpha1",
                    "kind": "FluidSchedule",
                    "name": "digest",
                    "uid": "u-1",
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {"type": "email", "backoffLimit": 2, "payload": {"day": "2026-11-23"}},
    }


def test_items_are_filled_in_as_the_payload_is():
    raw = schedule(payload={"at": "{{ hour }}"}, items=[{"day": "{{ day }}"}, {"name": "{{ name }}"}])
    spec = job_for(raw, SEVEN, BERLIN)["spec"]
    assert (spec["payload"], spec["items"]) == ({"at": "07"}, [{"day": "24"}, {"name": "digest"}])
    parse(FluidJobSpec, spec, unknown="forbid")


def test_the_schedule_is_left_as_it_was():
    raw = schedule(payload={"day": ["{{ date }}"]}, metadata={"labels": {"app": "mail"}})
    before = copy.deepcopy(raw)
    job_for(raw, SEVEN, BERLIN, instantiate="manual", counted=True)
    assert raw == before


def test_only_a_job_that_a_person_asked_for_is_marked_so():
    def marks(**asked):
        found = job_for(schedule(), SEVEN, BERLIN, **asked)["metadata"]["annotations"]
        return {key: value for key, value in found.items() if key != TIME_ANNOTATION}

    assert marks() == {}
    assert marks(instantiate="manual") == {INSTANTIATE_ANNOTATION: "manual"}
    assert marks(instantiate="backfill", counted=True) == {
        INSTANTIATE_ANNOTATION: "backfill",
        COUNTED_ANNOTATION: "true",
    }


def test_a_template_cannot_disguise_its_jobs():
    metadata = {
        "labels": {SCHEDULE_LABEL: "other"},
        "annotations": {INSTANTIATE_ANNOTATION: "manual", COUNTED_ANNOTATION: "true", TIME_ANNOTATION: "never"},
    }
    meta = job_for(schedule(metadata=metadata), SEVEN, BERLIN)["metadata"]
    assert meta["labels"] == {SCHEDULE_LABEL: "digest"}
    assert meta["annotations"] == {TIME_ANNOTATION: "2026-11-24T06:00:00Z"}


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("labels", SCHEDULE_LABEL),
        ("annotations", TIME_ANNOTATION),
        ("annotations", INSTANTIATE_ANNOTATION),
        ("annotations", COUNTED_ANNOTATION),
    ],
)
def test_a_template_that_sets_our_marks_is_refused(part, key):
    with pytest.raises(TemplateError, match=f"{key} is set by the schedule itself") as raised:
        check_template(schedule(metadata={part: {key: "x"}})["spec"])
    assert raised.value.path == f"spec.jobTemplate.metadata.{part}"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"payload": {"to": ["{{ day-1x }}"]}}, "spec.jobTemplate.spec.payload.to[0]"),
        ({"items": [{}, {"a": "{{"}]}, "spec.jobTemplate.spec.items[1].a"),
        ({"tags": {"day": "{{ date }}"}}, "spec.jobTemplate.spec.tags.day"),
        ({"deduplication": {"key": "k/{{ date }}"}}, "spec.jobTemplate.spec.deduplication.key"),
    ],
)
def test_a_template_is_checked_without_a_time(spec, path):
    with pytest.raises(PlaceholderError) as raised:
        check_template(schedule(**spec)["spec"])
    assert raised.value.path == path


def test_a_good_template_passes():
    metadata = {"labels": {"app": "mail"}, "annotations": {"note": "{{ this is Helm's }}"}}
    check_template(schedule(payload={"day": "{{ date }}"}, metadata=metadata)["spec"])
    check_template(schedule(payload=None)["spec"])


def test_the_name_of_a_time_is_its_minute_and_nothing_else():
    assert job_name("digest", SEVEN) == "digest-htea0"
    assert job_name("digest", SEVEN.astimezone(BERLIN) + timedelta(seconds=59)) == "digest-htea0"
    assert job_name("digest", datetime(1970, 1, 1, tzinfo=UTC)) == "digest-0"
    with pytest.raises(ValueError, match="before 1970"):
        job_name("digest", datetime(1969, 12, 31, tzinfo=UTC))


@given(MINUTES, MINUTES)
def test_different_minutes_have_different_names_that_sort_alike(one, other):
    first, second = (datetime.fromtimestamp(60 * minute, UTC) for minute in (one, other))
    names = job_name("x", first), job_name("x", second)
    assert (names[0] == names[1]) == (one == other)
    assert int(names[0].removeprefix("x-"), 36) == one


@given(MINUTES)
def test_the_longest_name_of_a_schedule_leaves_room(minute):
    moment = datetime.fromtimestamp(60 * minute, UTC)
    for name in (job_name("s" * 52, moment), manual_name("s" * 52, moment)):
        assert re.fullmatch(r"s{52}-[a-z0-9]{1,10}", name)


def test_a_job_by_hand_is_named_after_its_millisecond():
    assert manual_name("digest", SEVEN) != manual_name("digest", SEVEN + timedelta(milliseconds=1))
    job = job_for(schedule(), SEVEN, BERLIN, name=manual_name("digest", SEVEN), instantiate="manual")
    assert re.fullmatch(r"digest-m[a-z0-9]{8}", job["metadata"]["name"])
