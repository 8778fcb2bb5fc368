"""Each field does what its description says: jobs for all fields at once, each with its end.

What needs more than a job and its end has tests of its own: below for delays and tags, and elsewhere by their marks.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.fields.effects import EARLIER, EFFECTS
from cluster.fields.scene import IDLE_QUEUE, OTHER_QUEUE, QUEUE, Scene, Spec, Want, phase
from support.field_matrix import Cells
from support.stages import Stage
from support.waiting import until

pytestmark = [pytest.mark.field, pytest.mark.timeout(240)]


@pytest.fixture
def scene(bare: Stage, tmp_path: Path) -> Scene:
    """With workers on all queues but one."""
    scene = Scene(bare, tmp_path)
    scene.open()
    scene.set_up(f"{QUEUE},{OTHER_QUEUE}")
    return scene


def test_every_field_does_what_it_says(scene: Scene, cell: Cells):
    scene.put({name: spec for name, (spec, _) in EARLIER.items()})
    for name, (_, reached) in EARLIER.items():
        scene.phases([name], reached)
    until(lambda: not key_is_held(scene.stage, "short"), 20, "the short deduplication is over")
    scene.put({effect.name: effect.spec for effect in EFFECTS})
    wants = {effect.name: effect.want for effect in EFFECTS}
    scene.settle(wants)
    for effect in EFFECTS:
        with cell(effect.path, "effect"):
            scene.judge(effect.name, effect.want)


def key_is_held(stage: Stage, key: str) -> bool:
    return stage.redis.cli("EXISTS", f"{{fluid:{stage.key_prefix}}}:deduplication:{key}").strip() == "1"


# -- delays -----------------------------------------------------------------------------------------------------------

EXACT: dict[str, Any] = {"jitterPercent": 0}
DELAYS: dict[str, tuple[str, dict[str, Any], int, float]] = {
    "fixed": ("spec.backoff.type", {"type": "Fixed", "delaySeconds": 6, "factor": 10} | EXACT, 2, 6),
    "fixed-long": ("spec.backoff.type", {"type": "Fixed", "delaySeconds": 7200} | EXACT, 1, 7200),
    "exponential": ("spec.backoff.type", {"type": "Exponential", "delaySeconds": 1, "factor": 10} | EXACT, 2, 10),
    "delay": ("spec.backoff.delaySeconds", {"delaySeconds": 1000} | EXACT, 1, 1000),
    "factor": ("spec.backoff.factor", {"delaySeconds": 1, "factor": 7} | EXACT, 2, 7),
    "longest": ("spec.backoff.maxDelaySeconds", {"delaySeconds": 1, "factor": 10, "maxDelaySeconds": 6} | EXACT, 2, 6),
}
"""By name of the job: the field, the backoff, and how many seconds there are to wait after so many failures."""

SPREAD = {f"jitter-{n}": {"delaySeconds": 1000, "jitterPercent": 50} for n in range(8)}


def test_the_delay_before_a_retry_is_what_the_backoff_says(scene: Scene, cell: Cells):
    backoffs = {name: backoff for name, (_, backoff, _, _) in DELAYS.items()} | SPREAD
    failures = {name: failures for name, (_, _, failures, _) in DELAYS.items()} | dict.fromkeys(SPREAD, 1)
    scene.put({name: failing(backoff) for name, backoff in backoffs.items()})
    delays: dict[str, float] = {}

    def all_seen() -> bool:
        for name, job in scene.stage.jobs().items():
            if name not in delays and phase(job) == "Retrying" and job["status"]["attempts"] == failures[name]:
                delays[name] = delay_of(job["status"])
        return len(delays) == len(backoffs)

    until(all_seen, 60, "all jobs wait for the retry that matters", pause=0.2)
    for name, (path, _, _, seconds) in DELAYS.items():
        with cell(path, "effect"):
            # Durations in a status have three digits.
            assert delays[name] == pytest.approx(seconds, abs=0.02), name
    with cell("spec.backoff.jitterPercent", "effect"):
        spread = [delays[name] for name in SPREAD]
        assert all(500 <= delay <= 1500 for delay in spread)
        assert max(spread) - min(spread) > 1, "all at the same moment"


def failing(backoff: Mapping[str, Any]) -> Spec:
    return {"payload": {"succeedAt": 99}, "backoffLimit": 5, "backoff": backoff}


def delay_of(status: Mapping[str, Any]) -> float:
    """Seconds from the end of the last attempt to the next."""
    last = status["attemptHistory"][-1]
    took = last["duration"]
    seconds = float(took[:-2]) / 1000 if took.endswith("ms") else float(took[:-1])
    waited = datetime.fromisoformat(status["nextAttemptTime"]) - datetime.fromisoformat(last["startTime"])
    return waited.total_seconds() - seconds


# -- tags -------------------------------------------------------------------------------------------------------------


async def test_tags_travel_with_the_job_and_are_replaced_while_it_waits(scene: Scene, cell: Cells):
    waits = {"queue": IDLE_QUEUE}
    scene.put({"tagged": waits | {"tags": {"user": "u1", "team": "t1"}}})
    scene.settle({"tagged": Want("Queued", values=())})
    with cell("spec.tags", "effect"):
        assert await tags(scene.stage, "tagged") == {"user": "u1", "team": "t1"}
    scene.put({"tagged": waits | {"tags": {"user": "u2"}}})
    scene.settle({"tagged": Want("Queued", values=(), observed=2)})
    with cell("spec.tags", "before"):
        assert await tags(scene.stage, "tagged") == {"user": "u2"}


async def tags(stage: Stage, name: str) -> Mapping[str, str]:
    async with stage.queue() as queue:
        (record,) = await queue.inspect([stage.status(name)["jobId"]])
    assert record
    return record.tags
