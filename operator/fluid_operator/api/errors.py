"""What can go wrong with the models of the three kinds.

ModelError
├── InvalidSpec      what a user wrote cannot be accepted; carries the field
└── NotStructural    one of our own models has no place in a CRD; a mistake of ours, found by `make crds`
"""

from collections.abc import Sequence
from typing import NamedTuple


class FieldProblem(NamedTuple):
    """One refused field: its path as a user writes it (`spec.backoff.type`) and what is wrong with it."""

    field: str
    message: str


class ModelError(Exception):
    """Any error of this room."""


class InvalidSpec(ModelError):
    """A part of an object is not acceptable: the first problem in `field` and `message`, others in `further`."""

    def __init__(self, field: str, message: str, further: Sequence[FieldProblem] = ()) -> None:
        self.field = field
        self.message = message
        self.further = tuple(further)
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.problems))

    @property
    def problems(self) -> tuple[FieldProblem, ...]:
        """Everything that is wrong, in the order of the fields."""
        return (FieldProblem(self.field, self.message), *self.further)


class NotStructural(ModelError):
    """A model uses something that Kubernetes' structural schemas cannot express."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")
