"""A Redis that somebody else runs, of each kind: jobs run through it from end to end. And one that several environments
share: nothing of one is in reach of the other."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from cluster.builders import fluid_environment
from fluid_dev.cluster import Cluster
from fluid_dev.pki import Authority
from fluid_dev.redis import RedisServer
from fluid_queue import Queue, acl
from fluid_queue.keys import KeySpace
from support.folders import fresh_folder
from support.stages import Stage, stage_on, work
from support.topologies import RedisCluster, Sentinels
from support.waiting import until


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(fresh_folder("ca"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[RedisServer]:
    """A Redis that speaks TLS only, under a CA that no system knows."""
    server = RedisServer(fresh_folder("redis"), die_with_parent=True, appendonly=True, authority=authority)
    try:
        server.start()
        yield server
    finally:
        server.stop(wipe=True)


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    watched = Sentinels()
    try:
        yield watched
    finally:
        watched.stop()


@pytest.fixture
def redis_cluster() -> Iterator[RedisCluster]:
    nodes = RedisCluster()
    try:
        yield nodes
    finally:
        nodes.stop()


def stage_at(cluster: Cluster, namespace: str, url: str):
    """A stage whose Redis is known by nothing but its address."""
    return stage_on(cluster, namespace, SimpleNamespace(url=url))


def serve(stage: Stage) -> None:
    """An environment, an operator that leads and a worker."""
    stage.environment()
    stage.worker()
    stage.operator().leading()


def ready(stage: Stage, name: str = "default") -> dict:
    """Whether the environment is, and why."""
    conditions = environment(stage, name).get("status", {}).get("conditions", [])
    return next(
        ({k: each[k] for k in ("status", "reason", "message")} for each in conditions if each["type"] == "Ready"), {}
    )


def environment(stage: Stage, name: str = "default") -> dict:
    found: dict = json.loads(stage.kubectl("get", "fluidenvironment", name, "--output=json"))
    return found


# -- every kind of address --------------------------------------------------------------------------------------------


def test_jobs_run_through_a_redis_whose_ca_stands_in_its_address(cluster, namespace, secure, authority):
    ca = quote(authority.certificate_file.read_text(), safe="")
    with stage_at(cluster, namespace, f"{secure.url}?ssl_ca_data={ca}") as stage:
        serve(stage)
        stage.apply(work("a", value="through TLS"))
        assert stage.reaches("a", "Succeeded")["result"] == {"value": "through TLS"}


def test_a_certificate_of_an_unknown_ca_is_told_with_what_to_do(cluster, namespace, secure, authority):
    with stage_at(cluster, namespace, secure.url) as stage:
        stage.environment()
        operator = stage.operator().leading()
        until(lambda: ready(stage).get("reason") == "RedisUnavailable", 30, "the environment is not ready")
        assert "give the CA that signed it" in ready(stage)["message"]
        assert secure.password not in operator.process.log.read_text()


def test_jobs_run_through_the_master_that_sentinels_name_and_after_a_fail_over_through_the_next(
    cluster, namespace, sentinels
):
    with stage_at(cluster, namespace, sentinels.url) as stage:
        serve(stage)
        stage.apply(work("before"))
        stage.reaches("before", "Succeeded")
        sentinels.fail_over()
        until(sentinels.failed_over, 30, "the replica is the master")
        stage.apply(work("after"))
        assert stage.reaches("after", "Succeeded", within=60)["attempts"] == 1


def test_jobs_run_through_the_node_of_a_cluster_that_holds_the_key_space(cluster, namespace, redis_cluster):
    with stage_at(cluster, namespace, redis_cluster.url) as stage:
        serve(stage)
        stage.apply(*(work(f"a-{n}") for n in range(5)))
        assert stage.all_end(5) == {"Succeeded": 5}
        assert redis_cluster.owner(stage.key_prefix).cli("DBSIZE") != "0"
        assert {node.cli("DBSIZE") for node in redis_cluster.others(stage.key_prefix)} == {"0"}


# -- one Redis, two environments --------------------------------------------------------------------------------------

COLOURS = ("blue", "green")


class Shared:
    """Two environments of one namespace on one Redis, each with two users of its own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        for colour in COLOURS:
            self.admit(colour)
            stage.apply(fluid_environment(colour).external_redis(f"redis-{colour}"))
        stage.operator().leading()

    def admit(self, colour: str) -> None:
        """Make its users, name one in its Secret, and start a worker that is the other one."""
        for role in ("operator", "worker"):
            rules = acl.rules(role, self.prefix(colour))
            self.stage.redis.cli("ACL", "SETUSER", f"{colour}-{role}", "reset", "on", f">{colour}-word", *rules)
        self.secret(colour, self.url(colour, "operator"))
        self.stage.worker(
            FLUID_REDIS_URL=self.url(colour, "worker"),
            FLUID_KEY_PREFIX=self.prefix(colour),
            FLUID_WORKER_NAME=f"worker-of-{colour}",
        )

    def prefix(self, colour: str) -> str:
        return f"{self.stage.namespace}.{colour}"

    def url(self, colour: str, role: str) -> str:
        return f"redis://{colour}-{role}:{colour}-word@127.0.0.1:{self.stage.redis.port}/0"

    def secret(self, colour: str, url: str) -> None:
        metadata = {"name": f"redis-{colour}"}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"url": url}}
        self.stage.kubectl("apply", "--filename=-", input=json.dumps(body))


