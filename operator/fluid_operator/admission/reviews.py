"""An AdmissionReview of admission.k8s.io/v1 on its way in and out. Pure; knows no rule about FluidJobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from fluid_operator.admission.errors import BadReview

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

Outcome = Literal["allowed", "refused", "unchecked"]
"""`unchecked` is allowed without knowing."""

Heard = Outcome | Literal["malformed", "late"]
"""What became of a request: an outcome, or no review to speak of, or no time left to read it."""

_UNPROCESSABLE: Final = 422
_WARNING_LIMIT: Final = 256
"""Characters; the API server cuts longer warnings."""


@dataclass(frozen=True, slots=True)
class Review:
    """One question of the API server. `old` is None for a create."""

    uid: str
    operation: str
    group: str
    kind: str
    subresource: str
    namespace: str
    name: str
    """Empty where the API server makes the name."""
    new: Mapping[str, Any]
    old: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: `message` is `field: what is wrong`, several of them joined by semicolons."""

    message: str

    def causes(self) -> list[dict[str, str]]:
        """The message as kubectl wants it, which prints a refusal as `field: message` again."""
        field, separator, rest = self.message.partition(": ")
        if not separator:
            return [{"reason": "FieldValueInvalid", "field": "", "message": self.message}]
        return [{"reason": "FieldValueInvalid", "field": field, "message": rest}]


def read_review(body: Any) -> Review:
    """The question in a decoded body. Raises BadReview."""
    if not isinstance(body, Mapping) or (body.get("apiVersion"), body.get("kind")) != (API_VERSION, KIND):
        raise BadReview(400, f"the body must be a {KIND} of {API_VERSION}")
    request = body.get("request")
    if not isinstance(request, Mapping):
        raise BadReview(400, "the review has no request")
    kind, old = request.get("kind"), request.get("oldObject")
    if not isinstance(kind, Mapping):
        raise BadReview(400, "request.kind must be an object")
    # Of a deletion there is no object, only an old one.
    new = {} if request.get("object") is None else request["object"]
    if not isinstance(new, Mapping) or not isinstance(old, Mapping | None):
        raise BadReview(400, "request.object and request.oldObject must be objects")
    return Review(
        uid=_text(request, "uid", least=1),
        operation=_text(request, "operation", least=1),
        group=_text(kind, "group"),
        kind=_text(kind, "kind"),
        subresource=_text(request, "subResource"),
        namespace=_text(request, "namespace"),
        name=_text(request, "name") or _name_in(new),
        new=new,
        old=old,
    )


def _text(values: Mapping[str, Any], field: str, *, least: int = 0) -> str:
    value = values.get(field, "")
    if not isinstance(value, str) or len(value) < least:
        raise BadReview(400, f"request.{field} must be text" + (", not empty" if least else ""))
    return value


def _name_in(new: Mapping[str, Any]) -> str:
    meta = new.get("metadata")
    name = meta.get("name") if isinstance(meta, Mapping) else None
    return name if isinstance(name, str) else ""


def answer(review: Review, refusal: Refusal | None, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The review to send back: allowed without a refusal."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": refusal is None}
    if warnings:
        response["warnings"] = [warning[:_WARNING_LIMIT] for warning in warnings]
    if refusal is not None:
        response["status"] = {
            "status": "Failure",
            "code": _UNPROCESSABLE,
            "reason": "Invalid",
            "message": refusal.message,
            "details": {
                "name": review.name,
                "group": review.group,
                "kind": review.kind,
                "causes": refusal.causes(),
            },
        }
    return {"apiVersion": API_VERSION, "kind": KIND, "response": response}
