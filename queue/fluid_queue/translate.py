"""From what redis-py raises to what this package promises; the one place that knows both."""

from __future__ import annotations

import re

from redis import exceptions as redis

from fluid_queue.errors import LeaderFenced, QueueError, QueueFull, QueueUnavailable, ScriptError

# Redis 6.2 wraps what goes wrong inside a script into a sentence, in which the word stands after a dash.
_FULL = re.compile(r"(^|-)OOM\b|OOM command not allowed")
_NOT_NOW = re.compile(r"(^|-)(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS|BUSY)\b")

# redis-py's connection and timeout errors are not the built-in ones.
_AWAY = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError, OSError)


def translate(error: Exception) -> QueueError:
    """The typed error for what redis-py, or the socket below it, raised. Messages never hold the URL."""
    text = str(error)
    if isinstance(error, redis.OutOfMemoryError) or _FULL.search(text):
        return QueueFull("Redis is at its memory limit: raise maxmemory, or let jobs finish")
    if isinstance(error, redis.ResponseError) and text.startswith("FENCED "):
        _, leader, current = text.split(" ")[:3]
        return LeaderFenced(leader, current)
    if isinstance(error, redis.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        return QueueUnavailable(f"Redis refuses the user or password: {text}")
    if isinstance(error, _AWAY):
        return QueueUnavailable(f"Redis cannot be reached: {text or error.__class__.__name__}")
    if isinstance(error, redis.ResponseError) and _NOT_NOW.search(text):
        return QueueUnavailable(f"Redis cannot serve now: {text}")
    return ScriptError(text)
