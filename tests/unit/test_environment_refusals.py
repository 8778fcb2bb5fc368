"""What a refusal of the API server means to whoever wrote the environment."""

import pytest

from fluid_operator.environments.refusals import Trouble, problem_of, problem_of_kind, source_of
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, ServerError
from support.environments import blueprint_of, child

MANIFESTS = render(blueprint_of("full"))
MAIL = child(MANIFESTS, "Deployment", "staging-mail")
REDIS = child(MANIFESTS, "StatefulSet")
SECRET = child(MANIFESTS, "Secret")


def error(kind: type[ApiError], message: str, *fields: str) -> ApiError:
    return kind(422, "Invalid", message, "/apis", causes=tuple((field, "wrong") for field in fields))


@pytest.mark.parametrize(
    ("manifest", "told", "want"),
    [
        (MAIL, "spec.template.spec.containers[0].resources.limits[cpu]", "spec.workers[mail].resources"),
        (MAIL, "spec.template.spec.containers[0].env[3].name", "spec.workers[mail].env"),
        (MAIL, "spec.template.spec.containers[0].envFrom[0].prefix", "spec.workers[mail].envFrom"),
        (MAIL, "spec.template.spec.tolerations[0].operator", "spec.workers[mail].tolerations"),
        (MAIL, "spec.template.spec.affinity.podAffinity", "spec.workers[mail].affinity"),
        (MAIL, "spec.template.spec.nodeSelector", "spec.workers[mail].nodeSelector"),
        (MAIL, "spec.template.spec.serviceAccountName", "spec.workers[mail].serviceAccountName"),
        (MAIL, "metadata.labels", ""),
        (REDIS, "spec.volumeClaimTemplates[0].spec.resources[storage]", "spec.redis.managed.storage"),
        (REDIS, "spec.volumeClaimTemplates[0].spec.storageClassName", "spec.redis.managed.storageClassName"),
        (REDIS, "spec.template.spec.containers[0].image", "spec.redis.managed.image"),
        (SECRET, "data", ""),
    ],
)
def test_a_refused_field_is_called_by_its_name_in_the_environment(manifest, told, want):
    assert source_of(error(Invalid, "", told), manifest) == want
    assert source_of(error(Invalid, f".{told}: field not declared in schema"), manifest) == want


def test_a_refusal_says_what_to_correct():
    problem = problem_of(error(Invalid, "no such thing", "spec.template.spec.affinity.x"), "apply", MAIL)
    assert problem.trouble is Trouble.INVALID
    assert not problem.passing
    assert problem.message == "Deployment staging-mail is refused; correct spec.workers[mail].affinity: no such thing"


def test_nothing_that_is_said_about_a_secret_is_repeated():
    problem = problem_of(error(Invalid, 'Invalid value: "geheim"'), "apply", SECRET)
    assert "geheim" not in problem.message
    assert "Secret staging-redis" in problem.message


def test_a_missing_right_names_the_role_to_bind():
    message = 'deployments.apps "staging-mail" is forbidden: User "me" cannot patch resource "deployments"'
    problem = problem_of(error(Forbidden, message), "apply", MAIL)
    assert problem.trouble is Trouble.FORBIDDEN
    assert problem.message.startswith("The operator may not apply Deployment staging-mail; bind it to the Role")
    assert "team-b" in problem.message
    assert "list objects of kind Service" in problem_of_kind(Forbidden(403, "", message, ""), "Service", "x").message


@pytest.mark.parametrize(
    ("message", "want"),
    [
        ("exceeded quota: pods, requested: 1", "quota of namespace team-b"),
        ("because it is being terminated", "namespace team-b is being deleted"),
        ("denied by policy x", "does not let the operator apply Deployment staging-mail: denied by policy x"),
    ],
)
def test_other_refusals_are_told_apart(message, want):
    assert want in problem_of(error(Forbidden, message), "apply", MAIL).message


def test_what_passes_by_itself_is_known_as_such():
    assert problem_of(error(Conflict, "changed"), "apply", MAIL).passing
    assert not problem_of(error(NotFound, "nothing"), "apply", MAIL).passing
    assert not problem_of(error(ServerError, ".spec.x: field not declared in schema"), "apply", MAIL).passing
