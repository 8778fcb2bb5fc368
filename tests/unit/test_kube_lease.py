"""What is written into a Lease, and which times an election accepts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fluid_operator.kube.lease import LeaseSettings, claimed, new_identity, released

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
FIRST = claimed({}, "a", 15, NOON)


def test_the_first_holder_counts_no_transition():
    assert FIRST == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-24T12:00:00.000000Z",
        "renewTime": "2026-11-24T12:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_a_renewal_moves_only_the_time_of_renewal():
    later = claimed(FIRST, "a", 15, NOON + timedelta(seconds=2))
    assert later == {**FIRST, "renewTime": "2026-11-24T12:00:02.000000Z"}


def test_another_holder_counts_one_transition_and_keeps_unknown_fields():
    taken = claimed({**FIRST, "strategy": "OldestEmulationVersion"}, "b", 15, NOON + timedelta(minutes=1))
    assert taken["holderIdentity"] == "b"
    assert taken["leaseTransitions"] == 1
    assert taken["acquireTime"] == taken["renewTime"] == "2026-11-24T12:01:00.000000Z"
    assert taken["strategy"] == "OldestEmulationVersion"


def test_a_released_lease_names_no_holder_and_keeps_its_count():
    free = released({**FIRST, "leaseTransitions": 4}, NOON)
    assert "holderIdentity" not in free
    assert free["leaseDurationSeconds"] == 1
    assert claimed(free, "b", 15, NOON)["leaseTransitions"] == 5


def test_times_are_written_in_utc_whatever_the_clock_says():
    berlin = timezone(timedelta(hours=1))
    assert claimed({}, "a", 15, NOON.astimezone(berlin))["renewTime"] == "2026-11-24T12:00:00.000000Z"


def test_the_promised_defaults():
    settings = LeaseSettings()
    assert (settings.duration, settings.renew_deadline, settings.retry) == (15, 10.0, 2.0)
    assert settings.request_timeout < settings.renew_deadline


@pytest.mark.parametrize(
    ("times", "field"),
    [
        ({"duration": 0}, "duration"),
        ({"renew_deadline": 15.0}, "renew_deadline"),
        ({"retry": 10.0}, "retry"),
        ({"retry": 0.0}, "retry"),
    ],
)
def test_times_that_cannot_work_are_refused_by_name(times: dict[str, float], field: str):
    with pytest.raises(ValueError, match=f"^{field} "):
        LeaseSettings(**times)


def test_no_two_processes_share_an_identity():
    assert new_identity() != new_identity()
