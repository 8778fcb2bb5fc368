"""Building into the shared cache: a stand-in for the Go command shows what happens beside and after other builds."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fluid_dev import binaries, building
from fluid_dev.errors import BuildFailed, DiskFull, MissingTool
from fluid_dev.tools import FAKE_NODE_TOOLS, TOOLS
from support.waiting import until

ETCD, API_SERVER, *_ = TOOLS

# Answers `go env`; a build writes half a program, waits for the file `go-on` and writes the other half.
_GO = """#!/bin/sh
here=$(dirname "$0")
case "$1 $2" in
  "env GOVERSION") echo go1.99.0 ;;
  env*) echo "$here/$2" ;;
  build*)
    if [ -e "$here/complaint" ]; then cat "$here/complaint" >&2; exit 1; fi
    while [ "$1" != -o ]; do shift; done
    echo $$ >> "$here/builds"
    printf half > "$2"
    while [ ! -e "$here/go-on" ]; do sleep 0.02; done
    printf whole > "$2"; chmod +x "$2" ;;
esac
"""
_BUILD = """
import sys
from fluid_dev import building
from fluid_dev.errors import DevError
from fluid_dev.tools import TOOLS
try:
    print(building.build(TOOLS[0], building.cache_folder()))
except DevError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def go(tmp_path, monkeypatch):
    """The folder of the stand-in, which is the only Go on PATH, with an empty cache of built programs."""
    folder = tmp_path / "go"
    folder.mkdir()
    (folder / "go").write_text(_GO)
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FLUID_BIN_DIR", raising=False)
    return folder


@pytest.fixture
def start_build(go):
    """Starts a build in a process of its own; all are gone after the test."""
    started = []

    def start() -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen([sys.executable, "-c", _BUILD], text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def builds(go: Path) -> list[str]:
    log = go / "builds"
    return log.read_text().split() if log.exists() else []


def test_a_second_build_waits_says_so_and_builds_nothing(go, start_build):
    first = start_build()
    until(lambda: builds(go), what="the first build has started")
    second = start_build()
    assert f"waiting for another build to finish (process {first.pid})" in second.stderr.readline()
    (go / "go-on").touch()
    paths = {process.communicate(timeout=30)[0].strip() for process in (first, second)}
    assert len(paths) == 1
    assert Path(paths.pop()).read_text() == "whole"
    assert len(builds(go)) == 1


def test_a_killed_build_leaves_no_half_program_and_the_next_one_heals(go, start_build):
    killed = start_build()
    until(lambda: builds(go), what="the build has started")
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert building.cached(ETCD, building.cache_folder()) is None
    (go / "go-on").touch()
    output, complaint = start_build().communicate(timeout=30)
    path = Path(output.strip())
    assert path.read_text() == "whole", complaint
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_compiler_ends_with_the_build_that_started_it(go, start_build):
    build = start_build()
    until(lambda: builds(go), what="the build has started")
    (compiler,) = builds(go)
    build.send_signal(signal.SIGKILL)
    build.wait(10)
    until(lambda: not Path(f"/proc/{compiler}").exists(), 10, "the compiler ends")


def test_a_finished_program_is_found_without_building_and_even_without_go(go, start_build, monkeypatch):
    (go / "go-on").touch()
    built = Path(start_build().communicate(timeout=30)[0].strip())
    assert building.cached(ETCD, building.cache_folder()) == built
    monkeypatch.setattr(building, "_find_go", no_go)
    assert building.cached(ETCD, building.cache_folder()) == built


def no_go() -> Path:
    raise MissingTool("Go", "install Go")


def test_without_go_one_line_says_what_to_install(tmp_path, monkeypatch):
    for program in ("setpriv", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program))
    monkeypatch.setattr(building, "_USUAL_GO", tmp_path / "nowhere")
    monkeypatch.setattr("fluid_dev.processes._SYSTEM_FOLDERS", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=r"install Go 1.26 or newer") as caught:
        building.build(ETCD, tmp_path / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("complaint", "want"),
    [
        ("write /x: no space left on device", "free about 10 GiB"),
        ("go: go.mod requires go >= 1.26.0 (running go 1.22)", "this Go is too old"),
        ("dial tcp: lookup failed", "check the network and GOPROXY"),
        ("some.go:1:1: strange", "some.go:1:1: strange"),
    ],
)
def test_a_failed_build_says_in_one_line_what_to_do(go, complaint, want):
    (go / "complaint").write_text(complaint)
    with pytest.raises(BuildFailed, match=want) as caught:
        building.build(ETCD, building.cache_folder())
    assert "\n" not in str(caught.value)
    assert caught.value.log.read_text() == complaint


def test_a_disk_that_is_too_small_is_refused_before_the_build(go, monkeypatch):
    monkeypatch.setattr(building, "_COLD_BUILD_BYTES", 2**60)
    with pytest.raises(DiskFull) as caught:
        building.build(ETCD, building.cache_folder())
    assert caught.value.needed == 2**60
    assert builds(go) == []


def test_the_named_folder_comes_before_everything(tmp_path, monkeypatch):
    for tool in TOOLS:
        (tmp_path / tool.name).write_text("")
        (tmp_path / tool.name).chmod(0o755)
    monkeypatch.setenv("FLUID_BIN_DIR", str(tmp_path))
    assert binaries.provide(may_build=False).kubectl == tmp_path / "kubectl"


@pytest.mark.parametrize(("answer", "want"), [("Kubernetes v1.35.9", True), ("Kubernetes v1.29.1", False)])
def test_a_program_on_path_counts_only_with_the_pinned_minor_version(go, answer, want):
    program = go / API_SERVER.name
    program.write_text(f"#!/bin/sh\necho {answer}\n")
    program.chmod(0o755)
    assert binaries.find(API_SERVER) == (program if want else None)


def test_nothing_is_built_where_that_was_not_asked_for(go):
    with pytest.raises(MissingTool, match="make binaries"):
        binaries.provide(may_build=False)
    assert builds(go) == []


def test_a_cluster_without_fake_nodes_needs_none_of_their_programs(tmp_path, monkeypatch):
    for tool in TOOLS:
        (tmp_path / tool.name).write_text("")
        (tmp_path / tool.name).chmod(0o755)
    monkeypatch.setenv("FLUID_BIN_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert binaries.provide(may_build=False)
    with pytest.raises(MissingTool, match="kube-scheduler"):
        binaries.provide_fake_nodes(may_build=False)


def test_versions_come_from_the_pinned_modules():
    every = (*TOOLS, *FAKE_NODE_TOOLS)
    assert {tool.version for tool in every if tool.module == "k8s.io/kubernetes"} == {"v1.35.4"}
    assert {tool.name: tool.version for tool in FAKE_NODE_TOOLS}["kwok"] == "v0.8.0"
    assert all((tool.folder / "go.sum").exists() for tool in every)
    assert "gitMinor=35" in API_SERVER.linker_flags
