"""From a job's JSON payload to the processor's typed model, and from pydantic's complaints to ours.

The operator has checked the payload against the published schema already; the worker checks again, because
a payload may come from elsewhere and because validators in Python see more than a JSON schema can say. An
answer names fields, never values.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fluid_processors.errors import FieldProblem, InvalidPayload
from fluid_processors.sensitive import is_sensitive_path

Payload = TypeVar("Payload", bound=BaseModel)

# The message of these speaks of the rule alone; others quote what was given ("Input tag 'x' found ...").
_RULES_ONLY = frozenset(
    {"enum", "finite_number", "greater_than", "greater_than_equal", "less_than", "less_than_equal", "literal_error"}
    | {"multiple_of", "string_pattern_mismatch", "string_too_long", "string_too_short", "too_long", "too_short"}
)
_HIDDEN = "is not valid"
_PLAINER = {"missing": "is required", "extra_forbidden": "is not a field of this payload"}
# How pydantic marks that a dict's key is wrong and not its value.
_KEY = "[key]"
_MOST_PROBLEMS = 20


def validate(model: type[Payload], payload: Mapping[str, Any], *, sensitive: bool = False) -> Payload:
    """The payload as a model. Raises InvalidPayload. `sensitive`: every field counts as marked `Sensitive()`."""
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        problems = problems_of(error, model, sensitive=sensitive)
    # Raised outside of the handler: the original carries the values, and a logged chain would show them.
    raise InvalidPayload(problems)


def problems_of(error: ValidationError, model: type[BaseModel], *, sensitive: bool = False) -> list[FieldProblem]:
    """At most 20 problems, each with the field's path and a message that is free of sensitive values."""
    details = error.errors(include_url=False, include_input=False)
    return [FieldProblem(path_text(each["loc"]), _message(each, model, sensitive)) for each in details[:_MOST_PROBLEMS]]


def path_text(path: Sequence[int | str]) -> str:
    """`("attachments", 0, "filename")` as `attachments[0].filename`."""
    text = ""
    for step in path:
        if step == _KEY:
            continue
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            word = step if step.isprintable() else step.encode("unicode_escape").decode()
            text += f".{word}" if text else word
    return text


def _message(detail: ErrorDetails, model: type[BaseModel], sensitive: bool) -> str:
    # Without a context the message is a fixed text.
    fixed = "ctx" not in detail or detail["type"] in _RULES_ONLY
    if not fixed and (sensitive or is_sensitive_path(model, detail["loc"])):
        return _HIDDEN
    message = (
        _PLAINER.get(detail["type"], detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    )
    return message.replace("Input should be", "must be", 1)
