"""Index ranges as text and as bitmaps: each is what the other says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_queue import Indexes, InvalidJob
from fluid_queue.indexes import bitmap, ranges


def bits(*indexes: int) -> bytes:
    """The bitmap of these, as Redis would have set them."""
    found = bytearray(max(indexes, default=-1) // 8 + 1)
    for index in indexes:
        found[index // 8] |= 0x80 >> index % 8
    return bytes(found)


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ((), ""),
        ((0,), "0"),
        ((0, 1, 2, 3, 4, 5, 7), "0-5,7"),
        ((7, 8), "7-8"),
        ((3, 17, 99_999), "3,17,99999"),
        (range(64), "0-63"),
    ],
)
def test_set_bits_are_told_as_ranges_and_ranges_as_bits(indexes, text):
    assert ranges(bits(*indexes)) == (text, False)
    assert bitmap(text, 100_000) == bits(*indexes)


@given(st.sets(st.integers(0, 300)))
def test_a_text_and_its_bitmap_are_inverse(indexes):
    assert bitmap(ranges(bits(*indexes)).text, 301) == bits(*indexes)


@given(st.sets(st.integers(0, 300)), st.integers(0, 60))
def test_a_text_that_would_be_too_long_ends_with_the_last_range_that_fits(indexes, limit):
    whole, cut = ranges(bits(*indexes)).text, ranges(bits(*indexes), limit)
    assert len(cut.text) <= limit
    assert cut.truncated == (len(whole) > limit)
    rest = whole.removeprefix(cut.text)
    assert whole.startswith(cut.text)
    assert rest == "" or rest.startswith(",") or not cut.text
    following = rest.lstrip(",").split(",")[0]
    assert not cut.truncated or len(f"{cut.text},{following}".lstrip(",")) > limit


@pytest.mark.parametrize(
    "text",
    ["5-3", "3,2", "3,3", "0-4,4", "10", "0-10", "a", "1,", ",1", "1--2", " 1", "1\n", "-1", "1" * 12, None, 3, ["1"]],
)
def test_ranges_that_no_job_of_this_size_can_have_are_refused(text):
    with pytest.raises(InvalidJob) as caught:
        Indexes(10, completed=text)
    assert caught.value.field == "completed"


def test_a_hundred_thousand_indexes_of_which_every_other_is_done_are_told_and_read():
    every_other = b"\xaa" * 12_500
    whole, cut = ranges(every_other), ranges(every_other, 8192)
    assert whole.text == ",".join(str(n) for n in range(0, 100_000, 2))
    assert cut.truncated
    assert whole.text.startswith(cut.text)
    assert bitmap(whole.text, 100_000) == every_other
