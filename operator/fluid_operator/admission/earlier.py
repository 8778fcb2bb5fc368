"""Has a spec had its run under an earlier object of the same name? Asked only before a refusal, so it is not kept.

The entries are written by whoever leads, see `fluid_operator.jobs.ledger`.
"""

from __future__ import annotations

from fluid_operator.admission.reviews import Review
from fluid_operator.api.spechash import spec_hash
from fluid_operator.jobs.ledger import NAME, read_entry
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import NotFound
from fluid_operator.kube.keys import CONFIG_MAPS, ObjectKey

_SECONDS = 0.5


async def has_run(kube: Kube, review: Review) -> bool:
    """Whether the namespace's ledger has an outcome for this object's name and spec. Raises a KubeError."""
    try:
        found = await kube.get(CONFIG_MAPS, ObjectKey(review.namespace, NAME), timeout=_SECONDS)
    except NotFound:
        return False
    entry = read_entry((found.get("data") or {}).get(review.name))
    return entry is not None and entry.hash == spec_hash(review.new["spec"])
