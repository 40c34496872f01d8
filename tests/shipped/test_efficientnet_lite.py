"""EfficientNet-Lite0: its weights against an independent run of the same file, its layers against EfficientNetB0."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

import zoo
from zoo.data.images import resize

keras = pytest.importorskip("keras")
import zoo_efficientnet_lite as lite  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo_efficientnet import EfficientNetB0  # noqa: E402
from zoo_heads import Pooled  # noqa: E402
from zoo_schedules import ThreeStage  # noqa: E402

Tensors = dict[str, np.ndarray]
PALACE, DAISY = 698, 985  # classes of ImageNet


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return lite.read_tensors(lite.weights_file())


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """The two that scikit-learn brings, their middle, float32 (2, 224, 224, 3): a palace and a flower."""
    middles = [image[:, (image.shape[1] - 427) // 2 :][:427, :427] for image in load_sample_images().images]
    return np.stack([resize(image, 224) for image in middles]).astype(np.float32)


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int, depthwise: bool) -> np.ndarray:
    """Plain sums over the kernel's places, (n, h, w, c), padded as TensorFlow's SAME; the kernel is torch's."""
    size = kernel.shape[-1]
    out = -(-x.shape[1] // stride)
    pad = max((out - 1) * stride + size - x.shape[1], 0)
    x = np.pad(x, ((0, 0), (pad // 2, pad - pad // 2), (pad // 2, pad - pad // 2), (0, 0)))
    total: Any = 0
    for row in range(size):
        for column in range(size):
            window = x[:, row : row + out * stride : stride, column : column + out * stride : stride]
            window = window[:, :out, :out]
            weights = kernel[:, :, row, column]
            total = total + (window * weights[:, 0] if depthwise else window @ weights.T)
    return np.asarray(total)


def by_hand(images: np.ndarray, tensors: Tensors) -> np.ndarray:
    """Probabilities (n, 1000) by NumPy alone, walking through the names that the file has."""

    def normalise(x: np.ndarray, name: str) -> np.ndarray:
        mean, variance = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
        return (x - mean) / np.sqrt(variance + 1e-3) * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def relu6(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)

    x = (images - 127) / 128
    x = relu6(normalise(convolve(x, tensors["_conv_stem.weight"], 2, depthwise=False), "_bn0"))
    halves = (1, 3, 5, 11)  # blocks that halve the side
    for number in range(16):
        name, before = f"_blocks.{number}", x
        if f"{name}._expand_conv.weight" in tensors:
            x = relu6(
                normalise(convolve(x, tensors[f"{name}._expand_conv.weight"], 1, depthwise=False), f"{name}._bn0")
            )
        stride = 2 if number in halves else 1
        kernel = tensors[f"{name}._depthwise_conv.weight"]
        x = relu6(normalise(convolve(x, kernel, stride, depthwise=True), f"{name}._bn1"))
        x = normalise(convolve(x, tensors[f"{name}._project_conv.weight"], 1, depthwise=False), f"{name}._bn2")
        if x.shape == before.shape:
            x = x + before
    x = relu6(normalise(convolve(x, tensors["_conv_head.weight"], 1, depthwise=False), "_bn1"))
    logits = x.mean(axis=(1, 2)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def test_it_names_photographs_as_an_independent_run_does(tensors: Tensors, photographs: np.ndarray) -> None:
    model = lite.network((224, 224, 3), classes=1000)
    lite.fill(model, tensors)
    ours, theirs = np.asarray(model(photographs)), by_hand(photographs, tensors)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert ours.argmax(axis=1).tolist() == [PALACE, DAISY]


def test_a_backbone_has_the_weights_of_the_whole(tensors: Tensors, photographs: np.ndarray) -> None:
    """The reading of strides included: no two tensors are alike, and none is left as it was."""
    network = networks.assemble(lite.EfficientNetLite0(weights="imagenet"), Pooled(), (224, 224, 3), 2)
    assert network.weights == "imagenet"
    assert network.warning is None
    whole = lite.network((224, 224, 3), classes=1000)
    lite.fill(whole, tensors)
    for layer in whole.layers:
        if layer.weights and layer.name != "predictions":
            for one, other in zip(network.model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)


def test_layers_are_named_as_those_of_b0() -> None:
    ours = lite.EfficientNetLite0(weights="none").build((32, 32, 3))
    theirs = EfficientNetB0(weights="none").build((32, 32, 3))
    shapes = {layer.name: [weight.shape for weight in layer.weights] for layer in theirs.layers if layer.weights}
    mine = {layer.name: [weight.shape for weight in layer.weights] for layer in ours.layers if layer.weights}
    without = {
        name: shape for name, shape in shapes.items() if not name.startswith("normalization") and "_se_" not in name
    }
    assert mine == without


def test_the_second_stage_trains_block_7() -> None:
    network = networks.assemble(lite.EfficientNetLite0(weights="none"), Pooled(), (32, 32, 3), 2)
    networks.unfreeze(network, ThreeStage(top="block7a").stages()[1])
    trained = [layer.name for layer in network.model.layers if layer.trainable_weights]
    convolutions = ["block7a_expand_conv", "block7a_dwconv", "block7a_project_conv", "top_conv"]
    assert trained == [*convolutions, "head_batchnorm", "head_output"]


class Evil:
    def __reduce__(self) -> Any:
        return print, ("run",)


def test_nothing_but_tensors_is_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evil.pth"
    file.write_bytes(b"".join(pickle.dumps(each) for each in (1, 2, {}, OrderedDict(a=Evil()), [])))
    with pytest.raises(pickle.UnpicklingError, match="print is no part of a tensor"):
        lite.read_tensors(file)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("fault", ["absent", "damaged"])
def test_weights_that_are_not_there_are_told(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite, "PACKAGE", f"of-nobody-{fault}")
    if fault == "damaged":
        file = tmp_path / "of_nobody_damaged" / "models" / lite.installed().name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"damage")
        (tmp_path / "of_nobody_damaged/__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
    says = "is missing or damaged: pip install --force-reinstall of-nobody" if fault == "damaged" else "is missing: pip"
    with pytest.raises(zoo.WeightsError, match=says):
        networks.assemble(lite.EfficientNetLite0(weights="imagenet"), Pooled(), (32, 32, 3), 2)
    network = networks.assemble(lite.EfficientNetLite0(), Pooled(), (32, 32, 3), 2)
    assert network.weights == "random"
    assert network.warning and "pip install" in network.warning
