"""The only module with Kopf's decorators: an event of a FluidEnvironment wakes its controller, nothing more.

Only `on.event`: create, update and delete handlers would make Kopf write annotations and finalizers onto the objects,
and no object of ours may depend on a running operator to be deleted. No branch, no status, no request here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import kopf

from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT
from fluid_operator.api.meta import GROUP, VERSION
from fluid_operator.kube.keys import ObjectKey

REGISTRY: Final = kopf.OperatorRegistry()


@dataclass(frozen=True, slots=True)
class Memo:
    """All that the handlers may call. They run in Kopf's thread, so each of these must be safe to call from there."""

    login: Callable[[], Awaitable[kopf.ConnectionInfo]]
    wake_environment: Callable[[ObjectKey], None]


@kopf.on.login(registry=REGISTRY)
async def login(*, memo: Memo, **_: Any) -> kopf.ConnectionInfo:
    """Reach the API server as the rest of the operator does."""
    return await memo.login()


@kopf.on.event(GROUP, VERSION, FLUID_ENVIRONMENT.plural, registry=REGISTRY)
async def environment_changed(*, memo: Memo, namespace: str | None, name: str, **_: Any) -> None:
    """Have the FluidEnvironment reconciled."""
    memo.wake_environment(ObjectKey(namespace or "", name))
