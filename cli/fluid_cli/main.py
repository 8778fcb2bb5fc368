"""The command `fluid`, also `kubectl fluid`: the list of commands, and what becomes of an error.

Exit codes: 0 done, 1 it failed or was not found, 2 it was asked wrongly, 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Final

import typer

from fluid_cli.commands import about, backfill, get, logs, queues, run, steer, trigger, why
from fluid_cli.console import say
from fluid_cli.errors import CliError, Interrupted
from fluid_cli.steering import Verb
from fluid_cli.translation import kube_sentence, queue_sentence
from fluid_operator.kube.errors import KubeError
from fluid_operator.timetables.errors import TimetableError
from fluid_queue import QueueError

_PLUGIN: Final = "kubectl-fluid"

_EPILOG: Final = """\b
Examples:
  fluid run email --payload to=ada@example.com --wait    run a job and see how it ends
  fluid get --phase failed                               what went wrong
  fluid why email-x7f2k                                  why a job is where it is
  fluid retry --type email                               try again what failed
  fluid trigger daily-summary --wait                     run the job of a schedule now
\b
More about a command: fluid COMMAND --help
"""


def _application() -> typer.Typer:
    app = typer.Typer(
        help="Run, look at and steer FluidJobs and FluidSchedules.",
        epilog=_EPILOG,
        no_args_is_help=True,
        # Plain help fits into 80 columns and can be searched; the panels of the other form do neither well.
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command("run", epilog=run.EPILOG)(run.create)
    app.command("get", epilog=get.EPILOG)(get.get)
    app.command("why", epilog=why.EPILOG)(why.why)
    app.command("logs", epilog=logs.EPILOG)(logs.logs)
    for verb in Verb:
        app.command(verb.value, help=steer.HELP[verb], epilog=steer.epilog(verb))(steer.command(verb))
    app.command("pause", epilog=queues.PAUSE_EPILOG)(queues.pause)
    app.command("resume-queue", epilog=queues.RESUME_EPILOG)(queues.resume)
    app.command("trigger", epilog=trigger.EPILOG)(trigger.trigger)
    app.command("backfill", epilog=backfill.EPILOG)(backfill.backfill)
    app.command("version")(about.version)
    app.command("completion", epilog=about.COMPLETION_EPILOG)(about.completion)
    return app


def main() -> int:
    """Run the command of sys.argv; one line on standard error for whatever goes wrong, and an exit code."""
    # What the official client warns of becomes a line of our own.
    logging.getLogger().addHandler(logging.NullHandler())
    about.prepare_completion()
    try:
        _application()(prog_name=program_name(sys.argv[0]))
    except Interrupted as error:
        return error.exit_code
    except CliError as error:
        return _failed(str(error), error.exit_code)
    except KubeError as error:
        return _failed(kube_sentence(error))
    except QueueError as error:
        return _failed(queue_sentence(error))
    except TimetableError as error:
        return _failed(f"the FluidSchedule cannot be used: {error}")
    return 0


def _failed(sentence: str, exit_code: int = CliError.exit_code) -> int:
    say(f"error: {sentence}", "red")
    return exit_code


def program_name(path: str) -> str:
    """How the user called us."""
    return "kubectl fluid" if Path(path).stem == _PLUGIN else about.PROGRAM
