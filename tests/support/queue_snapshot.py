"""A key space at one instant, read in one script, as plain Python values. Knows the types of Redis, but nothing of
what the keys mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import redis

_READ = """
local readers = {
  string = function(key) return {redis.call('GET', key)} end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return redis.call('SMEMBERS', key) end,
  hash = function(key) return redis.call('HGETALL', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return {tostring(redis.call('XLEN', key))} end,
}
local time, rows = redis.call('TIME'), {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  rows[#rows + 1] = {key, kind, redis.call('PTTL', key), readers[kind](key)}
end
return {time[1] * 1000 + math.floor(time[2] / 1000), rows}
"""


@dataclass(frozen=True)
class Snapshot:
    """Every key, named without the prefix of its key space."""

    now: int
    """Milliseconds of the server's clock."""
    values: Mapping[str, Any]
    """Strings and lists as such, sets as sets, hashes as dicts, sorted sets as dicts of numbers in their order,
    streams as their length."""
    kinds: Mapping[str, str]
    expiring: frozenset[str]
    """Keys that go by themselves some day."""

    @cached_property
    def records(self) -> Mapping[str, Mapping[str, str]]:
        """The records of all jobs, by id."""
        return self.by_name("job:")

    def by_name(self, start: str) -> dict[str, Any]:
        """The keys that begin so, named by what follows."""
        return {name.removeprefix(start): value for name, value in self.values.items() if name.startswith(start)}

    def get(self, name: str) -> Any:
        """A collection that does not exist is an empty one."""
        return self.values.get(name, {})


def snapshot(server: redis.Redis, prefix: str) -> Snapshot:
    """What a database holds now, of which one key space with this prefix is all. A key without the prefix is an
    error."""
    now, rows = server.eval(_READ, 0)
    values, kinds, expiring = {}, {}, set()
    for key, kind, ttl, content in rows:
        assert key.decode().startswith(prefix), f"{key!r} is not in the key space {prefix}"
        name = key.decode().removeprefix(prefix)
        kinds[name] = kind.decode()
        values[name] = _value(kinds[name], content)
        if ttl >= 0:
            expiring.add(name)
    return Snapshot(now, values, kinds, frozenset(expiring))


def _value(kind: str, content: list[bytes]) -> Any:
    words = [word.decode("utf-8", "backslashreplace") for word in content]
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    if kind == "string":
        return content[0]
    if kind == "zset":
        return {member: float(score) for member, score in pairs.items()}
    return {"set": set(words), "hash": pairs, "stream": words}.get(kind, words)