@pytest.fixture
def shared(cluster: Cluster, namespace: str, own_redis: RedisServer) -> Iterator[Shared]:
    with stage_on(cluster, namespace, own_redis) as stage:
        yield Shared(stage)


async def test_two_environments_on_one_redis_share_nothing(shared):
    stage, names = shared.stage, {colour: [f"{colour}-{n}" for n in range(10)] for colour in COLOURS}
    stage.apply(*(work(name).environment(colour) for colour in COLOURS for name in names[colour]))
    assert stage.all_end(20) == {"Succeeded": 20}
    jobs = stage.jobs()
    for colour, other in (COLOURS, COLOURS[::-1]):
        statuses = [jobs[name]["status"] for name in names[colour]]
        assert {(each["environment"], each["worker"]) for each in statuses} == {(colour, f"worker-of-{colour}")}
        ids = [each["jobId"] for each in statuses]
        async with (
            Queue.from_url(shared.url(colour, "operator"), shared.prefix(colour)) as mine,
            Queue.from_url(shared.url(other, "operator"), shared.prefix(other)) as foreign,
        ):
            assert None not in await mine.inspect(ids)
            assert await foreign.inspect(ids) == [None] * 10
            assert set(await mine.types("local")) == set(await foreign.types("local")) != set()
    prefixes = [KeySpace(shared.prefix(colour)).prefix for colour in COLOURS]
    keys = stage.redis.cli("--scan").splitlines()
    for prefix in prefixes:
        assert [key for key in keys if key.startswith(prefix)]
    assert [key for key in keys if not key.startswith(tuple(prefixes))] == []


def test_a_user_of_one_environment_cannot_read_write_or_watch_the_other(shared):
    stage = shared.stage
    stage.apply(work("witness").environment("green"))
    job_id = stage.reaches("witness", "Succeeded")["jobId"]
    keys = KeySpace(shared.prefix("green"))
    for role in ("operator", "worker"):
        for command in (
            f"HGETALL {keys.key(f'job:{job_id}')}",
            f"HSET {keys.key(f'job:{job_id}')} state waiting",
            f"XREAD STREAMS {keys.key('events')} 0",
            f"DEL {keys.key('meta')}",
            "KEYS *",
            "SCAN 0",
            "MONITOR",
            "CONFIG GET requirepass",
            "ACL LIST",
            "FLUSHALL",
        ):
            answer = stage.redis.cli(
                "--user", f"blue-{role}", "--pass", "blue-word", "--no-auth-warning", *command.split()
            )
            assert answer.startswith("NOPERM"), (role, command, answer)


def test_an_environment_with_the_users_of_another_is_refused_until_it_gets_its_own(shared):
    stage = shared.stage
    shared.secret("red", shared.url("blue", "operator"))
    stage.apply(fluid_environment("red").external_redis("redis-red"))
    until(lambda: ready(stage, "red").get("reason") == "RedisAccessDenied", 30, "red is refused")
    stage.apply(work("good").environment("blue"), work("held").environment("red"))
    stage.reaches("good", "Succeeded")
    assert stage.status("held")["phase"] == "Pending"
    shared.admit("red")
    assert stage.reaches("held", "Succeeded")["worker"] == "worker-of-red"
