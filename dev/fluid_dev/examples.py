"""What the example objects promise, written in their own annotations, and whether they have kept it.

    example.jobs.fluidcalendar.com/phase              the phase to reach
    example.jobs.fluidcalendar.com/attempts           optional: status.attempts
    example.jobs.fluidcalendar.com/reason             optional: the reason of some condition
    example.jobs.fluidcalendar.com/message-contains   optional: part of the error's or some condition's message
    example.jobs.fluidcalendar.com/mail-subject       optional: exactly one mail with this subject is delivered
    example.jobs.fluidcalendar.com/cancel-when        optional: the phase at which somebody cancels it

Data in, differences out: reads no cluster and no mailbox.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from fluid_dev.errors import DemoError

_PREFIX = "example.jobs.fluidcalendar.com/"
_KNOWN = {"phase", "attempts", "reason", "message-contains", "mail-subject", "cancel-when"}
_BEFORE_JOBS = ("Namespace", "Secret", "ConfigMap", "FluidEnvironment")

Object = Mapping[str, Any]
"""A Kubernetes object as the API shows it."""


def read(folder: Path) -> list[dict[str, Any]]:
    """All objects of the folder's YAML files, those that jobs need first."""
    documents = [
        document
        for file in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document
    ]
    return sorted(documents, key=lambda document: document["kind"] not in _BEFORE_JOBS)


def split(objects: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What jobs need, and the jobs themselves (with whatever else there is)."""
    groups: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for document in objects:
        groups[document["kind"] not in _BEFORE_JOBS].append(document)
    return groups


@dataclass(frozen=True)
class Promise:
    kind: str
    name: str
    phase: str
    attempts: int | None = None
    reason: str | None = None
    message_contains: str | None = None
    mail_subject: str | None = None
    cancel_when: str | None = None

    @classmethod
    def of(cls, document: Object) -> Self | None:
        """The promise of one object, None if it makes none; DemoError for an annotation that nobody would check."""
        name = document["metadata"]["name"]
        notes = {
            key.removeprefix(_PREFIX): value
            for key, value in (document["metadata"].get("annotations") or {}).items()
            if key.startswith(_PREFIX)
        }
        if unknown := notes.keys() - _KNOWN:
            raise DemoError(
                f"{name}: unknown annotation {_PREFIX}{min(unknown)}; known are {', '.join(sorted(_KNOWN))}"
            )
        if not notes:
            return None
        if "phase" not in notes:
            raise DemoError(f"{name}: the annotation {_PREFIX}phase is missing")
        attempts = notes.pop("attempts", None)
        return cls(
            document["kind"],
            name,
            attempts=None if attempts is None else int(attempts),
            **{key.replace("-", "_"): value for key, value in notes.items()},
        )

    def differences(self, found: Object | None, subjects: Iterable[str]) -> list[str]:
        """What is not as promised, one short sentence each; `subjects` are those of all mails since it was created."""
        if found is None:
            return ["does not exist"]
        status = found.get("status") or {}
        conditions = status.get("conditions") or []
        messages = [(status.get("error") or {}).get("message") or "", *(c.get("message") or "" for c in conditions)]
        checks = [
            (status.get("phase") == self.phase, f"phase is {status.get('phase')}, not {self.phase}"),
            (
                self.attempts is None or status.get("attempts", 0) == self.attempts,
                f"attempts are {status.get('attempts', 0)}, not {self.attempts}",
            ),
            (
                self.reason is None or any(c.get("reason") == self.reason for c in conditions),
                f"no condition has the reason {self.reason}",
            ),
            (
                self.message_contains is None or any(self.message_contains in message for message in messages),
                f"no message contains {self.message_contains!r}",
            ),
            (self._mailed_once(subjects), f"not exactly one mail has the subject {self.mail_subject!r}"),
        ]
        return [sentence for good, sentence in checks if not good]

    def _mailed_once(self, subjects: Iterable[str]) -> bool:
        return self.mail_subject is None or list(subjects).count(self.mail_subject) == 1
