"""What a FluidEnvironment's status says, as pure functions: the fold, the patch, and the check of an address."""

import base64
from datetime import UTC, datetime

import pytest

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidenvironment import FluidEnvironmentStatus
from fluid_operator.api.meta import KeyRef, to_wire
from fluid_operator.environments.address import address_in
from fluid_operator.environments.errors import UnusableAddress
from fluid_operator.environments.health import Flaw
from fluid_operator.environments.pools import PoolState
from fluid_operator.environments.requests import Pauses, carry_out, rotation
from fluid_operator.environments.status import OWNED, Problem, Seen, Workers, fold
from fluid_operator.patches import status_changes

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
ONE = datetime(2026, 12, 1, 13, tzinfo=UTC)
REF = KeyRef(name="redis", key="url")
AWAY = Problem(Reason.REDIS_UNAVAILABLE, "Redis cannot be reached.")


def conditions(status):
    return {each.type: (each.status.value, each.reason) for each in status.conditions}


def seen(**facts):
    return Seen(generation=1, **{"key_prefix": "team-a.default", "waiting": 0, **facts})


def secret(value, key="url"):
    return {"data": {key: base64.b64encode(value.encode()).decode()}}


def test_an_environment_that_answers_is_ready_and_nothing_else():
    status = fold(FluidEnvironmentStatus(), seen(waiting=3), NOON)
    assert conditions(status) == {"Ready": ("True", "Available"), "RedisReady": ("True", "Available")}
    assert (status.observed_generation, status.key_prefix, status.waiting) == (1, "team-a.default", 3)


def test_a_redis_that_is_away_is_tried_again():
    status = fold(FluidEnvironmentStatus(), seen(problem=AWAY, waiting=None), NOON)
    assert conditions(status) == {
        "Ready": ("False", "RedisUnavailable"),
        "RedisReady": ("False", "RedisUnavailable"),
        "Reconciling": ("True", "RedisUnavailable"),
    }


def test_what_only_a_change_can_help_is_stalled():
    problem = Problem(Reason.INVALID_REDIS_URL, "No.", stalled=True)
    found = conditions(fold(FluidEnvironmentStatus(), seen(problem=problem), NOON))
    assert found["Stalled"] == ("True", "InvalidRedisUrl")
    assert "Reconciling" not in found


def test_a_repaired_environment_has_no_condition_of_its_trouble_left():
    broken = fold(FluidEnvironmentStatus(), seen(problem=AWAY), NOON)
    assert conditions(fold(broken, seen(), ONE)) == {
        "Ready": ("True", "Available"),
        "RedisReady": ("True", "Available"),
    }


def test_a_transition_time_moves_only_when_the_truth_turns():
    first = fold(FluidEnvironmentStatus(), seen(), NOON)
    again = fold(first, seen(), ONE)
    broken = fold(again, seen(problem=AWAY), ONE)
    assert [each.last_transition_time for each in again.conditions] == [NOON, NOON]
    assert {each.last_transition_time for each in broken.conditions} == {ONE}


POOL = PoolState("default", replicas=2, ready=2, updated=2, least=2)


def workers(*pools, **facts):
    return Workers(pools or (POOL,), **facts)


def test_an_environment_with_pools_counts_its_workers():
    status = fold(FluidEnvironmentStatus(), seen(workers=workers(POOL, PoolState("mail", 3, 1)), children=14), NOON)
    assert conditions(status) == {
        "Ready": ("True", "Available"),
        "RedisReady": ("True", "Available"),
        "WorkersReady": ("True", "Available"),
        "TypesDiscovered": ("True", "Available"),
    }
    assert (status.workers, status.ready_workers, status.child_objects) == ("3/5", 3, 14)
    assert [(each.name, each.ready_replicas) for each in status.pools] == [("default", 2), ("mail", 1)]


def test_missing_workers_keep_an_environment_from_being_ready_and_redis_is_told_apart():
    problem = Problem(Reason.WORKERS_NOT_READY, "pool default has 0 of 1 workers ready.")
    found = conditions(fold(FluidEnvironmentStatus(), seen(workers=workers(problem=problem)), NOON))
    assert found["Ready"] == ("False", "WorkersNotReady")
    assert found["RedisReady"] == ("True", "Available")
    assert found["WorkersReady"] == ("False", "WorkersNotReady")
    assert found["Reconciling"] == ("True", "WorkersNotReady")


