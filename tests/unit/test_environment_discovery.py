"""Which images have not told their types yet, and which sleeping pools must wake up for that."""

import pytest

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.meta import parse
from fluid_operator.environments.discovery import discovery_pools, sentence, undiscovered

SLEEPING = {"minReplicas": 0, "maxReplicas": 3}
AWAKE = {"minReplicas": 1}
OFF = {"minReplicas": 0}


def spec(*pools: dict, image: str = "x:1") -> FluidEnvironmentSpec:
    named = [{"name": f"p{at}", **pool} for at, pool in enumerate(pools)]
    return parse(FluidEnvironmentSpec, {"image": image, "redis": {"managed": {}}, "workers": named})


def asking(made: FluidEnvironmentSpec, *known: str) -> set[str]:
    return discovery_pools(made, undiscovered(made, known))


def test_an_image_is_discovered_once_somebody_knows_its_types():
    made = spec({}, {"image": "y:2"}, {"image": "z:3"})
    assert undiscovered(made, []) == ["x:1", "y:2", "z:3"]
    assert undiscovered(made, ["x:1", "z:3", "of another environment"]) == ["y:2"]
    assert undiscovered(made, ["x:1", "y:2", "z:3"]) == []


def test_without_pools_there_is_nothing_to_discover():
    made = parse(FluidEnvironmentSpec, {"redis": {"managed": {}}})
    assert undiscovered(made, []) == []
    assert discovery_pools(made, []) == set()
    assert sentence(made, []) == ""


@pytest.mark.parametrize(
    ("pools", "want"),
    [
        ([SLEEPING], {"p0"}),
        ([AWAKE], set()),
        ([{}], set()),
        ([SLEEPING, SLEEPING], {"p0"}),
        ([SLEEPING, AWAKE], set()),
        ([SLEEPING, {**SLEEPING, "image": "y:2"}], {"p0", "p1"}),
        ([SLEEPING, {**AWAKE, "image": "y:2"}], {"p0"}),
        ([OFF], set()),
        ([OFF, SLEEPING], {"p1"}),
    ],
)
def test_one_pool_of_each_image_wakes_up_where_none_of_them_runs_anyway(pools, want):
    assert asking(spec(*pools)) == want


def test_a_pool_whose_image_is_known_sleeps_on():
    assert asking(spec(SLEEPING, {**SLEEPING, "image": "y:2"}), "x:1") == {"p1"}


def test_an_image_that_may_never_run_is_told_with_what_to_do():
    made = spec(OFF, {**SLEEPING, "image": "y:2"})
    told = sentence(made, undiscovered(made, []))
    assert "x:1" in told
    assert "y:2" not in told
    assert "raise maxReplicas" in told


def test_many_images_are_counted():
    made = spec(*({"image": f"i:{n:02}"} for n in range(20)))
    told = sentence(made, undiscovered(made, []))
    assert "i:00, i:01, i:02 and 17 more" in told
