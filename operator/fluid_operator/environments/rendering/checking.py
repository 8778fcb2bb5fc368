"""Whether an object is one that an environment may consist of: the last look before it is sent.

What the fields of a kind mean is the API server's business. Here is what it would let pass: an object of another kind,
in another namespace, without the labels by which it is found, or without the owner that takes it along.
"""

from typing import Any, Final

from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.errors import BadManifest
from fluid_operator.environments.rendering.kinds import BY_KIND

_BODY: Final = {
    "Secret": {"type", "data"},
    "ConfigMap": {"data"},
    "ServiceAccount": {"automountServiceAccountToken"},
}
"""What stands beside apiVersion, kind and metadata; `spec` for every other kind."""


def check(manifest: dict[str, Any], blueprint: Blueprint) -> dict[str, Any]:
    """The manifest itself. Raises BadManifest."""
    kind = manifest.get("kind", "")
    resource = BY_KIND.get(kind)
    metadata = manifest.get("metadata") or {}
    labels = metadata.get("labels") or {}
    wanted = naming.environment_selector(blueprint.name)
    facts = {
        "its kind is none that an environment consists of": resource is not None,
        "its apiVersion is another": resource is not None and manifest.get("apiVersion") == resource.api_version,
        "it has other fields at its root": set(manifest)
        == {"apiVersion", "kind", "metadata", *_BODY.get(kind, {"spec"})},
        "its namespace is another": metadata.get("namespace") == blueprint.namespace,
        "it has no name": bool(metadata.get("name")),
        "it has not the labels by which it is found": wanted.items() <= labels.items(),
        "it is not owned by the environment": metadata.get("ownerReferences") == [blueprint.owner],
    }
    wrong = [sentence for sentence, holds in facts.items() if not holds]
    if wrong:
        raise BadManifest(f"{kind or 'object'} {metadata.get('name', '')}".strip(), "; ".join(wrong))
    return manifest
