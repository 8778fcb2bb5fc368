"""From what redis-py raises to what this package promises; the one place that knows both."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from redis import exceptions as redis

from fluid_queue.errors import (
    LeaderFenced,
    QueueAccessDenied,
    QueueError,
    QueueFull,
    QueueUnavailable,
    ScriptError,
)

# Redis 6.2 wraps what goes wrong inside a script into a sentence, in which the word stands after a dash.
_FULL = re.compile(r"(^|-)OOM\b|OOM command not allowed")
_NOT_NOW = re.compile(r"(^|-)(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS|BUSY)\b")
_DENIED = re.compile(r"(^|-)(NOAUTH|WRONGPASS|NOPERM)\b|executing the script can't (run|access)|ACL failure in script")
_READONLY = re.compile(r"(^|-)READONLY\b")

# redis-py's connection and timeout errors are not the built-in ones.
_AWAY = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError, OSError)
_REFUSED = (redis.AuthenticationError, redis.AuthorizationError, redis.NoPermissionError)
_NOT_YET = (redis.ClusterDownError, redis.TryAgainError)


def translate(error: Exception) -> QueueError:
    """The typed error for what redis-py, or the socket below it, raised. Messages never hold the URL."""
    error = _innermost(error)
    text = str(error)
    if isinstance(error, redis.OutOfMemoryError) or _FULL.search(text):
        return QueueFull("Redis is at its memory limit: raise maxmemory, or let jobs finish")
    if isinstance(error, redis.ResponseError) and text.startswith("FENCED "):
        _, leader, current = text.split(" ")[:3]
        return LeaderFenced(leader, current)
    if isinstance(error, _REFUSED) or _DENIED.search(text):
        return QueueAccessDenied(f"Redis refuses the user or password: {text}")
    if isinstance(error, redis.AskError):
        return QueueUnavailable("Redis cannot serve now: its Cluster is moving this key space to another node")
    if isinstance(error, ssl.SSLError):
        return QueueUnavailable(f"Redis cannot be reached: {_tls_problem(error)}")
    if isinstance(error, FileNotFoundError):
        return QueueUnavailable(
            "Redis cannot be reached: a CA, certificate, key or socket of its address is no file here"
        )
    if isinstance(error, _AWAY):
        return QueueUnavailable(f"Redis cannot be reached: {text or error.__class__.__name__}")
    if isinstance(error, redis.ResponseError) and (isinstance(error, _NOT_YET) or _NOT_NOW.search(text)):
        return QueueUnavailable(f"Redis cannot serve now: {text}")
    return ScriptError(text)


def is_elsewhere(error: Exception) -> bool:
    """Whether nothing was carried out because this server is not the one to ask, or not any more: a demoted master,
    a Cluster node that does not own the slot. Whoever connects anew may find the right one."""
    if isinstance(error, redis.ReadOnlyError | redis.AskError | redis.ClusterDownError):
        return True
    return isinstance(error, redis.ResponseError) and bool(_READONLY.search(str(error)))


def _innermost(error: Exception) -> Exception:
    """What really happened: redis-py wraps errors while connecting into one that only says where."""
    if not isinstance(error, redis.ConnectionError):
        return error
    found = [each for each in _causes(error) if isinstance(each, ssl.SSLError | FileNotFoundError | redis.RedisError)]
    return found[-1] if found else error


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _tls_problem(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); give the CA that signed it"
    return f"the TLS handshake failed ({error.reason or error}); does this port speak TLS?"
