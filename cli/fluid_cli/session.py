"""One command's way to the cluster: a client as the caller, and the namespace that is meant."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fluid_cli.kubeconfig import find_place
from fluid_operator.kube.keys import ObjectKey

if TYPE_CHECKING:
    from fluid_operator.kube.client import Kube

FIELD_MANAGER: Final = "fluid-cli"
WRITE_QUERY: Final = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
"""Of every write: who wrote, and that misspelt fields are refused."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster and namespace the caller asked for; None: what the kubeconfig says."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A client and where it works. `context` is None inside a pod."""

    kube: Kube
    namespace: str
    context: str | None
    kubeconfig: Path | None

    def key(self, name: str) -> ObjectKey:
        """The key of an object of the session's namespace."""
        return ObjectKey(self.namespace, name)


@asynccontextmanager
async def open_session(access: Access) -> AsyncIterator[Session]:
    """Open a client. Raises CliError and the errors of `connect`."""
    # Here and not above: the official client takes longer to import than all the rest, and neither a completion nor a
    # mistyped option needs it.
    from fluid_operator.kube.client import connect

    place = find_place(access.kubeconfig, access.context, os.environ)
    async with connect(access.kubeconfig, context=place.context, program=FIELD_MANAGER) as kube:
        yield Session(kube, access.namespace or place.namespace, place.context, access.kubeconfig)
