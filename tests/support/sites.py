"""A namespace in which a real operator keeps environments, on a cluster whose pods become ready without a kubelet.

    with site_on(cluster, namespace, redis) as site:
        site.operator()
        site.apply(fluid_environment("default").pool("default"))
        site.becomes({"Ready": "Available"})

What an environment consists of is seen as any user sees it: by kubectl.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cluster.builders import FluidEnvironmentBuilder, fluid_environment
from fluid_dev import binaries
from fluid_dev.cluster import Cluster
from fluid_dev.fake_nodes import FakeNodes
from fluid_dev.redis import RedisServer
from fluid_operator.environments.rendering import naming
from support.clusters import CRDS, find_binaries
from support.environments import decoded
from support.folders import fresh_folder
from support.operators import Operator
from support.require import everything_required, required_parts
from support.stages import Stage

Json = dict[str, Any]

IMAGE = "registry.example.com/jobs:1.0.0"
KINDS = "serviceaccounts,services,networkpolicies,statefulsets,deployments,poddisruptionbudgets,secrets,configmaps"
"""Everything that an environment may consist of here; kubectl's word for it."""

_RECONCILES = 'fluid_operator_reconciles_total{{controller="environments",result="{}"}}'


@contextmanager
def cluster_with_fake_nodes() -> Iterator[Cluster]:
    """A cluster of its own with all controllers, a scheduler and two fake nodes; dies with this process."""
    with required_parts():
        programs = binaries.provide_fake_nodes(may_build=everything_required())
    cluster = Cluster(fresh_folder("cluster"), find_binaries(), die_with_parent=True, all_controllers=True)
    nodes = FakeNodes(cluster, programs, count=2, die_with_parent=True)
    try:
        cluster.start()
        cluster.apply_crds(CRDS)
        nodes.start()
        yield cluster
    finally:
        nodes.stop()
        cluster.stop(wipe=True)


def managed(name: str = "default") -> FluidEnvironmentBuilder:
    """An environment with a Redis of the operator's. Outside of the cluster nobody can reach that one."""
    return fluid_environment(name).spec(image=IMAGE, redis={"managed": {}}, workers=[])


def external(name: str = "default", *, secret: str = "redis", **redis: Any) -> FluidEnvironmentBuilder:  # noqa: S107 - a name
    """An environment on the site's Redis; `redis` are further fields of spec.redis."""
    address = {"urlSecretRef": {"name": secret, "key": "url"}}
    return fluid_environment(name).spec(image=IMAGE, redis={"external": address, **redis}, workers=[])


