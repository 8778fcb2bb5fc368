"""Our image as it is built: what is in it, what is not, how it starts. Read from its archive, without running it."""

import json
import tarfile
from collections.abc import Iterator

import pytest

from fluid_dev.image_build import Image, project_image
from support.nodes import CHECKOUT


@pytest.fixture(scope="module")
def config(image: Image) -> dict:
    with tarfile.open(image.archive) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        return json.load(archive.extractfile(manifest["Config"]))["config"]


@pytest.fixture(scope="module")
def files(image: Image) -> dict[str, tarfile.TarInfo]:
    """Of all layers, by path; what a later layer deletes is still listed, as it still takes room."""
    found = {}
    with tarfile.open(image.archive) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as content:
                found |= {f"/{entry.name.removeprefix('./')}": entry for entry in content}
    return found


def ours(files) -> Iterator[str]:
    return (path for path in files if path.startswith("/opt/fluid/"))


def test_it_runs_as_a_user_without_rights_and_by_number_so_that_the_kubelet_can_tell(config):
    assert config["User"] == "65532:65532"


def test_operator_and_worker_are_commands_on_path_and_the_operator_is_what_starts_unasked(config, files):
    assert config["Cmd"] == ["operator"]
    assert not config.get("Entrypoint")
    path = next(value for value in config["Env"] if value.startswith("PATH=")).removeprefix("PATH=")
    assert path.split(":")[0] == "/opt/fluid/bin"
    for name in ("operator", "worker"):
        assert files[f"/opt/fluid/bin/{name}"].linkname == f"fluid-{name}"
        assert files[f"/opt/fluid/bin/fluid-{name}"].mode & 0o111 == 0o111


def test_it_says_what_it_is_and_where_it_comes_from(config):
    labels = config["Labels"]
    names = {"title", "description", "licenses", "source", "version", "revision", "created", "base.name"}
    assert {f"org.opencontainers.image.{name}" for name in names} <= labels.keys()
    assert labels["org.opencontainers.image.revision"] != "unknown"
    assert all(labels.values())


def test_nothing_of_it_can_be_changed_by_the_user_it_runs_as(files):
    writable = [
        path
        for path in ours(files)
        if not files[path].issym() and (files[path].uid or files[path].gid or files[path].mode & 0o002)
    ]
    assert writable == []


@pytest.mark.parametrize("unwanted", ["gcc", "cc", "ld", "make", "pip", "uv", "fluid", "kubectl-fluid"])
def test_no_compiler_no_installer_and_no_command_without_its_libraries_is_in_it(files, unwanted):
    assert not {f"/opt/fluid/bin/{unwanted}"} & files.keys()


def test_our_layer_holds_no_caches_no_sources_of_extensions_and_no_tools_of_ours(files):
    found = [path for path in ours(files) if path.endswith((".pyx", ".c", ".h", ".whl"))]
    assert found == []
    assert not [path for path in files if "fluid_dev" in path or "fluid_cli" in path or "/.cache/" in path]


def test_an_image_that_was_built_is_not_built_again(image: Image):
    before = image.archive.stat().st_ino
    assert project_image(CHECKOUT) == image
    assert image.archive.stat().st_ino == before
