"""An operator that starts amid many waiting jobs asks nobody about each of them."""

from support.operators import Operator
from support.stages import Stage, work
from support.waiting import until

WAITING = 100


def has_looked_at_all(operator: Operator) -> bool:
    settled = operator.metric('fluid_operator_reconciles_total{controller="jobs",result="settled"}') or 0
    left = operator.metric('fluid_operator_workqueue_depth{controller="jobs",state="waiting"}')
    return settled >= WAITING and left == 0


def requests(operator: Operator, verb: str) -> float:
    return operator.metric(f'fluid_operator_kube_requests_total{{code="200",resource="fluidjobs",verb="{verb}"}}') or 0


def test_waiting_jobs_cost_a_restarted_operator_no_request_to_the_api_server(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    first = bare.operator().leading()
    bare.apply(*(work(f"job-{n}").spec(queue="idle") for n in range(WAITING)))
    until(lambda: first.metric('fluid_operator_fluidjobs{phase="Queued"}') == WAITING, 60, "all are queued")
    first.terminate()
    second = bare.operator().leading()
    until(lambda: has_looked_at_all(second), 30, "all were looked at")
    assert [requests(second, verb) for verb in ("get", "patch", "update")] == [0, 0, 0]
    assert requests(second, "list") == 2, "all of them, and those of schedules"
