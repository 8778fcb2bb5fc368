"""The webhook as the API server sees it: the shipped configuration, aimed at a port of this machine."""

import asyncio
import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from cluster.builders import Builder
from support.operators import Operator
from support.stages import Stage
from support.waiting import until

MANIFESTS = Path(__file__).parents[2] / "manifests" / "webhook"

MAIL = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "copies": {"type": "integer", "minimum": 1}},
    "required": ["to"],
    "additionalProperties": False,
}
"""What the type `mail` takes."""


class Served(NamedTuple):
    """A stage and its operator, which serves the webhook on `port` with a certificate of its own."""

    stage: Stage
    operator: Operator
    port: int

    def authorities(self) -> bytes:
        """What the certificate is trusted by, PEM."""
        return secret_of(self.stage)["ca.crt"]


def secret_of(stage: Stage) -> dict[str, bytes]:
    """Wait for the certificate's Secret, and answer its values."""
    name = "webhook-certificate"

    def look() -> str:
        return stage.kubectl("get", "secret", name, "--ignore-not-found", "-o", "jsonpath={.data}")

    data = json.loads(until(look, 30, "the Secret is there"))
    return {key: base64.b64decode(value) for key, value in data.items()}


def publish(stage: Stage, **schemas: Any) -> None:
    """Have a worker tell what it can run: JSON Schemas by type. What an earlier one has told is replaced."""

    async def tell() -> None:
        async with stage.queue() as queue:
            types = {name: {"schema": schema, "settings": {}} for name, schema in schemas.items()}
            await queue.register("a-worker", {}, types, "local")

    asyncio.run(tell())


def own_webhook(stage: Stage, port: int, **settings: str) -> Operator:
    """A replica that keeps its certificate by itself, for the hook of its namespace."""
    own = {"FLUID_WEBHOOK_SERVICE": f"webhook.{stage.namespace}", "FLUID_WEBHOOK_CONFIGURATION": stage.namespace}
    return stage.operator(**webhook_at(port), **own, **settings)


def webhook_at(port: int) -> dict[str, str]:
    """Settings of a replica that serves a webhook on this port."""
    return {"FLUID_WEBHOOK_HOST": "127.0.0.1", "FLUID_WEBHOOK_PORT": str(port)}


class Hook:
    """A ValidatingWebhookConfiguration for one namespace, named like it. Its rules and conditions are those that are
    shipped; only the address is a URL, because the API server of the tests runs outside of any cluster network."""

    def __init__(self, stage: Stage, port: int) -> None:
        self._cluster, self.name = stage.cluster, stage.namespace
        self.manifest: dict[str, Any] = yaml.safe_load((MANIFESTS / "common" / "configuration.yaml").read_text())
        self.manifest["metadata"]["name"] = self.name
        (self._webhook,) = self.manifest["webhooks"]
        self._webhook["clientConfig"] = {"url": _url(port)}
        self._webhook["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": self.name}}

    def apply(self, authorities: bytes = b"") -> Self:
        """Create it; without authorities, somebody else has to write them."""
        if authorities:
            self._webhook["clientConfig"]["caBundle"] = base64.b64encode(authorities).decode()
        self._cluster.kubectl("create", "-f", "-", input=json.dumps(self.manifest))
        return self

    def aim(self, port: int) -> None:
        """Have another replica asked."""
        change = [{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": _url(port)}]
        self._cluster.kubectl(
            "patch", "validatingwebhookconfiguration", self.name, "--type=json", "-p", json.dumps(change)
        )

    def delete(self) -> None:
        """Ask nobody any more."""
        self._cluster.kubectl("delete", "validatingwebhookconfiguration", self.name, "--ignore-not-found")

    def authorities(self) -> bytes:
        """Its caBundle, PEM; empty when there is none."""
        found = json.loads(self._cluster.kubectl("get", "validatingwebhookconfiguration", self.name, "-o", "json"))
        return base64.b64decode(found["webhooks"][0]["clientConfig"].get("caBundle", ""))

    def trusted(self) -> bytes:
        """Wait until somebody has written the caBundle."""
        return until(self.authorities, 60, "the caBundle is written")


def _url(port: int) -> str:
    return f"https://127.0.0.1:{port}/validate"


@contextmanager
def hooked(stage: Stage, port: int, authorities: bytes = b"") -> Iterator[Hook]:
    """The API server asks this port about the FluidJobs of the stage inside the block."""
    hook = Hook(stage, port).apply(authorities)
    try:
        yield hook
    finally:
        hook.delete()


def try_create(stage: Stage, job: Builder, *verb: str) -> str:
    """Everything that kubectl prints about a create, or about another verb."""
    return stage.kubectl(*(verb or ("create",)), "-f", "-", input=job.json(), check=False)


def refused(stage: Stage, job: Builder, *verb: str) -> str:
    """Create until that is refused, because the API server learns of a webhook some moments later; the text of the
    refusal."""

    def look() -> str:
        said = try_create(stage, job, *verb)
        if "created" in said:
            stage.kubectl("delete", "-f", "-", input=job.json())
        return said.partition(" is invalid: ")[2].strip()

    return until(look, 15, "the create is refused", pause=0.2)


def created(stage: Stage, job: Builder) -> str:
    """Create until that is not refused any more; what kubectl prints."""

    def look() -> str:
        said = try_create(stage, job)
        return said if "created" in said else ""

    return until(look, 15, "the job is created", pause=0.2)


def served_certificate(port: int) -> str:
    """The certificate that a port shows, PEM; empty while it shows none."""
    try:
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    except OSError:
        return ""
