"""Everything that the manifests of an environment depend on, in one value."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT, FluidEnvironmentSpec
from fluid_operator.api.meta import API_VERSION
from fluid_operator.environments.passwords import Credentials

OPERATOR_LABELS: Final[Mapping[str, str]] = {"app.kubernetes.io/name": "fluid-operator"}


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One environment, and what had to be looked up or decided for it.

    `credentials`: the users of the managed Redis, needed where there is one. `address`: of the external Redis that the
    workers are to use, None: they use the managed one. It is what holds, which is not what the spec says while a change
    from one to the other has to wait; and it says nothing of what else is rendered. `address_version`: a random
    text for each address, kept in the Secret beside it; its hash, which anybody may see, has the workers started anew.

    `replicas`: workers per pool where somebody decides the number here; a pool that is not named runs minReplicas, or
    is left to its autoscaler where maxReplicas is larger. `operator_namespace`: where the operator runs, which may
    reach Redis ("": outside the cluster). `optional`: those kinds of `kinds.OPTIONAL` that the cluster has.
    `metrics_url`: where KEDA finds the operator's metrics ("": nowhere). `secrets_version`: another text has the
    workers started anew, such as the resourceVersions of the Secrets whose keys they read.
    """

    namespace: str
    name: str
    uid: str
    spec: FluidEnvironmentSpec
    credentials: Credentials | None = None
    address: str | None = field(default=None, repr=False)
    address_version: str = ""
    replicas: Mapping[str, int] = field(default_factory=dict)
    operator_namespace: str = ""
    operator_labels: Mapping[str, str] = field(default_factory=lambda: OPERATOR_LABELS)
    optional: Collection[str] = ()
    metrics_url: str = ""
    secrets_version: str = ""

    @property
    def key_prefix(self) -> str:
        return self.spec.redis.key_prefix or f"{self.namespace}.{self.name}"

    @property
    def owner(self) -> dict[str, Any]:
        """The ownerReference of every child. It does not block: nobody has to be allowed to set finalizers."""
        return {
            "apiVersion": API_VERSION,
            "kind": FLUID_ENVIRONMENT.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }

    def metadata(self, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
        """The metadata of a child."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": dict(labels),
            "ownerReferences": [self.owner],
        }
