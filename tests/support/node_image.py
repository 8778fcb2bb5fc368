"""Our image with the probe in it, as a user's image with processors of his own would be: one more layer."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import IO

from fluid_dev.image_build import Image

_MODULE = "node_probe"
_PROBE = Path(__file__).with_name(f"{_MODULE}.py")
_METADATA = f"{_MODULE}-1.0.dist-info"


def with_probe(image: Image, target: Path) -> Image:
    """Write the archive of an image that has all of this one, and the probe; its tag says which one it is made of."""
    layer = _layer(_packages(image.archive))
    digest = hashlib.sha256(layer).hexdigest()
    tag = f"{image.tag}-probe"
    with tarfile.open(image.archive) as source, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as copy:
        (manifest,) = json.load(_file(source, "manifest.json"))
        for name in manifest["Layers"]:
            _copy(copy, name, _file(source, name))  # may be a link in the one, and is a file in the other
        config = json.load(_file(source, manifest["Config"]))
        config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
        config.setdefault("history", []).append({"created_by": "the probe of the tests"})
        described = json.dumps(config).encode()
        name = f"{hashlib.sha256(described).hexdigest()}.json"
        layers = [*manifest["Layers"], f"{digest}/layer.tar"]
        _add(copy, name, described)
        _add(copy, layers[-1], layer)
        _add(copy, "manifest.json", json.dumps([{"Config": name, "RepoTags": [tag], "Layers": layers}]).encode())
    return Image(tag, target)


def _packages(archive: Path) -> str:
    """The folder of the image in which its Python looks for packages."""
    with tarfile.open(archive) as source:
        (manifest,) = json.load(_file(source, "manifest.json"))
        for layer in reversed(manifest["Layers"]):
            with tarfile.open(fileobj=_file(source, layer)) as files:
                for entry in files:
                    if entry.isdir() and entry.name.endswith("/site-packages") and "opt/fluid/" in entry.name:
                        return entry.name
    raise AssertionError("no folder for packages in the image")


def _layer(packages: str) -> bytes:
    """The probe as an installed distribution."""
    files = {
        f"{_MODULE}.py": _PROBE.read_text(),
        f"{_METADATA}/METADATA": f"Metadata-Version: 2.1\nName: {_MODULE}\nVersion: 1.0\n",
        f"{_METADATA}/entry_points.txt": f"[fluid.processors]\nprobe = {_MODULE}\n",
    }
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.GNU_FORMAT) as layer:
        for name, text in files.items():
            _add(layer, f"{packages}/{name}", text.encode())
    return written.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    _copy(archive, name, io.BytesIO(content))


def _copy(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    archive.addfile(entry, content)


def _file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found, f"{name} is no file of the image"
    return found
