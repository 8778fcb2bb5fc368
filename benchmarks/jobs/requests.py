"""What an API server was asked: its own counters, read from the text of its metrics. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

_SERIES = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_READS = frozenset({"GET", "LIST", "WATCH", "CONNECT"})


class Request(NamedTuple):
    """A kind of request: `PATCH fluidjobs/status`. A server-side apply is a verb of its own, APPLY."""

    verb: str
    resource: str
    subresource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'/{self.subresource}' if self.subresource else ''}"


Requests = Mapping[Request, int]
"""How often each was asked, whatever the answer was."""


def read(metrics: str) -> Counter[Request]:
    """The counters since the server started."""
    found: Counter[Request] = Counter()
    for series in _SERIES.finditer(metrics):
        labels = dict(_LABEL.findall(series["labels"]))
        found[Request(labels["verb"], labels["resource"], labels["subresource"])] += int(float(series["value"]))
    return found


def since(before: Requests, after: Requests) -> Counter[Request]:
    """What was asked between two readings."""
    return Counter({request: more for request, count in after.items() if (more := count - before.get(request, 0))})


def total(requests: Requests) -> int:
    return sum(requests.values())


def writes(requests: Requests) -> int:
    """Those that change something, and so cost a round through etcd."""
    return sum(count for request, count in requests.items() if request.verb not in _READS)


def status_writes(requests: Requests, resource: str) -> int:
    """Writes to the status of this resource."""
    return sum(
        count
        for request, count in requests.items()
        if (request.resource, request.subresource) == (resource, "status") and request.verb not in _READS
    )


def told(requests: Requests, jobs: int, *, at_least: float = 0.005) -> str:
    """The kinds of requests and how many of them each job cost, the most frequent first; rare ones are left out."""
    often = sorted(requests.items(), key=lambda item: -item[1])
    return ", ".join(f"{request} {count / jobs:.2f}" for request, count in often if count / jobs >= at_least)
