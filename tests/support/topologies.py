"""Redis servers that belong together, each a real process: Sentinels with a master, a Cluster of three nodes."""

from collections.abc import Sequence

from redis.crc import key_slot

from fluid_dev.pki import Authority
from fluid_dev.ports import free_port
from fluid_dev.redis import RedisServer
from fluid_queue.keys import KeySpace
from support.folders import fresh_folder
from support.waiting import until

_SLOTS = 16384
MASTER = "fluid"
"""What the Sentinels call their master."""


def server(*settings: str, **options) -> RedisServer:
    """One member, not started yet."""
    return RedisServer(
        fresh_folder("redis"),
        die_with_parent=True,
        settings=settings,
        password=options.pop("password", "pw"),
        **options,
    )


class Sentinels:
    """A master, a replica, and three Sentinels that agree on a fail-over in a second or two."""

    def __init__(self, authority: Authority | None = None) -> None:
        self._authority = authority
        self.master = server("masterauth pw", "repl-diskless-sync-delay 0", appendonly=True, authority=authority)
        self.master.start()
        self.replica = server(
            "masterauth pw",
            f"replicaof 127.0.0.1 {self.master.port}",
            "repl-diskless-sync-delay 0",
            appendonly=True,
            authority=authority,
        )
        self.replica.start()
        until(lambda: "master_link_status:up" in self.replica.cli("INFO", "replication"), 20, "the replica follows")
        self._watchers = [self._watcher() for _ in range(3)]
        for watcher in self._watchers:
            until(lambda w=watcher: self._sees_all(w), 20, "the Sentinels know each other and the replica")

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self._watchers)
        return f"{'rediss' if self._authority else 'redis'}+sentinel://:pw@{hosts}/{MASTER}/0?sentinel_password=watch"

    def stop(self) -> None:
        for each in (*self._watchers, self.replica, self.master):
            each.stop(wipe=True)

    def one_is_gone(self) -> None:
        """The first Sentinel that a client asks answers no more."""
        self._watchers[0].stop()

    def fail_over(self) -> None:
        """Ask a Sentinel to let the replica take over, with everybody alive."""
        self._watchers[0].cli("SENTINEL", "FAILOVER", MASTER)

    def failed_over(self) -> bool:
        """Whether the replica is the master now, and the master, alive, its replica."""
        return self.replica.cli("ROLE").startswith("master") and self.master.cli("ROLE").startswith("slave")

    def _watcher(self) -> RedisServer:
        watcher = server(
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.port} 2",
            f"sentinel auth-pass {MASTER} pw",
            f"sentinel down-after-milliseconds {MASTER} 1000",
            f"sentinel failover-timeout {MASTER} 4000",
            password="watch",
            args=["--sentinel"],
            authority=self._authority,
        )
        watcher.start()
        return watcher

    @staticmethod
    def _sees_all(watcher: RedisServer) -> bool:
        told = watcher.cli("SENTINEL", "MASTER", MASTER).splitlines()
        facts = dict(zip(told[::2], told[1::2], strict=True))
        return (facts["num-other-sentinels"], facts["num-slaves"]) == ("2", "1")


class RedisCluster:
    """Three masters, the slots in three equal parts. Without replicas: a dead node's slots stay unserved."""

    def __init__(self, authority: Authority | None = None) -> None:
        self._authority = authority
        self._settings = ("cluster-enabled yes", "cluster-node-timeout 2000", "cluster-require-full-coverage no")
        self.nodes = [self._node() for _ in range(3)]
        for node in self.nodes:
            node.start()
        ids = [node.cli("CLUSTER", "MYID") for node in self.nodes]
        self._ids = dict(zip([node.port for node in self.nodes], ids, strict=True))
        for n, node in enumerate(self.nodes):
            first, last = n * _SLOTS // 3, (n + 1) * _SLOTS // 3 - 1
            node.cli("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            node.cli("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1))
        for node in self.nodes[1:]:
            self._meet(node)
        for node in self.nodes:
            until(lambda n=node: self._agrees(n), 30, "all nodes know all slots")

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"{'rediss' if self._authority else 'redis'}+cluster://:pw@{hosts}"

    def stop(self) -> None:
        for node in self.nodes:
            node.stop(wipe=True)

    def owner(self, key_prefix: str) -> RedisServer:
        """The node that holds this key space."""
        slot = slot_of(key_prefix)
        return next(node for node in self.nodes if _serves(node, slot))

    def others(self, key_prefix: str) -> list[RedisServer]:
        """The nodes that do not hold it."""
        return [node for node in self.nodes if node is not self.owner(key_prefix)]

    def begin_move(self, key_prefix: str, target: RedisServer) -> RedisServer:
        """Announce that the slot goes to `target`; its keys are still where they were. Answers the source."""
        slot, source = str(slot_of(key_prefix)), self.owner(key_prefix)
        target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[source.port])
        source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[target.port])
        return source

    def end_move(self, key_prefix: str, source: RedisServer, target: RedisServer) -> None:
        """Carry the keys over and make the move known, as `redis-cli --cluster reshard` does."""
        slot = str(slot_of(key_prefix))
        while keys := source.cli("CLUSTER", "GETKEYSINSLOT", slot, "100").split():
            source.cli(
                "MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "AUTH", target.password, "KEYS", *keys
            )
        for node in (target, source, *self.nodes):
            node.cli("CLUSTER", "SETSLOT", slot, "NODE", self._ids[target.port])

    def add_replica(self, master: RedisServer) -> RedisServer:
        """A fourth node, which takes over if this one dies; it has all data when this returns."""
        replica = self._node()
        replica.start()
        self._meet(replica)
        until(lambda: self._ids[master.port] in replica.cli("CLUSTER", "NODES"), 20, "the nodes know each other")
        replica.cli("CLUSTER", "REPLICATE", self._ids[master.port])
        until(lambda: "master_link_status:up" in replica.cli("INFO", "replication"), 20, "the replica follows")
        self.nodes.append(replica)
        return replica

    def _node(self) -> RedisServer:
        return server(
            *self._settings, "masterauth pw", f"cluster-port {free_port()}", appendonly=True, authority=self._authority
        )

    def _meet(self, node: RedisServer) -> None:
        bus = node.cli("CONFIG", "GET", "cluster-port").split()[-1]
        self.nodes[0].cli("CLUSTER", "MEET", "127.0.0.1", str(node.port), bus)

    @staticmethod
    def _agrees(node: RedisServer) -> bool:
        info = node.cli("CLUSTER", "INFO")
        return "cluster_state:ok" in info and f"cluster_slots_ok:{_SLOTS}" in info


def slot_of(key_prefix: str) -> int:
    return key_slot(KeySpace(key_prefix).prefix.encode())


def _serves(node: RedisServer, slot: int) -> bool:
    mine = next(line for line in node.cli("CLUSTER", "NODES").splitlines() if "myself" in line)
    ranges: Sequence[str] = mine.split()[8:]
    for each in ranges:
        if each.startswith("["):
            continue
        first, _, last = each.partition("-")
        if int(first) <= slot <= int(last or first):
            return True
    return False
