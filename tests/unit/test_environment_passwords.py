"""The passwords of a managed Redis: two that are valid at once while one is replaced, and hashes only for Redis."""

import base64
import hashlib
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.environments import passwords
from fluid_operator.environments.passwords import (
    CREDENTIALS_ANNOTATION,
    Credentials,
    Passwords,
    Phase,
    Rotation,
    acl_file,
    advance,
    began_before,
    read,
    secret_data,
)
from fluid_queue import Address
from support.environments import THEN, fixed_credentials

PREFIX = "team-a.default"
HOST = "default-redis.team-a.svc"
LATER = THEN + timedelta(days=30)
STEADY = fixed_credentials()


def maker():
    number = itertools.count(1)
    return lambda: f"new-{next(number)}"


def digest(password: str) -> str:
    return "#" + hashlib.sha256(password.encode()).hexdigest()


def secret(credentials: Credentials, **changed: str | None) -> dict:
    """The Secret of these credentials; `changed` by hand, None takes a key away."""
    data = secret_data(credentials, PREFIX, HOST)
    for key, text in changed.items():
        name = key.replace("_", "-")
        if text is None:
            del data[name]
        else:
            data[name] = base64.b64encode(text.encode()).decode()
    return {"data": data}


def line(users: str, name: str) -> str:
    (found,) = [each for each in users.splitlines() if each.startswith(f"user {name} ")]
    return found


def test_new_passwords_are_long_and_never_the_same():
    made = [passwords.create(THEN) for _ in range(50)]
    texts = [each for one in made for each in (one.operator.current, one.worker.current, one.probe)]
    assert len(set(texts)) == 150
    assert min(map(len, texts)) >= 43


def test_no_representation_shows_a_password():
    turning = advance(STEADY, Rotation(request="now"), LATER, make=maker())
    assert "password-" not in repr(turning)
    assert "new-" not in repr(turning)


def test_a_rotation_goes_through_its_states_and_every_password_in_use_is_valid():
    make = maker()
    wish = Rotation(request="rotate@1")
    introducing = advance(STEADY, wish, LATER, make=make)
    assert introducing.phase is Phase.INTRODUCING
    assert introducing.worker == Passwords("password-2", next="new-2")
    assert introducing.generation == STEADY.generation

    assert advance(introducing, wish, LATER, make=make) is introducing
    replacing = advance(introducing, replace(wish, next_accepted=True), LATER, make=make)
    assert replacing.phase is Phase.REPLACING
    assert replacing.worker == Passwords("new-2", previous="password-2")
    assert replacing.operator == Passwords("new-1", previous="password-1")
    assert (replacing.generation, replacing.rotated) == (STEADY.generation + 1, LATER)

    assert advance(replacing, replace(wish, next_accepted=True), LATER, make=make) is replacing
    done = advance(replacing, replace(wish, previous_in_use=False), LATER, make=make)
    assert (done.phase, done.worker) == (Phase.STEADY, Passwords("new-2"))
    assert advance(done, replace(wish, previous_in_use=False), LATER, make=make) is done
    for each, held in ((introducing, "password-2"), (replacing, "password-2"), (replacing, "new-2"), (done, "new-2")):
        assert digest(held) in line(acl_file(each, PREFIX), "worker")
    assert digest("password-2") not in acl_file(done, PREFIX)


def test_another_request_rotates_again_and_the_same_one_does_not():
    done = replace(STEADY, request="rotate@1")
    assert advance(done, Rotation(request="rotate@1"), LATER) is done
    assert advance(done, Rotation(), LATER) is done
    assert advance(done, Rotation(request="rotate@2"), LATER).phase is Phase.INTRODUCING


@pytest.mark.parametrize(("days", "want"), [(29, Phase.INTRODUCING), (30, Phase.INTRODUCING), (31, Phase.STEADY)])
def test_passwords_are_rotated_by_their_age(days, want):
    assert advance(STEADY, Rotation(max_age=timedelta(days=days)), LATER).phase is want


