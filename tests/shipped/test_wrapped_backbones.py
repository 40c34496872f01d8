"""The plug-ins of docs/wrapping.md, as they stand there: weights, training, kills, reloads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import zoo as package
from tests.commands.test_compare import kill_in_stage, options
from tests.conftest import Install, Zoo
from tests.parts import Linear, subset
from tests.wrapping import BLOCKS, RECIPES, TEXT
from zoo.interfaces import Backbone
from zoo.plugins import discovery
from zoo.run import plan
from zoo.training import batchnorm
from zoo.training import model as networks

TOP = Path(__file__).parents[2]


def write_weights(site: Path) -> None:
    """What two of the plug-ins bring with them: the weights of a network, and a whole one."""
    keras.utils.set_random_seed(7)
    network = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    network.save_weights(site / "mobilenet.weights.h5")
    inputs = x = keras.Input((48, 48, 3))
    for layer in (
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(8, 3, strides=2, name="block1_conv"),
        keras.layers.BatchNormalization(name="block1_bn"),
        keras.layers.ReLU(name="features"),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ):
        x = layer(x)
    network = keras.Model(inputs, x)
    batchnorm.fit(network, subset(24, size=48), 0)
    network.save(site / "network.keras")


@pytest.fixture
def backbone(request: pytest.FixtureRequest, install: Install, tmp_path: Path) -> type[Backbone]:
    """The class of the recipe that a test names."""
    name = request.param
    point = install(RECIPES[name], f"zoo-{name}", name, f"zoo_{name.replace('-', '_')}")
    write_weights(tmp_path / "site")
    found: type[Backbone] = discovery.discover([point]).get("backbone", name).value
    return found


def test_each_is_short() -> None:
    assert sorted(RECIPES) == ["hub-resnet", "own-mobilenet", "own-network", "torchnet"]
    for name, code in RECIPES.items():
        own = code.partition("def stage(")[0] + code.partition("@functools")[2] if name == "torchnet" else code
        assert len([line for line in own.splitlines() if line.strip()]) < 50, name
    assert "](#" in TEXT


def test_a_conftest_for_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = set(BLOCKS) - set(RECIPES.values())
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    exec(code, {})
    assert os.environ["KERAS_BACKEND"] == "torch"


@pytest.mark.parametrize(
    ("backbone", "file"),
    [("own-mobilenet", "mobilenet.weights.h5"), ("own-network", "network.keras")],
    indirect=["backbone"],
    ids=["weights file", "model file"],
)
def test_a_file_that_comes_with_a_plugin(backbone: type[Backbone], file: str, tmp_path: Path) -> None:
    """Each way to say what it starts from does that, for another image size, and is recorded as what it is."""

    def assembled(**weights: str) -> networks.Network:
        keras.utils.set_random_seed(0)
        return networks.assemble(backbone(**weights), Linear(), (32, 32, 3), 2)

    def same(one: networks.Network, other: networks.Network) -> bool:
        weights = [network.model.get_weights()[:-2] for network in (one, other)]  # without the head
        return all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))

    brought, random = assembled(), assembled(weights="none")
    assert brought.weights.startswith(f"file {file} sha256 ")
    assert random.weights == "random"
    assert not same(brought, random)
    auto = assembled(weights="auto")
    assert (auto.weights, "brings no ImageNet weights" in (auto.warning or "")) == ("random", True)
    with pytest.raises(package.WeightsError, match="brings no ImageNet weights"):
        assembled(weights="imagenet")
    copy = tmp_path / f"copied.{file.partition('.')[2]}"
    copy.write_bytes((tmp_path / "site" / file).read_bytes())
    assert same(assembled(weights=str(copy)), brought)


def test_weights_of_a_plugin_are_of_unknown_origin(install: Install, folds: Path, tmp_path: Path) -> None:
    install(RECIPES["own-network"], "zoo-own-network", "own-network")
    write_weights(tmp_path / "site")
    request = plan.Request(models=("own-network",), data=str(folds), image_size=32, out=tmp_path / "run")
    with plan.make_plan(request) as planned:
        assert any(note.startswith("network.keras sha256") and "origin unknown" in note for note in planned.notes)


REGISTRY = """
[defaults]
batch_size = 8

