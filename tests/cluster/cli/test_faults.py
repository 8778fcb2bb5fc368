"""What the command says when the cluster is not as it should be: one line, no traceback; an outage is waited out."""

import json
from pathlib import Path

from fluid_dev.cluster import Cluster
from support.fluid_command import Fluid
from support.stages import Stage, work
from support.waiting import until


def test_wrong_credentials_are_one_line(bare: Stage, tmp_path: Path):
    config = json.loads(bare.cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "not-a-token"}
    wrong = tmp_path / "config"
    wrong.write_text(json.dumps(config))
    said = Fluid(wrong, bare.namespace)("get")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "error: the API server does not accept your credentials: log in again, or choose another --context\n"
    )


def test_a_server_that_is_not_there_is_one_line(bare: Stage, tmp_path: Path):
    config = json.loads(bare.cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    nowhere = tmp_path / "config"
    nowhere.write_text(json.dumps(config))
    said = Fluid(nowhere, bare.namespace)("run", "work")
    assert said.code == 1
    assert said.err.startswith("error: the API server does not answer (")
    assert said.err.count("\n") == 1


def test_missing_kinds_say_how_to_install_them(own_cluster: Cluster):
    fluid = Fluid(own_cluster.kubeconfig, "")
    own_cluster.kubectl("delete", "crd", "--all")
    for command in (("get",), ("run", "work"), ("pause", "work")):
        said = fluid(*command)
        assert (said.code, said.out) == (1, "")
        assert said.err == "error: the FluidJob CRD is not installed: kubectl apply -f crds/\n"
    assert "api: not installed" in fluid.done("version").out


def test_a_watch_outlives_an_outage_of_the_api_server(own_cluster: Cluster):
    fluid = Fluid(own_cluster.kubeconfig, "default")
    own_cluster.kubectl("apply", "-f", "-", input=work("before").json())
    with fluid.going_on("get", "--watch", "-o", "name") as going:
        until(lambda: "/before" in going.out, 60, "the list is shown")
        own_cluster.kill_apiserver()
        until(lambda: "does not answer" in going.err, 60, "the outage is told")
        own_cluster.restart_apiserver()
        own_cluster.kubectl("apply", "-f", "-", input=work("after").json())
        until(lambda: "/after" in going.out, 60, "what came after the outage is shown")
        assert going.process.poll() is None
