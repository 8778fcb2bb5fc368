"""Which shard a FluidJob belongs to: exactly one, the same one for ever, and each shard gets its share."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.errors import SettingsError
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.main import main
from fluid_operator.settings import from_environment
from fluid_operator.sharding import EVERYTHING, MOST_SHARDS, Shard, parse_shard, shard_index

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=63)
KEYS = st.builds(ObjectKey, NAMES, NAMES)


@given(KEYS, st.integers(1, MOST_SHARDS))
def test_an_object_belongs_to_exactly_one_shard(key: ObjectKey, count: int):
    owners = [number for number in range(1, count + 1) if Shard(number, count).owns(key)]
    assert len(owners) == 1


@pytest.mark.parametrize(
    ("key", "thirds", "hundredths"),
    [
        (ObjectKey("fluid-calendar", "a"), 2, 46),
        (ObjectKey("fluid-calendar", "sync-feed-42"), 1, 55),
        (ObjectKey("fluid-calendar-staging", "sync-feed-42"), 2, 84),
        (ObjectKey("a", "b.c"), 2, 19),
    ],
)
def test_where_an_object_belongs_never_changes(key: ObjectKey, thirds: int, hundredths: int):
    """Two releases run side by side during an update, and must agree."""
    assert (shard_index(key, 3), shard_index(key, 100)) == (thirds, hundredths)


@pytest.mark.parametrize("count", [2, 3, 7, 10])
def test_ten_thousand_names_are_spread_evenly(count: int):
    owned = Counter(shard_index(ObjectKey("team-a", f"sync-feed-{n}"), count) for n in range(10_000))
    fair = 10_000 / count
    assert len(owned) == count
    assert all(0.9 * fair <= share <= 1.1 * fair for share in owned.values())


def test_the_same_name_in_many_namespaces_is_spread_too():
    owned = Counter(shard_index(ObjectKey(f"team-{n}", "daily"), 4) for n in range(10_000))
    assert all(2_250 <= owned[index] <= 2_750 for index in range(4))


def test_each_shard_has_a_lease_of_its_own_and_a_single_operator_keeps_the_plain_name():
    assert EVERYTHING.lease_name("fluid-operator") == "fluid-operator"
    names = [Shard(number, count).lease_name("fluid-operator") for count in (1, 2, 3) for number in range(1, count + 1)]
    assert "fluid-operator-1-of-3" in names
    assert len(set(names)) == len(names)


def test_only_the_first_shard_is_the_first():
    assert [Shard(number, 3).first for number in (1, 2, 3)] == [True, False, False]
    assert [Shard(number, 3).index for number in (1, 2, 3)] == [0, 1, 2]


@pytest.mark.parametrize("text", ["1/1", "2/3", "100/100"])
def test_a_shard_is_written_as_it_is_read(text: str):
    assert str(parse_shard(text)) == text


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "-1/3", "1/0", "1/101", "a/b", "1/3/5", "1/3 of all"])
def test_what_is_no_shard_is_refused(text: str):
    with pytest.raises(ValueError, match="must be"):
        parse_shard(text)


def test_the_variable_is_named_when_its_shard_does_not_exist():
    with pytest.raises(SettingsError) as refusal:
        from_environment({"FLUID_SHARD": "4/3"})
    assert [str(each) for each in refusal.value.problems] == [
        "FLUID_SHARD: must be one of 1/3 to 3/3, not 4/3",
    ]


def test_the_option_is_named_when_it_was_given_instead(capsys: pytest.CaptureFixture[str]):
    assert main(["--shard", "4/3", "--namespace", "team-a", "--namespace", "Team B"]) == 2
    told = capsys.readouterr().err
    assert "--shard: must be one of 1/3 to 3/3" in told
    assert "--namespace: must be names of namespaces" in told
    assert "FLUID_" not in told
