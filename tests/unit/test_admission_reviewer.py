"""Verdicts: refused only from fresh knowledge, in doubt let pass, and never late."""

import asyncio
import logging
from typing import Any

import pytest

from fluid_operator.admission.catalogue import Knowledge
from fluid_operator.admission.errors import BadReview
from fluid_operator.admission.reviewer import Reviewer, Verdict
from fluid_operator.admission.reviews import Refusal, Review, answer, read_review
from fluid_operator.api.meta import GROUP
from fluid_operator.environments.types import KnownType, ProcessorSettings
from fluid_operator.kube.errors import Unreachable

NARROW = {"properties": {"to": {"type": "string"}}}


def knowing(schema: dict[str, Any]) -> Knowledge:
    return Knowledge("default", {"mail": KnownType(schema, ProcessorSettings())})


class Shelf:
    """A catalogue that holds `kept`, and whoever reads anew finds `fresh`."""

    def __init__(self, kept: Knowledge, fresh: Knowledge | None = None) -> None:
        self.kept = kept
        self.fresh = fresh or kept
        self.asked: list[tuple[str, str | None]] = []

    async def look(self, namespace: str, wanted: str | None, *, max_age: float | None = None) -> Knowledge:
        self.asked.append((namespace, wanted))
        return self.kept if max_age is None else self.fresh


def create(**spec: Any) -> Review:
    raw = {"metadata": {"name": "a"}, "spec": {"type": "mail", **spec}}
    return Review("u1", "CREATE", GROUP, "FluidJob", "", "team-a", "a", raw, None)


async def never(_: Review) -> bool:
    return False


async def judge(shelf: Shelf, review: Review, **options: Any) -> Verdict:
    return await Reviewer(shelf, options.pop("has_run", never), **options).judge(review)


async def test_a_job_that_fits_is_allowed_without_a_word() -> None:
    shelf = Shelf(knowing(NARROW))
    assert await judge(shelf, create(payload={"to": "x"}, environment="blue")) == Verdict("allowed")
    assert shelf.asked == [("team-a", "blue")]


async def test_a_job_that_does_not_fit_is_refused_from_fresh_knowledge() -> None:
    shelf = Shelf(knowing(NARROW))
    verdict = await judge(shelf, create(payload={"to": 1}))
    assert verdict == Verdict("refused", Refusal('spec.payload.to: 1 is not of type "string"'))
    assert len(shelf.asked) == 2


@pytest.mark.parametrize(
    ("fresh", "outcome"),
    [(knowing({}), "allowed"), (Knowledge("default"), "unchecked"), (Knowledge("default", doubt="away"), "unchecked")],
)
async def test_nobody_is_refused_by_what_was_known_a_while_ago(fresh: Knowledge, outcome: str) -> None:
    assert (await judge(Shelf(knowing(NARROW), fresh), create(payload={"to": 1}))).outcome == outcome


async def test_in_doubt_a_job_passes_and_the_warning_says_why() -> None:
    verdict = await judge(Shelf(Knowledge("default", doubt="it was away")), create(payload={"to": 1}))
    assert verdict.refusal is None
    assert verdict.warnings == ("spec.payload was not checked: it was away; the job is checked when it is enqueued",)


async def test_a_namespace_of_another_operator_is_none_of_our_business() -> None:
    shelf = Shelf(knowing(NARROW))
    verdict = await judge(shelf, create(payload={"to": 1}), serves=lambda namespace: namespace == "team-b")
    assert verdict == Verdict("allowed")
    assert shelf.asked == []


async def test_a_long_message_is_cut_as_a_condition_is() -> None:
    verdict = await judge(Shelf(knowing(NARROW)), create(failurePolicy={"rules": [{}] * 20}))
    assert verdict.refusal is not None
    assert len(verdict.refusal.message) == 1024


async def has_run(_: Review) -> bool:
    return True


async def cannot_tell(_: Review) -> bool:
    raise Unreachable("/api", "away")


@pytest.mark.parametrize(
    ("policy", "earlier", "outcome"),
    [
        ("OncePerSpec", has_run, "unchecked"),
        ("OncePerSpec", cannot_tell, "unchecked"),
        ("OncePerSpec", never, "refused"),
        ("Always", has_run, "refused"),
    ],
)
async def test_a_spec_that_had_its_run_is_not_refused_where_it_would_not_run_again(
    policy: str, earlier: Any, outcome: str
) -> None:
    verdict = await judge(Shelf(knowing(NARROW)), create(payload={"to": 1}, runPolicy=policy), has_run=earlier)
    assert verdict.outcome == outcome


async def test_a_long_list_of_items_gives_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones too: the payload, which may be large, is merged into each of them."""
    monkeypatch.setattr("fluid_operator.admission.reviewer._SLICE_SECONDS", 0.0)  # no machine is too fast
    slow = {"properties": {"list": {"items": {"anyOf": [{"maximum": -1}, {"minimum": 0}]}}}}
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await judge(Shelf(knowing(slow)), create(payload={"list": list(range(6000))}, items=[{}] * 100))
    task.cancel()
    assert turns >= 2


async def test_the_log_tells_of_a_refusal_without_any_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await judge(Shelf(knowing(NARROW)), create(payload={"to": 271828}))
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"namespace": "team-a", "name": "a", "field": "spec.payload.to"}
    assert "271828" not in str(record.__dict__)


# -- on the wire ------------------------------------------------------------------------------------------------------


def body(**request: Any) -> dict[str, Any]:
    asked = {"uid": "u1", "operation": "CREATE", "kind": {"group": GROUP, "kind": "FluidJob"}, "object": {}}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked | request}


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        7,
        {},
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"},
        body() | {"apiVersion": "admission.k8s.io/v1beta1"},
        body() | {"kind": "TokenReview"},
        body(uid=""),
        body(uid=None),
        body(operation=1),
        body(kind=None),
        body(object=[]),
        body(oldObject="x"),
        body(namespace=["a"]),
    ],
)
def test_what_is_no_review_cannot_be_answered(wrong: Any) -> None:
    with pytest.raises(BadReview) as refusal:
        read_review(wrong)
    assert refusal.value.status == 400


def test_a_review_of_a_deletion_has_no_object() -> None:
    assert read_review(body(operation="DELETE", object=None, oldObject={"spec": {}})).new == {}


def test_a_generated_name_is_taken_from_the_object() -> None:
    assert read_review(body(object={"metadata": {"name": "mail-x7k2p"}})).name == "mail-x7k2p"


def test_warnings_are_short_enough_for_the_api_server() -> None:
    told = answer(read_review(body()), None, ["x" * 1000])["response"]
    assert told == {"uid": "u1", "allowed": True, "warnings": ["x" * 256]}


def test_a_refusal_without_a_field_is_whole_in_its_cause() -> None:
    assert Refusal("no").causes() == [{"reason": "FieldValueInvalid", "field": "", "message": "no"}]
