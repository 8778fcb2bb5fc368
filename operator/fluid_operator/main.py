"""The command `fluid-operator`, also `python -m fluid_operator`: settings, signals, exit codes, and what holds the
parts together.

0   stopped by SIGTERM or SIGINT      1   some part broke, the log says which
2   settings, kubeconfig or port are unusable: nothing was started
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence

import uvloop

from fluid_operator.admission.webhook import webhook
from fluid_operator.candidacy import Candidacy
from fluid_operator.errors import CannotListen, SettingsError
from fluid_operator.kopf_logs import quieten
from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.errors import BadConfiguration
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.lease import Elector, new_identity
from fluid_operator.kube.throttle import Throttle
from fluid_operator.metrics import Metrics
from fluid_operator.server import serving
from fluid_operator.settings import OperatorSettings, describe, from_environment, variable
from fluid_operator.term import serve_term
from fluid_queue import logs

log = logging.getLogger(__name__)

_INTRODUCTION = """\
Runs FluidJobs: enqueues them in the Redis of their FluidEnvironment, and writes down in their
status what becomes of them. Any number of replicas may run; one leads, by a Lease.

SIGTERM and SIGINT stop it: what is in progress is finished, the Lease is given back.
"""

_NAMESPACES = variable("namespaces")
_SHARD = variable("shard")
_OPTIONS = {_NAMESPACES: "--namespace", _SHARD: "--shard"}
"""The options and the variables that they replace."""

_COLLECT_AFTER = (20_000, 20, 20)
"""How many objects may be made before the collector looks for cycles, and how often it looks at the young before it
looks at the older. Cycles are few here, and under load a twelfth of the CPU went into the search with Python's own 700.
"""

_KUBECONFIG = """\
  KUBECONFIG                          how to reach the API server; unset: the pod's service account, else ~/.kube/config
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _options(_parser().parse_args(arguments))
    try:
        settings = from_environment({**os.environ, **options})
    except SettingsError as error:
        told = [f"  {_OPTIONS[name] if name in options else name}: {message}" for name, message in error.problems]
        return _refuse("the settings cannot be used:", *told)
    gc.freeze()  # what was imported stays
    gc.set_threshold(*_COLLECT_AFTER)
    identity = new_identity()
    quieten(logs.configure(settings.log_level, settings.log_format, {"replica": identity}))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(operate(settings, identity))
        except (BadConfiguration, CannotListen) as error:
            return _refuse(str(error))
        except Exception:  # the last door: whatever it was, the process must say so and end
            log.critical("The operator broke and ends.", exc_info=True)
            return 1
    log.info("Stopped.")
    return 0


async def operate(settings: OperatorSettings, identity: str) -> None:
    """Serve until SIGTERM or SIGINT. Raises BadConfiguration or CannotListen before, and an ExceptionGroup after
    anything was started."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    throttle = Throttle(settings.throttle, waited=metrics.throttled)
    metrics.show_throttle(throttle)
    async with (
        connect(observe=metrics.requested, throttle=throttle) as kube,
        serving(
            settings.http_host,
            settings.http_port,
            not_ready=lambda: "stopping" if stop.is_set() else None,
            metrics=metrics.render,
        ) as port,
        webhook(settings.webhook, kube, metrics),
    ):
        facts = {"port": port, "namespaces": list(settings.namespaces) or "all", "shard": str(settings.shard)}
        log.info("Serving.", extra={"fields": facts})
        await stand(kube, settings, identity, metrics, stop)


async def stand(kube: Kube, settings: OperatorSettings, identity: str, metrics: Metrics, stop: asyncio.Event) -> None:
    """Stand for the Lease, and lead whenever it is ours, until `stop` is set."""
    candidacy = Candidacy(lambda: serve_term(kube, elector, settings, metrics), grace=settings.shutdown_seconds)
    elector = Elector(
        kube,
        ObjectKey(settings.lease_namespace, settings.own_lease_name),
        identity,
        settings=settings.lease,
        on_started=candidacy.won,
        on_stopped=candidacy.lost,
    )
    await candidacy.run(elector, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fluid-operator",
        description=_INTRODUCTION,
        epilog=_variables(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--namespace", action="append", metavar="NAME", help=f"instead of {_NAMESPACES}; may be repeated"
    )
    parser.add_argument("--shard", metavar="NUMBER/COUNT", help=f"instead of {_SHARD}")
    return parser


def _options(parsed: argparse.Namespace) -> dict[str, str]:
    """What was given on the command line, as the variables that it stands for."""
    options = {_NAMESPACES: ",".join(parsed.namespace or ()), _SHARD: parsed.shard}
    return {name: value for name, value in options.items() if value}


def _variables() -> str:
    rows = [
        f"  {variable:<35} {meaning}" + (f" (default {default})" if default else "")
        for variable, default, meaning in describe()
    ]
    return "\n".join(("environment variables:", *rows, _KUBECONFIG))


def _refuse(*lines: str) -> int:
    sys.stderr.write("\n".join(("fluid-operator: " + lines[0], *lines[1:])) + "\n")
    return 2
