"""What the sides are put through. A load takes one side on an empty stage and answers what it measured, by name.

Time is taken in the sides' own processes: a start is a line of the worker's ledger, an enqueue the moment before the
call in the producer. Nothing here waits in between but to let the one thing happen that is measured.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event

from benchmarks.common.measures import Results, percentile
from benchmarks.queue.catalogue import Side
from benchmarks.queue.measures import first_starts, rate, repeated
from benchmarks.queue.stage import Orders, Stage, Worker
from fluid_dev.errors import TimedOut
from fluid_dev.waiting import until

_PATIENCE = 180.0
"""Seconds that any side gets for a load that another ends in two."""

_WARM_UP = 20
"""Jobs before the first that counts: connections, scripts, caches."""

_DELAY_MS = 200


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: a full run, or a quick one that only shows that all works."""

    repetitions: int = 3
    enqueued: int = 5_000
    """Jobs, times the factor of a side in bulk."""
    processed: int = 10_000
    """Jobs, times the factor of a side."""
    probes: int = 500
    """Jobs that are enqueued one at a time, for a latency."""
    probe_seconds: float = 20.0
    """A side that is slow to pick up gets as many probes as fit into this time."""
    crashes: int = 3
    recovery_cap: float = 95.0


FULL = Scale()
QUICK = Scale(
    repetitions=1, enqueued=1_000, processed=2_000, probes=60, probe_seconds=4.0, crashes=1, recovery_cap=20.0
)

Load = Callable[[Stage, Side, Scale], dict[str, float]]


def enqueue(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """Jobs per second into an empty queue, one producer."""
    with stage.producer(side) as producer:
        producer.enqueue(_WARM_UP, how="one_by_one")
        single = producer.enqueue(scale.enqueued, first=_WARM_UP, how="one_by_one")
        many = scale.enqueued * side.factor
        bulk = producer.enqueue(many, first=_WARM_UP + scale.enqueued)
    return {"enqueue_one_by_one": scale.enqueued / single, "enqueue_bulk": many / bulk}


def processing(measure: str, concurrency: int, *, processes: int = 1, hold: float = 0, share: float = 1) -> Load:
    """Jobs per second out of a full queue, by one or more worker processes; `hold`: seconds that a job sleeps."""

    def load(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
        count = int(scale.processed * side.factor * share)
        with stage.producer(side) as producer:
            producer.enqueue(count)
        with stage.worker(side, concurrency=concurrency, processes=processes, hold=hold) as worker:
            worker.wait_for(count, _PATIENCE)
            return {measure: rate(worker.starts())}

    return load


def idle_pickup(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """From the call to enqueue to the start of the handler, one job at a time, nothing else to do."""
    with stage.producer(side) as producer, stage.worker(side, concurrency=10) as worker:
        began: dict[str, int] = {}
        for job_id in _probes(scale):
            began[job_id] = producer.single(job_id)
            # Looking for it at once would slow down whoever picks it up; and no timer of a side may be in step with us.
            time.sleep(random.uniform(0.01, 0.03))
            worker.wait_for(len(began), _PATIENCE, pause=0.01)
        waits = _waits(worker, began)
    return {"idle_pickup_p50": percentile(waits, 50), "idle_pickup_p99": percentile(waits, 99)}


def delays(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """How many ms later than 200 after the call a delayed job starts, while there are free slots."""
    with stage.producer(side) as producer, stage.worker(side, concurrency=100) as worker:
        producer.single("warm-up")
        worker.wait_for(1, _PATIENCE)
        began: dict[str, int] = {}
        for job_id in _probes(scale):
            began[job_id] = producer.single(job_id, delay_ms=_DELAY_MS)
            time.sleep(random.uniform(0.005, 0.03))
        worker.wait_for(len(began) + 1, _PATIENCE)
        late = [wait - _DELAY_MS for wait in _waits(worker, began)]
    return {"delay_lateness_p50": percentile(late, 50), "delay_lateness_p99": percentile(late, 99)}


def _probes(scale: Scale) -> Iterator[str]:
    end = time.monotonic() + scale.probe_seconds
    for number in range(scale.probes + _WARM_UP):
        if number >= 2 * _WARM_UP and time.monotonic() > end:
            return
        yield f"probe-{number}"


def _waits(worker: Worker, began: dict[str, int]) -> list[float]:
    """Milliseconds from the call to the first start, without the warm-up."""
    started = first_starts(worker.starts())
    return [(started[job_id] - at) / 1e6 for job_id, at in list(began.items())[_WARM_UP:]]


# -- the crash --------------------------------------------------------------------------------------------------------

_VICTIMS = 10
_SETTLE = 5.0
"""Seconds for the second worker to be up and idle; it has nothing to do, so no fact tells that it is."""

_AFTERWARDS = 2.0
"""Seconds in which a second start of a recovered job would still be seen."""


def recovery(stage: Stage, sides: Sequence[Side], scale: Scale) -> Results:
    """`kill -9` of a worker with ten jobs in it, beside an idle one: seconds until all ten run again.

    All sides at once, since most of it is waiting: some peers take a minute, some ten.
    """
    results = Results()
    crashes = [(side, number) for number in range(scale.crashes) for side in sides]
    over = Event()
    with ThreadPoolExecutor(len(crashes)) as pool:
        try:
            running = [(side, pool.submit(_crash, stage, side, number, scale, over)) for side, number in crashes]
            for side, crash in running:
                measured = crash.result()
                results.add(side.name, measured)
                if "recovery_lost" not in measured:
                    results.capped.add(("recovery", side.name))
        finally:
            over.set()
    return results


def _crash(stage: Stage, side: Side, number: int, scale: Scale, over: Event) -> dict[str, float]:
    """One of them, until `over`, which comes early only when another has failed."""
    namespace = f"crash-{side.key}-{number}"
    with ExitStack() as ends:
        victim = ends.enter_context(stage.worker(side, concurrency=_VICTIMS, hold=600, namespace=namespace))
        producer = ends.enter_context(stage.producer(side, namespace))
        _fill(producer, victim)
        rescuer = ends.enter_context(stage.worker(side, concurrency=_VICTIMS, namespace=namespace))
        over.wait(_SETTLE)
        rescuer.check()
        killed = time.monotonic_ns()
        victim.kill(signal.SIGKILL)

        def recovered() -> bool:
            return over.is_set() or len(first_starts(rescuer.starts())) >= _VICTIMS

        try:
            until(recovered, scale.recovery_cap, "the jobs run again", pause=0.2)
        except TimedOut:
            return {"recovery": scale.recovery_cap}
        over.wait(_AFTERWARDS)
        starts = rescuer.starts()
    again = first_starts(starts)
    return {
        "recovery": (max(again.values()) - killed) / 1e9,
        "recovery_lost": _VICTIMS - len(again),
        "recovery_duplicated": repeated(starts),
    }


def _fill(producer: Orders, victim: Worker) -> None:
    producer.enqueue(_VICTIMS)
    victim.wait_for(_VICTIMS, _PATIENCE)


LOADS: dict[str, Load] = {
    "enqueue": enqueue,
    "noop_concurrency_10": processing("noop_concurrency_10", 10),
    "noop_concurrency_100": processing("noop_concurrency_100", 100),
    "noop_two_processes": processing("noop_two_processes", 100, processes=2, share=2),
    "sleep_10_ms": processing("sleep_10_ms", 100, hold=0.01),
    "idle_pickup": idle_pickup,
    "delays": delays,
}
"""What every side does alone, in this order; the crash comes last."""
