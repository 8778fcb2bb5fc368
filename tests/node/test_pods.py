"""Real pods of our image on a real node: under the strictest profile, found by name, told to end."""

import json

from fluid_dev.node_demo import restricted_pod
from fluid_dev.stand_ins import REDIS

_WHO = """
import json, os
try:
    open("/written", "w")
except OSError as error:
    answer = error.strerror
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
facts = {"uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid(), "write": answer}
print(json.dumps(facts | {name: status[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}))
"""


def test_a_pod_of_our_image_runs_with_no_right_at_all(namespace, image):
    namespace.apply(restricted_pod("who", namespace.name, image.tag, ["python3", "-c", _WHO]))
    assert namespace.ended("who")["exitCode"] == 0
    assert json.loads(namespace.kubectl("logs", "who")) == {
        "uid": 65532,
        "gid": 65532,
        "pid": 1,
        "write": "Read-only file system",
        "CapEff": "0000000000000000",
        "CapBnd": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_a_worker_finds_redis_by_name_and_is_the_process_that_gets_the_signal(namespace, image):
    namespace.apply(redis_pod(namespace.name), redis_service(namespace.name))
    namespace.wait_ready("redis")
    namespace.apply(worker_pod(namespace.name, image.tag))
    namespace.wait_ready("worker")
    namespace.kubectl("delete", "pod", "worker", "--wait=false")
    ended = namespace.ended("worker")
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")


def test_the_operator_starts_in_the_image_with_all_that_it_imports(namespace, image):
    imports = "import fluid_operator.handlers, fluid_operator.main; fluid_operator.main.main(['--help'])"
    namespace.apply(restricted_pod("operator", namespace.name, image.tag, ["python3", "-c", imports]))
    assert namespace.ended("operator")["exitCode"] == 0
    assert "FLUID_LEASE_NAMESPACE" in namespace.kubectl("logs", "operator")


def test_a_claim_gets_a_volume_that_a_user_without_rights_can_write_to(namespace):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace.name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    pod = redis_pod(namespace.name, "--dir", "/data", "--appendonly", "yes")
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    namespace.apply(claim, pod)
    namespace.wait_ready("redis")
    assert namespace.kubectl("exec", "redis", "--", "redis-cli", "SET", "a", "1").strip() == "OK"
    assert namespace.get("pvc", "data")["status"]["phase"] == "Bound"
    assert "appendonlydir" in namespace.kubectl("exec", "redis", "--", "ls", "/data")


def test_a_pod_that_asks_for_rights_is_refused(namespace, image):
    pod = restricted_pod("greedy", namespace.name, image.tag, ["worker"])
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = namespace.node.cluster.kubectl("apply", "--filename=-", input=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted' in refused


def redis_pod(namespace: str, *options: str) -> dict:
    command = ["redis-server", "--protected-mode", "no", "--save", "", *options]
    pod = restricted_pod("redis", namespace, REDIS, command)
    pod["metadata"]["labels"] = {"app": "redis"}
    pod["spec"]["securityContext"] |= {"runAsUser": 999, "runAsGroup": 1000, "fsGroup": 1000}
    ping = {"exec": {"command": ["redis-cli", "PING"]}, "periodSeconds": 1}
    pod["spec"]["containers"][0]["readinessProbe"] = ping
    return pod


def redis_service(namespace: str) -> dict:
    spec = {"selector": {"app": "redis"}, "ports": [{"port": 6379}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis", "namespace": namespace}, "spec": spec}


def worker_pod(namespace: str, image: str) -> dict:
    pod = restricted_pod("worker", namespace, image, ["worker"])
    settings = {
        "FLUID_REDIS_URL": f"redis://redis.{namespace}.svc:6379/0",
        "FLUID_KEY_PREFIX": f"{namespace}.default",
        "FLUID_HEALTH_PORT": "8080",
    }
    container = pod["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in settings.items()]
    container["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}
    # Kept after its end, for the test to read how it ended.
    pod["metadata"]["finalizers"] = ["example.com/kept"]
    return pod
