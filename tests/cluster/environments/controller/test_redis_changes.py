"""Another address of Redis while jobs are at the old one, and two environments that want the same keys."""

from datetime import UTC, datetime, timedelta

import pytest

from fluid_dev.redis import RedisServer
from support.environments import decoded
from support.sites import IMAGE, external
from support.stages import work
from support.waiting import until

GOOD = {"Ready": "Available", "RedisReady": "Available", "WorkersReady": "Available"}


def tomorrow():
    return (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")


def address(site):
    """What the workers are given."""
    return decoded(site.get("secret", "default-redis-address"))["worker-url"]


@pytest.fixture
def other(own_redis) -> RedisServer:
    """A second Redis."""
    return own_redis


@pytest.fixture
def busy(site, operator):
    """An environment with one job that waits for tomorrow."""
    site.worker(FLUID_IMAGE=IMAGE)
    site.apply(external().pool("default"))
    site.becomes(GOOD)
    site.apply(work("later").spec(startAfter=tomorrow()))
    site.reaches("later", "Scheduled")
    return site


def test_with_nothing_left_behind_another_redis_is_taken_at_once(site, operator, other):
    site.apply(external().pool("default"))
    site.becomes(GOOD)
    generation = site.get("deployment", "default-default")["metadata"]["generation"]
    site.secret("redis", url=other.url)
    until(lambda: address(site) == other.url, 30, "the workers get the new address")
    until(
        lambda: site.get("deployment", "default-default")["metadata"]["generation"] > generation,
        30,
        "the workers are started anew",
    )
    site.becomes(GOOD)


def test_another_redis_is_refused_while_jobs_are_at_the_old_one(busy, other):
    before = busy.get("deployment", "default-default")["metadata"]["generation"]
    busy.secret("redis", url=other.url)
    busy.becomes({"Ready": "RedisChangeBlocked", "Stalled": "RedisChangeBlocked"})
    message = busy.told()["message"]
    assert "1 job at the old one" in message
    assert "onChange: Drain" in message
    assert address(busy) == busy.redis.url
    assert busy.get("deployment", "default-default")["metadata"]["generation"] == before
    busy.apply(work("soon"))
    busy.reaches("soon", "Succeeded")
    busy.secret("redis", url=busy.redis.url)
    busy.becomes({**GOOD, "Stalled": ""})


def test_a_restarted_operator_still_knows_which_redis_has_the_jobs(busy, operator, other):
    busy.secret("redis", url=other.url)
    busy.becomes({"Ready": "RedisChangeBlocked"})
    operator.process.stop(within=10)
    busy.looks(busy.operator().leading())
    busy.becomes({"Ready": "RedisChangeBlocked"})
    assert address(busy) == busy.redis.url
    assert busy.status("later")["phase"] == "Scheduled"


def test_jobs_finish_first_where_the_environment_says_drain(busy, other):
    busy.apply(external(onChange="Drain").pool("default"))
    busy.becomes(GOOD)
    busy.secret("redis", url=other.url)
    busy.becomes({"Ready": "RedisDraining", "Reconciling": "RedisDraining"})
    assert "1 job" in busy.told()["message"]
    busy.apply(work("new"))
    busy.reason("new", "RedisChanging")
    assert busy.status("new")["phase"] == "Pending"
    assert address(busy) == busy.redis.url
    busy.ask("fj/later", "cancel")
    busy.reaches("later", "Cancelled")
    until(lambda: address(busy) == other.url, 60, "the new Redis is taken")
    busy.becomes({**GOOD, "Reconciling": ""})
    busy.worker(FLUID_REDIS_URL=other.url, FLUID_IMAGE=IMAGE)
    busy.reaches("new", "Succeeded")


def test_another_user_of_the_same_redis_is_no_change(busy):
    """Jobs or not: the data are the same."""
    user = f"u-{busy.namespace}"
    busy.redis.cli("ACL", "SETUSER", user, "on", ">sesame", "~*", "&*", "+@all")
    url = f"redis://{user}:sesame@127.0.0.1:{busy.redis.port}/0"
    busy.secret("redis", url=url)
    until(lambda: address(busy) == url, 30, "the workers get the new address")
    busy.becomes(GOOD)
    assert busy.status("later")["phase"] == "Scheduled"


def test_another_name_of_the_same_redis_is_no_change(busy):
    url = busy.redis.url.replace("127.0.0.1", "localhost")
    busy.secret("redis", url=url)
    until(lambda: address(busy) == url, 30, "the workers get the new address")
    busy.becomes(GOOD)


def test_a_password_that_is_wrong_never_reaches_the_workers(busy):
    """What works is given up only for what works."""
    before = busy.get("deployment", "default-default")["metadata"]["generation"]
    busy.secret("redis", url=busy.redis.url.replace(busy.redis.password, "sesame"))
    busy.becomes({"Ready": "RedisChangeBlocked", "RedisReady": "Available"})
    assert "does not let the operator in" in busy.told()["message"]
    assert address(busy) == busy.redis.url
    assert busy.get("deployment", "default-default")["metadata"]["generation"] == before
    busy.apply(work("soon"))
    busy.reaches("soon", "Succeeded")
    busy.secret("redis", url=busy.redis.url)
    busy.becomes(GOOD)


def test_a_secret_that_is_taken_away_stops_nothing(busy):
    before = busy.get("deployment", "default-default")["metadata"]["generation"]
    busy.kubectl("delete", "secret", "redis")
    busy.becomes({"Ready": "SecretNotFound"})
    assert address(busy) == busy.redis.url
    assert busy.get("deployment", "default-default")["metadata"]["generation"] == before
    busy.secret("redis", url=busy.redis.url)
    busy.becomes(GOOD)


def test_a_second_environment_on_the_same_keys_is_refused_until_the_first_has_gone(site, operator):
    prefix = f"shared-{site.namespace}"
    site.apply(external("first", keyPrefix=prefix))
    site.becomes({"Ready": "Available"}, name="first")
    site.apply(external("second", keyPrefix=prefix))
    site.becomes({"Ready": "KeyPrefixInUse", "RedisReady": "KeyPrefixInUse"}, name="second")
    assert f"{site.namespace}/first" in site.told(name="second")["message"]
    site.becomes({"Ready": "Available"}, name="first")
    site.kubectl("delete", "fluidenvironment", "first")
    site.becomes({"Ready": "Available"}, name="second", within=90)


def test_two_environments_on_one_redis_keep_apart(site, operator):
    site.worker(FLUID_KEY_PREFIX=f"{site.namespace}.second")
    site.apply(external("first"), external("second"))
    for name in ("first", "second"):
        site.becomes({"Ready": "Available"}, name=name)
    site.apply(work("there").environment("second"), work("here").environment("first"))
    site.reaches("there", "Succeeded")
    site.reason("here", "TypeNotYetKnown")
    assert site.starts(f"{site.job('here')['metadata']['uid']}.1") == []
