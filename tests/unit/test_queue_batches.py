"""Batches for calls: nothing lost, nothing out of order, nothing too large."""

from hypothesis import given
from hypothesis import strategies as st

from fluid_queue.batches import by_number, by_size
from fluid_queue.limits import CALL_BYTES, CALL_ITEMS

sizes = st.lists(st.sampled_from([1, 1000, CALL_BYTES // 3, CALL_BYTES - 1, CALL_BYTES, CALL_BYTES + 1]), max_size=60)


@given(sizes)
def test_a_batch_is_too_large_only_when_it_holds_one_thing(items):
    batches = list(by_size(items, lambda size: size))
    assert [item for batch in batches for item in batch] == items
    assert all(batch and (len(batch) == 1 or sum(batch) <= CALL_BYTES) for batch in batches)


@given(st.integers(0, 3 * CALL_ITEMS))
def test_a_batch_never_holds_more_than_one_call_may(number):
    for batches in (by_number(range(number)), list(by_size(range(number), lambda item: 0))):
        assert [item for batch in batches for item in batch] == list(range(number))
        assert all(0 < len(batch) <= CALL_ITEMS for batch in batches)


def test_a_batch_is_full_before_the_next_begins():
    assert [len(batch) for batch in by_size([CALL_BYTES // 4] * 9, lambda size: size)] == [4, 4, 1]
    assert [len(batch) for batch in by_number(range(CALL_ITEMS + 1))] == [CALL_ITEMS, 1]
