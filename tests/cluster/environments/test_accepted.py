"""Everything that is rendered is what a real API server takes, field by field, in a namespace that takes only
restricted pods."""

import json
from dataclasses import replace

import pytest

from fluid_operator.environments.rendering.kinds import BY_KIND
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.kube.errors import ApiError
from support.environments import NAMES, blueprint, blueprint_of

STRICT = {"dryRun": "All", "fieldValidation": "Strict"}

ODD = {
    "capitals": ("Team.One", "Pool_A"),
    "long": ("e" * 63, "p" * 63),
    "digits": ("1st", "2nd"),
    "redis": ("default", "redis-nodes"),
}


async def create(kube, manifest, namespace):
    resource = BY_KIND[manifest["kind"]]
    path = resource.path(namespace)
    return await kube.request("create", path, resource=resource.plural, query=STRICT, body=manifest)


def without(value, *paths):
    """A copy of the object without what the API server adds."""
    copied = json.loads(json.dumps(value))
    for path in paths:
        inner = copied
        *steps, last = path
        for step in steps:
            inner = inner.get(step, {})
        inner.pop(last, None)
    return copied


def contains(answer, sent, path=""):
    """What of the sent object is not in the answer as it was sent; quantities may be written otherwise."""
    if isinstance(sent, dict):
        assert isinstance(answer, dict), path
        for key, value in sent.items():
            assert key in answer, f"{path}.{key} was dropped"
            contains(answer[key], value, f"{path}.{key}")
    elif isinstance(sent, list):
        assert len(answer) == len(sent), path
        for index, value in enumerate(sent):
            contains(answer[index], value, f"{path}[{index}]")
    else:
        assert str(answer) == str(sent) or path.rpartition(".")[2] in ("cpu", "memory", "storage"), path


@pytest.mark.parametrize("name", NAMES)
async def test_every_object_is_accepted_and_no_field_is_lost(kube, namespace, monitors, name):
    for manifest in render(blueprint_of(name, namespace=namespace)):
        contains(await create(kube, manifest, namespace), manifest, manifest["kind"])


@pytest.mark.parametrize("name", NAMES)
async def test_every_pod_is_taken_where_only_restricted_ones_are(kube, cluster, namespace, name):
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    for manifest in render(blueprint_of(name, namespace=namespace)):
        template = manifest.get("spec", {}).get("template")
        if template is None:
            continue
        # The accounts are not made here.
        spec = without(template["spec"], ["serviceAccountName"])
        if manifest["kind"] == "StatefulSet":
            claims = [each["metadata"]["name"] for each in manifest["spec"]["volumeClaimTemplates"]]
            spec["volumes"] += [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "p"}, "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/pods"
        made = await kube.request("create", path, resource="pods", query=STRICT, body=pod)
        assert made["spec"]["automountServiceAccountToken"] is False
        careless = {**pod, "spec": without(spec, ["securityContext"])}
        with pytest.raises(ApiError, match="violates PodSecurity"):
            await kube.request("create", path, resource="pods", query=STRICT, body=careless)


@pytest.mark.parametrize("case", ODD)
async def test_odd_names_become_names_that_are_taken(stage, case):
    environment, pool = ODD[case]
    spec = {"image": "x:1", "redis": {"managed": {}}, "workers": [{"name": pool}]}
    plan = replace(blueprint(spec, name=environment, namespace=stage.namespace), optional=())
    if case == "capitals":
        plan = replace(plan, name=environment.lower())
    manifests = render(plan)
    for manifest in manifests:
        await create(stage.kube, manifest, stage.namespace)
    assert len({(each["kind"], each["metadata"]["name"]) for each in manifests}) == len(manifests)
