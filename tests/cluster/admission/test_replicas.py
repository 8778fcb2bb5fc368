"""Every replica answers, whoever leads, and none of them ever holds a job up because something else is away."""

import signal
from collections.abc import Iterator

import pytest

from cluster.builders import FluidJobBuilder, fluid_job
from fluid_dev.cluster import Cluster
from fluid_dev.ports import free_port
from fluid_dev.redis import RedisServer
from fluid_operator.api.fluidjob import RunPolicy
from fluid_operator.api.spechash import spec_hash
from fluid_operator.jobs.ledger import NAME, Entry, write_entry
from support.operators import Operator
from support.stages import Stage, stage_on
from support.waiting import until
from support.webhooks import MAIL, created, hooked, own_webhook, publish, refused, served_certificate


def mail(name: str, **payload: object) -> FluidJobBuilder:
    return fluid_job(name).type("mail").payload(**payload)


def test_a_standby_answers_as_the_leader_does(stage: Stage) -> None:
    ports = (free_port(), free_port())
    with hooked(stage, ports[0]) as hook:
        replicas = [own_webhook(stage, port) for port in ports]
        until(lambda: sum(each.leads for each in replicas) == 1, 30, "one replica leads")
        hook.trusted()
        for replica, port in zip(replicas, ports, strict=True):
            hook.aim(port)
            assert_refuses(stage, replica)
        assert served_certificate(ports[0]) == served_certificate(ports[1])


def asked(replica: Operator) -> float:
    return replica.metric('fluid_operator_admission_reviews_total{outcome="refused"}') or 0


def assert_refuses(stage: Stage, replica: Operator) -> None:
    """That refusals come from this replica, as soon as the API server has heard of it."""
    before = asked(replica)

    def answers() -> bool:
        refused(stage, mail("probe", to=7))
        return asked(replica) > before

    until(answers, 15, "this replica refuses", pause=0.2)


@pytest.fixture
def fragile(cluster: Cluster, namespace: str, own_redis: RedisServer) -> Iterator[Stage]:
    """A stage whose Redis may be stopped."""
    with stage_on(cluster, namespace, own_redis) as stage:
        stage.environment()
        publish(stage, mail=MAIL)
        yield stage


def test_without_redis_every_job_is_taken_with_a_warning(fragile: Stage) -> None:
    port = free_port()
    with hooked(fragile, port) as hook:
        operator = own_webhook(fragile, port)
        hook.trusted()
        refused(fragile, mail("wrong", to=7))
        fragile.redis.kill(signal.SIGSTOP)  # frozen: connections are taken, and never answered
        try:
            said = created(fragile, mail("wrong", to=7))
        finally:
            fragile.redis.kill(signal.SIGCONT)
        assert "Warning: spec.payload was not checked: " in said
        assert "the job is checked when it is enqueued" in said
        assert fragile.redis.password not in said + operator.process.log.read_text()
        assert fragile.reaches("wrong", "Failed")


def test_an_environment_that_cannot_be_read_costs_a_warning_and_no_job(stage: Stage) -> None:
    port = free_port()
    with hooked(stage, port) as hook:
        own_webhook(stage, port)
        hook.trusted()
        refused(stage, mail("wrong", to=7))
        lost = created(stage, mail("lost", to=7).environment("nowhere"))
        assert "there is no FluidEnvironment nowhere in this namespace" in lost


def test_an_object_that_takes_over_an_earlier_outcome_is_not_refused(stage: Stage) -> None:
    """A schema may have become narrower since: Git still holds the job, and a refused apply stops the whole sync."""
    port = free_port()
    done = mail("done", to=7).spec(runPolicy=RunPolicy.ONCE_PER_SPEC.value)
    entry = Entry(spec_hash(done.manifest()["spec"]), "Succeeded", 1.0, 2.0, "some-uid.1", "default")
    with hooked(stage, port) as hook:
        own_webhook(stage, port)
        hook.trusted()
        refused(stage, done)
        stage.kubectl("create", "configmap", NAME, f"--from-literal=done={write_entry(entry)}")
        assert "Warning: spec.payload.to" in created(stage, done)
        refused(stage, mail("done", to=8).spec(runPolicy=RunPolicy.ONCE_PER_SPEC.value))
