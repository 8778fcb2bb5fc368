"""Where the webhook's certificate comes from, and what becomes of it: made, shared, renewed, repaired, replaced."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster.builders import FluidJobBuilder, fluid_job
from fluid_dev.cluster import Cluster
from fluid_dev.ports import free_port
from fluid_operator.admission.certificates import LIFETIME, RENEW_BEFORE, Certificate, issue
from fluid_operator.admission.errors import BadCertificate, ForeignSecret
from fluid_operator.admission.keeping import Folder, OwnSecret
from fluid_operator.admission.settings import OwnNames
from fluid_operator.admission.tls import Served
from fluid_operator.kube.client import Kube, connect
from support.folders import fresh_folder
from support.operators import Operator
from support.stages import Stage
from support.waiting import until
from support.webhooks import Hook, hooked, own_webhook, refused, secret_of, served_certificate, webhook_at

AUTHORITY = b"-----BEGIN CERTIFICATE-----"
TODAY = datetime.now(UTC)


def wrong(name: str) -> FluidJobBuilder:
    return fluid_job(name).type("mail").payload(to=7)


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    async with connect(cluster.kubeconfig) as kube:
        yield kube


class Replica:
    """The part of a replica that keeps the certificate, at a time of the test's choice."""

    def __init__(self, kube: Kube, stage: Stage, now: datetime = TODAY) -> None:
        self.served = Served()
        self.now = now
        names = OwnNames("webhook", stage.namespace, configuration=stage.namespace)
        self._keeper = OwnSecret(kube, names, self.served, now=lambda: self.now)

    async def look(self) -> Certificate:
        """Look once; what is served after that."""
        await self._keeper.look()
        assert self.served.certificate is not None
        return self.served.certificate


async def test_replicas_that_start_together_share_one_certificate(kube: Kube, stage: Stage) -> None:
    replicas = [Replica(kube, stage) for _ in range(5)]
    certificates = await asyncio.gather(*(each.look() for each in replicas))
    assert len({each.chain for each in certificates}) == 1
    assert secret_of(stage)["tls.crt"] == certificates[0].chain


async def test_a_renewal_is_made_by_one_replica_and_taken_by_all_while_both_authorities_are_trusted(
    kube: Kube, stage: Stage
) -> None:
    with hooked(stage, free_port()) as hook:
        one, other = Replica(kube, stage), Replica(kube, stage)
        old = await one.look()
        assert await other.look() == old
        one.now = other.now = TODAY + LIFETIME - RENEW_BEFORE - timedelta(hours=1)
        assert await one.look() == old
        one.now = other.now = TODAY + LIFETIME - RENEW_BEFORE + timedelta(hours=1)
        new = await one.look()
        assert new.chain != old.chain
        assert other.served.certificate == old
        assert hook.authorities() == new.authorities
        assert old.authorities in new.authorities
        assert await other.look() == new
        one.now = one.now + LIFETIME
        assert (await one.look()).authorities.count(AUTHORITY) == 1


@pytest.mark.parametrize("damage", [{"tls.key": None}, {"tls.crt": "bm90IFBFTQ=="}, {"tls.key": "bm90IFBFTQ=="}])
async def test_a_damaged_secret_is_filled_anew(kube: Kube, stage: Stage, damage: dict[str, str | None]) -> None:
    old = await Replica(kube, stage).look()
    patch = json.dumps({"data": damage})
    stage.kubectl("patch", "secret", "webhook-certificate", "--type=merge", "-p", patch)
    new = await Replica(kube, stage).look()
    assert new.chain != old.chain
    assert secret_of(stage)["tls.key"] == new.key


async def test_a_secret_that_the_manifests_left_empty_is_filled(kube: Kube, stage: Stage) -> None:
    stage.kubectl("create", "secret", "generic", "webhook-certificate")
    stage.kubectl("label", "secret", "webhook-certificate", "app.kubernetes.io/managed-by=fluid-operator")
    assert (await Replica(kube, stage).look()).chain == secret_of(stage)["tls.crt"]


