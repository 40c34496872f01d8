"""`zoo show`: what it says is what is trained."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

import zoo
from tests.conftest import Zoo
from tests.parts import Brighten, Linear, Residual, stage, subset
from zoo.interfaces import Recipe
from zoo.report import recipe as shown
from zoo.training import logs
from zoo_schedules import Stages

STAGES = (
    stage("head", class_weights="balanced", label_smoothing=0.1, decay=zoo.Cosine(1, 0.01)),
    stage("some", unfreeze=6, optimizer={"name": "sgd", "momentum": 0.9}, decay=zoo.Decay(0.9, 2, staircase=True)),
    stage("all", unfreeze="all", batchnorm="train"),
)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe("mine", Residual(), Linear(), Stages(STAGES), Brighten(), 8, 0, "registry.toml")


def test_it_counts_what_trains(recipe: Recipe) -> None:
    network = shown.build(recipe, 2, 32)
    console = Console(file=io.StringIO(), width=200)
    console.print(shown.recipe_tables(recipe, network, STAGES))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    total = network.model.count_params()
    trained = 8 + 1  # the dense layer on 8 channels
    assert f"{trained} " in text
    assert f"{total - trained:,}" in text
    for part in (
        "mine (from registry.toml)",
        "residual",
        "brighten",
        "smoothing 0.1",
        "weights balanced",
        "momentum 0.9",
        "of warm-up",
        "cosine to 0.0001",
        "times 0.9",
        "every 2 epochs, in steps",
        "backbone batchnorm frozen",
        "everything (6 layers)",
        "warning: stage 'some': the last 6 layers begin with 'block1_dropout'",
    ):
        assert part in text, part


def test_learning_rates_are_those_of_every_step() -> None:
    constant = shown.rates(stage(epochs=2), steps_per_epoch=3)
    np.testing.assert_allclose(constant, [0.01] * 6)
    decayed = shown.rates(stage(epochs=2, decay=zoo.Decay(0.5, every_epochs=1)), steps_per_epoch=4)
    np.testing.assert_allclose(decayed, 0.01 * 0.5 ** (np.arange(8) / 4), rtol=1e-5)


def test_pictures_show_the_first_epochs_of_training(recipe: Recipe, tmp_path: Path) -> None:
    paths = shown.pictures(recipe, STAGES, subset(12), tmp_path)
    assert [path.name for path in paths] == ["augmented.png", "learning-rate.png"]
    for path in paths:
        assert cv2.imread(str(path)) is not None


def test_show_on_the_command_line(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in logs.VARIABLES:
        monkeypatch.delenv(name, raising=False)  # which jax sets for this process
    done = zoo("show", "scratch-cnn", "--summary", "--image-size", 64)
    assert (done.returncode, done.stderr) == (0, "")  # no log line of TensorFlow, absl or CUDA
    assert "width = 24" in done.stdout
    assert "block4_2_conv (Conv2D)" in done.stdout
