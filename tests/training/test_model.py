"""Assembling, freezing and cutting networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.parts import Linear, Residual, named, stage, subset

keras = pytest.importorskip("keras")
from zoo.training import batchnorm  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo_heads import Pooled  # noqa: E402


def assemble(head: zoo.Head | None = None, classes: int = 2, **fields: Any) -> networks.Network:
    return networks.assemble(Residual(**{"weights": "none"} | fields), head or Linear(), (32, 32, 3), classes)


def stage_model(network: networks.Network, wanted: zoo.Stage) -> Any:
    """As the trainer makes it."""
    return networks.join(*networks.split(network, networks.unfreeze(network, wanted)))


def test_the_network_is_flat_and_knows_its_head() -> None:
    network = assemble()
    assert named(network.model.layers)[-3:] == ["block2_relu", "pool", "output"]
    assert network.head_layers == {"pool", "output"}
    assert network.model.output_shape == (None, 1)


def test_more_classes_get_a_softmax() -> None:
    outputs = np.asarray(assemble(classes=5).model(subset(4).pixels))
    assert outputs.shape == (4, 5)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)


TRAINABLE = {
    0: ["output"],
    1: ["output"],
    3: ["output"],
    4: ["block2_conv", "output"],
    9: ["block1_conv", "block2_conv", "output"],
    "block2": ["block2_conv", "output"],
    "block1": ["block1_conv", "block2_conv", "output"],
    "all": ["stem_conv", "block1_conv", "block2_conv", "output"],
    1000: ["stem_conv", "block1_conv", "block2_conv", "output"],
}


def trainable(network: networks.Network) -> list[str]:
    return [layer.name for layer in network.model.layers if layer.trainable_weights]


@pytest.mark.parametrize(("unfreeze", "expected"), TRAINABLE.items(), ids=map(str, TRAINABLE))
def test_unfreeze(unfreeze: int | str, expected: list[str]) -> None:
    network = assemble()
    networks.unfreeze(network, stage(unfreeze=unfreeze))
    assert trainable(network) == expected
    networks.unfreeze(network, stage(unfreeze=unfreeze, batchnorm="train"))
    thawed = [name for name in trainable(network) if not name.endswith("_bn")]
    assert thawed == expected
    assert ("block1_bn" in trainable(network)) == ("block1_conv" in expected)


def test_a_head_s_batchnorm_always_trains() -> None:
    network = assemble(Pooled())
    networks.unfreeze(network, stage(unfreeze=0, batchnorm="frozen"))
    assert trainable(network) == ["head_batchnorm", "head_output"]


def test_an_unknown_layer_prefix_names_the_known_ones() -> None:
    with pytest.raises(zoo.ConfigError, match=r"unknown layer prefix 'blok1'; did you mean 'block1'.*stem"):
        networks.unfreeze(assemble(), stage(unfreeze="blok1"))


CUTS = {0: "block2_relu", 4: "block1_add", 5: "stem_bn", 8: "stem_bn", "block1": "stem_bn", "block2": "block1_add"}


@pytest.mark.parametrize(("unfreeze", "cut"), CUTS.items(), ids=map(str, CUTS))
def test_the_prefix_ends_where_all_data_is_one_tensor(unfreeze: int | str, cut: str) -> None:
    """Within the residual block two tensors are alive, so that the cut moves up to before it."""
    network = assemble()
    tensor = networks.frozen_prefix(network.model, networks.unfreeze(network, stage(unfreeze=unfreeze)))
    assert tensor is network.model.get_layer(cut).output


BLOCKS = {0: False, 4: False, 5: True, 6: True, 8: False, "block1": False, "block1_bn": False, "all": False, 999: False}


@pytest.mark.parametrize(("unfreeze", "splits"), BLOCKS.items(), ids=map(str, BLOCKS))
def test_a_count_that_splits_a_block_is_warned_of(unfreeze: int | str, splits: bool) -> None:
    network = assemble()
    wanted = stage(unfreeze=unfreeze)
    warning = networks.splits_block(network, wanted, networks.unfreeze(network, wanted))
    assert bool(warning) == splits
    if warning:
        assert f"the last {unfreeze} layers begin with 'block1_" in warning


def test_nothing_frozen_means_no_prefix() -> None:
    network = assemble()
    assert networks.frozen_prefix(network.model, networks.unfreeze(network, stage(unfreeze="all"))) is None


@dataclass(frozen=True)
class Operations(zoo.Backbone):
    """Normalises with bare operations, which are no layers, and joins two branches with one."""

    name = "operations"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        inputs = keras.Input(image_shape)
        x = keras.ops.flip(inputs, axis=-1) / 127.5 - 1
        x = stem = keras.layers.Conv2D(4, 3, padding="same", name="stem_conv")(x)
        x = keras.layers.Conv2D(4, 3, padding="same", name="block1_conv")(x) + stem
        return keras.Model(inputs, keras.layers.Conv2D(4, 3, name="block2_conv")(x))


def test_backbones_may_use_bare_operations(tmp_path: Path) -> None:
    network = networks.assemble(Operations(weights="none"), Linear(), (32, 32, 3), 2)
    first = networks.unfreeze(network, stage(unfreeze="block2"))
    cut = networks.frozen_prefix(network.model, first)
    assert cut is network.model.get_layer("block2_conv").input
    first = networks.unfreeze(network, stage(unfreeze="block1"))
    assert networks.frozen_prefix(network.model, first) is network.model.get_layer("stem_conv").output
    images = subset(4).pixels
    staged = stage_model(network, stage(unfreeze="block2"))
    np.testing.assert_allclose(np.asarray(staged(images)), np.asarray(network.model(images)), rtol=1e-5)
    network.model.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras", safe_mode=True)
    np.testing.assert_allclose(np.asarray(loaded(images)), np.asarray(network.model(images)), rtol=1e-5)


@dataclass(frozen=True)
class InARow(zoo.Backbone):
    name = "in-a-row"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        layers = [keras.layers.Conv2D(4, 3, name=f"block{number}_conv") for number in (1, 2)]
        return keras.Sequential([keras.Input(image_shape), *layers])


def test_a_sequential_model_is_frozen_like_any_other() -> None:
    network = networks.assemble(InARow(weights="none"), Linear(), (32, 32, 3), 2)
    assert network.head_layers == {"pool", "output"}
    networks.unfreeze(network, stage())
    assert trainable(network) == ["output"]
    networks.unfreeze(network, stage(unfreeze="block2"))
    assert trainable(network) == ["block2_conv", "output"]


@dataclass(frozen=True)
class Nested(zoo.Backbone):
    """A whole model as one layer, as a wrapped network would be; `clash` has two of its layers of one name."""

    name = "nested"
    clash: bool = False

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        inputs = keras.Input(image_shape)
        last = keras.layers.Activation("relu", name="stem_conv" if self.clash else "after")
        residual = Residual().build(image_shape)
        residual.name = "inner"
        return keras.Model(inputs, last(keras.Sequential([keras.Input(image_shape), residual])(inputs)))


def test_a_model_within_the_model_is_taken_apart() -> None:
    """So that its layers are counted and named like any other's."""
    backbone = Nested(weights="none")
    network = networks.assemble(backbone, Linear(), (32, 32, 3), 2)
    plain = assemble()
    assert named(network.model.layers)[1:] == [*named(plain.model.layers)[1:-2], "after", "pool", "output"]
    network.model.set_weights(plain.model.get_weights())
    images = subset(4).pixels
    np.testing.assert_allclose(np.asarray(network.model(images)), np.asarray(plain.model(images)), rtol=1e-5)
    prefix, rest = networks.split(network, networks.unfreeze(network, stage(unfreeze="block2")))
    assert trainable(network) == ["block2_conv", "output"]
    assert named(rest.layers)[1:] == ["block2_conv", "block2_relu", "after", "pool", "output"]
    np.testing.assert_allclose(np.asarray(rest(prefix(images))), np.asarray(plain.model(images)), rtol=1e-5)