[models.small-hub-resnet]
backbone = { name = "hub-resnet", blocks = [1, 1], weights = "none" }
schedule = { name = "three-stage", top = "stack1" }
"""
# Loads a model file as somebody without zoo does, and predicts.
PLAIN = """
import sys, numpy, keras
model = keras.saving.load_model(sys.argv[1], safe_mode=True, compile=False)
images = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], model.predict(images, verbose=0))
assert not {"zoo", "keras_hub"} & set(sys.modules)
"""
CASES = {
    "torchnet": (
        "torchnet",
        "torch",
        PLAIN.replace("keras.saving.load_model", "zoo.load_model")
        .replace("safe_mode=True, compile=False", "")
        .replace("keras\n", "zoo\n", 1)
        .partition("assert")[0],
    ),
    "hub-resnet": ("small-hub-resnet", "tensorflow", PLAIN),
    "own-mobilenet": ("own-mobilenet", "tensorflow", PLAIN),
    "own-network": ("own-network", "tensorflow", PLAIN),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
def test_training(
    install: Install,
    zoo: Zoo,
    folds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    case: tuple[str, str, str],
) -> None:
    """Feature cache or not: the same network. Killed or not: the same bits. Its file is read without the plug-in."""
    model, backend, code = case
    pytest.importorskip({"torchnet": "torch", "hub-resnet": "keras_hub"}.get(name, "keras"))
    monkeypatch.setenv("KERAS_BACKEND", backend)
    install(RECIPES[name], f"zoo-{name}", name, f"zoo_{name.replace('-', '_')}")
    write_weights(tmp_path / "site")
    (tmp_path / "here/registry.toml").write_text(REGISTRY)
    (tmp_path / "registry.toml").write_text(REGISTRY)
    doctor = zoo("plugins", "doctor")
    assert doctor.returncode == 0, doctor.stdout

    def run(out: str, *further: object) -> Path:
        done = zoo("run", model, *options(folds, tmp_path / out), "--max-epochs", 2, *further)
        assert done.returncode == 0, done.stdout + done.stderr
        return tmp_path / out / model / "fold-0"

    cached, whole = run("cached"), run("whole", "--no-feature-cache")
    histories = [pd.read_csv(job / "history.csv").drop(columns="seconds") for job in (cached, whole)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-3, atol=1e-4)
    assert list(histories[0]["stage"].unique()) == ["head", "top", "all"]

    kill_in_stage("2/3", ["run", model, *options(folds, tmp_path / "killed"), "--max-epochs", 2], tmp_path)
    killed = run("killed")
    assert (killed / "predictions.csv").read_bytes() == (cached / "predictions.csv").read_bytes()

    predictions = pd.read_csv(cached / "predictions.csv")
    table = predictions[predictions["role"] == "test"]
    from zoo.data import decoding

    pixels = np.stack([decoding.read_image(folds / path).pixels for path in table["path"]])
    np.save(tmp_path / "images.npy", pixels)
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code, cached / "best.keras", tmp_path / "images.npy", tmp_path / "out.npy"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert loaded.returncode == 0, loaded.stderr
    np.testing.assert_allclose(np.load(tmp_path / "out.npy")[:, 0], table["probability"], rtol=1e-4)
    used = json.loads((tmp_path / "cached/run.json").read_text())["weights"][model]["0"]
    assert used.endswith("origin unknown" if name.startswith("own") else "random")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_network_of_torch() -> None:
    """The tests of another file, under its backend."""
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/shipped/test_wrapped_torch.py"],
        cwd=TOP,
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "torch"},
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
