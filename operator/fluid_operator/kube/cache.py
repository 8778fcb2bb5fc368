"""What the informer knows: a small value per object, and the rules of who may overwrite whom.

The rules, for one *scope* (a namespace, or "" for all of them), which has one list and one watch:

- An event of the watch counts if it is newer than what is cached. Resource versions are compared as integers,
which
  the API promises since Kubernetes 1.35 and etcd has always done.
- The answer to our own write (`observe`) counts if it is newer than what is cached and than everything the
watch has
  told so far. The second half matters: an object that the watch has already reported deleted would otherwise
  come back and stay for ever.
- A list replaces everything, also by something older: after etcd came back from a backup the past is the
truth. Two
  versions of an object are compared by value there, never by resource version, since a restored etcd hands
  out the same numbers again for other contents.

Every change is told exactly once, as (key, old, new), whoever brought it. An object re-created under its old
name is told as a deletion and an addition. No I/O here; raw objects are projected at once and not kept.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from fluid_operator.kube.keys import ObjectKey

T = TypeVar("T")


@dataclass(slots=True)
class Entry(Generic[T]):
    """A cached object: its identity, its version as a number, and what is kept of it."""

    uid: str
    version: int
    value: T


class Identity(NamedTuple):
    """The part of an object's metadata that the cache itself needs."""

    key: ObjectKey
    uid: str
    version: int


def identify(raw: Mapping[str, Any]) -> Identity:
    """Return key, uid and version of a raw object. Namespaces are interned: keys share them."""
    meta = raw["metadata"]
    key = ObjectKey(sys.intern(meta.get("namespace", "")), meta["name"])
    return Identity(key, meta["uid"], int(meta["resourceVersion"]))


class Cache(Generic[T]):
    """The objects of some scopes, projected. Synchronous; changes are told from inside the changing call."""

    def __init__(
        self,
        project: Callable[[dict[str, Any]], T],
        on_change: Callable[[ObjectKey, T | None, T | None], None],
        *,
        owns: Callable[[ObjectKey], bool] | None = None,
    ) -> None:
        """Keep the objects that `owns` says yes to, by default all."""
        self._project = project
        self._tell = on_change
        self._owns = owns or (lambda key: True)
        self._entries: dict[ObjectKey, Entry[T]] = {}
        self._by_uid: dict[str, ObjectKey] = {}
        self._positions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: ObjectKey) -> T | None:
        """Return what is kept of the object, None if there is none."""
        entry = self._entries.get(key)
        return entry.value if entry else None

    def by_uid(self, uid: str) -> tuple[ObjectKey, T] | None:
        """Return key and value of the object with this uid, None if it is gone or was re-created."""
        key = self._by_uid.get(uid)
        return (key, self._entries[key].value) if key is not None else None

    def items(self) -> Iterator[tuple[ObjectKey, T]]:
        """Yield every object. The cache must not change meanwhile: do not await between two steps."""
        return ((key, entry.value) for key, entry in self._entries.items())

    def position(self, scope: str) -> int | None:
        """Return the version up to which the scope is known completely, None before its first list."""
        return self._positions.get(scope)

    def prepare(self, page: Iterable[dict[str, Any]]) -> Iterator[tuple[ObjectKey, Entry[T]]]:
        """Project the listed objects of a page, so that it can be dropped before the next one is fetched.

        What is known already is not held twice while a list is read: of ten thousands of objects few have changed.
        """
        for raw in page:
            key, uid, version = identify(raw)
            if not self._owns(key):
                continue
            value = self._project(raw)
            known = self._by_uid.get(uid)
            if known == key and (old := self._entries[known]).value == value:
                # Not the old entry itself: an answer to a write of our own may renew that before the list counts.
                yield known, Entry(old.uid, version, old.value)
            else:
                yield key, Entry(uid, version, value)

    def replace(self, scope: str, listed: Mapping[ObjectKey, Entry[T]], version: int) -> None:
        """Make the scope exactly what was listed at this version, and tell the differences."""
        self._positions[scope] = version
        mine = [key for key in self._entries if not scope or key.namespace == scope]
        for key in mine:
            if key not in listed:
                self._set(key, None)
        for key, new in listed.items():
            old = self._entries.get(key)
            if old is not None and old.uid == new.uid and old.value == new.value:
                old.version = new.version
            else:
                self._set(key, new)

    def apply(self, scope: str, kind: str, raw: dict[str, Any]) -> None:
        """Take one event of the scope's watch; `kind` is ADDED, MODIFIED, DELETED or BOOKMARK."""
        if kind == "BOOKMARK":
            self._positions[scope] = int(raw["metadata"]["resourceVersion"])
            return
        key, uid, version = identify(raw)
        self._positions[scope] = version
        if not self._owns(key):
            return
        old = self._entries.get(key)
        if old is not None and version <= old.version:
            return
        if kind != "DELETED":
            self._set(key, Entry(uid, version, self._project(raw)))
        elif old is not None:
            self._set(key, None)

    def observe(self, scope: str, raw: dict[str, Any]) -> bool:
        """Take the answer to a write of our own; returns whether it was news."""
        key, uid, version = identify(raw)
        old = self._entries.get(key)
        known = self._positions.get(scope)
        if not self._owns(key):
            return False
        if known is None or version <= known or (old is not None and version <= old.version):
            return False
        self._set(key, Entry(uid, version, self._project(raw)))
        return True

    def _set(self, key: ObjectKey, new: Entry[T] | None) -> None:
        """Store or remove an entry, keep the index of uids, tell the change."""
        old = self._entries.get(key)
        if old is not None and new is not None and new.uid == old.uid:
            before, old.version, old.value = old.value, new.version, new.value
            self._tell(key, before, new.value)
            return
        if old is not None:
            del self._entries[key]
            del self._by_uid[old.uid]
            self._tell(key, old.value, None)
        if new is not None:
            self._entries[key] = new
            self._by_uid[new.uid] = key
            self._tell(key, None, new.value)
