"""A test run leaves no process and no folder, however it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fluid_dev.processes import Identity
from support.waiting import until

TESTS = Path(__file__).parents[1]
_MODULE = """
import json, pathlib, time
from support.folders import run_folder

def test_inner(redis_server):
    identity = redis_server.process.identity
    seen = {{"folder": str(run_folder()), "pid": identity.pid, "start_time": identity.start_time}}
    pathlib.Path({report!r}).write_text(json.dumps(seen))
    {ending}
"""


@pytest.mark.parametrize(
    ("ending", "sent", "want"),
    [
        ("pass", None, 0),
        ("assert False", None, 1),
        ("time.sleep(600)", signal.SIGINT, 2),
        ("time.sleep(600)", signal.SIGTERM, 2),
    ],
)
def test_a_run_cleans_up_after(ending, sent, want, tmp_path):
    with inner_run(tmp_path, ending) as run:
        seen = until(lambda: report(tmp_path), what="the inner test runs")
        if sent is not None:
            run.send_signal(sent)
        assert run.wait(30) == want
    assert not Identity(seen["pid"], seen["start_time"]).alive
    assert not Path(seen["folder"]).exists()


def test_the_next_run_removes_what_a_killed_one_left(tmp_path):
    with inner_run(tmp_path, "time.sleep(600)") as killed:
        seen = until(lambda: report(tmp_path), what="the inner test runs")
        killed.kill()
    until(lambda: not Identity(seen["pid"], seen["start_time"]).alive, 10, "Redis dies with the run")
    with inner_run(tmp_path, "pass") as following:
        assert following.wait(30) == 0
    assert not Path(seen["folder"]).exists()


def inner_run(folder: Path, ending: str) -> subprocess.Popen[bytes]:
    module = folder / "test_inner.py"
    module.write_text(_MODULE.format(report=str(folder / "report"), ending=ending))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "FLUID_TEST_RUN_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", f"--rootdir={TESTS.parent}", module],
        env=env | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.DEVNULL,
    )


def report(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "report").read_text())
    except (FileNotFoundError, ValueError):  # not yet, or half written
        return None
