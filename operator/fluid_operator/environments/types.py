"""What workers tell about the types that they can run, read with care: it comes from the Redis of a namespace's
users. Pure."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fields import PositiveSeconds, Retries, Word
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.meta import ApiModel, parse
from fluid_operator.api.policies import Backoff

log = logging.getLogger(__name__)


class ProcessorSettings(ApiModel):
    """A processor's own settings, within the bounds that a status can show."""

    queue: Word | None = None
    backoff_limit: Retries | None = None
    backoff: Backoff | None = None
    attempt_deadline_seconds: PositiveSeconds | None = None
    sensitive_payload: Annotated[bool, Field(strict=True)] = False


@dataclass(frozen=True, slots=True)
class KnownType:
    """The JSON schema of a type's payload, and the processor's settings."""

    schema: Mapping[str, Any]
    settings: ProcessorSettings


LOCAL_IMAGE: Final = "local"
"""The image that workers run by hand publish their types under."""


def images_of(spec: FluidEnvironmentSpec) -> tuple[str, ...]:
    """Where an environment's types are published: by its pools' images, or by workers run by hand."""
    pools = {pool.image or spec.image for pool in spec.workers or ()}
    return tuple(sorted(image for image in pools if image)) or (LOCAL_IMAGE,)


def awaits_news(wanted: Collection[str], before: Collection[str], known: Collection[str]) -> bool:
    """Whether what was told before still holds, although not every wanted image has told its types: a new image's
    workers are on their way, and those of before still run. `before`, `known`: the images that had told, and have.
    Not so where one has come to be unknown: then the data is another."""
    return bool(set(wanted) - set(known)) and not (set(before) & set(wanted)) - set(known)


def read_types(told: Mapping[str, Any]) -> dict[str, KnownType]:
    """Every type that was published, by its name, without what is no type at all."""
    return {name: known for name, each in told.items() if (known := read_type(name, each))}


def read_type(name: str, told: Any) -> KnownType | None:
    """The type as it was published; None when that is no type at all. Settings that do not fit count as not set."""
    if not isinstance(told, Mapping) or not isinstance(told.get("schema", {}), Mapping):
        log.warning("A worker published something that is no type.", extra={"fields": {"type": name[:63]}})
        return None
    settings = told.get("settings") or {}
    if not isinstance(settings, Mapping):
        settings = {}
    return KnownType(told.get("schema", {}), _settings(name, settings))


def _settings(name: str, told: Mapping[str, Any]) -> ProcessorSettings:
    try:
        return parse(ProcessorSettings, told, at="settings")
    except InvalidSpec as error:
        facts = {"type": name[:63], "error": str(error)}
        log.warning("A processor's settings do not fit and are not used.", extra={"fields": facts})
    fitting: dict[str, Any] = {}
    for field, value in told.items():
        try:
            parse(ProcessorSettings, {field: value})
        except InvalidSpec:
            continue
        fitting[field] = value
    return parse(ProcessorSettings, fitting)
