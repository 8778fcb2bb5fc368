"""What a status write has to say: the fields that changed, as a merge patch. Pure; data in, data out."""

from collections.abc import Collection, Mapping
from typing import Any

from fluid_operator.api.meta import ApiModel, to_wire


def status_changes(before: Mapping[str, Any], after: ApiModel, owned: Collection[str]) -> dict[str, Any]:
    """Return the patch that leads from the raw status to `after`; empty when there is nothing to write.

    Only `owned` fields are compared and written. One that `after` lacks is taken away, which a merge patch says by
    null.
    """
    wanted = to_wire(after)
    return {field: wanted.get(field) for field in sorted(owned) if before.get(field) != wanted.get(field)}
