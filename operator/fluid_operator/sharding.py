"""Which share of all FluidJobs an operator serves, when one is not enough. Pure.

An object belongs to exactly one shard, by a hash of its namespace and name that is the same in every process, release
and machine. Nothing is negotiated: each shard knows from its own number what is its own, so all operators must agree
on the count. What is rare (FluidEnvironments, FluidSchedules) belongs to the first shard whatever it is called.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from fluid_operator.kube.keys import ObjectKey

MOST_SHARDS: Final = 100
"""Every shard reads the whole list of FluidJobs, so more of them cost the API server more than they bring."""

_FORM: Final = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shards; `number` is 1 for the first. The default serves everything."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a shard that does not exist."""
        if not 1 <= self.count <= MOST_SHARDS:
            raise ValueError(f"must be of 1 to {MOST_SHARDS} shards, not of {self.count}")
        if not 1 <= self.number <= self.count:
            raise ValueError(f"must be one of 1/{self.count} to {self.count}/{self.count}, not {self}")

    def __str__(self) -> str:
        """`1/3`, as it is set."""
        return f"{self.number}/{self.count}"

    @property
    def index(self) -> int:
        """The number as the queue counts: from 0."""
        return self.number - 1

    @property
    def first(self) -> bool:
        """Whether FluidEnvironments and FluidSchedules are this shard's."""
        return self.number == 1

    def owns(self, key: ObjectKey) -> bool:
        """Whether the FluidJob of this name is this shard's."""
        return self.count == 1 or shard_index(key, self.count) == self.index

    def lease_name(self, base: str) -> str:
        """The Lease that the replicas of this shard compete for. One operator that serves everything uses `base`."""
        return base if self.count == 1 else f"{base}-{self.number}-of-{self.count}"


EVERYTHING: Final = Shard()


def shard_index(key: ObjectKey, count: int) -> int:
    """Which of `count` shards an object belongs to, from 0. Never change it: two releases side by side must agree."""
    digest = hashlib.blake2b(f"{key.namespace}/{key.name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count


def parse_shard(text: str) -> Shard:
    """The shard that is written like 1/3. Raises ValueError."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError("must be a number and a count, like 1/3 for the first of three shards")
    return Shard(int(found[1]), int(found[2]))
