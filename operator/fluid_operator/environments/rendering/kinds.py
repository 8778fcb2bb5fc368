"""The kinds of object that an environment consists of, and how their own are found.

`LISTED` are found by their labels. The two others hold passwords or configuration of anybody in the namespace, so the
operator may not list them; each environment has one of each, under a name that is known.
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

LISTED: Final = (
    SERVICE_ACCOUNTS,
    SERVICES,
    NETWORK_POLICIES,
    STATEFUL_SETS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
)
NAMED: Final = (SECRETS, CONFIG_MAPS)
OPTIONAL: Final = (POD_MONITORS,)
"""Kinds that a cluster may not have."""

BY_KIND: Final[Mapping[str, Resource]] = {each.kind: each for each in (*LISTED, *NAMED, *OPTIONAL)}
