"""Networks of keras.applications: the same function as Keras' own with its preprocessing, and stages that exist."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.interfaces import Backbone
from zoo.plugins import registry
from zoo.plugins.discovery import Plugins, discover

keras = pytest.importorskip("keras")
from zoo.training import model as networks  # noqa: E402

SHAPE = (75, 75, 3)  # the smallest that all of them take
MODULES = {
    "vgg16": "vgg16",
    "vgg19": "vgg19",
    "inception-v3": "inception_v3",
    "resnet50": "resnet",
    "xception": "xception",
    "mobilenet-v2": "mobilenet_v2",
    "efficientnet-v2-b0": "efficientnet_v2",
    "convnext-tiny": "convnext",
    "densenet121": "densenet",
}

QUICK = ("mobilenet-v2", "vgg16")  # those tried in every run of the suite


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return discover()


@pytest.fixture(scope="module")
def shipped(plugins: Plugins) -> registry.Registry:
    return registry.load_registry(Path(__file__).parents[2] / "registry.toml", plugins)


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.uint8)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in MODULES]
)
def test_a_network_is_keras_own_with_its_preprocessing(
    name: str, plugins: Plugins, shipped: Any, tmp_path: Path
) -> None:
    """With its preprocessing and the same (random) weights through a file, before and after saving."""
    backbone: Backbone = plugins.get("backbone", name).value()
    theirs = backbone._application(weights=None, input_shape=SHAPE)  # type: ignore[attr-defined]
    theirs.save_weights(tmp_path / "their.weights.h5")
    ours = backbone.build(SHAPE)
    backbone.load_weights(ours, str(tmp_path / "their.weights.h5"))
    preprocess = getattr(keras.applications, MODULES[name]).preprocess_input
    expected = np.asarray(keras.Model(theirs.inputs[0], theirs.outputs[0])(preprocess(images().astype(np.float32))))
    scale = float(np.abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(np.asarray(ours(images())), expected, atol=1e-4 * scale)

    ours.save(tmp_path / "ours.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "ours.keras", safe_mode=True)
    np.testing.assert_allclose(np.asarray(loaded(images())), expected, atol=1e-4 * scale)

    recipe = shipped.recipe(name)
    network = networks.Network(*assembled(ours, recipe), "random")
    head, top, everything = (networks.unfreeze(network, stage) for stage in recipe.schedule.stages())
    assert everything == 0 < top < head
    networks.unfreeze(network, recipe.schedule.stages()[1])
    assert any(layer.trainable_weights for layer in network.model.layers[top:head])


def assembled(base: Any, recipe: Any) -> tuple[Any, frozenset[str]]:
    model = keras.Model(base.inputs[0], recipe.head.build(base.outputs[0], 2))
    return model, frozenset(layer.name for layer in model.layers) - {layer.name for layer in base.layers}


def test_alpha_narrows_mobilenet(plugins: Plugins) -> None:
    kind = plugins.get("backbone", "mobilenet-v2").value
    assert kind(alpha=0.35).build(SHAPE).count_params() == 410_208  # as Keras publishes it
    with pytest.raises(ValueError, match="alpha must be above 0"):
        kind(alpha=0.0)


def test_images_that_are_too_small_are_refused(plugins: Plugins, shipped: Any) -> None:
    import dataclasses

    recipe = shipped.recipe("inception-v3")
    backbone = dataclasses.replace(recipe.backbone, weights="none")
    with pytest.raises(Exception, match=r"inception-v3.*at least 75x75"):
        networks.assemble(backbone, recipe.head, (64, 64, 3), 2)


def test_listing_them_loads_no_keras() -> None:
    import subprocess

    code = "import zoo_keras_applications as z, sys; z.zoo_backbones(); sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
