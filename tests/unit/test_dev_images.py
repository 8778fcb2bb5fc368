"""Images out of files: the archive is whole, the same for the same files, and what it runs has its libraries."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from fluid_dev import image_build, images
from fluid_dev.images import Root
from fluid_dev.processes import find_program

TAG = "localhost/some:tag"


def an_image(folder: Path, target: Path, text: str = "hello") -> Path:
    root = Root(folder)
    root.text(Path("/etc/greeting"), text)
    root.program(find_program("sleep", ""))
    return images.write(target, root.folder, tag=TAG, config={"Cmd": ["sleep", "1"]})


def unpacked(archive: Path, to: Path) -> dict:
    """The image's configuration; its files are below `to`."""
    with tarfile.open(archive) as content:
        (manifest,) = json.load(content.extractfile("manifest.json"))
        config = json.load(content.extractfile(manifest["Config"]))
        (layer,) = manifest["Layers"]
        digest = hashlib.sha256(content.extractfile(layer).read()).hexdigest()
        assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
        with tarfile.open(fileobj=content.extractfile(layer)) as files:
            files.extractall(to, filter="fully_trusted")  # noqa: S202 - our own archive
    return config | {"tags": manifest["RepoTags"]}


def test_the_same_files_give_the_same_bytes_whenever_and_by_whomever_they_were_made(tmp_path):
    one = an_image(tmp_path / "a", tmp_path / "a.tar")
    other = an_image(tmp_path / "b", tmp_path / "b.tar")
    changed = an_image(tmp_path / "c", tmp_path / "c.tar", "goodbye")
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes() != changed.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.tar*")) == ["a.tar", "b.tar", "c.tar"]


def test_an_archive_says_its_name_its_command_and_the_digest_of_its_layer(tmp_path):
    config = unpacked(an_image(tmp_path / "a", tmp_path / "a.tar"), tmp_path / "out")
    assert config["tags"] == [TAG]
    assert config["config"]["Cmd"] == ["sleep", "1"]
    assert (tmp_path / "out" / "etc" / "greeting").read_text() == "hello"


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "Dockerfile").write_text("ARG BASE=python:3\nFROM ${BASE}\n")
    (tmp_path / ".dockerignore").write_text("# all but\n*\n!pyproject.toml\n!queue\n**/*.pyc\n")
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "a.py").write_text("a = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "rebuilds"),
    [("queue/a.py", True), ("queue/new.lua", True), ("Dockerfile", True), ("queue/a.pyc", False), ("notes.md", False)],
)
def test_an_image_is_named_after_what_goes_into_it_and_nothing_else(checkout, path, rebuilds):
    before = image_build._digest(checkout, image_build._inputs(checkout))
    (checkout / path).write_text("other\n!x\n")
    after = image_build._digest(checkout, image_build._inputs(checkout))
    assert (before != after) is rebuilds


def test_the_base_is_the_one_that_the_dockerfile_names(checkout):
    assert image_build._default_base(checkout) == "python:3"


def test_the_dockerfile_s_base_has_the_python_that_the_project_is_tested_with():
    assert image_build._default_base(Path(__file__).parents[2]).startswith("python:3.11")


def test_the_build_is_told_of_pip_s_index_and_of_nothing_else(monkeypatch):
    monkeypatch.setenv("PIP_CERT", "/etc/some.crt")
    monkeypatch.setenv("PIP_CACHE_DIR", "/home/somebody")
    told = image_build._pip_settings()
    assert "cert = /etc/some.crt" in told
    assert "somebody" not in told
