"""What the type of an error says about the retry, where a producer has said so. Pure.

A rule is asked only about attempts that failed: a handler that asks for a pause has not, and one that says that no
retry can help knows better than any rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fluid_queue import limits
from fluid_queue.checks import instance, several, text
from fluid_queue.errors import InvalidJob

Action = Literal["FailJob", "Ignore", "Count"]
"""FailJob: no retry. Ignore: a retry after the backoff, without counting this attempt. Count: as without a rule."""

_ACTIONS: Sequence[Action] = ("FailJob", "Ignore", "Count")


@dataclass(frozen=True, slots=True)
class FailureRule:
    """What follows when an attempt fails with an error of one of these types, as `error.type` of its job shows them."""

    error_types: Sequence[str]
    action: Action

    def __post_init__(self) -> None:
        types = several("failureRules.errorTypes", self.error_types)
        if not 1 <= len(types) <= limits.FAILURE_RULE_TYPES:
            raise InvalidJob("failureRules.errorTypes", f"1 to {limits.FAILURE_RULE_TYPES} types")
        for name in types:
            text("failureRules.errorTypes", name, limits.ERROR_TYPE_CHARACTERS, least=1)
        if self.action not in _ACTIONS:
            raise InvalidJob("failureRules.action", f"one of {', '.join(_ACTIONS)}")

    def to_json(self) -> dict[str, Any]:
        """The field names of the API."""
        return {"errorTypes": list(self.error_types), "action": self.action}


def check_rules(rules: Sequence[FailureRule]) -> None:
    """Raises InvalidJob where these are not the rules of a job."""
    if len(several("failureRules", rules)) > limits.FAILURE_RULES:
        raise InvalidJob("failureRules", f"{len(rules)} rules; at most {limits.FAILURE_RULES}")
    for rule in rules:
        instance("failureRules", rule, FailureRule)


def action_for(error_type: str, rules: Iterable[FailureRule]) -> Action:
    """What the first rule that names this type says; Count when none does."""
    return next((rule.action for rule in rules if error_type in rule.error_types), "Count")
