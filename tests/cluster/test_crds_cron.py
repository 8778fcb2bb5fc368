"""What the API server refuses of a cron expression, in words that name the field, and that its rules cost it little
enough for the longest list of the longest expressions.
"""

import pytest

from cluster.builders import fluid_schedule
from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError

REFUSED = {
    "61 * * * *": "the minute must be 0-59",
    "*/60 * * * *": "with a step (/1 to /59)",
    "0 24 * * *": "the hour must be 0-23",
    "0 0 32 * *": "the day of month must be 1-31",
    "0 0 H(1-31) * *": "the day of month must be 1-31",
    "0 0 L * *": "the day of month must be 1-31",
    "0 0 * JANUARY *": "the month must be 1-12 or JAN-DEC",
    "0 0 * * 8": "the day of week must be 0-7 or SUN-SAT",
    "0 0 * * MON#2": "the day of week must be 0-7 or SUN-SAT",
    "0 0 * * *\u00a0": "the day of week must be",
    "@reboot": "should match",
    "0 0 * * * *": "should match",
}
ACCEPTED = [
    "@hourly",
    " */5\t0-23/2  1,15 jan,Jul-DEC  mon-FRI ",
    "H H(0-5) H(1-28)/7 H H(MON-FRI)",
    "5/15 * * * SUN,7",
    "*/5 * * * *\n",
]


@pytest.mark.parametrize(("expression", "sentence"), REFUSED.items(), ids=REFUSED)
def test_an_expression_that_cannot_be_read_is_refused_by_field(
    cluster: Cluster, namespace: str, expression: str, sentence: str
) -> None:
    with pytest.raises(ClusterError) as refusal:
        apply(cluster, namespace, schedule=expression)
    assert "spec.schedule" in str(refusal.value)
    assert sentence in str(refusal.value)


def test_the_refused_one_of_a_list_is_named(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ClusterError, match=r"spec\.schedules\[1\].*the hour must be 0-23"):
        apply(cluster, namespace, schedule=None, schedules=["@daily", "0 24 * * *"])


@pytest.mark.parametrize("expression", ACCEPTED)
def test_every_form_of_a_field_is_accepted(cluster: Cluster, namespace: str, expression: str) -> None:
    apply(cluster, namespace, schedule=expression)


def test_the_longest_list_of_the_longest_expressions_is_within_the_budget(cluster: Cluster, namespace: str) -> None:
    longest = f"{','.join(['59'] * 80)} * * * *"
    apply(cluster, namespace, schedule=None, schedules=[f"{longest:<256}"] * 32)


def apply(cluster: Cluster, namespace: str, **spec: object) -> None:
    """Create schedule `x` with these fields, and strict checking."""
    schedule = fluid_schedule("x").spec(**spec)
    cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", input=schedule.json())
