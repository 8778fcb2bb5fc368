"""Who may overwrite whom in the informer's cache, for any order of lists, events and our own writes."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fluid_operator.kube.cache import Cache, Entry
from fluid_operator.kube.keys import ObjectKey

NAMES = "abc"
KEY = ObjectKey("ns", "a")


def raw(name: str, uid: str, version: int, text: str = "", namespace: str = "ns") -> dict[str, Any]:
    meta = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": meta, "text": text}


def bookmark(version: int) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}}


class Told:
    """A cache of texts and the changes that it told."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str | None, str | None]] = []
        self.cache: Cache[str] = Cache(
            lambda each: each["text"], lambda key, old, new: self.changes.append((key.name, old, new))
        )

    def list(self, version: int, *objects: dict[str, Any], scope: str = "") -> None:
        self.cache.replace(scope, dict(self.cache.prepare(objects)), version)


def test_events_older_than_what_is_known_are_ignored():
    told = Told()
    told.list(10, raw("a", "u1", 10, "ten"))
    told.cache.observe("", raw("a", "u1", 13, "ours"))
    told.cache.apply("", "MODIFIED", raw("a", "u1", 12, "older"))
    told.cache.apply("", "MODIFIED", raw("a", "u1", 13, "ours"))
    assert told.cache.get(KEY) == "ours"
    assert told.changes == [("a", None, "ten"), ("a", "ten", "ours")]


def test_versions_are_compared_as_numbers():
    told = Told()
    told.list(9, raw("a", "u1", 9, "nine"))
    told.cache.apply("", "MODIFIED", raw("a", "u1", 10, "ten"))
    assert told.cache.get(KEY) == "ten"


def test_a_late_answer_does_not_bring_back_what_was_deleted():
    told = Told()
    told.list(10, raw("a", "u1", 10))
    told.cache.apply("", "DELETED", raw("a", "u1", 12))
    assert told.cache.observe("", raw("a", "u1", 11)) is False
    assert told.cache.get(KEY) is None


def test_a_bookmark_proves_that_an_older_answer_is_known_or_gone():
    told = Told()
    told.list(10)
    told.cache.apply("", "BOOKMARK", bookmark(20))
    assert told.cache.observe("", raw("a", "u1", 15)) is False
    assert told.cache.position("") == 20


def test_the_deletion_of_an_older_object_spares_its_successor():
    told = Told()
    told.list(10, raw("a", "u1", 10, "old"))
    told.cache.observe("", raw("a", "u2", 13, "new"))
    told.cache.apply("", "DELETED", raw("a", "u1", 12, "old"))
    assert told.cache.get(KEY) == "new"
    assert told.cache.by_uid("u1") is None
    assert told.cache.by_uid("u2") == (KEY, "new")
    assert told.changes == [("a", None, "old"), ("a", "old", None), ("a", None, "new")]


def test_an_older_list_replaces_everything():
    told = Told()
    told.list(50, raw("a", "u1", 40, "new"), raw("b", "u2", 45, "b"))
    told.list(20, raw("a", "u1", 10, "old"))
    assert dict(told.cache.items()) == {KEY: "old"}
    told.cache.apply("", "MODIFIED", raw("a", "u1", 21, "from there on"))
    assert told.cache.get(KEY) == "from there on"


def test_a_list_is_compared_by_content_because_a_restored_etcd_repeats_its_numbers():
    told = Told()
    told.list(50, raw("a", "u1", 40, "of the lost world"), raw("b", "u2", 30, "same"))
    told.list(60, raw("a", "u1", 40, "of this world"), raw("b", "u2", 35, "same"))
    assert told.changes[2:] == [("a", "of the lost world", "of this world")]
    told.cache.apply("", "MODIFIED", raw("b", "u2", 34, "too old"))
    assert told.cache.get(ObjectKey("ns", "b")) == "same"


def test_a_list_of_one_namespace_leaves_the_others_alone():
    told = Told()
    told.list(10, raw("a", "u1", 10, namespace="one"), scope="one")
    told.list(11, raw("b", "u2", 11, namespace="two"), scope="two")
    told.list(12, scope="one")
    assert [key for key, _ in told.cache.items()] == [ObjectKey("two", "b")]


def test_an_answer_before_the_first_list_is_ignored():
    told = Told()
    assert told.cache.observe("", raw("a", "u1", 5)) is False


class World(RuleBasedStateMachine):
    """A server with a history, a watch that lags behind it at will, and our own writes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 1
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, dict[str, Any]]] = []
        self.delivered = 0
        self.answers: list[dict[str, Any]] = []
        self.mirror: dict[str, str] = {}
        self.newest: dict[str, int] = {}
        self.cache: Cache[str] = Cache(lambda each: each["text"], self.told)
        self.cache.replace("", {}, 1)

    def told(self, key: ObjectKey, old: str | None, new: str | None) -> None:
        assert self.mirror.get(key.name) == old, "each change starts where the last one ended"
        assert old is not None or new is not None
        if new is None:
            del self.mirror[key.name]
        else:
            self.mirror[key.name] = new

    @rule(name=st.sampled_from(NAMES))
    def somebody_writes(self, name: str) -> None:
        self.version += 1
        exists = self.objects.get(name)
        uid = exists["metadata"]["uid"] if exists else f"uid-{self.version}"
        self.objects[name] = raw(name, uid, self.version, f"text-{self.version}")
        self.history.append(("MODIFIED" if exists else "ADDED", self.objects[name]))

    @rule(name=st.sampled_from(NAMES))
    def we_write(self, name: str) -> None:
        if name in self.objects:
            self.somebody_writes(name)
            self.answers.append(self.objects[name])

    @rule(name=st.sampled_from(NAMES))
    def somebody_deletes(self, name: str) -> None:
        if gone := self.objects.pop(name, None):
            self.version += 1
            meta = {**gone["metadata"], "resourceVersion": str(self.version)}
            self.history.append(("DELETED", {**gone, "metadata": meta}))

    @rule(data=st.data())
    def an_answer_arrives(self, data: st.DataObject) -> None:
        if self.answers:
            self.cache.observe("", self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1))))

    @rule(count=st.integers(1, 4))
    def the_watch_delivers(self, count: int) -> None:
        for kind, each in self.history[self.delivered : self.delivered + count]:
            self.cache.apply("", kind, each)
            self.delivered += 1

    @rule()
    def the_list_is_fetched_again(self) -> None:
        listed = dict(self.cache.prepare(self.objects.values()))
        self.cache.replace("", listed, self.version)
        self.delivered = len(self.history)

    @invariant()
    def what_was_told_is_what_is_cached(self) -> None:
        assert {key.name: value for key, value in self.cache.items()} == self.mirror

    @invariant()
    def the_cache_is_true_once_the_watch_has_caught_up(self) -> None:
        if self.delivered == len(self.history):
            assert self.mirror == {name: each["text"] for name, each in self.objects.items()}

    @invariant()
    def the_index_of_uids_is_that_of_the_cached_objects(self) -> None:
        for key, value in self.cache.items():
            uid = self.cache._entries[key].uid
            assert self.cache.by_uid(uid) == (key, value)
        assert len(self.cache._by_uid) == len(self.cache)


TestWorld = World.TestCase


def test_an_entry_is_small():
    assert not hasattr(Entry("uid", 1, "value"), "__dict__")
