"""The queue on its own: Redis, one worker with the built-in demo types, and two example programs. No cluster.

It lies in a folder of its own below the big demo's, so that both can run, and is found again by it: a second `up` keeps
what runs and enqueues more. What enqueues and shows the jobs are the scripts of `docs/examples`, run as a user would.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from fluid_dev.errors import DemoError
from fluid_dev.exclusive import only_command
from fluid_dev.pki import write_private
from fluid_dev.processes import Process
from fluid_dev.progress import shown, step
from fluid_dev.redis import RedisServer

KEY_PREFIX = "demo"


class QueueDemo:
    def __init__(self, checkout: Path, state: Path, *, patience_seconds: float = 30.0) -> None:
        """`state`: the folder of this demo alone. `patience_seconds`: how long an example program may take."""
        self.state = state.absolute()
        self._patience_seconds = patience_seconds
        self._examples = checkout / "docs" / "examples"
        self._redis = RedisServer(self.state / "redis", appendonly=True, logs=self.state / "logs")

    def up(self) -> str:
        """Start what does not run, enqueue the example jobs, and answer the table of how they ran. DevError if some
        part will not run."""
        with only_command(self.state):
            with step("starting Redis and a worker"):
                self._redis.start()
                worker = self._worker()
                worker.ensure()
                self._write_environment()
            with step("enqueuing a few jobs and waiting until they have run"):
                ids = self._run(worker, "enqueue_jobs.py").split()
                return self._run(worker, "show_jobs.py", *ids)

    def down(self) -> None:
        """Stop everything of this folder and remove it. Nothing to stop is fine."""
        if not self.state.exists():
            return
        with only_command(self.state), step("stopping the queue demo"):
            Process("worker", self.state).stop(within=10)
            self._redis.stop(wipe=True)
        shutil.rmtree(self.state)

    def how_to_go_on(self) -> str:
        """What to type next, in lines."""
        python, examples = shown(Path(sys.executable)), shown(self._examples)
        return (
            f"Go on:  . {shown(self.state / 'env')}\n"
            f"        {python} {examples / 'enqueue_jobs.py'}\n"
            f"        {python} {examples / 'show_jobs.py'} ID...\n"
            f"Your own job types: docs/processors.md   Logs: {shown(self.state / 'logs')}   Stop: make down"
        )

    def _environment(self) -> dict[str, str]:
        return {"FLUID_REDIS_URL": self._redis.url, "FLUID_KEY_PREFIX": KEY_PREFIX}

    def _worker(self) -> Process:
        env = {**self._environment(), "FLUID_HEALTH_HOST": "127.0.0.1", "FLUID_HEALTH_PORT": "0"}
        return Process("worker", self.state, [sys.executable, "-m", "fluid_processors"], env=env)

    def _write_environment(self) -> None:
        """For the shell of whoever goes on; it holds the password of this Redis, so that no output has to."""
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in self._environment().items()]
        write_private(self.state / "env", "".join(lines).encode())

    def _run(self, worker: Process, script: str, *arguments: str) -> str:
        """What an example program prints."""
        command = [sys.executable, str(self._examples / script), *arguments]
        env = {**os.environ, **self._environment()}
        try:
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, timeout=self._patience_seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            worker.check()
            raise DemoError(f"{script} took longer than {self._patience_seconds:g} s; see {worker.log}") from error
        if done.returncode:
            raise DemoError(f"{script} failed: {done.stderr.strip()}")
        return done.stdout
