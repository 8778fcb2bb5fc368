"""All objects of one environment, ready to be applied."""

from typing import Any

from fluid_operator.api.errors import InvalidSpec
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.checking import check
from fluid_operator.environments.rendering.errors import UnwritableValue
from fluid_operator.environments.rendering.kinds import POD_MONITORS
from fluid_operator.environments.rendering.pools import monitor_manifest, pool_manifests
from fluid_operator.environments.rendering.redis import address_manifest, redis_manifests


def render(blueprint: Blueprint) -> list[dict[str, Any]]:
    """The objects, in the order in which they are best created; the same blueprint always gives the same.

    Raises InvalidSpec for what the user can correct, BadManifest for a mistake of ours.
    """
    try:
        manifests = _manifests(blueprint)
    except UnwritableValue as error:
        raise InvalidSpec("spec", f"cannot be written into a manifest: {error.reason}") from error
    return [check(manifest, blueprint) for manifest in manifests]


def _manifests(blueprint: Blueprint) -> list[dict[str, Any]]:
    manifests: list[dict[str, Any]] = []
    if blueprint.spec.redis.managed is not None:
        if blueprint.credentials is None:
            raise ValueError("a managed Redis needs credentials")
        manifests += redis_manifests(blueprint, blueprint.spec.redis.managed, blueprint.credentials)
    if blueprint.address is not None:
        manifests.append(address_manifest(blueprint, blueprint.address))
    pools = blueprint.spec.workers or []
    for pool in pools:
        manifests += pool_manifests(blueprint, pool)
    if pools and POD_MONITORS.kind in blueprint.optional:
        manifests.append(monitor_manifest(blueprint))
    return manifests
