"""Which context of which kubeconfig is meant, and the namespace that it is at home in, by kubectl's own rules.

Only names are read here; how to prove who we are stays with `fluid_operator.kube`. Of several files in $KUBECONFIG the
first one that says something wins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fluid_cli.errors import BadUsage, CliError

_DEFAULT_NAMESPACE = "default"
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command works: a context by name (None: a pod's service account) and its namespace."""

    context: str | None
    namespace: str


def find_place(kubeconfig: Path | None, context: str | None, environment: Mapping[str, str]) -> Place:
    """Read the kubeconfigs. Raises CliError for files that cannot be read, BadUsage for a context that is not there."""
    in_pod = "KUBERNETES_SERVICE_HOST" in environment and "KUBECONFIG" not in environment
    if kubeconfig is None and context is None and in_pod:
        return Place(None, _pod_namespace())
    if kubeconfig is not None and not kubeconfig.exists():
        raise BadUsage("--kubeconfig", f"{kubeconfig} does not exist")
    return choose([_read(file) for file in _files(kubeconfig, environment)], context)


def choose(documents: Iterable[Mapping[str, Any]], wanted: str | None) -> Place:
    """The wanted context of these kubeconfigs, or the current one. Raises BadUsage, CliError."""
    contexts: dict[str, Mapping[str, Any]] = {}
    current = ""
    for document in documents:
        current = current or str(document.get("current-context") or "")
        for entry in _entries(document):
            contexts.setdefault(str(entry.get("name", "")), entry.get("context") or {})
    if wanted is not None and wanted not in contexts:
        raise BadUsage("--context", f"there is no context {wanted}; there are: {', '.join(sorted(contexts)) or 'none'}")
    name = current if wanted is None else wanted
    if not contexts or name not in contexts:
        raise CliError(
            "no kubeconfig names a cluster: set KUBECONFIG, give --kubeconfig, or choose one of its contexts "
            f"with --context ({', '.join(sorted(contexts)) or 'there is none'})"
        )
    return Place(name, str(contexts[name].get("namespace") or _DEFAULT_NAMESPACE))


def _entries(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = document.get("contexts")
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []


def _files(kubeconfig: Path | None, environment: Mapping[str, str]) -> list[Path]:
    if kubeconfig is not None:
        return [kubeconfig]
    listed = [Path(part).expanduser() for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [file for file in listed or [Path("~/.kube/config").expanduser()] if file.exists()]


def _read(file: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # The error of a YAML parser quotes lines of the file, and a kubeconfig holds credentials.
        why = error.strerror if isinstance(error, OSError) else "it is no YAML"
        raise CliError(f"the kubeconfig {file} cannot be read: {why}") from error
    if not isinstance(document, Mapping):
        raise CliError(f"the kubeconfig {file} cannot be read: it is no mapping")
    return document


def _pod_namespace() -> str:
    try:
        return _POD_NAMESPACE.read_text().strip() or _DEFAULT_NAMESPACE
    except OSError:
        return _DEFAULT_NAMESPACE
