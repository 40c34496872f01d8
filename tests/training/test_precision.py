"""Mixed precision: half of the bits inside the network only, and none of it in what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install, Zoo
from tests.parts import Linear, Residual, subset
from zoo.data import decoding
from zoo.training import batchnorm, precision
from zoo.training import model as networks


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def mixed(request: pytest.FixtureRequest) -> networks.Network:
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(request.param)
    try:
        return networks.assemble(Residual(weights="none"), Linear(), (32, 32, 3), 2)
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_head_and_all_weights_keep_all_bits(mixed: networks.Network) -> None:
    for layer in mixed.model.layers[1:]:
        assert (layer.compute_dtype == "float32") == mixed.is_head(layer), layer.name
    assert {weight.dtype for weight in mixed.model.weights} == {"float32"}
    outputs = mixed.model(subset(4).pixels)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"


def test_the_copy_in_full_is_what_full_precision_would_have_built(mixed: networks.Network) -> None:
    pixels = subset(8).pixels
    full = precision.in_full(mixed.model)
    assert [layer.name for layer in full.layers[1:]] == [layer.name for layer in mixed.model.layers[1:]]
    plain = networks.assemble(Residual(weights="none"), Linear(), (32, 32, 3), 2).model
    plain.set_weights(mixed.model.get_weights())
    np.testing.assert_allclose(full(pixels), plain(pixels), atol=1e-6)
    assert not np.array_equal(full(pixels), mixed.model(pixels))  # which computes with half of the bits
    np.testing.assert_allclose(full(pixels), mixed.model(pixels), atol=0.02)
    assert precision.in_full(plain) is plain


def test_nested_models_are_copied_as_well() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((4,))
        inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model = keras.Model(inputs, keras.layers.Dense(1)(inner(inputs)))
    finally:
        keras.config.set_dtype_policy("float32")
    copied = precision.in_full(model)
    assert {layer.compute_dtype for outer in copied.layers for layer in batchnorm.flatten(outer)} == {"float32"}
    assert precision.in_full(copied) is copied


@pytest.mark.slow
def test_a_run_keeps_nothing_of_half_precision(install: Install, inline: Zoo, folds: Path, tmp_path: Path) -> None:
    """Its model, loaded by plain Keras, gives its predictions; another precision is another run."""
    install(TINY_PLUGIN)
    run = tmp_path / "run"
    request = ("run", "tiny", "--data", folds, "--image-size", 32, "--max-epochs", 2, "--out", run)
    done = inline(*request, "--precision", "mixed_float16")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "precision mixed_float16" in done.stdout
    assert "mixed_float16 makes a CPU slower" in done.stdout
    model = keras.saving.load_model(run / "tiny/fold-0/best.keras", safe_mode=True, compile=False)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    predictions = pd.read_csv(run / "tiny/fold-0/predictions.csv").query("role == 'test'")
    pixels = np.stack([decoding.read_image(folds / path).pixels for path in predictions["path"]])
    np.testing.assert_allclose(np.asarray(model(pixels))[:, -1], predictions["probability"], atol=1e-5)
    assert json.loads((run / "run.json").read_text())["precision"] == "mixed_float16"
    done = inline(*request)
    assert done.returncode == 2
    assert "precision was 'mixed_float16' and is now 'float32'" in done.stderr
