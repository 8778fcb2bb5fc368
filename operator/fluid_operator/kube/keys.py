"""Names of things in the API: the key of an object and the address of a kind. Pure values, no I/O."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote


class ObjectKey(NamedTuple):
    """Namespace and name of an object; the namespace of a cluster-scoped one is the empty string."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`, as kubectl and client-go print it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives in the API. The core group is the empty string."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection (no name), an object, or a subresource, quoted."""
        parts = [f"/apis/{self.group}" if self.group else "/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part]
        return "/".join(parts)


LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")

FLUID_JOBS = Resource("jobs.fluidcalendar.com", "v1alpha1", "fluidjobs", "FluidJob")

FLUID_SCHEDULES = Resource("jobs.fluidcalendar.com", "v1alpha1", "fluidschedules", "FluidSchedule")

SECRETS = Resource("", "v1", "secrets", "Secret")

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
