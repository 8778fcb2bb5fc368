"""Where the queue of a FluidEnvironment lives: a Redis that the operator runs, or one that somebody else runs."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

from fluid_operator.api.fields import (
    ObjectName,
    Quantity,
    checked_by,
    doc,
    exactly_one_of,
    rule,
)
from fluid_operator.api.meta import ApiModel, KeyRef
from fluid_operator.api.pods import Image, Resources

KeyPrefix = Annotated[str, Field(min_length=1, max_length=127, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]


class Durability(StrEnum):
    """When Redis writes to disk."""

    EVERY_SECOND = "EverySecond"
    ALWAYS = "Always"


class ManagedRedis(ApiModel):
    """A Redis that the operator runs: one pod with a volume."""

    image: Annotated[
        Image | None, doc("Image of Redis or Valkey.", unset="the one that this release was tested with.")
    ] = None
    storage: Annotated[Quantity | None, doc("Size of the volume.", unset="1Gi.")] = None
    storage_class_name: Annotated[
        ObjectName | None, doc("StorageClass of the volume.", unset="the cluster's default.")
    ] = None
    resources: Annotated[Resources | None, doc("Resources of the pod.", unset="chosen from maxMemory.")] = None
    max_memory: Annotated[
        Annotated[str, Field(max_length=32, pattern=r"^[0-9]+([kKmMgG][bB]?)?$")] | None,
        doc(
            "Memory for data, in Redis' own notation, such as 200mb. A full Redis takes no new jobs "
            "but finishes those that it has.",
            unset="200mb.",
        ),
    ] = None
    durability: Annotated[
        Durability | None,
        doc(
            "EverySecond may lose up to 2 s of writes when Redis is killed; those jobs are enqueued "
            "again. Always loses none, and is slower.",
            unset="EverySecond.",
        ),
    ] = None
    password_rotation_days: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=3650)] | None,
        doc(
            "Age at which the passwords of Redis' users are changed, while it runs and without a failed job.",
            unset="only when asked for, by the annotation jobs.fluidcalendar.com/request: rotate-passwords@<time>.",
        ),
    ] = None


class ExternalRedis(ApiModel):
    """A Redis that somebody else runs."""

    url_secret_ref: Annotated[
        KeyRef, doc("Key of a Secret that holds the URL, password included: redis:// or rediss://.")
    ]


class RedisChange(StrEnum):
    """What to do when the address of Redis changes while jobs are unfinished."""

    REFUSE = "Refuse"
    DRAIN = "Drain"


class Redis(ApiModel):
    """Where the queue lives."""

    model_config = checked_by(
        rule(exactly_one_of("managed", "external"), "set exactly one of managed and external"),
        rule(
            "has(self.keyPrefix) == has(oldSelf.keyPrefix) && (!has(self.keyPrefix) || self.keyPrefix "
            "== oldSelf.keyPrefix)",
            "keyPrefix cannot be changed, added or removed: the jobs under the old prefix would be "
            "lost; create another FluidEnvironment",
            ".keyPrefix",
        ),
    )

    managed: Annotated[ManagedRedis | None, doc("A Redis that the operator runs.", unset="`external` is used.")] = None
    external: Annotated[ExternalRedis | None, doc("A Redis that somebody else runs.", unset="`managed` is used.")] = (
        None
    )
    key_prefix: Annotated[
        KeyPrefix | None,
        doc(
            "Names the environment's part of the key space; no two environments on one Redis may "
            "share it. It is fixed when the object is created.",
            unset="<namespace>.<name>.",
        ),
    ] = None
    on_change: Annotated[
        RedisChange | None,
        doc(
            "When the address changes while jobs are unfinished: Refuse keeps the old one "
            "(RedisChangeBlocked), Drain lets them finish first.",
            unset="Refuse.",
        ),
    ] = None
