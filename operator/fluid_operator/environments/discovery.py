"""Which images of an environment have not told yet which types of job they can run, and which pools have to ask. Pure.

A worker tells the types of its image when it starts, and Redis keeps them. Where a pool may sleep nobody would ever
start, and no job could be accepted that would wake it: so one worker runs until the image has told.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.pools import WorkerPool
from fluid_operator.environments.scaling import Bounds

_NAMED: Final = 3
"""Images that the sentence names; the others are counted. An image may have 500 characters."""


def undiscovered(spec: FluidEnvironmentSpec, known_images: Collection[str]) -> list[str]:
    """The images of the pools whose types nobody knows, sorted."""
    return sorted({image for pool in spec.workers or () if (image := _image(spec, pool))} - set(known_images))


def discovery_pools(spec: FluidEnvironmentSpec, images: Collection[str]) -> set[str]:
    """The pools that need a worker although there is no work, so that `images` tell their types: the first of each
    image, where none of its pools has a worker anyway. A pool that may never have one is left alone."""
    asking: set[str] = set()
    for image in images:
        pools = [pool for pool in spec.workers or () if _image(spec, pool) == image]
        if any(Bounds.of(pool).least for pool in pools):
            continue
        able = [pool.name for pool in pools if Bounds.of(pool).most]
        asking.update(able[:1])
    return asking


def sentence(spec: FluidEnvironmentSpec, images: Collection[str]) -> str:
    """What to say of images whose types nobody knows; "" when there are none."""
    if not images:
        return ""
    asleep = [image for image in images if not _may_run(spec, image)]
    if asleep:
        return (
            f"Which types {_listed(asleep)} can run is not known, and none of its pools may have a worker: raise "
            "maxReplicas, or take the pool away."
        )
    return f"No worker of {_listed(images)} has told yet which types it can run; the first one that starts does."


def _may_run(spec: FluidEnvironmentSpec, image: str) -> bool:
    return any(Bounds.of(pool).most for pool in spec.workers or () if _image(spec, pool) == image)


def _image(spec: FluidEnvironmentSpec, pool: WorkerPool) -> str | None:
    return pool.image or spec.image


def _listed(images: Collection[str]) -> str:
    named = ", ".join(sorted(images)[:_NAMED])
    return f"{named} and {len(images) - _NAMED} more" if len(images) > _NAMED else named
