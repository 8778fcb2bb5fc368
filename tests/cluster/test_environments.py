"""FluidEnvironments on a real API server and a real Redis: what their status says, and what it says to do."""

import base64
import json
import signal
from typing import Any

import pytest

from cluster.builders import fluid_environment
from support.operators import running_operator
from support.waiting import until


class Environments:
    """The FluidEnvironments of one namespace, by kubectl."""

    def __init__(self, cluster, namespace):
        self.cluster = cluster
        self.namespace = namespace

    def kubectl(self, *arguments, **keywords):
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, **keywords)

    def apply(self, builder):
        self.kubectl("apply", "--filename=-", input=builder.json())

    def secret(self, url: str, name="redis", key="url"):
        data = {key: base64.b64encode(url.encode()).decode()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        self.kubectl("apply", "--filename=-", input=json.dumps(body))

    def get(self, name="default") -> dict[str, Any]:
        return json.loads(self.kubectl("get", "fluidenvironment", name, "--output=json"))

    def conditions(self, name="default") -> dict[str, tuple[str, str]]:
        found = self.get(name)["status"].get("conditions", [])
        return {each["type"]: (each["status"], each["reason"]) for each in found}

    def becomes(self, want, name="default", within=30.0):
        """Wait until the conditions are exactly these."""
        until(lambda: self.conditions(name) == want, within, f"{name} becomes {want}", pause=0.1)

    def message(self, kind="Ready", name="default") -> str:
        return next(each["message"] for each in self.get(name)["status"]["conditions"] if each["type"] == kind)


READY = {
    "Ready": ("True", "Available"),
    "RedisReady": ("True", "Available"),
    # The Redis of these tests keeps nothing on disk.
    "QueueHealthy": ("False", "PersistenceOff"),
}

PERSISTENT = {**READY, "QueueHealthy": ("True", "Available")}


def trying(reason):
    return {"Ready": ("False", reason), "RedisReady": ("False", reason), "Reconciling": ("True", reason)}


def stalled(reason):
    return {"Ready": ("False", reason), "RedisReady": ("False", reason), "Stalled": ("True", reason)}


@pytest.fixture
def environments(cluster, namespace):
    return Environments(cluster, namespace)


@pytest.fixture
def operator(cluster, namespace):
    with running_operator(cluster.kubeconfig, namespace) as operator:
        yield operator


def test_an_environment_whose_redis_answers_becomes_ready(environments, operator, redis_server):
    environments.secret(redis_server.url)
    environments.apply(fluid_environment("default"))
    environments.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "fluidenvironment/default")
    environment = environments.get()
    status = environment["status"]
    assert environments.conditions() == READY
    assert status["observedGeneration"] == environment["metadata"]["generation"]
    assert status["keyPrefix"] == f"{environments.namespace}.default"
    assert (status["readyWorkers"], status["waiting"]) == (0, 0)
    series = f'fluid_operator_redis_up{{environment="default",namespace="{environments.namespace}"}}'
    assert operator.metric(series) == 1


def test_nothing_but_the_status_of_an_environment_is_ever_written(environments, operator, redis_server):
    environments.secret(redis_server.url)
    environments.apply(fluid_environment("default"))
    environments.becomes(READY)
    environment = environments.get()
    assert "finalizers" not in environment["metadata"]
    assert set(environment["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert environment["metadata"]["generation"] == 1


def test_a_settled_environment_is_not_written_again(environments, operator, redis_server):
    environments.secret(redis_server.url)
    environments.apply(fluid_environment("default"))
    environments.becomes(READY)
    before = environments.get()["metadata"]["resourceVersion"]
    looks = 'fluid_operator_reconciles_total{controller="environments",result="again"}'
    seen = operator.metric(looks)
    until(lambda: operator.metric(looks) > seen, 30, "the environment was looked at again")
    assert environments.get()["metadata"]["resourceVersion"] == before


def test_a_wrong_password_is_told_and_a_corrected_one_heals(environments, operator, redis_server):
    wrong = redis_server.url.replace(redis_server.password, "sesame")
    environments.secret(wrong)
    environments.apply(fluid_environment("default"))
    environments.becomes(trying("RedisAccessDenied"))
    assert "refuses the user or password" in environments.message()
    environments.secret(redis_server.url)
    environments.becomes(READY)
    assert "sesame" not in operator.process.log.read_text()
    assert redis_server.password not in operator.process.log.read_text()


def test_a_missing_secret_is_named_and_found_when_it_comes(environments, operator, redis_server):
    environments.apply(fluid_environment("default"))
    environments.becomes(trying("SecretNotFound"))
    assert "create it with the URL of Redis under the key url" in environments.message()
    environments.secret(redis_server.url, key="address")
    until(lambda: "has no key url" in environments.message(), what="the missing key is named")
    environments.secret(redis_server.url)
    environments.becomes(READY)


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        ("http://:hush@localhost:6379", "does not begin with redis://"),
        ("redis://:hush@", "names no host"),
        ("redis://:hush@localhost:port", "a port is a number from 1 to 65535"),
        ("redis://:hush@localhost/zero", "names a database that is no number"),
        ("redis://:hush@localhost/0?made_up=1", "has options"),
    ],
)
def test_an_unusable_address_is_refused_without_being_repeated(environments, operator, url, flaw):
    environments.secret(url)
    environments.apply(fluid_environment("default"))
    environments.becomes(stalled("InvalidRedisUrl"))
    assert flaw in environments.message()
    assert "hush" not in json.dumps(environments.get())
    assert "hush" not in operator.process.log.read_text()


def test_a_redis_that_goes_away_and_comes_back_is_followed(environments, operator, own_redis):
    environments.secret(own_redis.url)
    environments.apply(fluid_environment("default"))
    environments.becomes(PERSISTENT)
    own_redis.kill(signal.SIGKILL)
    environments.becomes(trying("RedisUnavailable"))
    assert operator.leads
    own_redis.start()
    environments.becomes(PERSISTENT)


def test_a_frozen_redis_holds_up_neither_the_status_nor_the_end_of_the_operator(environments, operator, own_redis):
    environments.secret(own_redis.url)
    environments.apply(fluid_environment("default"))
    environments.becomes(PERSISTENT)
    own_redis.kill(signal.SIGSTOP)
    environments.becomes(trying("RedisUnavailable"))
    operator.terminate()
    operator.process.wait(7)
    assert operator.said("Stopped.")


def test_a_deleted_environment_leaves_the_metrics(environments, operator, redis_server):
    environments.secret(redis_server.url)
    environments.apply(fluid_environment("default"))
    environments.becomes(READY)
    series = f'fluid_operator_redis_up{{environment="default",namespace="{environments.namespace}"}}'
    environments.kubectl("delete", "fluidenvironment", "default")
    until(lambda: operator.metric(series) is None, 30, "the environment is forgotten")
