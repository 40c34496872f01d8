"""EfficientNetB0 and its three stages, layer by layer against the study's description."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parts import subset
from zoo.errors import WeightsError

keras = pytest.importorskip("keras")
from zoo.training import batchnorm  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo_efficientnet import IMAGENET_MEAN, IMAGENET_STD, EfficientNetB0  # noqa: E402
from zoo_efficientnet_lite import EfficientNetLite0  # noqa: E402
from zoo_heads import Pooled  # noqa: E402
from zoo_schedules import ThreeStage  # noqa: E402

SHAPE = (32, 32, 3)
LITE = "efficientnet-lite0"
# The last 20 layers of the assembled model, head included, that are no BatchNormalization and have weights.
TOP = [
    "block7a_expand_conv",
    "block7a_dwconv",
    "block7a_se_reduce",
    "block7a_se_expand",
    "block7a_project_conv",
    "top_conv",
]
HEAD = ["head_batchnorm", "head_output"]


@pytest.fixture(scope="module")
def network() -> networks.Network:
    return networks.assemble(EfficientNetB0(weights="none"), Pooled(), SHAPE, 2)


def with_weights(network: networks.Network) -> list[str]:
    return [layer.name for layer in network.model.layers if layer.weights and "normalization" not in layer.name]


def trained(network: networks.Network, number: int) -> list[str]:
    networks.unfreeze(network, ThreeStage().stages()[number])
    return [layer.name for layer in network.model.layers if layer.trainable_weights]


def test_stage_1_trains_the_head_alone(network: networks.Network) -> None:
    assert trained(network, 0) == HEAD


def test_stage_2_trains_the_last_20_layers_without_batchnorm(network: networks.Network) -> None:
    assert trained(network, 1) == TOP + HEAD
    last_20 = [layer.name for layer in network.model.layers[-20:]]
    assert last_20[0] == "block7a_expand_conv"
    assert {"block7a_expand_bn", "block7a_bn", "block7a_project_bn", "top_bn"} < set(last_20)


def test_stage_3_trains_everything(network: networks.Network) -> None:
    assert trained(network, 2) == with_weights(network)
    assert {"stem_conv", "stem_bn", "block1a_dwconv", "top_bn"} < set(trained(network, 2))


def test_the_stages_are_the_study_s() -> None:
    stages = ThreeStage().stages()
    assert [s.learning_rate for s in stages] == [1e-3, 1e-4, 1e-5]
    assert {(s.epochs, s.patience, s.optimizer, s.decay) for s in stages} == {(200, 70, "rmsprop", None)}


def test_the_head_is_the_study_s(network: networks.Network) -> None:
    layers = network.model.layers[-4:]
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == ["GlobalAveragePooling2D", "BatchNormalization", "Dropout", "Dense"]
    assert layers[2].rate == 0.2
    assert (layers[3].units, layers[3].activation.__name__) == (1, "sigmoid")


def test_stage_2_can_be_cut_before_block_7(network: networks.Network) -> None:
    for top in (20, "block7a"):
        first = networks.unfreeze(network, ThreeStage(top=top).stages()[1])
        assert networks.frozen_prefix(network.model, first) is network.model.get_layer("block6d_add").output


def test_images_are_normalised_inside(network: networks.Network) -> None:
    (layer,) = (layer for layer in network.model.layers if isinstance(layer, keras.layers.Normalization))
    normalised = keras.Model(network.model.inputs[0], layer.output)
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.uint8)
    expected = (images / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(np.asarray(normalised(images)), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def imagenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as Keras publishes it, with random weights: legacy HDF5, std where the variance should be."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    keras.utils.set_random_seed(1)
    donor = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=SHAPE)
    batchnorm.fit(donor, subset(16), seed=0)  # else nearly nothing reaches the output
    (layer,) = (layer for layer in donor.layers if isinstance(layer, keras.layers.Normalization))
    layer.load_own_variables({"0": np.array(IMAGENET_MEAN), "1": np.array(IMAGENET_STD), "2": np.array(0)})
    path = tmp_path_factory.mktemp("weights") / "efficientnetb0_notop.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, donor)
    return path


@pytest.fixture
def keras_cache(imagenet_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keras' cache with that file in it, under the hash that Keras is told to expect."""
    import keras.src.applications.efficientnet as module

    digest = hashlib.md5(imagenet_file.read_bytes()).hexdigest()
    monkeypatch.setitem(module.WEIGHTS_HASHES, "b0", (digest, digest))
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    models = tmp_path / "models"
    models.mkdir()
    (models / imagenet_file.name).write_bytes(imagenet_file.read_bytes())
    return models


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download is refused at once: a proxy that nobody runs."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.mark.parametrize("how", ["auto", "imagenet", "file"])
def test_imagenet_weights_give_what_keras_gives(how: str, keras_cache: Path, no_network: None) -> None:
    """Whether from Keras' cache or named as a file, and although Keras adds a layer of its own for them.

    Outputs are compared early in the network: with random weights, later layers blow rounding errors up.
    """
    file = keras_cache / "efficientnetb0_notop.h5"
    network = networks.assemble(EfficientNetB0(weights=str(file) if how == "file" else how), Pooled(), SHAPE, 2)
    assert network.weights.startswith("file efficientnetb0_notop.h5 sha256 " if how == "file" else "imagenet")
    reference = keras.applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=SHAPE)
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.float32)
    ours, theirs = (
        np.asarray(keras.Model(model.inputs[0], model.get_layer("block2b_add").output)(images))
        for model in (network.model, reference)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(np.abs(theirs).max()))
    for layer in reference.layers:
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            for one, other in zip(network.model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_refused_download(keras_cache: Path, no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (keras_cache / "efficientnetb0_notop.h5").unlink()
    advice = ("zoo weights fetch efficientnet-b0", "--weights FILE", "--weights none")
    for absent, start, told in ((False, LITE, f"the weights of {LITE}"), (True, "random", "random weights")):
        if absent:
            monkeypatch.setattr("zoo_efficientnet_lite.PACKAGE", "of-nobody")
        network = networks.assemble(EfficientNetB0(weights="auto"), Pooled(), SHAPE, 2)
        assert network.weights == start
        assert network.lacks_statistics
        assert network.warning
        assert network.warning.startswith("no ImageNet weights for backbone 'efficientnet-b0'")
        for part in (f", training from {told}: ", *advice):
            assert part in network.warning
    with pytest.raises(WeightsError, match=r"no ImageNet weights.*zoo weights fetch efficientnet-b0"):
        networks.assemble(EfficientNetB0(weights="imagenet"), Pooled(), SHAPE, 2)
    with pytest.raises(WeightsError, match=f"no {LITE} weights for backbone 'efficientnet-b0'.*: the package that"):
        networks.assemble(EfficientNetB0(weights=LITE), Pooled(), SHAPE, 2)


def test_a_damaged_file_in_the_cache_is_not_used(keras_cache: Path, no_network: None) -> None:
    with (keras_cache / "efficientnetb0_notop.h5").open("ab") as file:
        file.write(b"damage")
    network = networks.assemble(EfficientNetB0(weights="auto"), Pooled(), SHAPE, 2)
    assert network.weights == LITE


def test_it_takes_over_lite0() -> None:
    """The stem gives what Lite0's gives, all other layers have its weights, and the gates are open."""
    size = 64
    backbone = EfficientNetB0(weights=LITE)
    base = backbone.build((size, size, 3))
    backbone.load_weights(base, LITE)
    lite = EfficientNetLite0(weights="imagenet")
    theirs = lite.build((size, size, 3))
    lite.load_weights(theirs, "imagenet")
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)
    mean = np.asarray(IMAGENET_MEAN)
    # What the stem's batch normalisation has to make up for: the middle of Lite0's images lies elsewhere.
    shift = ((255 * mean - 127) / 128) @ theirs.get_layer("stem_conv").get_weights()[0].sum(axis=(0, 1))
    ours, wanted = (
        np.asarray(keras.Model(model.inputs[0], model.get_layer("stem_conv").output)(images))[:, 1:-1, 1:-1]
        for model in (base, theirs)
    )
    np.testing.assert_allclose(ours + shift, wanted, atol=1e-3)
    for name in ("block3a_dwconv", "block6d_project_bn", "top_conv"):
        for one, other in zip(base.get_layer(name).get_weights(), theirs.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    gate = base.get_layer("block5c_se_expand").get_weights()
    assert not gate[0].any()
    assert (1 / (1 + np.exp(-gate[1])) > 0.99).all()


def test_it_survives_saving(network: networks.Network, tmp_path: Path) -> None:
    network.model.save(tmp_path / "a.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "a.keras", safe_mode=True)
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(loaded(images)), np.asarray(network.model(images)), rtol=1e-5)
