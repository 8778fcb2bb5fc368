"""The thin client against a real API server: what is refused, by which error, and what preconditions do."""

from typing import Any

import pytest

from fluid_operator.kube.client import APPLY_PATCH, Call, connect
from fluid_operator.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from fluid_operator.kube.keys import ObjectKey, Resource
from support.folders import fresh_folder

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
# Any kind with a status that no controller of the test cluster writes.
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


def config_map(namespace: str, name: str, **more: Any) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **more}


def deployment(namespace: str, name: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "main", "image": "localhost/none:none"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


async def test_an_object_is_created_read_changed_and_deleted(cluster, namespace):
    key = ObjectKey(namespace, "a")
    async with connect(cluster.kubeconfig) as kube:
        made = await kube.create(CONFIG_MAPS, config_map(*key, data={"x": "1"}))
        assert await kube.get(CONFIG_MAPS, key) == made
        patched = await kube.patch(CONFIG_MAPS, key, {"data": {"y": "2"}})
        assert patched["data"] == {"x": "1", "y": "2"}
        replaced = await kube.update(CONFIG_MAPS, {**patched, "data": {"z": "3"}})
        assert replaced["data"] == {"z": "3"}
        await kube.delete(CONFIG_MAPS, key)
        with pytest.raises(NotFound) as caught:
            await kube.get(CONFIG_MAPS, key)
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    assert caught.value.path == f"/api/v1/namespaces/{namespace}/configmaps/a"


async def test_a_misspelt_field_is_refused_on_create_and_update(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube:
        with pytest.raises(Invalid, match='unknown field "dat"'):
            await kube.create(CONFIG_MAPS, config_map(namespace, "a", dat={"x": "1"}))
        made = await kube.create(CONFIG_MAPS, config_map(namespace, "a"))
        with pytest.raises(Invalid, match='unknown field "dat"'):
            await kube.update(CONFIG_MAPS, {**made, "dat": {"x": "1"}})


async def test_a_refusal_names_the_fields_that_are_wrong(cluster, namespace):
    body = deployment(namespace, "a")
    body["spec"]["replicas"] = -1
    async with connect(cluster.kubeconfig) as kube:
        with pytest.raises(Invalid) as caught:
            await kube.create(DEPLOYMENTS, body)
    assert [field for field, _ in caught.value.causes] == ["spec.replicas"]
    assert not caught.value.retryable


async def test_a_taken_name_is_told_apart_from_a_stale_version(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube:
        made = await kube.create(CONFIG_MAPS, config_map(namespace, "a"))
        with pytest.raises(AlreadyExists):
            await kube.create(CONFIG_MAPS, config_map(namespace, "a"))
        await kube.patch(CONFIG_MAPS, ObjectKey(namespace, "a"), {"data": {"x": "1"}})
        with pytest.raises(Conflict) as caught:
            await kube.update(CONFIG_MAPS, made)
    assert not isinstance(caught.value, AlreadyExists)


async def test_a_status_is_written_to_the_very_version_that_was_read_or_not_at_all(cluster, namespace):
    key = ObjectKey(namespace, "a")
    async with connect(cluster.kubeconfig) as kube:
        made = (await kube.create(DEPLOYMENTS, deployment(*key)))["metadata"]
        uid, version = made["uid"], made["resourceVersion"]
        done = await kube.patch_status(DEPLOYMENTS, key, {"collisionCount": 1}, uid=uid, resource_version=version)
        assert done["status"]["collisionCount"] == 1
        newest = done["metadata"]["resourceVersion"]
        with pytest.raises(Conflict):
            await kube.patch_status(DEPLOYMENTS, key, {"collisionCount": 2}, uid=uid, resource_version=version)
        other = "00000000-0000-0000-0000-000000000000"
        with pytest.raises(Invalid):
            await kube.patch_status(DEPLOYMENTS, key, {"collisionCount": 2}, uid=other, resource_version=newest)
        assert (await kube.get(DEPLOYMENTS, key))["status"]["collisionCount"] == 1


async def test_only_the_object_that_was_meant_is_deleted(cluster, namespace):
    key = ObjectKey(namespace, "a")
    async with connect(cluster.kubeconfig) as kube:
        old = (await kube.create(CONFIG_MAPS, config_map(*key)))["metadata"]
        await kube.delete(CONFIG_MAPS, key, uid=old["uid"])
        new = (await kube.create(CONFIG_MAPS, config_map(*key)))["metadata"]
        with pytest.raises(Conflict):
            await kube.delete(CONFIG_MAPS, key, uid=old["uid"])
        with pytest.raises(Conflict):
            await kube.delete(CONFIG_MAPS, key, resource_version=old["resourceVersion"])
        assert (await kube.get(CONFIG_MAPS, key))["metadata"]["uid"] == new["uid"]
        await kube.delete(CONFIG_MAPS, key, uid=new["uid"], resource_version=new["resourceVersion"])


async def test_a_manifest_is_applied_by_the_server_twice_with_the_same_result(cluster, namespace):
    key = ObjectKey(namespace, "a")
    body = config_map(*key, data={"x": "1"})
    query = {"fieldManager": "fluid-operator", "force": "true"}
    async with connect(cluster.kubeconfig) as kube:
        first = await kube.patch(CONFIG_MAPS, key, body, content_type=APPLY_PATCH, query=query)
        second = await kube.patch(CONFIG_MAPS, key, body, content_type=APPLY_PATCH, query=query)
    assert first["data"] == {"x": "1"}
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_pages_of_a_list_are_one_snapshot(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube:
        for name in "abc":
            await kube.create(CONFIG_MAPS, config_map(namespace, name, data={"x": "1"}))
        ours = {"fieldSelector": "metadata.name!=kube-root-ca.crt"}
        first = await kube.list_page(CONFIG_MAPS, namespace, limit=2, selectors=ours)
        await kube.create(CONFIG_MAPS, config_map(namespace, "d"))
        second = await kube.list_page(
            CONFIG_MAPS, namespace, limit=2, continue_token=first.continue_token, selectors=ours
        )
    names = [item["metadata"]["name"] for item in (*first.items, *second.items)]
    assert names == ["a", "b", "c"]
    assert first.resource_version == second.resource_version
    assert second.continue_token == ""


async def test_a_user_without_rights_is_forbidden(cluster, namespace):
    async with connect(cluster.client_kubeconfig("bob", [])) as kube:
        with pytest.raises(Forbidden, match="bob"):
            await kube.list_page(CONFIG_MAPS, namespace)


async def test_a_wrong_token_is_unauthorized(cluster):
    config = fresh_folder("token") / "kubeconfig"
    config.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: it
clusters: [{{name: it, cluster: {{server: "{cluster.server}", certificate-authority: "{cluster.ca}"}}}}]
contexts: [{{name: it, context: {{cluster: it, user: it}}}}]
users: [{{name: it, user: {{token: wrong}}}}]
"""
    )
    async with connect(config) as kube:
        with pytest.raises(Unauthorized):
            await kube.get(NAMESPACES, ObjectKey("", "default"))


async def test_every_request_is_counted_by_verb_kind_and_code(cluster, namespace):
    calls: list[Call] = []
    async with connect(cluster.kubeconfig, observe=calls.append) as kube:
        await kube.get(NAMESPACES, ObjectKey("", namespace))
        with pytest.raises(NotFound):
            await kube.delete(CONFIG_MAPS, ObjectKey(namespace, "none"))
        await kube.request("get", "/version")
    told = [(call.verb, call.resource, call.code) for call in calls]
    assert told == [("get", "namespaces", 200), ("delete", "configmaps", 404), ("get", "", 200)]
    assert all(call.seconds > 0 for call in calls)


async def test_typed_calls_of_the_official_client_share_the_session(cluster):
    from kubernetes.aio.client import VersionApi

    async with connect(cluster.kubeconfig) as kube:
        version = await VersionApi(kube.connection.api).get_code()
        assert version.major == (await kube.request("get", "/version"))["major"]
        assert kube.connection.api.rest_client.pool_manager is kube.connection.session
