"""The demo of the queue alone, on a real Redis with a real worker: what it shows, what it keeps, what it leaves."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fluid_dev.errors import DemoError
from fluid_dev.exclusive import only_command
from fluid_dev.processes import Process, reap
from fluid_dev.queue_demo import QueueDemo
from support.folders import fresh_folder

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def demo():
    demo = QueueDemo(CHECKOUT, fresh_folder("demo") / "queue")
    yield demo
    reap(demo.state)


def rows(table: str) -> dict[str, list[str]]:
    """The lines below the heading, by the word before the dash of the job's id."""
    return {line.split("-", 1)[0]: line.split() for line in table.splitlines()[1:]}


def test_it_runs_the_example_jobs_and_shows_how_they_ended(demo):
    shown = rows(demo.up())
    assert {name: (row[2], row[3]) for name, row in shown.items()} == {
        "quick": ("completed", "1"),
        "longer": ("completed", "1"),
        "later": ("completed", "1"),
        "flaky": ("completed", "3"),
        "hopeless": ("failed", "1"),
    }
    assert float(shown["longer"][4]) >= 0.8
    assert "always fails" in " ".join(shown["hopeless"])


def test_a_second_start_keeps_what_runs_and_replaces_what_was_killed(demo):
    demo.up()
    redis, worker = Process("redis", demo.state / "redis"), Process("worker", demo.state)
    before = redis.identity, worker.identity
    assert rows(demo.up())["quick"][2] == "completed"
    assert (redis.identity, worker.identity) == before
    worker.kill()
    assert rows(demo.up())["quick"][2] == "completed"
    assert redis.identity == before[0]
    assert worker.identity != before[1]


def test_down_ends_every_process_and_removes_the_folder(demo):
    demo.up()
    identities = [Process("redis", demo.state / "redis").identity, Process("worker", demo.state).identity]
    demo.down()
    assert not demo.state.exists()
    assert not any(identity.alive for identity in identities if identity)
    demo.down()


def test_its_password_is_only_in_files_of_the_owner(demo):
    shown = demo.up() + demo.how_to_go_on()
    password = (demo.state / "redis" / "password").read_text()
    assert password not in shown
    holders = [
        file for file in demo.state.rglob("*") if file.is_file() and password in file.read_text(errors="replace")
    ]
    assert demo.state / "env" in holders
    assert {file.stat().st_mode & 0o077 for file in holders} == {0}


def test_whoever_reads_its_environment_file_can_go_on(demo):
    demo.up()
    script = f". {demo.state}/env && exec {sys.executable} {CHECKOUT}/docs/examples/enqueue_jobs.py"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == 5


def test_a_worker_that_does_not_work_is_told_with_its_log(demo):
    demo.up()
    Process("worker", demo.state).signal(signal.SIGSTOP)
    with pytest.raises(DemoError, match=r"show_jobs\.py took longer than 3 s; see .*worker\.log"):
        QueueDemo(CHECKOUT, demo.state, patience_seconds=3.0).up()


def test_a_second_command_on_the_same_folder_is_refused(demo):
    with only_command(demo.state), pytest.raises(DemoError, match="another demo command"):
        demo.up()
