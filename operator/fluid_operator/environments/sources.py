"""What an environment's spec refers to: the address of an external Redis, the key ring, and whether a Secret changed.

Secrets are read one by one and by name, each look anew; nothing of them is kept here or told.
"""

from __future__ import annotations

import base64
import contextlib
from dataclasses import dataclass, field
from typing import NamedTuple

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.meta import KeyRef
from fluid_operator.environments.address import address_in
from fluid_operator.environments.children import Owner, belongs
from fluid_operator.environments.encryption import key_ring_in
from fluid_operator.environments.errors import UnusableAddress, UnusableKeys, UnusableSource
from fluid_operator.environments.passwords import OPERATOR_URL, WORKER_URL
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.redis import ADDRESS_VERSION
from fluid_operator.environments.status import Problem
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Forbidden, NotFound
from fluid_operator.kube.keys import SECRETS, ObjectKey
from fluid_queue import Codec


@dataclass(frozen=True, slots=True)
class Sources:
    """`url`: of the external Redis, None when the operator runs it. `codec` None: nothing is encrypted. `texts`: what
    workers read from other Secrets at their start."""

    url: str | None = field(default=None, repr=False)
    codec: Codec | None = None
    texts: str = field(default="", repr=False)


class InForce(NamedTuple):
    """The address that workers have been given, and the version under which they know it."""

    url: str
    version: str = ""


async def read_sources(kube: Kube, namespace: str, spec: FluidEnvironmentSpec) -> Sources:
    """Read what the spec refers to. Raises an UnusableSource for what is missing or unusable."""
    url = await read_address(kube, namespace, spec)
    codec, parts = None, []
    if spec.encryption is not None:
        ref = spec.encryption.key_secret_ref
        secret = await _secret(kube, namespace, ref, "the key ring", UnusableKeys)
        codec = Codec(key_ring_in(secret, ref))
        parts.append(_entry(secret, ref))
    if spec.database is not None:
        ref = spec.database.url_secret_ref
        # Without it new workers do not start, and their pods say so.
        with contextlib.suppress(NotFound, Forbidden):
            parts.append(_entry(await _get(kube, namespace, ref.name), ref))
    return Sources(url, codec, "\n".join(parts))


async def read_address(kube: Kube, namespace: str, spec: FluidEnvironmentSpec) -> str | None:
    """The address of the external Redis, None where the operator runs it. Raises UnusableAddress."""
    if spec.redis.external is None:
        return None
    ref = spec.redis.external.url_secret_ref
    return address_in(await _secret(kube, namespace, ref, "the URL of Redis", UnusableAddress), ref)


async def address_in_force(kube: Kube, owner: Owner) -> InForce | None:
    """The address that the environment's workers have been given: of an external Redis that was accepted, or of the
    managed one. None when there is none yet. Raises KubeError when the API server is in trouble."""
    external = await _own(kube, owner, naming.redis_address_name(owner.name))
    if WORKER_URL in external:
        return InForce(external[WORKER_URL], external.get(ADDRESS_VERSION, ""))
    managed = await _own(kube, owner, naming.redis_name(owner.name))
    return InForce(managed[OPERATOR_URL]) if OPERATOR_URL in managed else None


async def _own(kube: Kube, owner: Owner, name: str) -> dict[str, str]:
    """What a Secret of the environment holds; nothing where it is not there, or is somebody else's."""
    try:
        secret = await _get(kube, owner.namespace, name)
    except (NotFound, Forbidden):
        return {}
    if not belongs(secret, owner):
        return {}
    return {entry: _text(encoded) for entry, encoded in (secret.get("data") or {}).items()}


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")


async def _secret(kube: Kube, namespace: str, ref: KeyRef, what: str, error: type[UnusableSource]) -> Json:
    try:
        return await _get(kube, namespace, ref.name)
    except NotFound as cause:
        message = f"Secret {ref.name} does not exist; create it with {what} under the key {ref.key}."
        raise error(Problem(Reason.SECRET_NOT_FOUND, message)) from cause
    except Forbidden as cause:
        message = (
            f"The operator may not read Secret {ref.name}; bind it to the Role fluid-operator-environment "
            f"in namespace {namespace}."
        )
        raise error(Problem(Reason.SECRET_ACCESS_DENIED, message)) from cause


async def _get(kube: Kube, namespace: str, name: str) -> Json:
    return await kube.get(SECRETS, ObjectKey(namespace, name))


def _entry(secret: Json, ref: KeyRef) -> str:
    """Which text stands where: another Secret with the same text is no news to a worker."""
    return f"{ref.key}={(secret.get('data') or {}).get(ref.key, '')}"
