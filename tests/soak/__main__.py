"""The command `python -m soak`, which `make soak` calls: both parts, the report, and the exit code."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import orjson

from fluid_dev import binaries
from fluid_dev.cluster import Cluster
from fluid_dev.errors import DevError
from soak.everysec import lose
from soak.play import play
from soak.report import Report, console, print_report, report, rolling
from soak.scene import Scene, on_scene
from soak.verdict import judge
from support.clusters import CRDS
from support.folders import close_run_folder, fresh_folder, open_run_folder, run_folder

LEASE = 3.0
"""Seconds: short, so that many leases run out."""

SETTLE_SECONDS = 120.0
"""How long what is under way at the end may take."""

WORKERS, OPERATORS = 4, 2
_REPORT = Path(__file__).parents[2] / ".local" / "soak" / "report.json"


def main() -> int:
    """0: all good; 1: something is wrong, and the report says what; 2: the soak could not run."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ours = open_run_folder()
    try:
        found = _soak(options.minutes, options.seed)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        if not found.good:
            _keep_evidence(options.json.parent / f"seed-{options.seed}")
    except DevError as error:
        console.print(f"error: {error}", markup=False)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        if ours:
            close_run_folder()
    options.json.write_bytes(orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    print_report(found)
    return 0 if found.good else 1


def _soak(minutes: float, seed: int) -> Report:
    console.print(f"soak of {minutes:g} min, seed {seed}", markup=False)
    with _cluster() as cluster:
        with _scene(cluster, "always") as scene, rolling("soak") as show:
            played = asyncio.run(play(scene, minutes, seed, SETTLE_SECONDS, show))
        with _scene(cluster, "everysec") as scene, rolling("everysec") as show:
            losses = asyncio.run(lose(scene, seed, show))
    return report(seed, minutes, played, judge(played.evidence), losses)


def _keep_evidence(folder: Path) -> None:
    """What the witness saw and everybody's logs, for whoever looks for the reason."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run_folder(), folder, ignore=shutil.ignore_patterns("cluster-*", "redis-*", "site-*"))
    console.print(f"what was seen and logged is in {folder}", markup=False)


def _scene(cluster: Cluster, durability: str) -> AbstractContextManager[Scene]:
    return on_scene(cluster, durability, workers=WORKERS, operators=OPERATORS, lease=LEASE)


@contextmanager
def _cluster() -> Iterator[Cluster]:
    cluster = Cluster(fresh_folder("cluster"), binaries.provide(), die_with_parent=True)
    try:
        cluster.start()
        cluster.apply_crds(CRDS)
        yield cluster
    finally:
        cluster.stop(wipe=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="soak", description="Thousands of jobs, faults at random, one outcome each.")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long jobs come in and faults strike")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of jobs and faults; unset: any")
    parser.add_argument("--json", type=Path, default=_REPORT, help="where the report goes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
