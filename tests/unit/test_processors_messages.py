"""What crosses between a worker and its child processes: messages in pieces, and errors that keep their meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_processors.errors import InvalidPayload
from fluid_processors.processes.messages import (
    MAX_RESULT_BYTES,
    Decoder,
    encode,
    error_data,
    error_from,
    queue_error_data,
    queue_error_from,
    result_data,
)
from fluid_queue import (
    InvalidJob,
    PermanentError,
    Postponed,
    QueueLimited,
    QueueUnavailable,
    RateLimited,
    RetryLater,
    StaleAttempt,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@given(st.lists(st.fixed_dictionaries({"say": JSON}), max_size=5), st.integers(1, 40))
def test_messages_come_out_as_they_went_in_however_they_are_cut(messages, size):
    stream = b"".join(map(encode, messages))
    decoder = Decoder()
    found = [each for at in range(0, len(stream), size) for each in decoder.feed(stream[at : at + size])]
    assert found == messages


def test_what_json_cannot_hold_crosses_as_text():
    message = {"lone": "\ud800", "huge": 2**70, 5: {"set": {1}}, "object": ValueError("x"), "list": [None, 1.5, True]}
    [found] = Decoder().feed(encode(message))
    assert found == {
        "lone": "?", "huge": str(2**70), "5": {"set": [1]}, "object": "x", "list": [None, 1.5, True],
    }  # fmt: skip


class Picky(RateLimited):
    pass


class Patient(Postponed):
    pass


@pytest.mark.parametrize(
    ("error", "base", "meaning"),
    [
        (
            PermanentError("no", type="NoSuchUser", reason="Gone"),
            PermanentError,
            {"type": "NoSuchUser", "reason": "Gone"},
        ),
        (InvalidPayload([]), PermanentError, {"type": "InvalidPayload", "reason": "InvalidPayload"}),
        (RetryLater("soon", after=2.5), RetryLater, {"after": 2.5}),
        (Picky("slow", after=3, scope="key"), RateLimited, {"after": 3, "scope": "key"}),
        (Patient("later", after=4), Postponed, {"after": 4}),
        (ConnectionResetError("away"), Exception, {}),
        (SystemExit("enough"), Exception, {}),
    ],
)
def test_an_error_keeps_name_text_and_meaning(error, base, meaning):
    again = error_from(Decoder().feed(encode(error_data(error)))[0])
    assert isinstance(again, base)
    assert error_data(again)["type"] == error_data(error)["type"]
    assert str(again) == str(error)
    assert {key: getattr(again, key) for key in meaning} == meaning


@pytest.mark.parametrize(
    "error",
    [InvalidJob("queue", "no such name"), StaleAttempt("job", 7), QueueLimited("mail", 2.5), QueueUnavailable("x")],
)
def test_an_error_of_the_queue_can_be_caught_by_its_type_on_the_other_side(error):
    again = queue_error_from(Decoder().feed(encode(queue_error_data(error)))[0])
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_an_error_that_cannot_be_shown_still_has_a_name():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("never")

    assert error_data(Mute()) == {"type": "Mute", "message": "a Mute that cannot be shown", "kind": "error"}


def test_a_result_that_cannot_be_sent_is_dropped_and_says_so():
    assert result_data({"a": [1, None]}) == {"a": [1, None]}
    assert "not JSON" in result_data(object())["dropped"]
    assert str(MAX_RESULT_BYTES) in result_data("x" * MAX_RESULT_BYTES)["dropped"]
