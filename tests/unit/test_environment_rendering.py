"""What an environment consists of: the whole of three examples, and the promises that hold for all."""

import re
from pathlib import Path

import jinja2
import jinja2.nodes
import pytest
import yaml

from fluid_operator.api.errors import InvalidSpec
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.blueprint import OPERATOR_LABELS
from fluid_operator.environments.rendering.checking import check
from fluid_operator.environments.rendering.errors import BadManifest
from fluid_operator.environments.rendering.kinds import BY_KIND
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.environments.rendering.redis import memory_bytes
from fluid_operator.environments.rendering.templates import FOLDER, SUFFIX
from fluid_processors.settings import from_environment
from support.environments import (
    NAMES,
    as_text,
    blueprint,
    blueprint_of,
    child,
    children_file,
    container,
    decoded,
    fixed_credentials,
    variables,
)

REPOSITORY = Path(__file__).parents[2]
MANAGED = {"image": "x:1", "redis": {"managed": {}}}

TEMPLATES = sorted(path.name for path in FOLDER.iterdir())

each_example = pytest.mark.parametrize("name", NAMES)


def pool(**fields):
    return {**MANAGED, "workers": [{"name": "default", **fields}]}


def deployment(spec, **more):
    return child(render(blueprint(spec, **more)), "Deployment")


@each_example
def test_an_example_consists_of_what_its_file_says(name):
    assert as_text(name) == children_file(name).read_text(), "run `python -m support.environments` and look at the diff"


@each_example
def test_every_child_is_labelled_and_goes_with_its_environment(name):
    plan = blueprint_of(name)
    for each in render(plan):
        metadata = each["metadata"]
        assert metadata["namespace"] == plan.namespace
        assert naming.environment_selector(plan.name).items() <= metadata["labels"].items()
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of"} <= set(
            metadata["labels"]
        )
        (owner,) = metadata["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (plan.uid, True, False)


@each_example
def test_every_selector_finds_the_pods_of_its_own_workload(name):
    manifests = render(blueprint_of(name))
    for each in manifests:
        if each["kind"] in ("Deployment", "StatefulSet"):
            selector = each["spec"]["selector"]["matchLabels"]
            assert selector.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in manifests if "template" in each.get("spec", {})]
    for kind, path in (("Service", ["selector"]), ("NetworkPolicy", ["podSelector", "matchLabels"])):
        for each in (one for one in manifests if one["kind"] == kind):
            selector = each["spec"]
            for step in path:
                selector = selector[step]
            assert len([labels for labels in pods if selector.items() <= labels.items()]) == 1


