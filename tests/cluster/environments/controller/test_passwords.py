"""The passwords of a managed Redis, as far as an operator goes that cannot reach it: asked for, introduced, and nothing
taken away before Redis knows them."""

import pytest

from fluid_operator.api.meta import REQUEST_ANNOTATION
from support.sites import managed, pool_of, redis_of
from support.waiting import until

USERS = ("operator", "worker")


@pytest.fixture
def kept(site, operator):
    site.apply(managed().pool("default"))
    site.consists_of(*redis_of(), *pool_of())
    site.becomes({"WorkersReady": "Available"})
    site.rests(operator)
    return site


def introduced(site):
    """Wait until the next passwords are there."""

    def look():
        now = site.passwords()
        return now if all(f"{user}-password-next" in now for user in USERS) else None

    return until(look, 40, "the next passwords are there", pause=0.1)


def test_new_passwords_are_introduced_before_anybody_uses_them(kept, operator):
    before = kept.passwords()
    deployment = kept.get("deployment", "default-default")["metadata"]["generation"]
    redis = kept.get("statefulset", "default-redis")["metadata"]["generation"]
    kept.ask("fe/default", "rotate-passwords")
    after = introduced(kept)
    for user in USERS:
        assert after[f"{user}-password"] == before[f"{user}-password"]
        assert after[f"{user}-url"] == before[f"{user}-url"]
        assert after[f"{user}-password-next"] != after[f"{user}-password"]
    assert after["users.acl"].count("#") == before["users.acl"].count("#") + len(USERS)
    assert after["users.version"] != before["users.version"]
    assert after["generation"] == before["generation"]
    annotation = kept.get("fluidenvironment")["metadata"]["annotations"][REQUEST_ANNOTATION]
    until(lambda: kept.get("fluidenvironment")["status"].get("lastHandledRequest") == annotation, 30, "it is told")
    kept.rests(operator)
    assert kept.passwords() == after
    assert kept.get("deployment", "default-default")["metadata"]["generation"] == deployment
    assert kept.get("statefulset", "default-redis")["metadata"]["generation"] == redis
    text = operator.process.log.read_text()
    assert not [value for key, value in after.items() if "password" in key and value in text]


def test_another_operator_goes_on_with_a_rotation_and_does_not_begin_a_second(kept, operator):
    kept.ask("fe/default", "rotate-passwords")
    after = introduced(kept)
    operator.process.stop(within=10)
    second = kept.operator().leading()
    kept.looks(second, 4)
    assert kept.passwords() == after


def test_another_request_is_no_wish_for_other_passwords(kept, operator):
    before = kept.passwords()
    kept.ask("fe/default", "pause/email")
    until(lambda: kept.get("fluidenvironment")["status"].get("pausedQueues") == ["email"], 30, "the queue is paused")
    kept.looks(operator)
    assert kept.passwords() == before


def test_a_request_that_nobody_understands_is_told(kept, operator):
    before = kept.passwords()
    kept.kubectl("annotate", "fe/default", f"{REQUEST_ANNOTATION}=rotate-passwords@soon")
    kept.becomes({"RequestIgnored": "InvalidRequest"})
    assert "rotate-passwords@2026-12-01T07:00:00Z" in kept.told("RequestIgnored")["message"]
    kept.looks(operator)
    assert kept.passwords() == before


def test_a_request_that_is_older_than_the_redis_changes_nothing(site, operator):
    """As after an environment was created anew from a file that has the annotation."""
    old = managed().annotation(REQUEST_ANNOTATION, "rotate-passwords@2026-01-01T00:00:00Z")
    site.apply(old)
    site.consists_of(*redis_of())
    site.rests(operator)
    assert not [key for key in site.passwords() if key.endswith(("-next", "-previous"))]


def test_passwords_change_when_they_are_old_enough(kept, operator):
    """The Secret is the memory, so a person can make it older."""
    aged = {"stringData": {"rotated-at": "2026-01-01T00:00:00Z"}}
    kept.apply(managed().spec(redis={"managed": {"passwordRotationDays": 30}}).pool("default"))
    kept.becomes({"WorkersReady": "Available"})
    kept.rests(operator)
    assert not [key for key in kept.passwords() if key.endswith("-next")]
    kept.edit("secret", "default-redis", aged)
    introduced(kept)


def test_nobody_finds_a_password_in_status_events_or_log(kept, operator):
    texts = (
        kept.kubectl("get", "fe,events,deployments,statefulsets,configmaps,pods", "--output=yaml"),
        operator.process.log.read_text(),
    )
    secrets = {value for key, value in kept.passwords().items() if "password" in key}
    assert len(secrets) == 3
    assert not [value for value in secrets if any(value in text for text in texts)]
