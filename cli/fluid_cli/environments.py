"""The FluidEnvironment that a command is about, and where its queue lives as the API tells it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fluid_cli.errors import MissingRight, NoEnvironment, NoQueueAccess, NotThere
from fluid_cli.session import Session
from fluid_cli.translation import kinds_are_missing
from fluid_operator.api.meta import API_VERSION, REQUEST_ANNOTATION
from fluid_operator.kube.errors import Forbidden, NotFound
from fluid_operator.kube.keys import SECRETS, Resource

_GROUP, _, _VERSION = API_VERSION.partition("/")
ENVIRONMENTS: Final = Resource(_GROUP, _VERSION, "fluidenvironments", "FluidEnvironment")

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Environment:
    """One FluidEnvironment as the API server sent it."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.raw["metadata"]["namespace"])

    @property
    def resource_version(self) -> str:
        return str(self.raw["metadata"]["resourceVersion"])

    @property
    def key_prefix(self) -> str:
        """The part of the key space that the environment's jobs are in."""
        named = self._redis.get("keyPrefix")
        return str(self._status.get("keyPrefix") or named or f"{self.namespace}.{self.name}")

    @property
    def url_secret(self) -> tuple[str, str] | None:
        """Name and key of the Secret with the URL of an external Redis; None where the operator runs the Redis."""
        ref = (self._redis.get("external") or {}).get("urlSecretRef")
        return (str(ref["name"]), str(ref["key"])) if ref else None

    @property
    def request(self) -> str:
        """The request as it stands in the annotation, carried out or not."""
        return str((self.raw["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION, ""))

    @property
    def handled_request(self) -> str:
        return str(self._status.get("lastHandledRequest") or "")

    def paused_by_spec(self, queue: str) -> bool:
        """Whether the spec pauses this queue, which no request can change."""
        queues = self.raw["spec"].get("queues") or ()
        return any(each.get("name") == queue and each.get("paused") for each in queues)

    @property
    def suspended(self) -> bool:
        return bool(self.raw["spec"].get("suspend"))

    @property
    def _redis(self) -> Mapping[str, Any]:
        return self.raw["spec"].get("redis") or {}

    @property
    def _status(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}


def choose(names: Sequence[str], namespace: str) -> str:
    """The environment of who names none: "default", else the only one. Raises NoEnvironment."""
    if _DEFAULT in names:
        return _DEFAULT
    if len(names) != 1:
        raise NoEnvironment(namespace, tuple(sorted(names)))
    return names[0]


async def find_environment(session: Session, name: str) -> Environment:
    """The named environment, or the one that is meant when the name is empty.

    Raises NotThere, NoEnvironment, MissingRight."""
    verb = "get" if name else "list"
    try:
        if not name:
            page = await session.kube.list_page(ENVIRONMENTS, session.namespace)
            name = choose([item["metadata"]["name"] for item in page.items], session.namespace)
        return Environment(await session.kube.get(ENVIRONMENTS, session.key(name)))
    except Forbidden as error:
        raise MissingRight(verb, ENVIRONMENTS.plural, session.namespace) from error
    except NotFound as error:
        if kinds_are_missing(error):
            raise
        raise NotThere("FluidEnvironment", name, session.namespace) from error


async def read_url(session: Session, environment: Environment) -> str:
    """The URL of the environment's Redis, read with the caller's own rights. A secret.

    Raises MissingRight, NoQueueAccess."""
    ref = environment.url_secret
    if ref is None:
        raise NoQueueAccess(
            f"FluidEnvironment {environment.name} names no Secret with the URL of its Redis: give --redis-url"
        )
    name, key = ref
    try:
        secret = await session.kube.get(SECRETS, session.key(name))
    except Forbidden as error:
        raise MissingRight("get", f"secrets/{name}", session.namespace) from error
    except NotFound as error:
        raise NoQueueAccess(f"Secret {name} with the URL of Redis does not exist") from error
    try:
        return base64.b64decode((secret.get("data") or {})[key], validate=True).decode().strip()
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise NoQueueAccess(f"Secret {name} has no URL of Redis under its key {key}") from error
