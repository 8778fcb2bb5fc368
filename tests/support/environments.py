"""Environments of which tests render and apply the children, and the files that say what they must consist of.

    PYTHONPATH=tests python -m support.environments

writes the files anew after a change that is meant; the diff is what to look at.
"""

import base64
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.meta import parse
from fluid_operator.environments import passwords
from fluid_operator.environments.passwords import Credentials
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.manifests import render

Json = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "unit" / "data" / "environments"
NAMES = ("minimal", "full", "external")
THEN = datetime(2026, 11, 24, 12, tzinfo=UTC)
HEADER = (
    "# What environment.{name}.yaml consists of; written by tests/support/environments.py. Secrets are shown decoded.\n"
)

MORE: Mapping[str, Json] = {
    "full": {
        "operator_namespace": "fluid-system",
        "optional": ["PodMonitor"],
        "secrets_version": "4711",
        "replicas": {"mail": 3},
    },
    "external": {"address": "rediss://jobs:secret@redis.example.com:6380/0", "address_version": "1f2e3d4c"},
}
"""What a blueprint knows beyond the object."""


def fixed_credentials() -> Credentials:
    """Passwords that are the same in every run."""
    number = itertools.count(1)
    return passwords.create(THEN, make=lambda: f"password-{next(number)}")


def environment(name: str) -> Json:
    """One of the example environments, as its user wrote it."""
    loaded: Json = yaml.safe_load((FOLDER / f"environment.{name}.yaml").read_text())
    return loaded


def blueprint(spec: Json, *, name: str = "default", namespace: str = "team-a", **more: Any) -> Blueprint:
    """A blueprint of this spec; credentials are there if the spec needs them."""
    parsed = parse(FluidEnvironmentSpec, spec)
    more.setdefault("credentials", fixed_credentials() if parsed.redis.managed else None)
    return Blueprint(namespace, name, more.pop("uid", "0a1b2c3d"), parsed, **more)


def blueprint_of(name: str, **more: Any) -> Blueprint:
    """The blueprint of an example environment."""
    manifest = environment(name)
    metadata = manifest["metadata"]
    found = {"name": metadata["name"], "namespace": metadata["namespace"], **MORE.get(name, {}), **more}
    return blueprint(manifest["spec"], **found)


def child(manifests: Sequence[Json], kind: str, name: str = "") -> Json:
    """The one object of this kind, or of this kind and name."""
    (found,) = [each for each in manifests if each["kind"] == kind and (not name or each["metadata"]["name"] == name)]
    return found


def container(manifest: Json) -> Json:
    """The only container of a workload."""
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(found)


def variables(manifest: Json) -> dict[str, Any]:
    """The variables of a workload's container: a value, or where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(manifest)["env"]}


def decoded(secret: Json) -> dict[str, str]:
    """The data of a Secret as text."""
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks, and no references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def as_text(name: str) -> str:
    """The file of an example environment's children."""
    manifests = [
        each | {"data": decoded(each)} if each["kind"] == "Secret" else each for each in render(blueprint_of(name))
    ]
    dumped = yaml.dump_all(manifests, Dumper=_Readable, sort_keys=False, width=10_000)
    return HEADER.format(name=name) + dumped


def children_file(name: str) -> Path:
    return FOLDER / f"children.{name}.yaml"


if __name__ == "__main__":
    for each in NAMES:
        children_file(each).write_text(as_text(each))
