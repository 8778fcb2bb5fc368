"""Free ports, loopback unless said, for servers that cannot be told to take port 0.

Ports come from below the kernel's ephemeral range. Inside that range a client that retries against a dead server can be
given the server's own port as its source, connect to itself, and so keep the restarted server from listening.
"""

import random
import socket
from pathlib import Path

from fluid_dev.errors import PortTaken

LOOPBACK = "127.0.0.1"
_LOWEST = 10240
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_EPHEMERAL_START = 32768


def free_port(address: str = LOOPBACK) -> int:
    """A port of this address that nobody listened on a moment ago; who uses it must still expect to find it taken."""
    choose = random.SystemRandom()  # processes that start together must not draw the same numbers
    for _ in range(1000):
        port = choose.randrange(_LOWEST, _ephemeral_start())
        if is_free(port, address):
            return port
    raise PortTaken("any server", port)


def is_free(port: int, address: str = LOOPBACK) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections in TIME_WAIT do not keep a server from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError):
        return _USUAL_EPHEMERAL_START
    return start if start > _LOWEST + 1000 else _USUAL_EPHEMERAL_START
