"""An operator that is allowed few requests: it is slow, it is not wrong, and it keeps its Lease."""

from support.stages import Stage, work


def test_an_operator_with_few_writes_a_second_waits_its_turn_and_goes_on_leading(bare: Stage):
    bare.environment()
    bare.worker()
    operator = bare.operator(FLUID_KUBE_QPS="10", FLUID_KUBE_BURST="5", FLUID_KUBE_IN_FLIGHT="2").leading()
    # Some seconds' worth of writes: longer than the Lease of the tests lives without a renewal.
    bare.apply(*(work(f"job-{number:02}") for number in range(60)))
    assert bare.all_end(60) == {"Succeeded": 60}
    assert operator.metric("fluid_operator_kube_throttled_seconds_total") > 0
    assert operator.metric("fluid_operator_kube_in_flight_limit") == 2
    assert operator.leads
    assert operator.said("No longer leading.") == []


def test_an_operator_of_the_usual_settings_is_not_held_back(bare: Stage):
    bare.environment()
    bare.worker()
    operator = bare.operator().leading()
    bare.apply(*(work(f"job-{number:02}") for number in range(60)))
    assert bare.all_end(60) == {"Succeeded": 60}
    assert operator.metric("fluid_operator_kube_throttled_seconds_total") == 0
