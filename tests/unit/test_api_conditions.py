"""Setting conditions: transition times, places in the list, limits."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.api.conditions import (
    MESSAGE_LIMIT,
    ConditionType,
    Reason,
    cut,
    drop_condition,
    find_condition,
    set_condition,
)
from fluid_operator.api.meta import Condition, ConditionStatus

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


def ready(
    conditions: tuple[Condition, ...], holds: bool, *, reason: Reason = Reason.QUEUED, now: datetime = NOON
) -> tuple[Condition, ...]:
    """Set Ready with a message and a generation that do not matter."""
    return set_condition(conditions, ConditionType.READY, holds, reason=reason, message="m", generation=1, now=now)


def test_a_new_condition_carries_everything() -> None:
    [condition] = set_condition(
        (), ConditionType.FAILED, True, reason=Reason.DEADLINE_EXCEEDED, message="too slow", generation=4, now=NOON
    )
    assert condition == Condition(
        type="Failed",
        status=ConditionStatus.TRUE,
        observed_generation=4,
        last_transition_time=NOON,
        reason="DeadlineExceeded",
        message="too slow",
    )


def test_a_new_reason_leaves_the_transition_time() -> None:
    [condition] = ready(ready((), False), False, reason=Reason.RUNNING, now=LATER)
    assert (condition.reason, condition.last_transition_time) == ("Running", NOON)


def test_a_new_status_moves_the_transition_time() -> None:
    [condition] = ready(ready((), False), True, now=LATER)
    assert (condition.status, condition.last_transition_time) == (ConditionStatus.TRUE, LATER)


def test_a_status_may_be_unknown() -> None:
    [condition] = set_condition(
        (), ConditionType.READY, ConditionStatus.UNKNOWN, reason=Reason.QUEUED, message="", generation=1, now=NOON
    )
    assert condition.status is ConditionStatus.UNKNOWN


def test_other_conditions_keep_their_places() -> None:
    conditions: tuple[Condition, ...] = ()
    for kind in (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED):
        conditions = set_condition(conditions, kind, True, reason=Reason.RUNNING, message="", generation=1, now=NOON)
    changed = set_condition(
        conditions, ConditionType.RECONCILING, False, reason=Reason.RUNNING, message="", generation=2, now=LATER
    )
    assert [condition.type for condition in changed] == ["Ready", "Reconciling", "Stalled"]
    assert (changed[0], changed[2]) == (conditions[0], conditions[2])


def test_a_condition_is_found_and_dropped_by_its_type() -> None:
    conditions = ready((), True)
    assert find_condition(conditions, ConditionType.READY) == conditions[0]
    assert find_condition(conditions, ConditionType.FAILED) is None
    assert drop_condition(conditions, ConditionType.READY) == ()
    assert drop_condition(conditions, ConditionType.FAILED) == conditions


@given(message=st.text(max_size=3 * MESSAGE_LIMIT))
def test_any_message_fits(message: str) -> None:
    [condition] = set_condition(
        (), ConditionType.READY, False, reason=Reason.QUEUED, message=message, generation=1, now=NOON
    )
    assert len(condition.message) <= MESSAGE_LIMIT


def test_a_cut_message_shows_that_it_was_cut() -> None:
    assert cut("abcdef", limit=4) == "abc…"
    assert cut("abcd", limit=4) == "abcd"
