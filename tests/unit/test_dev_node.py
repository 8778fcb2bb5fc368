"""What a node is told and what it takes from the machine, as far as that shows without one."""

import json
import os
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from fluid_dev import binaries, building, node_config, node_host
from fluid_dev.errors import NodeError
from fluid_dev.node_config import Folders
from fluid_dev.tools import NODE_TOOLS

FOLDERS = Folders(Path("/data with space"), Path("/run/x"))


def test_containerd_is_told_by_valid_toml_whatever_the_folder_is_called():
    text = node_config.containerd(FOLDERS, shim=Path('/a "quoted" shim'), runc=Path("/runc"), plugins=[Path("/p")])
    read = tomllib.loads(text)
    runtime = read["plugins"]["io.containerd.cri.v1.runtime"]
    assert read["grpc"]["address"] == "/run/x/containerd/containerd.sock"
    assert runtime["containerd"]["runtimes"]["runc"]["runtime_path"] == '/a "quoted" shim'
    assert runtime["cni"]["conf_dir"] == "/data with space/cni"
    assert read["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == node_config.PAUSE


def test_every_address_that_something_listens_on_is_the_bridge_and_pods_get_others():
    network = json.loads(node_config.network(FOLDERS))["plugins"][0]
    (pool,) = network["ipam"]["ranges"][0]
    bridge = ip_address(node_config.ADDRESS)
    assert bridge in ip_network(node_config.NETWORK)
    assert ip_address(pool["rangeStart"]) > bridge
    proxy = json.loads(node_config.kube_proxy(Path("/k")))
    kubelet = json.loads(node_config.kubelet(FOLDERS, ca=Path("/ca"), nameservers=Path("/n")))
    listening = [proxy["bindAddress"], kubelet["address"], kubelet["clusterDNS"][0]]
    listening += [proxy[name].rpartition(":")[0] for name in ("healthzBindAddress", "metricsBindAddress")]
    assert set(listening) == {node_config.ADDRESS}


def test_whoever_is_not_root_is_told_so_before_anything_is_changed(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(node_host, "_LOCK", Path("/nowhere/lock"))
    with pytest.raises(NodeError, match=r"needs root.*or without NODE=1"), node_host.only_node_command():
        pytest.fail("it was let in")


def test_mounts_are_listed_from_the_innermost_outwards_and_only_those_asked_for():
    found = node_host.mounts_below(Path("/proc"), Path("/dev"))
    assert Path("/proc") in found
    assert all(path.is_relative_to("/proc") or path.is_relative_to("/dev") for path in found)
    assert [len(path.parts) for path in found] == sorted((len(path.parts) for path in found), reverse=True)


def test_a_network_that_somebody_else_uses_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(
        node_host, "_ip", lambda *_: [{"dst": "default", "dev": "a"}, {"dst": "10.244.0.0/16", "dev": "cni0"}]
    )
    with pytest.raises(NodeError, match=r"10\.244\.0\.0/24.*used by cni0"):
        node_host._refuse_foreign_network()


def test_a_default_route_is_no_such_network(monkeypatch):
    monkeypatch.setattr(
        node_host, "_ip", lambda *_: [{"dst": "0.0.0.0/0", "dev": "eth0"}, {"dst": "::/0", "dev": "eth0"}]
    )
    node_host._refuse_foreign_network()


def test_each_program_of_a_node_is_pinned_with_the_sums_of_its_sources():
    for tool in NODE_TOOLS:
        assert f"{tool.module} {tool.version} h1:" in (tool.folder / "go.sum").read_text(), tool.name


def test_a_program_on_path_that_only_shares_a_plugin_s_name_is_not_taken_for_it(tmp_path, monkeypatch):
    (plugin,) = (tool for tool in NODE_TOOLS if tool.name == "bridge")
    program = tmp_path / plugin.name
    program.write_text(f"#!/bin/sh\necho {plugin.version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FLUID_BIN_DIR", raising=False)
    assert binaries.find(plugin) is None


def test_only_runc_is_built_with_a_c_compiler_and_with_seccomp():
    with_c = {
        tool.name: building._flags(tool) for tool in NODE_TOOLS if building._environment(tool)["CGO_ENABLED"] == "1"
    }
    assert with_c == {"runc": ["-trimpath", "-tags=seccomp"]}
