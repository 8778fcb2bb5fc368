"""Fixtures of all levels, each a real server of this run: own port, own password, own folder, gone at the end."""

import signal
import threading
import uuid
from collections.abc import Iterator

import hypothesis
import pytest

from fluid_dev.redis import RedisServer
from fluid_dev.smtp import SmtpCatcher
from support.folders import close_run_folder, fresh_folder, open_run_folder
from support.require import everything_required, required_parts

pytest_plugins = ("support.field_matrix",)

_owns_folder = pytest.StashKey[bool]()


# How long an example takes says something about the machine, not about what is tested.
hypothesis.settings.register_profile("fluid", deadline=None)
hypothesis.settings.load_profile("fluid")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_owns_folder] = open_run_folder()
    if threading.current_thread() is threading.main_thread():
        # CI ends a run by SIGTERM: fixtures clean up then as after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash.get(_owns_folder, False):
        close_run_folder()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With every part required a skipped test is a failure, wherever the skip came from."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and everything_required() and reporter.stats.get("skipped"):
        reporter.write_line("FLUID_TEST_REQUIRE=all: skipped tests count as failed", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests of this process: keep to your `key_prefix`, restart or flush only `own_redis`."""
    yield from _running_redis()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that this test alone may stop, kill, restart and empty; it keeps its data over a restart."""
    yield from _running_redis(appendonly=True)


@pytest.fixture
def key_prefix() -> str:
    """A key prefix that nobody else uses."""
    return f"test-{uuid.uuid4().hex[:12]}.default"


def _running_redis(*, appendonly: bool = False) -> Iterator[RedisServer]:
    server = RedisServer(fresh_folder("redis"), die_with_parent=True, appendonly=appendonly)
    try:
        with required_parts():
            server.start()
        yield server
    finally:
        server.stop(wipe=True)


@pytest.fixture
def smtp() -> Iterator[SmtpCatcher]:
    """An SMTP catcher of this test: `.port`, `.mails()`; its recipients' tags make it fail, refuse or be slow."""
    catcher = SmtpCatcher(fresh_folder("smtp"), die_with_parent=True)
    try:
        catcher.start()
        yield catcher
    finally:
        catcher.stop(wipe=True)
