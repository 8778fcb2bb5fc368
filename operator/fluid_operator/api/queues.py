"""Settings of one queue of a FluidEnvironment: how many, how fast, how fair, and defaults for its jobs."""

from typing import Annotated

from pydantic import Field, Strict

from fluid_operator.api.fields import Flag, PositiveSeconds, QueueName, Retries, doc
from fluid_operator.api.meta import ApiModel
from fluid_operator.api.policies import Backoff

Amount = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
DaySeconds = Annotated[PositiveSeconds, Field(le=86_400)]


class Rate(ApiModel):
    """So many in so much time."""

    max: Annotated[Amount, doc("How many jobs.")]
    per_seconds: Annotated[DaySeconds, doc("In how much time.")]


class CircuitBreaker(ApiModel):
    """Stops a queue whose jobs all fail with the same error, until a single job shows that it works again."""

    failures: Annotated[Amount, doc("The circuit opens after this many failures in a row with the same type of error.")]
    within_seconds: Annotated[DaySeconds, doc("They count only if they happen within this time.")]
    probe_seconds: Annotated[DaySeconds, doc("While the circuit is open, one job is tried so often.")]


class Fairness(ApiModel):
    """Round robin, so that one owner of many jobs does not delay the others."""

    tag: Annotated[
        Annotated[str, Field(min_length=1, max_length=63)],
        doc("Jobs of equal priority take turns by their value of this tag."),
    ]


class QueueSettings(ApiModel):
    """Settings of one queue. The defaults for jobs yield to what a job says itself."""

    name: Annotated[QueueName, doc("Name of the queue.")]
    paused: Annotated[Flag | None, doc("No job of the queue starts; running ones finish.", unset="false.")] = None
    rate_limit: Annotated[
        Rate | None, doc("How many jobs may start in a time, over all workers.", unset="no limit.")
    ] = None
    concurrency: Annotated[
        Amount | None, doc("How many jobs of the queue run at once, over all workers.", unset="no limit.")
    ] = None
    concurrency_per_key: Annotated[
        Amount | None, doc("How many jobs with the same concurrencyKey run at once.", unset="1.")
    ] = None
    creation_limit: Annotated[
        Rate | None,
        doc(
            "How many jobs may be enqueued in a time; none is refused, the others wait as CreationRateLimited.",
            unset="no limit.",
        ),
    ] = None
    circuit_breaker: Annotated[
        CircuitBreaker | None,
        doc("Stops the queue when all its jobs fail alike.", unset="it never stops by itself."),
    ] = None
    fairness: Annotated[
        Fairness | None, doc("Round robin between the values of a tag.", unset="first come, first served.")
    ] = None
    backoff_limit: Annotated[
        Retries | None, doc("Retries of jobs that do not say.", unset="the processor's, else 8.")
    ] = None
    backoff: Annotated[
        Backoff | None, doc("Backoff of jobs that do not say.", unset="the processor's, else Exponential.")
    ] = None
    attempt_deadline_seconds: Annotated[
        PositiveSeconds | None,
        doc("Attempt deadline of jobs that do not say.", unset="the processor's, else 300."),
    ] = None
