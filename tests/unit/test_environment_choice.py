"""Which environment a job goes to: what exists decides, never what can be reached at the moment."""

import pytest

from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.kube.keys import ObjectKey


class Leads:
    """A replica that leads."""

    identity = "test"

    def check(self) -> None:
        """Never refuses."""


def existing(*names: str) -> EnvironmentRegistry:
    """Environments that exist, none of which could be opened."""
    registry = EnvironmentRegistry(Leads())
    for name in names:
        registry.expect(ObjectKey("team-a", name))
    registry.expect(ObjectKey("team-b", "default"))
    return registry


@pytest.mark.parametrize(
    ("names", "wanted", "chosen"),
    [
        (("bulk", "default"), None, "default"),
        (("bulk", "default"), "bulk", "bulk"),
        (("bulk",), None, "bulk"),
        (("bulk",), "default", None),
        (("bulk", "quick"), None, None),
        ((), None, None),
        ((), "default", None),
    ],
)
def test_a_job_goes_to_the_named_one_else_to_default_else_to_the_only_one(names, wanted, chosen):
    assert existing(*names).choose("team-a", wanted) == chosen


async def test_an_environment_that_is_closed_still_exists_and_one_that_was_deleted_does_not():
    registry = existing("bulk", "default")
    await registry.close(ObjectKey("team-a", "default"))
    assert registry.choose("team-a", None) == "default"
    assert registry.get(ObjectKey("team-a", "default")) is None
    registry.leave(ObjectKey("team-a", "default"))
    assert registry.choose("team-a", None) == "bulk"


def test_a_namespace_is_told_when_an_environment_that_nobody_could_open_goes():
    registry = existing("bulk")
    told: list[str] = []
    registry.on_change = told.append
    registry.leave(ObjectKey("team-a", "bulk"))
    assert told == ["team-a"]
