"""Heat maps: known where they can be worked out by hand, and true where the evidence was planted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import zoo
from tests.parts import Linear, Residual, subset
from zoo.errors import ConfigError

keras = pytest.importorskip("keras")
from zoo.training import heatmap  # noqa: E402
from zoo.training import model as networks  # noqa: E402

SIZE = 64


def assemble(backbone: zoo.Backbone | None = None, classes: int = 2) -> networks.Network:
    keras.utils.set_random_seed(0)
    return networks.assemble(backbone or Residual(weights="none"), Linear(), (SIZE, SIZE, 3), classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_of_averages_and_a_linear_layer_it_is_the_class_activation_map(classes: int) -> None:
    network = assemble(classes=classes)
    images, labels = subset(4, size=SIZE).pixels, np.array([0, 1, classes - 1, 0])
    maps = heatmap.heat_maps(network.model, images, labels)
    features = keras.Model(network.model.inputs[0], networks.feature_map(network.model))
    found = np.asarray(keras.ops.convert_to_numpy(features(images)))
    side = found.shape[1]  # 14: blocks of two by two, but for the first of both sides
    kernel = np.asarray(keras.ops.convert_to_numpy(network.model.get_layer("output").kernel))
    assert maps.shape == (4, 8, 8)
    assert maps.dtype == np.float32
    if classes == 2:
        sign = np.where(labels == 1, 1, -1)[:, None, None]
        cells = found @ kernel[:, 0] / side**2 * sign
        assert maps.sum(axis=(1, 2)) == pytest.approx(cells.sum(axis=(1, 2)), abs=1e-4)
        edges = np.round(np.linspace(0, side, 9)).astype(int)
        part = cells[:, edges[2] : edges[3], edges[5] : edges[6]].sum(axis=(1, 2))
        assert maps[:, 2, 5] == pytest.approx(part, abs=1e-4)
    else:  # the logits of the others are part of the log odds, each blanked part is worked out anew
        blanked = found.copy()
        blanked[:, :2, :2] = 0
        rest = keras.Model(networks.feature_map(network.model), network.model.outputs[0])
        odds = []
        for each in (found, blanked):
            p = np.asarray(keras.ops.convert_to_numpy(rest(each)), dtype=np.float64)[np.arange(4), labels]
            odds.append(np.log(p / (1 - p)))
        assert maps[:, 0, 0] == pytest.approx(odds[0] - odds[1], abs=1e-4)


def test_what_speaks_for_one_of_two_classes_speaks_against_the_other() -> None:
    network, images = assemble(), subset(3, size=SIZE).pixels
    both = [heatmap.heat_maps(network.model, images, np.full(3, label)) for label in (0, 1)]
    np.testing.assert_allclose(both[0], -both[1], atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_network_that_is_very_sure_has_a_map_too(classes: int) -> None:
    network, images = assemble(classes=classes), subset(2, size=SIZE).pixels
    output = network.model.get_layer("output")
    output.kernel.assign(output.kernel * 1e4)  # probabilities of 0 and 1, whatever is blanked
    sure = heatmap.heat_maps(network.model, images, np.ones(2, dtype=int))
    assert (np.abs(sure).max(axis=(1, 2)) > 1).all()
    assert output.activation in (keras.activations.sigmoid, keras.activations.softmax)


def test_planted_evidence_is_found_where_it_lies() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (96, SIZE, SIZE, 3)).astype(np.uint8)
    labels, corners = np.arange(96) % 2, rng.integers(0, 2, (96, 2))
    for image, label, (down, across) in zip(images, labels, corners, strict=True):
        top, left = 6 + 36 * down, 6 + 36 * across
        # A square in a corner; whoever is well has a dimmer one, in any corner too.
        image[top : top + 16, left : left + 16] = (250, 240, 60) if label else (60, 80, 160)
    network = assemble()
    network.model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    network.model.fit(images[:64], labels[:64, None], epochs=12, batch_size=16, verbose=0)
    assert network.model.evaluate(images[64:], labels[64:, None], verbose=0)[1] > 0.9
    ill = np.flatnonzero(labels[64:]) + 64
    maps = heatmap.heat_maps(network.model, images[ill], np.ones(len(ill), dtype=int))
    quarters = maps.reshape(len(ill), 2, 4, 2, 4).sum(axis=(2, 4)).reshape(len(ill), 4)
    assert (quarters.argmax(axis=1) == corners[ill] @ [2, 1]).mean() > 0.9


@dataclass(frozen=True)
class Vector(zoo.Backbone):
    """Features without a map, from a single layer that sees the whole image."""

    name = "vector"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        from keras import layers

        inputs = keras.Input(image_shape)
        x = layers.Flatten()(inputs)
        return keras.Model(inputs, layers.Reshape((1, 1, 4))(layers.Dense(4)(x)))


@dataclass(frozen=True)
class Early(Vector):
    """Its last map is far from the end, so that each part asks for half of the network."""

    name = "early"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        from keras import layers

        inputs = keras.Input(image_shape)
        x = layers.Conv2D(4, 8, strides=8)(inputs)
        x = layers.Dense(8)(layers.Reshape((-1, 4))(x))
        return keras.Model(inputs, layers.Reshape((8, 8, 8))(x))


def test_a_network_without_a_map_is_refused() -> None:
    network = assemble(Vector(weights="none"))
    assert not heatmap.is_cheap(network)
    with pytest.raises(ConfigError, match="no map of the image"):
        heatmap.heat_maps(network.model, subset(1, size=SIZE).pixels, np.array([1]))


def test_maps_come_with_a_job_where_the_head_alone_is_computed_again() -> None:
    assert heatmap.is_cheap(assemble())
    assert heatmap.is_cheap(assemble(Early(weights="none")))


def test_no_images_have_no_maps() -> None:
    empty = heatmap.heat_maps(assemble().model, np.zeros((0, SIZE, SIZE, 3), np.uint8), np.zeros(0, int))
    assert empty.shape == (0, 8, 8)
