"""The CustomResourceDefinition of each kind, made from its models.

What Kubernetes demands of a definition as a whole stands here: names, columns, the status subresource, the
root of the schema. What a single field demands stands at the field.
"""

from typing import Any, Final

from fluid_operator.api.fields import RULES
from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT
from fluid_operator.api.fluidjob import FLUID_JOB
from fluid_operator.api.fluidschedule import FLUID_SCHEDULE
from fluid_operator.api.meta import GROUP, VERSION, ApiModel, Column, Kind
from fluid_operator.api.schema import published, structural

KINDS: Final = (FLUID_JOB, FLUID_SCHEDULE, FLUID_ENVIRONMENT)
CATEGORY: Final = "fluid"


def crd(kind: Kind) -> dict[str, Any]:
    """The definition of a kind, ready to be applied."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return version | {"schema": {"openAPIV3Schema": _root(kind)}}


def _column(column: Column) -> dict[str, Any]:
    printed: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        printed["description"] = column.description
    if column.wide:
        printed["priority"] = 1
    return printed


def _root(kind: Kind) -> dict[str, Any]:
    root: dict[str, Any] = {"description": kind.description, "type": "object"}
    if kind.rules:
        root[RULES] = [dict(rule) for rule in kind.rules]
    return root | {
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": "Group and version of this kind.", "type": "string"},
            "kind": {"description": "The kind of this object.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": _half(kind.spec),
            "status": _half(kind.status) | {"default": dict(kind.status_default)},
        },
    }


def _half(model: type[ApiModel]) -> dict[str, Any]:
    return published(structural(model))
