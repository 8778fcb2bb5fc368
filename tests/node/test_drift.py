"""Whatever somebody edits or deletes of what an environment consists of is put right, while its jobs go on."""

import base64
import json
import time

import pytest

EDITS = {
    "deployment/default-default": {"spec": {"replicas": 3}},
    "service/default-redis": {"spec": {"selector": {"app.kubernetes.io/component": "other"}}},
    "service/default-redis-nodes": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}},
    "configmap/default-redis": {"data": {"redis.conf": "port 1"}},
    "secret/default-redis": {"data": {"worker-url": base64.b64encode(b"redis://elsewhere").decode()}},
    "statefulset/default-redis": {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}},
    "networkpolicy/default-redis": {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "other"}}}},
    "poddisruptionbudget/default-default": {"spec": {"maxUnavailable": 5}},
    "serviceaccount/default-default": {"automountServiceAccountToken": True},
}


def content(stage, thing: str):
    """What of an object says how it is to be."""
    found = stage.namespace.get(*thing.split("/"))
    kept = {name: found.get(name) for name in ("spec", "data", "automountServiceAccountToken")}
    return kept | {"labels": found["metadata"].get("labels")}


def uid(stage, thing: str) -> str:
    """Empty while there is none, or one that is going."""
    found = stage.namespace.find(*thing.split("/"))
    metadata = found["metadata"] if found else {}
    return "" if "deletionTimestamp" in metadata else metadata.get("uid", "")


@pytest.mark.timeout(400)
async def test_each_part_is_put_right_after_an_edit_and_after_a_deletion(stage, measured):
    stage.apply()
    await stage.ready()
    async with stage.load(every=0.3) as created:
        for thing, patch in EDITS.items():
            before = content(stage, thing)
            stage.namespace.kubectl("patch", thing, "--type=merge", f"--patch={json.dumps(patch)}")
            since = time.time()
            await stage.wait(
                lambda thing=thing, before=before: content(stage, thing) == before, 30, f"{thing} is put right"
            )
            measured(f"{thing} is edited -> it is put right", time.time() - since)
        for thing in EDITS:
            old = uid(stage, thing)
            stage.namespace.kubectl("delete", thing, "--wait=false")
            since = time.time()
            await stage.wait(
                lambda thing=thing, old=old: uid(stage, thing) not in ("", old), 60, f"{thing} is made again"
            )
            measured(f"{thing} is deleted -> it is made again", time.time() - since)
    # With the Secret went the passwords: Redis reads the new ones when the kubelet has renewed its files.
    assert await stage.all_end(within=150) == {"Succeeded": len(created)}
    await stage.ready()
