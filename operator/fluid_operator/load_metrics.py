"""What waits and how many workers that wants, for Prometheus and KEDA: as the leader saw it last.

A series lives as long as what it speaks of. Queues have whatever names jobs give them, so each environment shows only
so many; which ones must not depend on who looks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fluid_operator.environments.scaling import WANTED_WORKERS
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import QueueStats

QUEUES_SHOWN: Final = 100
"""Of one environment: those with the most waiting jobs."""


@dataclass(frozen=True, slots=True)
class _Seen:
    queues: Sequence[QueueStats] = ()
    wanted: Mapping[str, int] = field(default_factory=dict)


class Loads(Collector):
    """Of all environments of this term."""

    def __init__(self) -> None:
        self._seen: dict[ObjectKey, _Seen] = {}

    def show(self, environment: ObjectKey, queues: Sequence[QueueStats], wanted: Mapping[str, int]) -> None:
        """Replace what is shown of an environment; `wanted`: workers that each autoscaled pool should have."""
        busiest = sorted(queues, key=lambda queue: (-queue.waiting, queue.queue))[:QUEUES_SHOWN]
        self._seen[environment] = _Seen(busiest, dict(wanted))

    def forget(self, environment: ObjectKey) -> None:
        """Show nothing of it any more: it is gone, or nobody knows how it is."""
        self._seen.pop(environment, None)

    def clear(self) -> None:
        """The term is over."""
        self._seen.clear()

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        wanted = GaugeMetricFamily(
            WANTED_WORKERS,
            "Workers that a pool should have by its load, within its bounds; of pools that are scaled, by whomever.",
            labels=["namespace", "environment", "pool"],
        )
        labels = ["namespace", "environment", "queue"]
        waiting = GaugeMetricFamily("fluid_operator_queue_waiting", "Jobs of a queue that wait.", labels=labels)
        oldest = GaugeMetricFamily(
            "fluid_operator_queue_oldest_seconds",
            "How long the oldest waiting job of a queue could have run already.",
            labels=labels,
        )
        for environment, seen in self._seen.items():
            for pool, workers in seen.wanted.items():
                wanted.add_metric([*environment, pool], workers)
            for queue in seen.queues:
                waiting.add_metric([*environment, queue.queue], queue.waiting)
                oldest.add_metric([*environment, queue.queue], queue.oldest_seconds)
        yield from (wanted, waiting, oldest)
