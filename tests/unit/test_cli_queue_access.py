"""The way to Redis: what may be a Service, what the child is told, and what no one may see."""

import sys

import pytest

from fluid_cli.commands.logs import log_id
from fluid_cli.environments import Environment, choose
from fluid_cli.errors import BadUsage, CliError, NoEnvironment, NoQueueAccess
from fluid_cli.log_following import added
from fluid_cli.port_forward import Service, command, forwarded, service_named
from fluid_cli.queue_access import codec_of, moved
from fluid_cli.session import Session
from fluid_queue import Address
from support.cli_jobs import cli_job


@pytest.mark.parametrize(
    ("host", "want"),
    [
        ("redis", Service("redis", "team")),
        ("redis.data", Service("redis", "data")),
        ("redis.data.svc", Service("redis", "data")),
        ("redis.data.svc.cluster.local", Service("redis", "data")),
        ("localhost", None),
        ("127.0.0.1", None),
        ("redis.example.com", None),
        ("::1", None),
        ("redis_1", None),
    ],
)
def test_only_names_of_the_cluster_are_services(host, want):
    assert service_named(host, "team") == want


def test_the_child_gets_a_service_and_no_address(tmp_path):
    session = Session(None, "team", "staging", tmp_path / "config")  # type: ignore[arg-type]  # nothing is sent
    assert command(session, Service("redis", "data"), 6379) == [
        "kubectl",
        f"--kubeconfig={tmp_path / 'config'}",
        "--context=staging",
        "--namespace=data",
        "port-forward",
        "--address=127.0.0.1",
        "service/redis",
        ":6379",
    ]


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("redis://redis/0", "redis://127.0.0.1:7000/0"),
        ("redis://u:p%40ss@redis.data:6380/3", "redis://u:p%40ss@127.0.0.1:7000/3"),
        ("rediss://:pw@redis/0", "rediss://:pw@127.0.0.1:7000/0?ssl_check_hostname=false"),
        (
            "rediss://redis/0?ssl_ca_certs=/ca.pem",
            "rediss://127.0.0.1:7000/0?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
        ),
    ],
)
def test_a_forwarded_url_keeps_everything_but_its_host(url, want):
    assert moved(url, 7000) == want
    Address.parse(want)


async def test_a_child_that_fails_is_told_in_its_own_words():
    child = [sys.executable, "-c", "import sys; sys.exit('error: services \"redis\" not found')"]
    with pytest.raises(NoQueueAccess, match='services "redis" not found'):
        async with forwarded(child, Service("redis", "team")):
            pass


async def test_a_missing_kubectl_says_how_to_do_without():
    with pytest.raises(NoQueueAccess, match="--redis-url"):
        async with forwarded(["no-such-kubectl"], Service("redis", "team")):
            pass


def environment(**spec):
    return Environment({"metadata": {"name": "default", "namespace": "team"}, "spec": spec})


def test_the_key_prefix_is_the_named_one_or_that_of_the_object():
    assert environment().key_prefix == "team.default"
    assert environment(redis={"keyPrefix": "shop"}).key_prefix == "shop"


def test_a_managed_redis_names_no_secret():
    assert environment(redis={"managed": {}}).url_secret is None


def test_a_queue_that_the_spec_pauses_is_known():
    found = environment(queues=[{"name": "email", "paused": True}, {"name": "sync"}])
    assert (found.paused_by_spec("email"), found.paused_by_spec("sync"), found.paused_by_spec("x")) == (
        True,
        False,
        False,
    )


def test_the_environment_is_default_or_the_only_one():
    assert choose(["staging", "default"], "team") == "default"
    assert choose(["staging"], "team") == "staging"


@pytest.mark.parametrize(("names", "told"), [([], "has no FluidEnvironment"), (["a", "b"], "--environment")])
def test_a_choice_that_is_open_is_left_to_the_user(names, told):
    with pytest.raises(NoEnvironment, match=told):
        choose(names, "team")


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["a"], ["a", "b"], ["b"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b", "c"], ["c", "d"], ["d"]),  # the beginning was dropped meanwhile
        (["a", "a"], ["a", "a", "a"], ["a"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
    ],
)
def test_only_new_lines_of_a_log_are_told(before, after, want):
    assert list(added(before, after)) == want


def test_a_job_with_indexes_has_a_log_for_each():
    job = cli_job(jobId="u.1", spec={"completions": 3})
    assert log_id(job, 2) == "u.1.2"
    with pytest.raises(BadUsage, match="--index"):
        log_id(job, None)


def test_a_plain_job_has_one_log():
    assert log_id(cli_job(jobId="u.1"), None) == "u.1"
    with pytest.raises(BadUsage, match="has no indexes"):
        log_id(cli_job(jobId="u.1"), 0)


def test_a_job_that_was_never_queued_has_no_log():
    with pytest.raises(CliError, match="fluid why mail"):
        log_id(cli_job(), None)


def test_a_key_ring_that_is_none_is_named_without_a_key():
    with pytest.raises(BadUsage, match="FLUID_ENCRYPTION_KEYS") as caught:
        codec_of("2026: c2VjcmV0")
    assert "c2VjcmV0" not in str(caught.value)


def test_what_workers_have_encrypted_is_read_with_their_keys():
    keys = "2026: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    secret = codec_of(keys).encode(b"value" * 10, "place")
    assert b"value" not in secret
    assert codec_of(keys).decode(secret, "place") == b"value" * 10