def test_what_only_a_change_can_help_is_the_reason_and_else_what_comes_first():
    blocked = Problem(Reason.REDIS_CHANGE_BLOCKED, "Put it back.", stalled=True)
    found = conditions(fold(FluidEnvironmentStatus(), seen(problem=AWAY, others=[blocked]), NOON))
    assert found["Ready"] == ("False", "RedisChangeBlocked")
    assert found["RedisReady"] == ("False", "RedisUnavailable")
    assert found["Stalled"] == ("True", "RedisChangeBlocked")
    passing = [Problem(Reason.APPLYING, "Soon."), Problem(Reason.ACCESS_DENIED, "No.")]
    assert conditions(fold(FluidEnvironmentStatus(), seen(others=passing), NOON))["Ready"] == ("False", "Applying")


def test_what_threatens_the_jobs_does_not_touch_ready():
    flaws = [Flaw(Reason.PERSISTENCE_OFF, "It forgets."), Flaw(Reason.EVICTION_ON, "It deletes.")]
    status = fold(FluidEnvironmentStatus(), seen(flaws=flaws), NOON)
    assert conditions(status)["Ready"] == ("True", "Available")
    assert conditions(status)["QueueHealthy"] == ("False", "PersistenceOff")
    told = next(each for each in status.conditions if each.type == "QueueHealthy")
    assert told.message == "It forgets. It deletes."
    assert conditions(fold(status, seen(flaws=[]), ONE))["QueueHealthy"] == ("True", "Available")


def test_an_unknown_image_is_told_until_a_worker_has_shown_its_types():
    status = fold(FluidEnvironmentStatus(), seen(workers=workers(undiscovered="Nobody knows x:1.")), NOON)
    assert conditions(status)["TypesDiscovered"] == ("False", "Discovering")
    assert conditions(status)["Ready"] == ("True", "Available")


def test_a_rollout_is_told_while_the_environment_stays_ready():
    going = Problem(Reason.ROLLING_OUT, "One of two is new.")
    status = fold(FluidEnvironmentStatus(), seen(workers=workers(), under_way=going), NOON)
    assert conditions(status)["Ready"] == ("True", "Available")
    assert conditions(status)["Reconciling"] == ("True", "RollingOut")
    assert "Reconciling" not in conditions(fold(status, seen(workers=workers()), ONE))


def test_what_was_told_of_workers_stays_while_nobody_looks():
    before = fold(FluidEnvironmentStatus(), seen(workers=workers(), children=14), NOON)
    after = fold(before, seen(problem=Problem(Reason.INVALID_SPEC, "No.", stalled=True)), ONE)
    assert (after.workers, after.child_objects) == ("2/2", 14)
    assert conditions(after)["WorkersReady"] == ("True", "Available")


def test_the_last_pool_takes_its_conditions_along():
    before = fold(FluidEnvironmentStatus(), seen(workers=workers(), children=14), NOON)
    after = fold(before, seen(workers=Workers(), children=0), ONE)
    assert not {"WorkersReady", "TypesDiscovered"} & conditions(after).keys()
    assert (after.workers, after.pools, after.child_objects) == (None, None, None)


PAUSE, RESUME = "pause/mail@2026-12-01T00:00:00Z", "resume/mail@2026-12-01T00:01:00Z"


@pytest.mark.parametrize(
    ("paused", "handled", "annotation", "want"),
    [
        ([], "", "", Pauses([], "")),
        (["b"], "", PAUSE, Pauses(["b", "mail"], PAUSE)),
        (["mail"], PAUSE, PAUSE, Pauses(["mail"], PAUSE)),
        ([], PAUSE, PAUSE, Pauses([], PAUSE)),
        (["b", "mail"], PAUSE, RESUME, Pauses(["b"], RESUME)),
        (["mail"], PAUSE, "", Pauses(["mail"], PAUSE)),
    ],
    ids=["nothing", "pause", "paused already", "handled before", "resume", "annotation taken away"],
)
def test_a_queue_is_paused_and_resumed_by_request_once(paused, handled, annotation, want):
    assert carry_out(paused, handled, annotation) == want


