"""What redis-py raises becomes a type of ours, whichever server, version and layer it came from."""

import ssl

import pytest
from redis import exceptions as redis

from fluid_queue.errors import (
    LeaderFenced,
    QueueAccessDenied,
    QueueError,
    QueueFull,
    QueueUnavailable,
    ScriptError,
)
from fluid_queue.translate import is_elsewhere, translate

IN_A_SCRIPT_OF_6_2 = "Error running script (call to f_ab): @user_script:33: @user_script: 33: -"


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), QueueFull),
        (redis.ResponseError(f"{IN_A_SCRIPT_OF_6_2}OOM command not allowed"), QueueFull),
        (redis.ResponseError("FENCED 0:1 2"), LeaderFenced),
        (redis.AuthenticationError("invalid username-password pair or user is disabled."), QueueAccessDenied),
        (redis.AuthenticationError("Authentication required."), QueueAccessDenied),
        (redis.NoPermissionError("this user has no permissions to run the 'hset' command"), QueueAccessDenied),
        (redis.ResponseError("The user executing the script can't run this command or subcommand"), QueueAccessDenied),
        (redis.ResponseError("ACL failure in script: User w has no permissions to run 'hset'"), QueueAccessDenied),
        (redis.ResponseError(f"{IN_A_SCRIPT_OF_6_2}NOPERM this user has no permissions"), QueueAccessDenied),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), QueueUnavailable),
        (redis.ReadOnlyError("You can't write against a read only replica."), QueueUnavailable),
        (redis.ResponseError(f"{IN_A_SCRIPT_OF_6_2}READONLY You can't write"), QueueUnavailable),
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), QueueUnavailable),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), QueueUnavailable),
        (redis.ClusterDownError("The cluster is down"), QueueUnavailable),
        (redis.MasterDownError("Link with MASTER is down"), QueueUnavailable),
        (redis.TryAgainError("Multiple keys request during rehashing of slot"), QueueUnavailable),
        (redis.MovedError("3999 127.0.0.1:6381"), QueueUnavailable),
        (redis.AskError("3999 127.0.0.1:6381"), QueueUnavailable),
        (redis.TimeoutError("Timeout reading from host"), QueueUnavailable),
        (ConnectionResetError("reset"), QueueUnavailable),
        (redis.ResponseError("unknown command"), ScriptError),
    ],
    ids=lambda value: getattr(value, "__name__", None) or f"{value.__class__.__name__}-{str(value)[:30]}",
)
def test_each_error_has_its_type(error, want):
    assert type(translate(error)) is want


@pytest.mark.parametrize(
    "error",
    [
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.ResponseError(f"{IN_A_SCRIPT_OF_6_2}READONLY You can't write against a read only replica."),
        redis.MovedError("3999 127.0.0.1:6381"),
        redis.AskError("3999 127.0.0.1:6381"),
        redis.ClusterDownError("Hash slot not served"),
    ],
)
def test_a_server_that_is_not_the_right_one_is_left(error):
    assert is_elsewhere(error)


@pytest.mark.parametrize(
    "error",
    [redis.TimeoutError("slow"), redis.ConnectionError("gone"), redis.NoScriptError("none"), redis.ResponseError("x")],
)
def test_what_may_have_been_carried_out_is_never_sent_again(error):
    assert not is_elsewhere(error)


def test_what_redis_py_wraps_while_connecting_is_unwrapped():
    assert isinstance(translate(_wrapped(redis.AuthenticationError("WRONGPASS"))), QueueAccessDenied)
    untrusted = ssl.SSLCertVerificationError(1, "verify failed")
    untrusted.verify_message = "self-signed certificate in certificate chain"
    assert "self-signed certificate" in str(translate(_wrapped(untrusted)))


def _wrapped(cause: Exception) -> redis.ConnectionError:
    error = redis.ConnectionError("Error connecting to host:6379")
    error.__cause__ = cause
    return error


def test_access_denied_is_also_unavailable_so_that_whoever_waits_for_redis_waits_for_this_too():
    assert issubclass(QueueAccessDenied, QueueUnavailable)
    assert issubclass(QueueUnavailable, QueueError)
