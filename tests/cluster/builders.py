"""Builders of our objects for tests: short to read, valid unless a test makes them invalid on purpose.

    fluid_job("mail").type("email").retries(3).manifest()

Every call returns a new builder, so a half-built object can be shared between tests. Fields have the names of the API.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from fluid_operator.api.meta import API_VERSION

Json = dict[str, Any]


class Builder:
    """What all kinds share: metadata, and any field of the spec by its name."""

    kind: ClassVar[str]

    def __init__(self, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        self._metadata = dict(metadata)
        self._spec = dict(spec)

    def spec(self, **fields: Any) -> Self:
        """Set fields of the spec; None takes a field away."""
        merged = self._spec | fields
        return type(self)(self._metadata, {name: value for name, value in merged.items() if value is not None})

    def metadata(self, **fields: Any) -> Self:
        """Set fields of the metadata."""
        return type(self)(self._metadata | fields, self._spec)

    def label(self, key: str, value: str) -> Self:
        """Add one label."""
        return self.metadata(labels=self._metadata.get("labels", {}) | {key: value})

    def annotation(self, key: str, value: str) -> Self:
        """Add one annotation."""
        return self.metadata(annotations=self._metadata.get("annotations", {}) | {key: value})

    def manifest(self) -> Json:
        """The object as JSON values; the caller may change it."""
        return copy.deepcopy(
            {"apiVersion": API_VERSION, "kind": self.kind, "metadata": self._metadata, "spec": self._spec}
        )

    def json(self) -> str:
        """The object as text, for kubectl's standard input."""
        return json.dumps(self.manifest())


class FluidJobBuilder(Builder):
    """Builds a FluidJob."""

    kind = "FluidJob"

    def type(self, name: str) -> Self:
        """The processor."""
        return self.spec(type=name)

    def payload(self, **fields: Any) -> Self:
        """The whole payload."""
        return self.spec(payload=fields)

    def environment(self, name: str) -> Self:
        """The FluidEnvironment by name."""
        return self.spec(environment=name)

    def retries(self, limit: int, *, delay_seconds: int = 0) -> Self:
        """So many retries, all after the same delay."""
        return self.spec(
            backoffLimit=limit, backoff={"type": "Fixed", "delaySeconds": delay_seconds, "jitterPercent": 0}
        )


class FluidScheduleBuilder(Builder):
    """Builds a FluidSchedule."""

    kind = "FluidSchedule"

    def job(self, job: FluidJobBuilder) -> Self:
        """The job of the template."""
        return self.spec(jobTemplate={"spec": job.manifest()["spec"]})


class FluidEnvironmentBuilder(Builder):
    """Builds a FluidEnvironment."""

    kind = "FluidEnvironment"

    def external_redis(self, secret: str, key: str = "url", *, key_prefix: str | None = None) -> Self:
        """A Redis whose URL stands in a Secret."""
        redis: Json = {"external": {"urlSecretRef": {"name": secret, "key": key}}}
        return self.spec(redis=redis if key_prefix is None else redis | {"keyPrefix": key_prefix})

    def pool(self, name: str, **fields: Any) -> Self:
        """One more pool of workers."""
        return self.spec(workers=[*self._spec.get("workers", []), {"name": name, **fields}])

    def queue(self, name: str, **fields: Any) -> Self:
        """Settings of one more queue."""
        return self.spec(queues=[*self._spec.get("queues", []), {"name": name, **fields}])


def fluid_job(name: str) -> FluidJobBuilder:
    """A job of type `noop` without a payload."""
    return FluidJobBuilder({"name": name}, {"type": "noop"})


def fluid_schedule(name: str) -> FluidScheduleBuilder:
    """A schedule that would create a `noop` job once a day."""
    return FluidScheduleBuilder({"name": name}, {"schedule": "@daily"}).job(fluid_job("template"))


def fluid_environment(name: str) -> FluidEnvironmentBuilder:
    """An environment on an external Redis whose URL is in Secret `redis`, with workers run by hand."""
    return FluidEnvironmentBuilder({"name": name}, {"workers": []}).external_redis("redis")
