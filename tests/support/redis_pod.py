"""What happens inside the pod of a managed Redis, on this machine: its rendered configuration, users and scripts, in
folders that stand for the volumes. The kubelet's part, renewing the files of a Secret and running probes, is played by
the test.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from fluid_dev.ports import free_port
from fluid_dev.processes import Process, find_program
from fluid_dev.redis import find_redis
from fluid_operator.environments.passwords import ACL_FILE, Credentials, leases_key
from fluid_operator.environments.rendering.manifests import render
from support.environments import blueprint, child, container, decoded
from support.folders import fresh_folder
from support.waiting import until

USERS = "/etc/fluid-redis-users"
SPEC = {"image": "x:1", "redis": {"managed": {}}}

CLI = """#!{python}
import os, sys
with open({log!r}, "a") as log:
    print(*sys.argv[1:], file=log)
os.execv({cli!r}, ["redis-cli", *sys.argv[1:]])
"""
"""redis-cli as the pod has it, with a note of its arguments: that is what other processes of a node can see."""


class RedisPod:
    """One server of a fresh data volume. `server`: another program than this machine's redis-server."""

    def __init__(self, key_prefix: str, credentials: Credentials, server: Path | None = None) -> None:
        folder = fresh_folder("redis-pod")
        self.key_prefix = key_prefix
        self.port = free_port()
        self.config, self.users, self.state, self.data, self.bin = (
            folder / name for name in ("config", "users", "state", "data", "bin")
        )
        for each in (self.config, self.users, self.state, self.data, self.bin):
            each.mkdir()
        self.arguments = folder / "arguments"
        cli = str(find_program("redis-cli", "install redis-tools"))
        program = self.bin / "redis-cli"
        program.write_text(CLI.format(python=sys.executable, log=str(self.arguments), cli=cli))
        program.chmod(0o755)
        self.mount(credentials)
        self.process = self._process(server)

    def mount(self, credentials: Credentials) -> None:
        """Renew the volumes, as the kubelet does when their objects have changed."""
        spec = {**SPEC, "redis": {"managed": {}, "keyPrefix": self.key_prefix}}
        manifests = render(blueprint(spec, credentials=credentials))
        for name, text in child(manifests, "ConfigMap")["data"].items():
            (self.config / name).write_text(self._here(text))
        secret = decoded(child(manifests, "Secret"))
        redis = child(manifests, "StatefulSet")["spec"]["template"]["spec"]
        (volume,) = [each["secret"] for each in redis["volumes"] if "secret" in each]
        for item in volume["items"]:
            (self.users / item["path"]).write_text(secret[item["key"]])
        assert self._here(USERS) == str(self.users)
        self.worker_url, self.operator_url = (
            secret[f"{user}-url"].replace("default-redis.team-a.svc:6379", f"127.0.0.1:{self.port}")
            for user in ("worker", "operator")
        )
        self.given = {each["name"]: each["value"] for each in container(child(manifests, "StatefulSet"))["env"]}

    def start(self) -> None:
        self.process.start()
        # It may come up between the two questions of one probe: then the next one has the users read.
        until(lambda: self.run("ready") == 0 and (self.state / "loaded").exists(), 15, "the pod is ready")

    def replace(self, server: Path | None, **drain: str) -> None:
        """What a StatefulSet does with a pod of another image: preStop, SIGTERM, and a new pod on the same volume,
        which has loaded no users yet."""
        assert self.run("drain", **drain) == 0
        self.process.stop()
        for each in self.state.iterdir():
            each.unlink()
        self.process = self._process(server)
        self.start()

    def stop(self) -> None:
        self.process.stop()

    def remove(self) -> None:
        self.process.stop(within=0)
        shutil.rmtree(self.data, ignore_errors=True)

    def run(self, script: str, **changed: str) -> int:
        """The exit code of a script of the pod. On PATH is redis-cli and nothing else."""
        env = {
            **self.given,
            "FLUID_USERS": str(self.users),
            "FLUID_STATE": str(self.state),
            "FLUID_PORT": str(self.port),
            "FLUID_LEASES_KEY": leases_key(self.key_prefix),
            "PATH": str(self.bin),
            **changed,
        }
        done = subprocess.run(
            ["/bin/sh", self.config / f"{script}.sh"],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "not found" not in done.stderr, done.stderr
        return done.returncode

    def seen(self) -> str:
        """All arguments that redis-cli was ever given."""
        return self.arguments.read_text() if self.arguments.exists() else ""

    def users_on_disk(self) -> str:
        return (self.users / ACL_FILE).read_text()

    def _process(self, server: Path | None) -> Process:
        return Process(
            "redis", self.config.parent, [server or find_redis(), self.config / "redis.conf"], die_with_parent=True
        )

    def _here(self, text: str) -> str:
        """The pod's paths and port as they are on this machine; memory and durability stay."""
        return (
            text.replace(USERS, str(self.users))
            .replace("dir /data", f"dir {self.data}")
            .replace("port 6379", f"port {self.port}")
            .replace("bind * -::*", "bind 127.0.0.1")
        )