@dataclass(frozen=True)
class NestedOperations(zoo.Backbone):
    name = "nested-operations"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        inputs = keras.Input(image_shape)
        return keras.Model(inputs, Operations().build(image_shape)(inputs))


def test_a_model_within_the_model_may_use_bare_operations() -> None:
    network = networks.assemble(NestedOperations(weights="none"), Linear(), (32, 32, 3), 2)
    prefix, rest = networks.split(network, networks.unfreeze(network, stage(unfreeze="block1")))
    assert named(rest.layers)[1:] == ["block1_conv", "block2_conv", "pool", "output"]
    images = subset(4).pixels
    np.testing.assert_allclose(
        np.asarray(rest(prefix(images))), np.asarray(network.model(images)), rtol=1e-5, atol=1e-6
    )


def test_a_model_within_the_model_stays_where_names_would_clash() -> None:
    network = networks.assemble(Nested(clash=True, weights="none"), Linear(), (32, 32, 3), 2)
    assert named(network.model.layers)[1:] == ["inner", "stem_conv", "pool", "output"]
    names = {"frozen": {"stem_conv", "block1_conv", "block2_conv"}}
    names["train"] = names["frozen"] | {"stem_bn", "block1_bn"}
    for norm, expected in names.items():
        networks.unfreeze(network, stage(unfreeze="all", batchnorm=norm))
        inner = next(layer for layer in network.model.layers if layer.name == "inner")
        trains = {layer.name for layer in batchnorm.flatten(inner) if layer._trainable_variables and layer.trainable}
        assert trains == expected