def test_a_rotation_is_asked_for_by_request_and_pauses_nothing():
    wish = "rotate-passwords@2026-12-01T00:00:00Z"
    assert carry_out(["b"], PAUSE, wish) == Pauses(["b"], wish)
    assert rotation(wish) == wish
    assert rotation(PAUSE) == rotation("rotate-passwords") == rotation("") == ""


@pytest.mark.parametrize(
    "annotation", ["pause/mail", "pause/Mail@2026-12-01T00:00:00Z", "stop/mail@2026-12-01T00:00:00Z"]
)
def test_a_request_that_cannot_be_understood_pauses_nothing_and_is_told(annotation):
    pauses = carry_out(["b"], "", annotation)
    assert (pauses.queues, pauses.handled) == (["b"], annotation)
    status = fold(FluidEnvironmentStatus(), seen(pauses=pauses), NOON)
    told = [each for each in status.conditions if each.type == "RequestIgnored"]
    assert "pause/email@2026-12-01T07:00:00Z" in told[0].message
    again = fold(status, seen(), NOON)
    assert all(each.type != "RequestIgnored" for each in again.conditions)


def test_a_status_that_says_the_same_is_not_written():
    status = fold(FluidEnvironmentStatus(), seen(), NOON)
    assert status_changes(to_wire(status), fold(status, seen(), ONE), OWNED) == {}


def test_a_patch_holds_what_changed_and_null_for_what_is_gone():
    ready = fold(FluidEnvironmentStatus(), seen(waiting=5), NOON)
    patch = status_changes(to_wire(ready), fold(ready, seen(problem=AWAY, waiting=None), ONE), OWNED)
    assert set(patch) == {"conditions", "waiting"}
    assert patch["waiting"] is None


@pytest.mark.parametrize(
    "address",
    [
        "redis://localhost",
        "redis://user:p%40ss@redis.team-a.svc:6379/3",
        "rediss://:secret@10.0.0.1:6380/0?ssl_ca_certs=/etc/ca.crt&ssl_cert_reqs=required",
        "redis://[::1]:6379",
        "redis+sentinel://:secret@sentinel-0,sentinel-1:26379/main/0?sentinel_password=watch",
        "rediss+cluster://user:secret@redis-0:6379,redis-1:6379",
    ],
)
def test_an_address_of_redis_is_taken_as_it_is(address):
    assert address_in(secret(address + "\n"), REF) == address


@pytest.mark.parametrize(
    ("address", "flaw"),
    [
        ("", "does not begin with redis://"),
        ("localhost:6379", "does not begin with redis://"),
        ("unix:///run/redis.sock", "names a Unix socket"),
        ("redis:///0", "names no host"),
        ("redis://localhost:70000", "a port is a number from 1 to 65535"),
        ("redis+sentinel://localhost", "names no master"),
        ("rediss://localhost?ssl_certfile=/a&ssl_keyfile=/b", "client certificate"),
        ("redis://localhost:0", "names port 0"),
        ("redis://localhost/first", "names a database that is no number"),
        ("redis://localhost/0?ssl_cert_reqs=none", "has options after the database that are not supported (none are)"),
        ("rediss://localhost/0?retry=1", "(only ssl_ca_certs, ssl_ca_data, ssl_cert_reqs"),
        ("redis://localhost/0#1", "has options"),
    ],
)
def test_another_address_is_refused_with_what_is_wrong(address, flaw):
    with pytest.raises(UnusableAddress) as refusal:
        address_in(secret(address), REF)
    problem = refusal.value.problem
    assert (problem.reason, problem.stalled) == (Reason.INVALID_REDIS_URL, True)
    assert flaw in problem.message


def test_a_refusal_does_not_repeat_the_address():
    with pytest.raises(UnusableAddress) as refusal:
        address_in(secret("redis://:hush@secret-host/zero"), REF)
    assert "hush" not in str(refusal.value)
    assert "secret-host" not in str(refusal.value)


@pytest.mark.parametrize("body", [{}, {"data": None}, secret("redis://localhost", key="address")])
def test_a_secret_without_the_key_says_which_one_is_missing(body):
    with pytest.raises(UnusableAddress, match="Secret redis has no key url") as refusal:
        address_in(body, REF)
    assert refusal.value.problem.reason == Reason.SECRET_NOT_FOUND
