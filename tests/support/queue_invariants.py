"""What holds in a key space between any two commands, whatever happened before: a snapshot in, sentences about what is
wrong out.

Knows the layout of docs/decisions/0001, and nothing of how the key space got where it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from support.queue_snapshot import Snapshot

LIVE = ("waiting", "blocked", "delayed", "suspended", "active", "waiting-children")
ENDED = ("completed", "failed", "cancelled")
STEP = 2**42

_OF_JOB = ("attempts", "log", "items", "children", "completed-indexes", "failed-indexes", "fed")
_NAMES = {
    # what stays for ever, or is trimmed
    r"(meta|leaders|compared|counts|settings|tombstones)": "hash",
    r"(queues|busy|paused|gates)": "set",
    r"(selectors|workers|served|leases|starting|limits|unacknowledged|tombstones:expiry)": "zset",
    r"(seq|owner)": "string",
    r"events": "stream",
    r"(wake|control):[^ ]+": "list",
    r"(worker|types):.*": "hash",
    # of a queue
    r"(waiting|blocked|delayed|suspended|active|waiting-children|completed|failed|cancelled):[^:]+": "zset",
    r"blocked:[^:]+:(key|index):.+": "zset",
    r"holders:[^:]+:(key|index):.+": "set",
    r"rate:[^:]+": "zset",
    r"creation:[^:]+": "string",
    r"(circuit|histogram|rounds):[^:]+": "hash",
    r"lanes:[^:]+:-?\d+": "zset",
    # of a job, or of a key that somebody chose
    r"(job|children):.+": "hash",
    r"(new-)?items:.*": "hash",
    r"(attempts|log):.+": "list",
    r"fed:.+": "set",
    r"(completed|failed)-indexes:.+": "string",
    r"deduplication:.+": "string",
    r"once:.*": "string",
}

Records = Mapping[str, Mapping[str, str]]


def problems(space: Snapshot, reborn: Collection[str] = ()) -> list[str]:
    """Everything that is wrong; empty for a sound key space. `reborn`: ids that have been used again after even their
    tombstones had gone; lists of ended jobs may still show them."""
    found = list(states(space, reborn))
    checks = (
        names,
        queues,
        scores,
        leases,
        starts,
        gates,
        counts,
        expiries,
        tombstones,
        owners,
        deduplications,
        indexes,
        children,
        stops,
    )
    return found + [problem for check in checks for problem in check(space)]


def names(space: Snapshot) -> Iterator[str]:
    """Every key is one that the layout names, of its type, and belongs to something that exists."""
    for name, kind in space.kinds.items():
        if kind not in {allowed for pattern, allowed in _NAMES.items() if re.fullmatch(pattern, name, re.DOTALL)}:
            yield f"{name} ({kind}) is no key of the layout"
        part, _, job_id = name.partition(":")
        if part in _OF_JOB and job_id not in space.records and name not in space.expiring:
            yield f"{name} belongs to no record and does not expire"


def states(space: Snapshot, reborn: Collection[str]) -> Iterator[str]:
    """A record stands in the index of its state and in no other. Indexes of ended ones may outlive their records."""
    where = _places(space)
    for job_id, record in space.records.items():
        if "state" not in record:
            yield f"job:{job_id} has no state"
            continue
        want, found = [f"{record['state']}:{record['queue']}"], where.pop(job_id, [])
        if job_id in reborn:
            found = [place for place in found if place in want or not place.startswith(ENDED)]
        if found != want:
            yield f"{job_id} is {want[0]} by its record, but stands in {found}"
    for job_id, found in where.items():
        if not all(place.startswith(ENDED) for place in found):
            yield f"{job_id} has no record, but stands in {found}"


def _places(space: Snapshot) -> dict[str, list[str]]:
    """Id -> the indexes of states in which it stands."""
    where: dict[str, list[str]] = {}
    for state in (*LIVE, *ENDED):
        for queue, members in space.by_name(f"{state}:").items():
            if ":" not in queue:
                for job_id in members:
                    where.setdefault(job_id, []).append(f"{state}:{queue}")
    return where


def queues(space: Snapshot) -> Iterator[str]:
    """Every queue with jobs is known, and one with work is looked at by workers that take from all."""
    for job_id, record in space.records.items():
        if record.get("queue") not in space.get("queues"):
            yield f"{job_id} is in a queue that stats does not know"
        if record.get("state") in ("waiting", "delayed") and record["queue"] not in space.get("busy"):
            yield f"{job_id} is {record['state']} in a queue where no worker on * looks"


def scores(space: Snapshot) -> Iterator[str]:
    """A job stands at the place that its record says."""
    for job_id, record in space.records.items():
        state = record.get("state", "")
        if state in ("waiting", "blocked"):
            want = (1000 - int(record["priority"])) * STEP + int(record["seq"])
        elif state in ("delayed", "active"):
            want = int(record["dueAt" if state == "delayed" else "claimedAt"])
        else:
            continue
        found = space.get(f"{state}:{record['queue']}").get(job_id)
        if found != want:
            yield f"{job_id} stands at {found} in {state}, its record says {want}"


def leases(space: Snapshot) -> Iterator[str]:
    """Active jobs are under a lease, and parents under their deadline; nothing else is."""
    held = space.get("leases")
    for job_id, record in space.records.items():
        deadline = record.get("activeDeadline", "0") != "0"
        may = record.get("state") == "active" or (record.get("state") == "waiting-children" and deadline)
        must = may and (record["state"] == "active" or ("startedAt" in record and "stop" not in record))
        if must and job_id not in held:
            yield f"{job_id} is {record['state']} without a lease"
        if job_id in held and not may:
            yield f"{job_id} is {record.get('state')} with a lease"
    yield from (f"{job_id} has a lease and no record" for job_id in held if job_id not in space.records)


def starts(space: Snapshot) -> Iterator[str]:
    """Watched are exactly the jobs that may run and have to start by some time; one that has started need not any
    more."""
    live = {job_id: record for job_id, record in space.records.items() if record.get("state") in LIVE}
    watched = {
        job_id: float(record["startBy"])
        for job_id, record in live.items()
        if "startBy" in record and record["state"] != "suspended"
    }
    if (found := space.get("starting")) != watched:
        yield f"watched until they start are {found}, by their records {watched}"
    for job_id, record in live.items():
        if "startBy" in record and "startedAt" in record:
            yield f"{job_id} has started, and still has to start by {record['startBy']}"


def gates(space: Snapshot) -> Iterator[str]:
    """Who holds a gate is active and has to pass it; who waits at one is blocked by it."""
    holders: dict[str, set[str]] = {}
    blocked: dict[str, set[str]] = {}
    for job_id, record in space.records.items():
        for gate in gates_of(record):
            if record.get("state") == "active":
                holders.setdefault(f"{record['queue']}:{gate}", set()).add(job_id)
        if (record.get("state") == "blocked") != ("blockedBy" in record):
            yield f"{job_id} is {record.get('state')}, blocked by {record.get('blockedBy')}"
        if record.get("state") == "blocked":
            if record["blockedBy"] not in gates_of(record):
                yield f"{job_id} is blocked by a gate that it need not pass"
            blocked.setdefault(f"{record['queue']}:{record['blockedBy']}", set()).add(job_id)
    found = space.by_name("holders:")
    if found != holders:
        yield f"gates are held by {found}, active are {holders}"
    aside = {name: set(members) for name, members in space.by_name("blocked:").items() if ":" in name}
    if aside != blocked:
        yield f"at gates wait {aside}, by their records {blocked}"


def gates_of(record: Mapping[str, str]) -> list[str]:
    """The gates that a job has to pass to become active."""
    found = [f"key:{record['key']}"] if record.get("key") else []
    return found + ([f"index:{record['parent']}"] if "index" in record else [])


def counts(space: Snapshot) -> Iterator[str]:
    """The counters of live jobs are what a recount says."""
    recount = Counter(
        f"{record['queue']}:{record['state']}:{record['type']}"
        for record in space.records.values()
        if record.get("state") in LIVE
    )
    kept = {name: int(value) for name, value in space.get("counts").items() if name.split(":")[1] in LIVE}
    if kept != recount:
        yield f"counters say {kept}, a recount {dict(recount)}"


def expiries(space: Snapshot) -> Iterator[str]:
    """What has ended and need not be acknowledged goes by itself, with all that belongs to it; nothing else of a job
    does."""
    for job_id, record in space.records.items():
        goes = record.get("state") in ENDED and (record.get("ack") != "1" or "acked" in record)
        for part in ("job", *_OF_JOB):
            name = f"{part}:{job_id}"
            if name in space.kinds and (name in space.expiring) != goes:
                yield f"{name} is {record.get('state')} and {'never expires' if goes else 'expires'}"


def tombstones(space: Snapshot) -> Iterator[str]:
    """An ended job has a tombstone that says the same; a live one has none."""
    stones = space.get("tombstones")
    if stones.keys() != space.get("tombstones:expiry").keys():
        yield f"tombstones {sorted(stones)}, their expiries {sorted(space.get('tombstones:expiry'))}"
    for job_id, record in space.records.items():
        if record.get("state") in ENDED:
            fields = ("state", "attempt", "startedAt", "finishedAt", "reason", "hash")
            want = " ".join(record.get(field, "0" if field == "startedAt" else "") for field in fields)
            if stones.get(job_id) != want:
                yield f"the tombstone of {job_id} says {stones.get(job_id)!r}, its record {want!r}"
        elif job_id in stones:
            yield f"{job_id} is {record.get('state')} and has a tombstone"


def owners(space: Snapshot) -> Iterator[str]:
    """Unacknowledged are exactly the jobs whose owner wants to acknowledge them and has not."""
    want = {job_id for job_id, record in space.records.items() if record.get("ack") == "1" and "acked" not in record}
    found = set(space.get("unacknowledged"))
    if found != want:
        yield f"unacknowledged are {sorted(found)}, by their records {sorted(want)}"


def deduplications(space: Snapshot) -> Iterator[str]:
    """Who is found by a deduplication key has it, and has not ended; a throttle's may have."""
    for key, value in space.by_name("deduplication:").items():
        job_id = value.decode()
        record = space.records.get(job_id, {})
        if f"deduplication:{key}" not in space.expiring and (
            record.get("dedup") != key or record.get("state") in ENDED
        ):
            yield f"{key} stands for ever for {job_id}, {record.get('state')} with the key {record.get('dedup')}"


