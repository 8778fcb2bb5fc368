"""A watch as bytes: lines cut anywhere, events in order, errors by their type."""

from collections.abc import Awaitable, Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.kube.errors import Gone, ServerError, Unreachable
from fluid_operator.kube.streams import Event, Lines, read_events


def line(type_: str, /, **body: object) -> bytes:
    return orjson.dumps({"type": type_, "object": body}) + b"\n"


def reader(*chunks: bytes) -> Callable[[], Awaitable[bytes]]:
    rest = [*chunks, b""]

    async def read() -> bytes:
        return rest.pop(0)

    return read


async def collect(*chunks: bytes) -> list[Event]:
    return [event for events in [batch async for batch in read_events(reader(*chunks), "/p")] for event in events]


@given(st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_come_out_whole_wherever_the_chunks_are_cut(lines: list[bytes], data: st.DataObject):
    stream = b"".join(each + b"\n" for each in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter, got = Lines(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += splitter.feed(stream[start:end])
    assert got == [each for each in lines if each]
    assert not splitter.incomplete


async def test_events_of_one_chunk_come_as_one_batch():
    first, second, third = line("ADDED", n=1), line("MODIFIED", n=2), line("DELETED", n=3)
    batches = [batch async for batch in read_events(reader(first + second, third), "/p")]
    assert [[event.type for event in batch] for batch in batches] == [["ADDED", "MODIFIED"], ["DELETED"]]
    assert batches[0][1].object == {"n": 2}


async def test_an_error_event_is_raised_as_its_type_after_the_events_before_it():
    expired = line("ERROR", kind="Status", code=410, reason="Expired", message="too old")
    got: list[Event] = []

    async def follow() -> None:
        async for batch in read_events(reader(line("ADDED", n=1) + expired), "/p"):
            got.extend(batch)

    with pytest.raises(Gone) as caught:
        await follow()
    assert [event.object for event in got] == [{"n": 1}]
    assert (caught.value.status, caught.value.reason, caught.value.path) == (410, "Expired", "/p")


async def test_an_error_event_without_a_code_is_the_servers_fault():
    with pytest.raises(ServerError):
        await collect(line("ERROR", message="etcd is gone"))


@pytest.mark.parametrize("garbage", [b"no json\n", b"[1]\n", b'{"type":"ADDED"}\n', b"3\n"])
async def test_a_line_that_is_no_event_is_a_lost_connection(garbage: bytes):
    with pytest.raises(Unreachable, match="no event"):
        await collect(garbage)


async def test_an_end_inside_a_line_is_a_lost_connection():
    with pytest.raises(Unreachable, match="inside an event"):
        await collect(line("ADDED", n=1), b'{"type":"MOD')
