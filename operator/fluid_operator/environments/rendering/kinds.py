"""The kinds of object that an environment consists of, and how their own are found.

`LISTED` and `OPTIONAL` are found by their labels. `NAMED` hold passwords or configuration of anybody in the namespace,
so the operator may not list them; those of an environment have names that are known (`naming.unlisted`).
"""

from collections.abc import Mapping
from typing import Final

from fluid_operator.kube.keys import CONFIG_MAPS, SECRETS, Resource

SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SERVICES: Final = Resource("", "v1", "services", "Service")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
POD_MONITORS: Final = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
SCALED_OBJECTS: Final = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")

LISTED: Final = (
    SERVICE_ACCOUNTS,
    SERVICES,
    NETWORK_POLICIES,
    STATEFUL_SETS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
)
NAMED: Final = (SECRETS, CONFIG_MAPS)
OPTIONAL: Final = (POD_MONITORS, SCALED_OBJECTS)
"""Kinds that a cluster may not have; who applies children says which of them it has."""

BY_KIND: Final[Mapping[str, Resource]] = {each.kind: each for each in (*LISTED, *NAMED, *OPTIONAL)}
