"""Why something on the node does not become what it should: the few lines that matter, and a file with everything.

What a user would type in turn: the environment's conditions, pods that are not ready, warnings, logs.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError

_WARNINGS = 5
_LOG_LINES = 60
_STARTING = ("ContainerCreating", "PodInitializing")

Object = Mapping[str, Any]
"""A Kubernetes object as the API shows it."""


def describe(cluster: Cluster, namespaces: Sequence[str], file: Path) -> str:
    """What is wrong in these namespaces, a line each; all that is known of them goes into `file`."""
    lines: list[str] = []
    text: list[str] = []
    for namespace in namespaces:
        pods = _listed(cluster, namespace, "pods")
        lines += trouble(_listed(cluster, namespace, "fluidenvironments"), pods, _listed(cluster, namespace, "events"))
        text += _report(cluster, namespace, pods)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(text))
    return "\n".join([*lines, f"All of it: {file}"])


def trouble(environments: Iterable[Object], pods: Iterable[Object], events: Iterable[Object]) -> list[str]:
    """A line for each environment and pod that is not ready, then the last few different warnings."""
    found = [f"{_name(each)}: {reason}" for each in environments if (reason := _environment_trouble(each))]
    found += [f"{_name(each)}: {reason}" for each in pods if (reason := _pod_trouble(each))]
    return [*found, *_warnings(events)]


def _environment_trouble(environment: Object) -> str:
    conditions = {each["type"]: each for each in environment.get("status", {}).get("conditions", [])}
    ready = conditions.get("Ready")
    if ready is None:
        return "nobody has looked at it yet"
    return "" if ready["status"] == "True" else f"{ready['reason']}: {ready['message']}"


def _pod_trouble(pod: Object) -> str:
    status = pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    if status.get("phase") == "Succeeded" or conditions.get("Ready", {}).get("status") == "True":
        return ""
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _STARTING:
            return ": ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
        ended = container.get("state", {}).get("terminated")
        if ended:
            return f"ended with exit code {ended['exitCode']} ({ended.get('reason', 'no reason given')})"
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason')}: {scheduled.get('message')}"
    return "runs, but is not ready" if status.get("phase") == "Running" else "has not started yet"


def _warnings(events: Iterable[Object]) -> list[str]:
    """The newest of the different ones, the oldest of them first."""
    told: dict[str, None] = {}
    for event in sorted(events, key=_time):
        if event.get("type") == "Warning":
            about = event["involvedObject"]
            line = f"{about['kind']} {about['name']}: {event.get('reason')}: {event.get('message')}"
            told.pop(line, None)
            told[line] = None
    return list(told)[-_WARNINGS:]


def _time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])


def _name(each: Object) -> str:
    return f"{each['kind']} {each['metadata']['namespace']}/{each['metadata']['name']}"


def _listed(cluster: Cluster, namespace: str, kind: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(
        cluster.kubectl(f"--namespace={namespace}", "get", kind, "--output=json")
    )["items"]
    return listed


def _report(cluster: Cluster, namespace: str, pods: Iterable[Object]) -> Iterator[str]:
    here = f"--namespace={namespace}"
    questions: list[tuple[str, ...]] = [
        ("get", "all,pvc,fluidenvironments", "--output=wide"),
        ("get", "fluidenvironments", "--output=yaml"),
        ("get", "events", "--sort-by=.lastTimestamp"),
    ]
    for pod in pods:
        asked = ("logs", str(pod["metadata"]["name"]), "--all-containers", f"--tail={_LOG_LINES}")
        questions += [asked, (*asked, "--previous")]
    for question in questions:
        with contextlib.suppress(ClusterError):  # of a container that did not start, or only once, there is no log
            yield f"# kubectl {here} {' '.join(question)}\n{cluster.kubectl(here, *question)}"