def indexes(space: Snapshot) -> Iterator[str]:
    """An index has a record exactly while it is fed; a parent that waits is never idle for ever. (How many are fed is
    the model's to say: a window may have become narrower.)"""
    fed: dict[str, set[str]] = {}
    for record in space.records.values():
        if "index" in record:
            fed.setdefault(record["parent"], set()).add(record["index"])
    found = space.by_name("fed:")
    if found != fed:
        yield f"fed are {found}, with records {fed}"
    for job_id, record in space.records.items():
        window = len(fed.get(job_id, ()))
        if "completions" not in record:
            continue
        waits = record["state"] == "waiting-children"
        if bool(window) != waits:
            yield f"{job_id} is {record['state']} with {window} indexes in the queue"
        for kind, counter in (("completed", "succeeded"), ("failed", "failed")):
            bits = sum(byte.bit_count() for byte in space.values.get(f"{kind}-indexes:{job_id}", b""))
            if bits != int(record.get(counter, 0)):
                yield f"{job_id} counts {record.get(counter)} indexes as {counter}, its bitmap {bits}"


def children(space: Snapshot) -> Iterator[str]:
    """A parent counts its children as they are; who waits for children has one that has not ended."""
    for job_id, record in space.records.items():
        ends = list(space.get(f"children:{job_id}").values())
        want = (len(ends), ends.count("completed"), len(ends) - ends.count("completed") - ends.count(""))
        found = tuple(int(record.get(name, 0)) for name in ("children", "childrenSucceeded", "childrenFailed"))
        if found != want:
            yield f"{job_id} counts {found} children, has {want} (all, succeeded, failed)"
        if record.get("state") == "waiting-children" and "completions" not in record and "" not in ends:
            yield f"{job_id} waits for children that have all ended"
        for child, end in space.get(f"children:{job_id}").items():
            if not end and record.get("state") not in ENDED and space.records.get(child, {}).get("state") not in LIVE:
                yield f"{job_id} waits for {child}, which is {space.records.get(child, {}).get('state', 'gone')}"


def stops(space: Snapshot) -> Iterator[str]:
    """Only what runs is asked to stop, and it has a worker to ask."""
    for job_id, record in space.records.items():
        if "stop" in record and record.get("state") not in ("active", "waiting-children"):
            yield f"{job_id} is {record.get('state')} and asked to stop ({record['stop']})"
        if record.get("state") == "active" and not {"worker", "startedAt", "claimedAt", "epoch"} <= record.keys():
            yield f"{job_id} is active, but its record does not say since when and where"