async def test_a_secret_of_somebody_else_is_left_alone(kube: Kube, stage: Stage) -> None:
    stage.kubectl("create", "secret", "generic", "webhook-certificate", "--from-literal=theirs=1")
    with pytest.raises(ForeignSecret, match=r"give it the label app.kubernetes.io/managed-by=fluid-operator"):
        await Replica(kube, stage).look()
    assert secret_of(stage) == {"theirs": b"1"}


async def test_a_bundle_that_somebody_took_away_is_written_again_and_nothing_else_is(kube: Kube, stage: Stage) -> None:
    with hooked(stage, free_port()) as hook:
        replica = Replica(kube, stage)
        await replica.look()
        before = configuration(stage, hook)
        assert hook.authorities() == secret_of(stage)["ca.crt"]
        change = '[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]'
        stage.kubectl("patch", "validatingwebhookconfiguration", hook.name, "--type=json", "-p", change)
        await replica.look()
        assert configuration(stage, hook) == before


def configuration(stage: Stage, hook: Hook) -> object:
    return json.loads(stage.kubectl("get", "validatingwebhookconfiguration", hook.name, "-o", "json"))["webhooks"]


# -- as a process -----------------------------------------------------------------------------------------------------


def write(folder: Path, certificate: Certificate) -> None:
    """As the kubelet does, so that no reader sees half of it: a folder beside, and one link that is moved."""
    version = fresh_folder("version")
    (version / "tls.crt").write_bytes(certificate.chain)
    (version / "tls.key").write_bytes(certificate.key)
    link = folder.with_name(f"{folder.name}.new")
    link.symlink_to(version)
    link.replace(folder)


def with_folder(stage: Stage, port: int, folder: Path) -> Operator:
    return stage.operator(**webhook_at(port), FLUID_WEBHOOK_CERT_DIR=str(folder))


def test_files_that_come_later_and_change_are_served_without_a_restart(stage: Stage) -> None:
    port, folder = free_port(), fresh_folder("mounts") / "certificate"
    operator = with_folder(stage, port, folder).leading()
    assert served_certificate(port) == ""
    assert "tls.crt" in operator.said("The webhook's certificate is not in order.")[0]["error"]
    first, second = issue(["localhost"], TODAY), issue(["localhost"], TODAY)
    write(folder, first)
    until(lambda: served_certificate(port).encode() == first.chain, 30, "the first certificate is served")
    with hooked(stage, port, first.authorities + second.authorities):
        refused(stage, wrong("a"))
        write(folder, second)
        until(lambda: served_certificate(port).encode() == second.chain, 30, "the second certificate is served")
        refused(stage, wrong("a"))
    ends = operator.metric("fluid_operator_admission_certificate_expiry_timestamp_seconds")
    assert ends == second.ends().timestamp()


async def test_a_key_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    served, keeper = Served(), None
    first, second = issue(["localhost"], TODAY), issue(["localhost"], TODAY)
    keeper = Folder(tmp_path, served)
    for certificate, key in ((first.chain, first.key), (second.chain, first.key), (second.chain, b"")):
        (tmp_path / "tls.crt").write_bytes(certificate)
        (tmp_path / "tls.key").write_bytes(key)
        if (certificate, key) == (first.chain, first.key):
            await keeper.look()
            continue
        with pytest.raises(BadCertificate, match="certificate and key cannot be used"):
            await keeper.look()
    assert served.certificate is not None
    assert served.certificate.chain == first.chain


def test_an_operator_that_may_not_keep_a_certificate_leads_all_the_same(stage: Stage) -> None:
    user = "somebody"
    allow(stage, user)
    operator = own_webhook(stage, free_port(), KUBECONFIG=str(stage.cluster.client_kubeconfig(user))).leading()
    told = until(lambda: operator.said("The webhook's certificate is not in order."), 30, "the log tells")
    assert "forbidden" in told[0]["error"]


def allow(stage: Stage, user: str) -> None:
    """Leading and looking, and no Secret."""
    rules = [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
        {"apiGroups": ["jobs.fluidcalendar.com"], "resources": ["*"], "verbs": ["*"]},
    ]
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": user}, "rules": rules}
    stage.kubectl("create", "-f", "-", input=json.dumps(role))
    stage.kubectl("create", "rolebinding", user, f"--role={user}", f"--user={user}")