def test_a_rotation_survives_a_restart_at_any_point():
    make = maker()
    introducing = advance(STEADY, Rotation(request="a"), LATER, make=make)
    replacing = advance(introducing, Rotation(next_accepted=True), LATER, make=make)
    for each in (STEADY, introducing, replacing):
        assert read(secret(each), LATER + timedelta(days=1)) == each


def test_urls_carry_the_password_that_is_to_be_used():
    introducing = advance(STEADY, Rotation(request="a"), LATER, make=maker())
    replacing = advance(introducing, Rotation(next_accepted=True), LATER)
    for credentials, want in ((introducing, "password-2"), (replacing, "new-2")):
        url = base64.b64decode(secret_data(credentials, PREFIX, HOST)["worker-url"]).decode()
        address = Address.parse(url)
        assert (address.username, address.password, address.nodes) == ("worker", want, ((HOST, 6379),))


def test_a_secret_that_lost_a_password_gets_another_and_workers_learn_it():
    mended = read(secret(STEADY, worker_password=None), LATER, make=maker())
    assert mended.worker == Passwords("new-1")
    assert mended.operator == STEADY.operator
    assert mended.generation == STEADY.generation + 1


def test_a_password_that_somebody_chose_is_taken_and_workers_learn_it():
    mended = read(secret(STEADY, worker_password="chosen-by-hand"), LATER)
    assert mended.worker == Passwords("chosen-by-hand")
    assert mended.generation == STEADY.generation + 1
    assert read(secret(mended), LATER) == mended


@pytest.mark.parametrize("text", ["", "with space", "with:colon", "a@b", "a/b", "ü", "line\nbreak", "%41"])
def test_a_password_that_no_url_can_carry_is_replaced(text):
    assert read(secret(STEADY, operator_password=text), LATER, make=maker()).operator.current == "new-1"


@given(st.dictionaries(st.sampled_from([*secret_data(STEADY, PREFIX, HOST), "other"]), st.binary()))
def test_whatever_a_secret_holds_its_credentials_are_usable(data):
    found = read({"data": {key: base64.b64encode(value).decode() for key, value in data.items()}}, LATER)
    assert found.generation >= 1
    again = read(secret(found), LATER)
    assert (again.operator, again.worker, again.probe) == (found.operator, found.worker, found.probe)
    assert again.generation == found.generation


def test_an_empty_secret_is_as_good_as_none():
    assert read({}, LATER).phase is Phase.STEADY
    assert read({"data": None}, LATER).generation == 1


def test_redis_gets_hashes_and_the_least_rights():
    users = acl_file(STEADY, PREFIX)
    assert "password-" not in users
    assert line(users, "default") == "user default reset off ~* &* +@all"
    assert [word for word in line(users, "probe").split() if word.startswith(("~", "+"))] == [
        "~{fluid:team-a.default}:leases",
        "+ping",
        "+time",
        "+zcount",
        "+acl|load",
    ]
    for user in ("operator", "worker"):
        words = line(users, user).split()
        assert [word for word in words if word.startswith(("~", "&", "%"))] == ["~{fluid:team-a.default}:*"]
        assert "allkeys" not in words
        assert not {"+@all", "+acl", "+config", "+acl|load"} & set(words)


def test_the_version_of_the_users_changes_when_they_do():
    introducing = advance(STEADY, Rotation(request="a"), LATER)
    versions = {secret_data(each, PREFIX, HOST)["users.version"] for each in (STEADY, introducing)}
    assert len(versions) == 2
    assert secret_data(STEADY, PREFIX, HOST) == secret_data(fixed_credentials(), PREFIX, HOST)


def pod(name: str, generation: str | None, phase: str = "Running") -> dict:
    annotations = {} if generation is None else {CREDENTIALS_ANNOTATION: generation}
    return {"metadata": {"name": name, "annotations": annotations}, "status": {"phase": phase}}


def test_a_password_is_in_use_as_long_as_a_pod_exists_that_began_with_it():
    pods = [pod("new", "3"), pod("draining", "2"), pod("ancient", None), pod("ended", "2", "Failed")]
    assert began_before(pods, 3) == ["ancient", "draining"]
    assert began_before([pod("new", "3")], 3) == []
