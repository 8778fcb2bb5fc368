"""What somebody switches in an environment takes effect on the workers that run, without a restart of any of them."""

import time

import pytest

from support.node_stage import USUAL_LEASE_SECONDS

_QUIET_SECONDS = 3.0
"""Without a start for so long, under a load of twenty a second, nothing starts any more."""


def workers(stage) -> dict[str, int]:
    """The pods and how often each was started anew."""
    return {
        pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in stage.pods("worker")
    }


async def stops(stage, since: float) -> float:
    """Seconds from this moment to the last start, once nothing starts any more."""

    def last() -> float:
        return max((run.started for run in stage.witness.runs() if run.started > since), default=since)

    await stage.wait(lambda: time.time() - last() > _QUIET_SECONDS, 30, "no job starts any more")
    return last() - since


async def goes_on(stage, since: float) -> float:
    """Seconds from this moment to the first start after it."""

    def first() -> float | None:
        return min((run.started for run in stage.witness.runs() if run.started > since), default=None)

    return await stage.wait(first, 30, "jobs start again") - since


async def test_suspending_and_pausing_stop_what_starts_and_taking_it_back_lets_it_go_on(stage, measured):
    stage.apply(workers=[stage.pool(minReplicas=2, lease_seconds=USUAL_LEASE_SECONDS)])
    await stage.ready()
    before = workers(stage)
    paused = [{"name": "probe", "paused": True}]
    async with stage.load(every=0.05, milliseconds=50) as created:
        for what, off, on in (
            ("spec.suspend", {"suspend": True}, {"suspend": None}),
            ("queues[].paused", {"queues": paused}, {"queues": None}),
        ):
            await stage.started(len(stage.witness.runs()) + 10)
            since = time.time()
            stage.apply(**off)
            measured(f"{what} is set -> the last job starts", await stops(stage, since))
            since = time.time()
            stage.apply(**on)
            measured(f"{what} is taken back -> the first job starts", await goes_on(stage, since))
    assert await stage.all_end() == {"Succeeded": len(created)}
    assert stage.witness.repeats() == {}
    assert workers(stage) == before


async def test_a_rate_limit_slows_down_the_workers_that_run(stage, measured):
    stage.apply()
    await stage.ready()
    before = workers(stage)
    async with stage.load(every=0.05) as created:
        await stage.started(20)
        since = time.time()
        stage.apply(queues=[{"name": "probe", "rateLimit": {"max": 1, "perSeconds": 1}}])

        def limited() -> bool:
            now = time.time()
            return now - since > 4 and 1 <= len(starts(stage, now - 4)) <= 6

        await stage.wait(limited, 30, "about one job starts a second")
        fast = [one for one, other in zip(*shifted(starts(stage, since)), strict=False) if other - one < 0.3]
        measured("a rate limit is set -> the last job that starts too early", max(fast, default=since) - since)
        stage.apply(queues=None)
        await stage.wait(lambda: len(starts(stage, time.time() - 1)) > 10, 30, "jobs start as fast as they come")
    assert await stage.all_end() == {"Succeeded": len(created)}
    assert workers(stage) == before


def starts(stage, since: float) -> list[float]:
    return [run.started for run in stage.witness.runs() if run.started > since]


def shifted(moments: list[float]) -> tuple[list[float], list[float]]:
    return moments, moments[1:]


@pytest.mark.parametrize(
    ("rule", "mode"),
    [
        ({"mode": "Suppress"}, "Suppress"),
        ({"mode": "Redirect", "redirectTo": "test@example.org"}, "Redirect"),
    ],
)
async def test_the_outbound_rule_reaches_the_workers_that_run(rule, mode, stage, measured):
    stage.apply()
    await stage.ready()
    before = workers(stage)
    async with stage.load(every=0.05) as created:
        await stage.started(10)
        since = time.time()
        stage.apply(outbound=rule)

        def told() -> bool:
            return any(run.outbound == mode for run in stage.witness.runs())

        await stage.wait(told, 30, "workers know the rule")
        count = len(stage.witness.runs())
        await stage.started(count + 20)
        assert {run.outbound for run in stage.witness.runs()[count:]} == {mode}
        late = [run.started for run in stage.witness.runs() if run.outbound == "Live"]
        measured(f"outbound is {mode} -> the last job that still did not know", max(0.0, max(late) - since))
    assert await stage.all_end() == {"Succeeded": len(created)}
    assert workers(stage) == before
