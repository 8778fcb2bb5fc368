"""What the operator is allowed: it works with exactly the roles of manifests/base, and these allow no more."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cluster.builders import fluid_environment, fluid_job, fluid_schedule
from fluid_operator.timetables.creation import SCHEDULE_LABEL, job_for
from support.grants import HOME, Grants, refusals, rules
from support.operators import running_operator
from support.waiting import until


@pytest.fixture
def grants(own_cluster):
    return Grants(own_cluster)


def environment_becomes_ready(cluster, url, namespace="team-a"):
    arguments = (f"--namespace={namespace}", "create", "secret", "generic", "redis", f"--from-literal=url={url}")
    cluster.kubectl(*arguments)
    for builder in (fluid_environment("default"), fluid_schedule("daily")):
        cluster.kubectl(f"--namespace={namespace}", "apply", "--filename=-", input=builder.json())
    wait = ("wait", "--for=condition=Ready", "--timeout=30s", "fluidenvironment/default")
    cluster.kubectl(f"--namespace={namespace}", *wait)

    def schedule_is_answered():
        found = cluster.kubectl(f"--namespace={namespace}", "get", "fluidschedule", "daily", "--output=json")
        return json.loads(found)["status"]["observedGeneration"] == 1

    until(schedule_is_answered, 30, "the schedule is answered")


def a_tracked_job_is_kept_in_the_ledger_and_deleted(cluster, namespace="team-a"):
    """Twice: the ledger is made by the first and changed by the second."""

    def exists(what):
        return cluster.kubectl(f"--namespace={namespace}", "get", what, "--ignore-not-found", "--output=name") != ""

    for name in ("first", "second"):
        job = fluid_job(name).label("kustomize.toolkit.fluxcd.io/name", "shop")
        ending = job.spec(cancelled=True, ttlSecondsAfterFinished=0)
        cluster.kubectl(f"--namespace={namespace}", "create", "--filename=-", input=ending.json())
        until(lambda name=name: not exists(f"fluidjob/{name}"), 30, f"{name} has been deleted")
    ledger = cluster.kubectl(f"--namespace={namespace}", "get", "configmap", "fluid-ledger", "--output=json")
    assert set(json.loads(ledger)["data"]) == {"first", "second"}


def a_schedule_owes_a_job(cluster, namespace="team-a"):
    """While an earlier one of it is there, and nobody serves it. Returns the name of the earlier one."""
    waits = fluid_job("template").spec(startAfter="2999-01-01T00:00:00Z")
    made = fluid_schedule("minutely").job(waits).spec(schedule="* * * * *", concurrencyPolicy="Replace")
    cluster.kubectl(f"--namespace={namespace}", "create", "--filename=-", input=made.json())
    raw = json.loads(cluster.kubectl(f"--namespace={namespace}", "get", "fluidschedule", "minutely", "--output=json"))
    now = datetime.now(UTC)
    earlier = job_for(raw, now - timedelta(minutes=10), ZoneInfo("UTC"))
    cluster.kubectl(f"--namespace={namespace}", "create", "--filename=-", input=json.dumps(earlier))
    # As if it had been served until five minutes ago.
    status = {"notBefore": (now - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ"), "timetable": "* * * * * UTC"}
    patch = f"--patch={json.dumps({'status': status})}"
    what = ("patch", "fluidschedule", "minutely", "--subresource=status", "--type=merge", patch)
    cluster.kubectl(f"--namespace={namespace}", *what)
    return earlier["metadata"]["name"]


def the_schedule_replaces_its_job(cluster, earlier, namespace="team-a"):
    """What was there is asked to end, and a new one is created."""

    def replaced():
        what = ("get", "fluidjobs", f"--selector={SCHEDULE_LABEL}=minutely", "--output=json")
        items = json.loads(cluster.kubectl(f"--namespace={namespace}", *what))["items"]
        phases = {item["metadata"]["name"]: item["status"]["phase"] for item in items}
        return len(phases) > 1 and phases[earlier] == "Cancelled"

    until(replaced, 90, "the schedule has replaced its job")


def test_an_operator_of_all_namespaces_works_with_its_roles_and_is_refused_nothing(own_cluster, grants, redis_server):
    grants.apply(".", HOME)
    grants.apply("rbac/environment", "team-a")
    earlier = a_schedule_owes_a_job(own_cluster)
    with running_operator(grants.kubeconfig, HOME, FLUID_NAMESPACES="") as operator:
        environment_becomes_ready(own_cluster, redis_server.url)
        a_tracked_job_is_kept_in_the_ledger_and_deleted(own_cluster)
        the_schedule_replaces_its_job(own_cluster, earlier)
        assert refusals(operator) == []


def test_an_operator_of_one_namespace_works_without_any_cluster_role(own_cluster, grants, redis_server):
    grants.apply("rbac/lease", HOME)
    grants.apply("rbac/namespaced", "team-a")
    grants.apply("rbac/environment", "team-a")
    earlier = a_schedule_owes_a_job(own_cluster)
    with running_operator(grants.kubeconfig, HOME, FLUID_NAMESPACES="team-a") as operator:
        environment_becomes_ready(own_cluster, redis_server.url)
        a_tracked_job_is_kept_in_the_ledger_and_deleted(own_cluster)
        the_schedule_replaces_its_job(own_cluster, earlier)
        assert refusals(operator) == []
    assert not grants.may("list", "fluidjobs.jobs.fluidcalendar.com", "team-b")


def test_an_environment_whose_namespace_was_not_bound_says_which_role_is_missing(own_cluster, grants):
    grants.apply(".", HOME)
    with running_operator(grants.kubeconfig, HOME, FLUID_NAMESPACES=""):
        own_cluster.kubectl("--namespace=team-a", "apply", "--filename=-", input=fluid_environment("default").json())

        def message():
            found = own_cluster.kubectl("--namespace=team-a", "get", "fluidenvironment", "default", "--output=json")
            conditions = json.loads(found)["status"].get("conditions", [])
            return next((each["message"] for each in conditions if each["reason"] == "SecretAccessDenied"), "")

        want = "Role fluid-operator-environment in namespace team-a"
        until(lambda: want in message(), 30, "the missing role is named")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("list", "secrets"),
        ("watch", "secrets"),
        ("create", "secrets"),
        ("update", "fluidjobs.jobs.fluidcalendar.com"),
        ("deletecollection", "fluidjobs.jobs.fluidcalendar.com"),
        ("update", "fluidjobs.jobs.fluidcalendar.com/status"),
        ("update", "fluidjobs.jobs.fluidcalendar.com/finalizers"),
        ("create", "fluidschedules.jobs.fluidcalendar.com"),
        ("update", "fluidschedules.jobs.fluidcalendar.com"),
        ("patch", "fluidschedules.jobs.fluidcalendar.com"),
        ("delete", "fluidschedules.jobs.fluidcalendar.com"),
        ("deletecollection", "fluidschedules.jobs.fluidcalendar.com"),
        ("update", "fluidschedules.jobs.fluidcalendar.com/status"),
        ("update", "fluidschedules.jobs.fluidcalendar.com/finalizers"),
        ("create", "fluidenvironments.jobs.fluidcalendar.com"),
        ("patch", "fluidenvironments.jobs.fluidcalendar.com"),
        ("delete", "fluidenvironments.jobs.fluidcalendar.com"),
        ("list", "configmaps"),
        ("watch", "configmaps"),
        ("update", "configmaps"),
        ("patch", "configmaps"),
        ("delete", "configmaps"),
        ("list", "pods"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "jobs.batch"),
        ("create", "cronjobs.batch"),
        ("create", "serviceaccounts/token"),
        ("list", "namespaces"),
        ("list", "leases.coordination.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
    ],
)
def test_the_roles_do_not_allow(shared_grants, verb, resource):
    assert not shared_grants.may(verb, resource)


def test_the_roles_allow_secrets_by_name_only_where_a_namespace_was_bound(shared_grants):
    assert shared_grants.may("get", "secrets", "team-a")
    assert not shared_grants.may("get", "secrets", "team-b")
    assert not shared_grants.may("get", "secrets", HOME)
    assert not shared_grants.may("get", "secrets", "kube-system")
    assert shared_grants.may("patch", "fluidjobs.jobs.fluidcalendar.com/status", "team-b")


def test_the_roles_allow_to_delete_jobs_and_to_keep_a_ledger_only_where_a_namespace_was_bound(shared_grants):
    assert shared_grants.may("delete", "fluidjobs.jobs.fluidcalendar.com", "team-b")
    assert shared_grants.may("create", "configmaps", "team-a")
    assert shared_grants.may("patch", "configmaps", "team-a", name="fluid-ledger")
    assert not shared_grants.may("patch", "configmaps", "team-a", name="kube-root-ca.crt")
    assert not shared_grants.may("create", "configmaps", "team-b")
    assert not shared_grants.may("patch", "configmaps", "team-b", name="fluid-ledger")


@pytest.fixture(scope="module")
def shared_grants(cluster):
    """Everything applied, for tests that only ask."""
    grants = Grants(cluster)
    grants.apply(".", HOME)
    grants.apply("rbac/environment", "team-a")
    return grants


def test_both_ways_to_serve_grant_the_same_rules():
    assert rules("cluster-wide/cluster-role.yaml") == rules("namespaced/role.yaml")


def test_the_rules_are_these_and_no_more():
    granted = defaultdict(set)
    for rule in rules("namespaced/role.yaml"):
        for resource in rule["resources"]:
            granted[resource] |= set(rule["verbs"])
    read = {"get", "list", "watch"}
    assert granted == {
        "fluidjobs": read | {"create", "patch", "delete"},
        "fluidjobs/status": {"patch"},
        "fluidschedules": read,
        "fluidschedules/status": {"patch"},
        "fluidenvironments": read,
        "fluidenvironments/status": {"patch"},
        "events": {"create", "patch"},
    }


def test_the_roles_allow_to_write_events_and_nothing_else_with_them(shared_grants):
    for verb in ("create", "patch"):
        assert shared_grants.may(verb, "events.events.k8s.io", "team-b")
    for verb in ("get", "list", "delete", "update"):
        assert not shared_grants.may(verb, "events.events.k8s.io", "team-b")
