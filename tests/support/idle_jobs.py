"""FluidJobs that stay in a queue until somebody works on it, in one or several environments of a stage."""

from typing import Any

from cluster.builders import FluidJobBuilder
from support.stages import Stage, work

IDLE = "idle"
"""A queue that nobody works on."""


def idle(name: str, **payload: Any) -> FluidJobBuilder:
    """A job that stays in the queue."""
    return work(name, **payload).spec(queue=IDLE)


def worker_of(stage: Stage, environment: str, queue: str = "work") -> None:
    stage.worker(FLUID_KEY_PREFIX=f"{stage.namespace}.{environment}", FLUID_QUEUES=queue)


def alive(stage: Stage) -> list[str]:
    """The environment of each job of this namespace that has not ended, as Redis knows it."""
    keys = stage.redis.cli("--raw", "KEYS", f"{{fluid:{stage.namespace}.*}}:job:*").split()
    found = [
        key
        for key in keys
        if stage.redis.cli("--raw", "HGET", key, "state").strip() in ("waiting", "delayed", "active")
    ]
    return [key.partition("}")[0].rpartition(".")[2] for key in found]