class Site(Stage):
    """As a stage; its environments say themselves where their Redis is and who works."""

    def __init__(self, cluster: Cluster, namespace: str, redis: RedisServer) -> None:
        super().__init__(cluster, namespace, redis)
        self.secret("redis", url=redis.url)

    def secret(self, name: str, **texts: str) -> None:
        """A Secret with these keys."""
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": texts}
        self.kubectl("apply", "--filename=-", input=json.dumps(body))

    # -- objects ------------------------------------------------------------------------------------------------------

    def get(self, kind: str, name: str = "default") -> Json:
        found: Json = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def exists(self, kind: str, name: str) -> bool:
        return self.kubectl("get", kind, name, "--ignore-not-found", "--output=name") != ""

    def edit(self, kind: str, name: str, patch: Json) -> None:
        """Merge this into an object, as a person would by kubectl edit."""
        self.kubectl("patch", kind, name, "--type=merge", f"--patch={json.dumps(patch)}")

    def passwords(self, name: str = "default") -> dict[str, str]:
        """What the Secret of a managed Redis holds, as text."""
        return decoded(self.get("secret", f"{name}-redis"))

    def children(self, name: str = "default") -> dict[str, Json]:
        """What carries an environment's labels, by `Kind/name`."""
        labels = ",".join(f"{key}={value}" for key, value in naming.environment_selector(name).items())
        items = json.loads(self.kubectl("get", KINDS, f"--selector={labels}", "--output=json"))["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}

    def versions(self, name: str = "default") -> dict[str, str]:
        """The resourceVersion of an environment and of everything it consists of."""
        everything = {**self.children(name), "itself": self.get("fluidenvironment", name)}
        return {key: item["metadata"]["resourceVersion"] for key, item in everything.items()}

    def reason_of(self, kind: str, name: str = "default") -> str:
        """The reason of a condition of an environment, "" where it is not there."""
        return str(self.told(kind, name).get("reason", ""))

    def told(self, kind: str = "Ready", name: str = "default") -> Json:
        """A condition of an environment, {} where it is not there."""
        conditions = self.get("fluidenvironment", name).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    # -- waiting ------------------------------------------------------------------------------------------------------

    def becomes(self, want: Mapping[str, str], name: str = "default", within: float = 40.0) -> None:
        """Wait until these conditions have these reasons, for the spec as it is now; "" is a condition that is gone."""

        def look() -> bool:
            environment = self.get("fluidenvironment", name)
            status = environment.get("status", {})
            reasons = {each["type"]: each["reason"] for each in status.get("conditions", [])}
            current = status.get("observedGeneration") == environment["metadata"]["generation"]
            return current and all(reasons.get(kind, "") == reason for kind, reason in want.items())

        self._wait(look, within, f"{name} becomes {dict(want)}", pause=0.1)

    def says(self, words: str, kind: str = "Ready", name: str = "default", within: float = 40.0) -> Json:
        """Wait until a condition's message contains these words, and answer the condition."""

        def look() -> Json | None:
            found = self.told(kind, name)
            return found if words in found.get("message", "") else None

        return self._wait(look, within, f"{kind} of {name} says {words!r}", pause=0.1)

    def consists_of(self, *names: str, name: str = "default", within: float = 40.0) -> dict[str, Json]:
        """Wait until an environment consists of exactly these (`Kind/name`), and answer them."""

        found: dict[str, Json] = {}

        def look() -> bool:
            nonlocal found
            found = self.children(name)
            return set(found) == set(names)

        self._wait(look, within, f"{name} consists of {sorted(names)}", pause=0.1)
        return found

    def looks(self, operator: Operator, count: int = 3) -> None:
        """Wait until the operator has looked at environments so many more times."""

        def looked() -> float:
            return sum(operator.metric(_RECONCILES.format(each)) or 0.0 for each in ("again", "settled", "retry"))

        before = looked()
        self._wait(lambda: looked() >= before + count, 60.0, f"{count} looks", pause=0.1)

    def forgotten(self, operator: Operator, name: str = "default") -> bool:
        """Whether the operator knows no such environment any more."""
        series = f'fluid_operator_redis_up{{environment="{name}",namespace="{self.namespace}"}}'
        return operator.metric(series) is None

    def rests(self, operator: Operator, name: str = "default") -> dict[str, str]:
        """Wait until two looks in a row change nothing at all, and answer what is written where."""
        versions: dict[str, str] = {}

        def still() -> bool:
            nonlocal versions
            before, versions = versions, self.versions(name)
            return before == versions

        def settled() -> bool:
            self.looks(operator, 2)
            return still()

        self._wait(settled, 90.0, f"{name} is settled")
        return versions


@contextmanager
def site_on(cluster: Cluster, namespace: str, redis: RedisServer) -> Iterator[Site]:
    """A site without an operator; what it starts ends with it."""
    site = Site(cluster, namespace, redis)
    try:
        yield site
    finally:
        site.close()


def redis_of(name: str = "default") -> set[str]:
    """What a managed Redis consists of, as `Kind/name`."""
    kinds = ("Secret", "ConfigMap", "NetworkPolicy", "StatefulSet", "Service")
    return {*(f"{kind}/{name}-redis" for kind in kinds), f"Service/{name}-redis-nodes"}


def pool_of(pool: str = "default", name: str = "default") -> set[str]:
    """What a pool of workers consists of, as `Kind/name`."""
    kinds = ("Deployment", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount")
    return {f"{kind}/{name}-{pool}" for kind in kinds}
