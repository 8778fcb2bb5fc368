"""What INFO says, as a value: read with care, because hosting services hide parts of it."""

import pytest

from fluid_queue import ServerState

GIVEN = {
    "redis_version": "7.2.4",
    "aof_enabled": 1,
    "maxmemory": 1000,
    "used_memory": 700,
    "mem_not_counted_for_evict": 50,
    "maxmemory_policy": "noeviction",
    "role": "master",
}


def test_what_a_server_tells_is_read():
    assert ServerState.parse(GIVEN) == ServerState(
        version=(7, 2, 4), appendonly=True, max_memory=1000, used_memory=650, policy="noeviction", role="master"
    )


def test_what_a_server_hides_is_not_known():
    assert ServerState.parse({}) == ServerState()


@pytest.mark.parametrize(
    ("told", "want"), [("6.2.0", (6, 2, 0)), (6.2, (6, 2)), ("7.4.0-v1", (7, 4, 0)), ("unstable", None), ("", None)]
)
def test_a_version_is_read_as_numbers(told, want):
    assert ServerState.parse({"redis_version": told}).version == want


def test_what_is_no_amount_is_not_known():
    state = ServerState.parse({"maxmemory": "1gb", "used_memory": -1, "aof_enabled": "yes", "maxmemory_policy": 3})
    assert state == ServerState()


def test_memory_that_does_not_count_against_the_limit_is_left_out():
    assert ServerState.parse({"used_memory": 10, "mem_not_counted_for_evict": 30}).used_memory == 0
