"""The family of errors, and how an answer of the API server becomes one of them."""

import pytest

from fluid_operator.kube import errors
from fluid_operator.kube.keys import ObjectKey, Resource


def outline(text: str) -> list[tuple[int, str]]:
    """The tree drawn in a docstring as (depth, name); four columns are one level."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    return [(len(line) - len(line.lstrip("│├└─ ")), line.lstrip("│├└─ ")) for line in lines]


def outline_of(kind: type[BaseException], depth: int = 0) -> list[tuple[int, str]]:
    ours = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return [(depth, kind.__name__)] + [row for each in ours for row in outline_of(each, depth + 4)]


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    assert errors.__doc__ is not None
    assert outline(errors.__doc__) == outline_of(Exception)


@pytest.mark.parametrize(
    ("code", "reason", "want", "retryable"),
    [
        (400, "BadRequest", errors.Invalid, False),
        (401, "Unauthorized", errors.Unauthorized, True),
        (403, "Forbidden", errors.Forbidden, False),
        (404, "NotFound", errors.NotFound, False),
        (405, "MethodNotAllowed", errors.ApiError, False),
        (409, "Conflict", errors.Conflict, False),
        (409, "AlreadyExists", errors.AlreadyExists, False),
        (410, "Expired", errors.Gone, False),
        (422, "Invalid", errors.Invalid, False),
        (429, "TooManyRequests", errors.TooManyRequests, True),
        (500, "InternalError", errors.ServerError, True),
        (504, "Timeout", errors.ServerError, True),
    ],
)
def test_an_answer_becomes_its_type(code: int, reason: str, want: type[errors.ApiError], retryable: bool):
    error = errors.from_status(code, {"code": code, "reason": reason, "message": "why"}, "/p")
    assert type(error) is want
    assert error.retryable is retryable
    assert str(error) == f"{code} {reason} for /p: why"


def test_the_fields_of_a_refusal_are_kept():
    causes = [{"reason": "FieldValueInvalid", "field": "spec.type", "message": "too long"}]
    status = {"code": 422, "reason": "Invalid", "message": "m", "details": {"causes": causes}}
    assert errors.from_status(422, status, "/p").causes == (("spec.type", "too long"),)


def test_the_header_tells_how_long_to_wait_and_else_the_details_do():
    status = {"code": 429, "details": {"retryAfterSeconds": 7}}
    assert errors.from_status(429, status, "/p", retry_after=1).retry_after == 1
    assert errors.from_status(429, status, "/p").retry_after == 7


@pytest.mark.parametrize(
    ("resource", "args", "want"),
    [
        (Resource("", "v1", "pods", "Pod"), (), "/api/v1/pods"),
        (Resource("", "v1", "pods", "Pod"), ("n", "p", "status"), "/api/v1/namespaces/n/pods/p/status"),
        (Resource("", "v1", "nodes", "Node", namespaced=False), ("", "n"), "/api/v1/nodes/n"),
        (Resource("g.example.com", "v2", "xs", "X"), ("n",), "/apis/g.example.com/v2/namespaces/n/xs"),
        (Resource("", "v1", "pods", "Pod"), ("a/b", "../c"), "/api/v1/namespaces/a%2Fb/pods/..%2Fc"),
    ],
)
def test_paths_follow_the_api(resource: Resource, args: tuple[str, ...], want: str):
    assert resource.path(*args) == want


def test_a_key_reads_as_kubectl_prints_it():
    assert str(ObjectKey("ns", "name")) == "ns/name"
    assert str(ObjectKey("", "node")) == "node"