@each_example
def test_every_pod_is_restricted_and_has_no_token(name):
    for each in render(blueprint_of(name)):
        if "template" not in each.get("spec", {}):
            continue
        pod = each["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(each)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@each_example
def test_a_password_stands_in_the_secret_and_nowhere_else(name):
    plan = blueprint_of(name)
    for each in render(plan):
        if each["kind"] != "Secret":
            assert "password-" not in yaml.safe_dump(each).replace("probe-password", "")
    if plan.credentials:
        users = decoded(child(render(plan), "Secret"))["users.acl"]
        assert "password-" not in users


@each_example
def test_a_child_may_be_looked_up_by_its_kind(name):
    for each in render(blueprint_of(name)):
        assert BY_KIND[each["kind"]].api_version == each["apiVersion"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_writes_no_value_but_through_the_json_filter(template):
    assert template.endswith(SUFFIX)
    tree = jinja2.Environment(autoescape=False).parse((FOLDER / template).read_text())  # noqa: S701 - only parsed
    for output in tree.find_all(jinja2.nodes.Output):
        for node in output.nodes:
            assert isinstance(node, jinja2.nodes.TemplateData) or (
                isinstance(node, jinja2.nodes.Filter) and node.name == "json"
            )
    assert not list(tree.find_all((jinja2.nodes.Include, jinja2.nodes.Import, jinja2.nodes.FromImport)))


def test_without_pools_there_are_no_workers():
    assert {each["kind"] for each in render(blueprint(MANAGED, optional=["PodMonitor"]))} == {
        "Secret",
        "ConfigMap",
        "NetworkPolicy",
        "Service",
        "StatefulSet",
    }


def test_workers_read_the_settings_that_they_are_given():
    spec = pool(queues=["email", "digest"], concurrency=7, terminationGracePeriodSeconds=90)
    given = variables(deployment(spec))
    assert given["FLUID_REDIS_URL"] == {"secretKeyRef": {"name": "default-redis", "key": "worker-url"}}
    secret = decoded(child(render(blueprint(spec)), "Secret"))
    given |= {"FLUID_REDIS_URL": secret["worker-url"], "FLUID_WORKER_NAME": "default-default-abc"}
    settings = from_environment(given)
    assert settings.redis_url.get_secret_value() == "redis://worker:password-2@default-redis.team-a.svc:6379/0"
    assert settings.key_prefix == "team-a.default"
    assert (settings.queues, settings.concurrency) == (("email", "digest"), 7)
    assert (settings.image, settings.grace_seconds) == ("x:1", 85)


EXTERNAL = {"image": "x:1", "redis": {"external": {"urlSecretRef": {"name": "redis", "key": "url"}}}}
ELSEWHERE = "redis://jobs:hidden@redis.example.com:6379/0"


def test_workers_on_an_external_redis_get_a_copy_of_its_address():
    manifests = render(blueprint({**EXTERNAL, "workers": [{"name": "default"}]}, address=ELSEWHERE))
    ref = variables(child(manifests, "Deployment"))["FLUID_REDIS_URL"]["secretKeyRef"]
    copy = child(manifests, "Secret")
    assert ref == {"name": "default-redis-address", "key": "worker-url"}
    assert (copy["metadata"]["name"], decoded(copy)) == (ref["name"], {"worker-url": ELSEWHERE})
    assert naming.environment_selector("default").items() <= copy["metadata"]["labels"].items()


def test_another_address_has_the_workers_started_anew_and_shows_itself_to_nobody():
    spec = {**EXTERNAL, "workers": [{"name": "default"}]}
    before, after = (render(blueprint(spec, address=ELSEWHERE, address_version=version)) for version in "ab")
    templates = [child(each, "Deployment")["spec"]["template"] for each in (before, after)]
    assert templates[0]["metadata"] != templates[1]["metadata"]
    assert decoded(child(after, "Secret"))["version"] == "b"
    assert "hidden" not in repr(blueprint(spec, address=ELSEWHERE))


def test_workers_stay_with_the_redis_that_holds_while_the_spec_wants_another():
    old_external = render(blueprint(pool(), address=ELSEWHERE))
    assert variables(child(old_external, "Deployment"))["FLUID_REDIS_URL"]["secretKeyRef"]["name"] == (
        "default-redis-address"
    )
    assert child(old_external, "StatefulSet", "default-redis")
    old_managed = render(blueprint({**EXTERNAL, "workers": [{"name": "default"}]}))
    assert variables(child(old_managed, "Deployment"))["FLUID_REDIS_URL"]["secretKeyRef"]["name"] == "default-redis"
    assert [each for each in old_managed if each["kind"] in ("Secret", "StatefulSet")] == []


def test_what_makes_up_a_managed_redis_is_told_from_everything_else():
    manifests = render(blueprint_of("full", address=ELSEWHERE))
    is_redis = naming.is_redis("staging")
    found = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    parts = {
        (each["kind"], each["metadata"]["name"])
        for each in render(blueprint({"redis": {"managed": {}}}, name="staging"))
    }
    assert {each for each in found if is_redis(each)} == parts
    assert not is_redis(("Secret", naming.redis_address_name("staging")))
    unlisted = {each for each in found if each[0] in ("Secret", "ConfigMap")}
    assert unlisted == set(naming.unlisted("staging"))


def test_workers_read_the_key_ring_from_the_users_secret():
    ring = {"keySecretRef": {"name": "ring", "key": "keys"}}
    given = variables(deployment({**pool(), "encryption": ring}))
    assert given["FLUID_ENCRYPTION_KEYS"] == {"secretKeyRef": {"name": "ring", "key": "keys"}}
    assert "FLUID_ENCRYPTION_KEYS" not in variables(deployment(pool()))


@pytest.mark.parametrize(("grace", "worker"), [(None, "55"), (0, "0"), (4, "2"), (10, "5"), (600, "595")])
def test_a_worker_hands_back_before_it_is_killed(grace, worker):
    fields = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    manifest = deployment(pool(**fields))
    assert variables(manifest)["FLUID_GRACE_SECONDS"] == worker
    assert manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == (60 if grace is None else grace)


@pytest.mark.parametrize(
    ("fields", "decided", "want"),
    [
        ({}, {}, 1),
        ({"minReplicas": 3}, {}, 3),
        ({"minReplicas": 3, "maxReplicas": 3}, {}, 3),
        ({"minReplicas": 0}, {}, 0),
        ({"maxReplicas": 0, "minReplicas": 0}, {}, 0),
        ({"maxReplicas": 9}, {}, None),
        ({"minReplicas": 0, "maxReplicas": 9}, {}, None),
        ({"minReplicas": 0, "maxReplicas": 9}, {"default": 4}, 4),
        ({"minReplicas": 0, "maxReplicas": 9}, {"other": 4}, None),
    ],
)
def test_the_number_of_workers_is_left_to_whoever_decides_it(fields, decided, want):
    assert deployment(pool(**fields), replicas=decided)["spec"].get("replicas") == want


def test_a_pool_with_an_account_of_its_own_gets_no_other():
    manifests = render(blueprint(pool(serviceAccountName="mailer")))
    assert [each for each in manifests if each["kind"] == "ServiceAccount"] == []
    assert child(manifests, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mailer"


def test_workers_are_spread_over_nodes_unless_their_pool_says_otherwise():
    assert "topologySpreadConstraints" in deployment(pool())["spec"]["template"]["spec"]
    told = deployment(pool(affinity={"nodeAffinity": {}}))["spec"]["template"]["spec"]
    assert told["affinity"] == {"nodeAffinity": {}}
    assert "topologySpreadConstraints" not in told


def test_a_variable_of_the_operator_is_refused_by_name():
    spec = pool(env=[{"name": "FLUID_LEASE_SECONDS", "value": "5"}, {"name": "FLUID_QUEUES", "value": "*"}])
    with pytest.raises(InvalidSpec) as refused:
        render(blueprint(spec))
    assert refused.value.field == "spec.workers[default].env[FLUID_QUEUES]"
    assert "remove it" in refused.value.message


@pytest.mark.parametrize("name", ["FLUID_REDIS_URL_FILE", "FLUID_ENCRYPTION_KEYS", "FLUID_ENCRYPTION_KEYS_FILE"])
def test_another_redis_or_key_ring_cannot_be_slipped_into_a_pool(name):
    with pytest.raises(InvalidSpec, match="remove it"):
        render(blueprint(pool(env=[{"name": name, "value": "x"}])))


def test_new_passwords_or_secrets_replace_the_workers_and_not_redis():
    before = render(blueprint(pool()))
    credentials = fixed_credentials()
    after = render(blueprint(pool(), credentials=type(credentials)(
        credentials.operator, credentials.worker, credentials.probe, 2, credentials.rotated
    )))  # fmt: skip
    other = render(blueprint(pool(), secrets_version="8"))

    def template(manifests, kind):
        return child(manifests, kind)["spec"]["template"]

    assert template(before, "Deployment") != template(after, "Deployment") != template(other, "Deployment")
    assert template(before, "StatefulSet") == template(after, "StatefulSet") == template(other, "StatefulSet")


def test_what_redis_reads_at_its_start_has_it_started_anew():
    def restarts_from(**fields):
        return child(render(blueprint({**MANAGED, "redis": {"managed": fields}})), "StatefulSet")["spec"]["template"][
            "metadata"
        ]["annotations"]

    assert restarts_from() == restarts_from(durability="EverySecond") == restarts_from(storage="9Gi")
    assert restarts_from() != restarts_from(durability="Always")
    assert restarts_from() != restarts_from(maxMemory="300mb")


@pytest.mark.parametrize(
    ("amount", "want"),
    [("100", 100), ("2k", 2000), ("2kb", 2048), ("1M", 10**6), ("1mb", 2**20), ("3G", 3 * 10**9), ("1GB", 2**30)],
)
def test_memory_is_read_in_redis_own_notation(amount, want):
    assert memory_bytes(amount) == want


def test_redis_without_a_limit_of_memory_gets_none():
    manifests = render(blueprint({**MANAGED, "redis": {"managed": {"maxMemory": "0"}}}))
    assert container(child(manifests, "StatefulSet"))["resources"] == {"requests": {"cpu": "100m"}}


def test_the_operator_reaches_redis_from_its_own_namespace():
    def sources(**more):
        policy = child(render(blueprint(MANAGED, **more)), "NetworkPolicy")
        return policy["spec"]["ingress"][0]["from"]

    home = {"matchLabels": {"kubernetes.io/metadata.name": "fluid-system"}}
    assert [each for each in sources() if "namespaceSelector" in each] == []
    (operator,) = [each for each in sources(operator_namespace="fluid-system") if "namespaceSelector" in each]
    assert operator["namespaceSelector"] == home
    assert operator["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "fluid-operator"}}


def test_the_operator_as_it_is_shipped_wears_the_labels_that_redis_lets_in():
    shipped = [
        each
        for path in sorted((REPOSITORY / "manifests" / "base").rglob("*.yaml"))
        for each in yaml.safe_load_all(path.read_text())
        if each["kind"] == "Deployment"
    ]
    assert shipped
    for each in shipped:
        assert OPERATOR_LABELS.items() <= each["spec"]["template"]["metadata"]["labels"].items()


DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@pytest.mark.parametrize(
    ("environment", "part", "want"),
    [
        ("default", "mail", "default-mail"),
        ("default", "Mail", "default-mail-89d2e191"),
        ("a.b", "mail", None),
        ("1st", "mail", None),
        ("default", "redis", None),
        ("default", "redis-nodes", None),
        ("default", "redis-address", None),
        ("default", "a_b", None),
        ("e" * 63, "p" * 63, None),
        ("e" * 63, "9", None),
    ],
)
def test_names_are_what_kubernetes_takes_and_never_those_of_redis(environment, part, want):
    name = naming.pool_name(environment, part)
    assert want in (None, name)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= 52
    redis = (naming.redis_name, naming.redis_nodes_name, naming.redis_address_name)
    assert name not in [each(environment) for each in redis]


def test_pools_whose_names_look_alike_stay_apart():
    pools = ["a", "A", "a.b", "a-b", "a_b", "A.b", "x" * 60, "x" * 61]
    assert len({naming.pool_name("default", each) for each in pools}) == len(pools)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "Role"}, "kind is none"),
        ({"apiVersion": "v2"}, "apiVersion is another"),
        ({"status": {}}, "other fields"),
        ({"metadata": {"namespace": "kube-system"}}, "namespace is another"),
        ({"metadata": {"labels": {}}}, "labels"),
        ({"metadata": {"ownerReferences": []}}, "not owned"),
        ({"metadata": {"name": ""}}, "no name"),
    ],
)
def test_an_object_that_is_none_of_the_environment_is_never_sent(change, sentence):
    plan = blueprint(MANAGED)
    good = child(render(plan), "StatefulSet")
    assert check(good, plan) == good
    bad = good | change
    if "metadata" in change:
        bad["metadata"] = good["metadata"] | change["metadata"]
    with pytest.raises(BadManifest, match=sentence):
        check(bad, plan)
