"""The Redis of demo and tests: a real server with a password, on a port of its own."""

import signal
import socket

import pytest

from fluid_dev.errors import PortTaken
from fluid_dev.redis import RedisServer
from support.folders import fresh_folder


def test_it_asks_for_the_password(redis_server):
    with socket.create_connection(("127.0.0.1", redis_server.port)) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    assert redis_server.cli("PING") == "PONG"


def test_a_killed_server_comes_back_on_its_port_with_its_data(own_redis):
    port = own_redis.port
    own_redis.cli("SET", "kept", "yes")
    own_redis.kill(signal.SIGKILL)
    own_redis.restart()
    assert own_redis.port == port
    assert own_redis.cli("GET", "kept") == "yes"


def test_a_wanted_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        server = RedisServer(fresh_folder("redis"), port=port, die_with_parent=True)
        with pytest.raises(PortTaken, match=str(port)):
            server.start()
        server.stop(wipe=True)


def test_the_password_is_in_no_argument_list(redis_server):
    assert not any(redis_server.password in str(part) for part in redis_server.process.argv)
