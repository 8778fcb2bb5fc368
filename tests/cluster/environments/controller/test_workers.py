"""The pools of an environment that an operator keeps: who says how many workers there are, and what is told of them."""

from support.sites import IMAGE, external
from support.stages import work
from support.waiting import until

GOOD = {"Ready": "Available", "WorkersReady": "Available"}
AUTOSCALED = {"minReplicas": 1, "maxReplicas": 9}


def replicas(site, pool="default"):
    return site.get("deployment", f"default-{pool}")["spec"]["replicas"]


def test_a_fixed_number_of_workers_is_put_right(site, operator):
    site.apply(external().pool("default", minReplicas=2))
    site.becomes(GOOD)
    site.kubectl("scale", "deployment", "default-default", "--replicas=7")
    until(lambda: replicas(site) == 2, 30, "there are two workers")
    site.becomes(GOOD)


def test_the_number_of_an_autoscaled_pool_is_left_as_somebody_set_it(site, operator):
    """Until it may go down, which takes longer than this test."""
    site.apply(external().pool("default", **AUTOSCALED))
    site.becomes(GOOD)
    site.kubectl("scale", "deployment", "default-default", "--replicas=5")
    site.looks(operator, 4)
    assert replicas(site) == 5
    until(lambda: site.get("fluidenvironment")["status"]["workers"] == "5/5", 30, "it is told")
    site.apply(external().pool("default", minReplicas=1, maxReplicas=3))
    until(lambda: replicas(site) == 3, 30, "no more than the maximum")
    site.apply(external().pool("default", minReplicas=4, maxReplicas=9))
    until(lambda: replicas(site) == 4, 30, "no fewer than the minimum")


def test_a_pool_that_becomes_autoscaled_keeps_its_workers(site, operator):
    site.apply(external().pool("default", minReplicas=4))
    site.becomes(GOOD)
    site.apply(external().pool("default", **AUTOSCALED))
    site.becomes(GOOD)
    site.looks(operator)
    assert replicas(site) == 4
    site.apply(external().pool("default", minReplicas=2))
    until(lambda: replicas(site) == 2, 30, "the number is the spec's again")


def test_a_restarted_operator_leaves_an_autoscaled_pool_as_it_was(site, operator):
    site.apply(external().pool("default", **AUTOSCALED))
    site.becomes(GOOD)
    site.kubectl("scale", "deployment", "default-default", "--replicas=6")
    site.looks(operator)
    operator.process.stop(within=10)
    before = site.get("deployment", "default-default")["metadata"]["generation"]
    site.looks(site.operator().leading(), 4)
    assert replicas(site) == 6
    assert site.get("deployment", "default-default")["metadata"]["generation"] == before


def test_a_backlog_brings_workers(site, operator):
    """The jobs wait, because nobody works: fake pods run nothing."""
    hand = site.worker(FLUID_IMAGE=IMAGE)
    site.apply(external().pool("default", concurrency=1, autoscaling={"targetLatencySeconds": 1}, **AUTOSCALED))
    site.becomes({**GOOD, "TypesDiscovered": "Available"})
    hand.process.stop(within=5)
    site.apply(*(work(f"job-{number}") for number in range(20)))
    until(lambda: replicas(site) == 9, 90, "there are as many workers as there may be", pause=0.3)
    events = site.kubectl("get", "events.events.k8s.io", "--field-selector=reason=Scaled", "--output=json")
    assert "Scaled" in events


def test_a_pool_without_workers_gets_one_until_the_types_of_its_image_are_known(site, operator):
    site.apply(external().pool("default", minReplicas=0, maxReplicas=4))
    site.becomes({"TypesDiscovered": "Discovering"})
    assert IMAGE in site.told("TypesDiscovered")["message"]
    until(lambda: replicas(site) == 1, 30, "one worker looks")
    site.worker(FLUID_IMAGE=IMAGE)
    site.becomes({"TypesDiscovered": "Available"})


def test_a_pool_without_workers_is_ready_and_its_first_job_starts_one(site, operator):
    hand = site.worker(FLUID_IMAGE=IMAGE)
    patient = {"stabilizationWindowSeconds": 1}
    site.apply(external().pool("default", minReplicas=0, maxReplicas=4, autoscaling=patient))
    site.becomes({**GOOD, "TypesDiscovered": "Available"})
    site.apply(work("warm"))
    site.reaches("warm", "Succeeded")
    until(lambda: site.get("fluidenvironment")["status"]["workers"] == "0/0", 60, "there is no worker", pause=0.2)
    assert replicas(site) == 0
    site.becomes(GOOD)
    hand.process.stop(within=5)
    site.apply(work("first"))
    until(lambda: replicas(site) > 0, 30, "a worker is started")


def test_workers_that_find_no_node_are_told_of_in_words(site, operator):
    site.apply(external().pool("default").pool("picky", nodeSelector={"nowhere": "yes"}))
    site.becomes({"Ready": "WorkersNotReady", "WorkersReady": "WorkersNotReady", "RedisReady": "Available"})
    told = site.says("nodes are available", "WorkersReady")
    assert "pool picky has 0 of 1 workers ready" in told["message"]
    site.apply(external().pool("default").pool("picky"))
    site.becomes(GOOD)


def test_pods_that_a_quota_refuses_are_told_of_in_words(site, operator):
    site.kubectl("create", "quota", "tight", "--hard=pods=1")
    until(lambda: site.get("quota", "tight").get("status", {}).get("hard"), 30, "the quota is in force")
    site.apply(external().pool("default", minReplicas=3))
    told = site.says("exceeded quota", "WorkersReady")
    assert told["reason"] == "WorkersNotReady"
    site.kubectl("delete", "quota", "tight")
    site.becomes(GOOD, within=90)


def test_a_pool_is_ready_with_its_minimum(site, operator):
    """What comes on top of that is help, and its lack no reason to call the environment not ready."""
    site.kubectl("create", "quota", "tight", "--hard=pods=2")
    until(lambda: site.get("quota", "tight").get("status", {}).get("hard"), 30, "the quota is in force")
    site.apply(external().pool("default", minReplicas=2, maxReplicas=9))
    site.becomes(GOOD)
    site.kubectl("scale", "deployment", "default-default", "--replicas=4")
    until(lambda: site.get("fluidenvironment")["status"]["workers"] == "2/4", 30, "the lack is told")
    site.looks(operator)
    site.becomes(GOOD)