class Block(keras.layers.Layer):
    """A layer made of others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]

    def call(self, x: Any) -> Any:
        for layer in self.inner:
            x = layer(x)
        return x


@dataclass(frozen=True)
class Composite(zoo.Backbone):
    name = "composite"

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        inputs = keras.Input(image_shape)
        return keras.Model(inputs, Block(name="block")(inputs))


def test_batchnorm_within_a_layer_of_layers_is_frozen_too() -> None:
    network = networks.assemble(Composite(weights="none"), Linear(), (32, 32, 3), 2)
    norm = network.model.get_layer("block").inner[1]
    networks.unfreeze(network, stage(unfreeze="all"))
    before = norm.moving_mean.numpy()
    network.model(subset(8).pixels, training=True)
    np.testing.assert_array_equal(norm.moving_mean, before)
    assert not norm.trainable_weights
    networks.unfreeze(network, stage(unfreeze="all", batchnorm="train"))
    batchnorm.fit(network.model, subset(8), seed=0)
    assert np.abs(norm.moving_mean - before).max() > 0.1
    assert len(norm.trainable_weights) == 2


def test_frozen_layers_run_in_inference_mode_and_the_rest_trains() -> None:
    network = assemble()
    images = subset(8).pixels
    frozen = stage_model(network, stage(unfreeze=0))
    inference = np.asarray(network.model(images, training=False))
    np.testing.assert_allclose(np.asarray(frozen(images, training=True)), inference, rtol=1e-5)
    thawed = stage_model(network, stage(unfreeze="block1"))
    assert np.abs(np.asarray(thawed(images, training=True)) - inference).max() > 1e-4  # dropout is on


def test_a_stage_model_shares_its_weights_with_the_network() -> None:
    network = assemble()
    staged = stage_model(network, stage(unfreeze="block2"))
    network.model.get_layer("output").bias.assign([3.0])
    images = subset(4).pixels
    np.testing.assert_allclose(np.asarray(staged(images)), np.asarray(network.model(images)), rtol=1e-6)
    assert len(staged.trainable_weights) == 4  # kernel and bias of block2_conv and output


def test_batchnorm_statistics_become_those_of_the_images() -> None:
    network = assemble(Pooled())
    batchnorm.fit(network.model, subset(24), seed=0)
    layer = network.model.get_layer("stem_bn")
    before = keras.Model(network.model.inputs[0], network.model.get_layer("stem_conv").output)
    values = np.asarray(before(subset(24).pixels)).reshape(-1, 8)
    _, _, mean, variance = layer.get_weights()
    np.testing.assert_allclose(mean, values.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(variance, values.var(axis=0), rtol=1e-3)
    assert layer.momentum == 0.99


def test_weights_none_and_the_same_seed_give_the_same_network() -> None:
    outputs = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        outputs.append(np.asarray(assemble().model(subset(2).pixels)))
    np.testing.assert_array_equal(*outputs)
    assert assemble().weights == "random"


def test_a_backbone_without_imagenet_weights(recwarn: Any) -> None:
    network = assemble(weights="auto")
    assert network.weights == "random"
    assert (
        network.warning and "'residual' brings no ImageNet weights, training from random weights. To" in network.warning
    )
    assert network.warning.count("ImageNet") == 1
    with pytest.raises(zoo.WeightsError, match=r"brings no ImageNet weights.*--weights FILE"):
        assemble(weights="imagenet")


def test_weights_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    donor = Residual().build((32, 32, 3))
    donor.save_weights(file)
    network = assemble(weights=str(file))
    assert network.weights.startswith("file mine.weights.h5 sha256 ")
    for ours, theirs in zip(network.model.get_weights(), donor.get_weights(), strict=False):
        np.testing.assert_array_equal(ours, theirs)


def test_a_weights_file_that_does_not_fit(tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "junk.weights.h5").write_text("junk")
    for name in ("other", "junk"):
        with pytest.raises(zoo.WeightsError, match=rf"{name}\.weights\.h5 does not fit backbone 'residual'"):
            assemble(weights=str(tmp_path / f"{name}.weights.h5"))
    with pytest.raises(zoo.WeightsError, match="does not exist"):
        assemble(weights=str(tmp_path / "nowhere.weights.h5"))


@dataclass(frozen=True)
class Faulty(zoo.Backbone):
    """Builds whatever it is told."""

    name = "faulty"
    result: Any = None

    def build(self, image_shape: tuple[int, int, int]) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize("result", [RuntimeError("no luck"), None, "a model"], ids=repr)
def test_a_backbone_that_builds_no_model(result: Any) -> None:
    with pytest.raises(zoo.PluginError, match="backbone 'faulty'"):
        networks.assemble(Faulty(result, weights="none"), Linear(), (32, 32, 3), 2)


@dataclass(frozen=True)
class WrongHead(zoo.Head):
    name = "wrong"

    def build(self, features: Any, classes: int) -> Any:
        return features


def test_a_head_with_the_wrong_outputs() -> None:
    with pytest.raises(zoo.PluginError, match=r"head 'wrong' gives outputs .*\(None, 1\) is needed"):
        assemble(WrongHead())
