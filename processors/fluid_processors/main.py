"""The command `fluid-worker`, also `python -m fluid_processors`: arguments, settings, signals, exit codes.

0   drained                       1   a thread had to be left behind, or the worker broke
2   settings or processors are unusable: nothing was started

A worker that leaves a thread behind has drained as asked, and ends with 1 all the same: the kubelet restarts it in
either case, but only then does the restart show as an error, for somebody to look for the processor that hangs.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

import uvloop

from fluid_processors.errors import SettingsError, WorkerError
from fluid_processors.registry import GROUP, Registry
from fluid_processors.settings import WorkerSettings, describe, from_environment
from fluid_processors.worker import Worker
from fluid_queue import QueueError, logs

_log = logging.getLogger(__name__)

_INTRODUCTION = f"""\
Runs jobs of Fluid Jobs: claims them from Redis, runs their processors, keeps their leases,
and writes down how they ended.

Processors are found through the entry-point group {GROUP!r} of the installed packages.
SIGTERM and SIGINT drain: no more claims, running jobs finish or are handed back. A second
signal ends the process at once; its jobs run again elsewhere.
"""

_EMAIL_VARIABLES = """\
the `email` processor:
  SMTP_URL                  smtp://user:password@host:587?starttls=required, or smtps://host;
                            starttls is required, auto or never
  SMTP_HOST, SMTP_PORT, SMTP_USERNAME, SMTP_PASSWORD, SMTP_TLS
                            instead of SMTP_URL; SMTP_TLS is tls, required, auto or never
  SMTP_URL_FILE, SMTP_PASSWORD_FILE
                            files that hold the value
  SMTP_CA_FILE              certificate authority of a server with its own
  EMAIL_FROM                sender of messages that name none
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and gives its exit code."""
    options = _parser().parse_args(arguments)
    try:
        registry = Registry.from_entry_points()
        if options.list:
            _print_types(registry)
            return 0
        settings = from_environment(os.environ)
    except SettingsError as error:
        return _refuse("the settings cannot be used:", *(f"  {problem}" for problem in error.problems))
    except WorkerError as error:
        return _refuse(str(error))
    logs.configure(settings.log_level, settings.log_format, {"worker": settings.worker_name})
    return _run(settings, registry)


def _run(settings: WorkerSettings, registry: Registry) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            leaked = runner.run(_work(settings, registry))
        except WorkerError as error:
            return _refuse(str(error))
        except QueueError:
            _log.exception("worker broke")
            return 1
        if leaked:
            # The thread cannot be stopped, and an orderly exit would wait for it.
            logging.shutdown()
            os._exit(1)
    return 0


async def _work(settings: WorkerSettings, registry: Registry) -> bool:
    """Runs a worker until it has drained; gives whether a thread was left behind."""
    worker = Worker(settings, registry)
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        if len(asked) > 1:
            _log.warning("second signal, exiting at once")
            logging.shutdown()
            os._exit(128 + number)
        worker.drain()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    await worker.run()
    return worker.leaked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fluid-worker",
        description=_INTRODUCTION,
        epilog=_variables_help({variable: (default, meaning) for variable, default, meaning in describe()}),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="print the job types that are installed, and exit")
    return parser


def _variables_help(variables: Mapping[str, tuple[str, str]]) -> str:
    lines = ["environment variables:"]
    for variable, (default, meaning) in variables.items():
        note = "" if not default else " (required)" if default == "required" else f" (default {default})"
        lines.append(f"  {variable:<25} {meaning}{note}")
    return "\n".join((*lines, "", _EMAIL_VARIABLES))


def _print_types(registry: Registry) -> None:
    for each in registry:
        sys.stdout.write(f"{each.job_type:<20} queue {each.queue:<20} {each.isolation:<7} {each.source}\n")


def _refuse(*lines: str) -> int:
    sys.stderr.write("\n".join(("fluid-worker: " + lines[0], *lines[1:])) + "\n")
    return 2
