"""Networks of keras.applications as backbones: one class for all, a table for what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import zoo

if TYPE_CHECKING:
    import keras

URL = "https://storage.googleapis.com/tensorflow/keras-applications/"
TF = "weights_tf_dim_ordering_tf_kernels"


def imagenet_file(place: str, digest: str, licence: str, megabytes: float) -> zoo.WeightsFile:
    """ImageNet weights without a top, by where keras.applications has them below URL."""
    return zoo.WeightsFile(place.rpartition("/")[2], digest, licence, megabytes, url=URL + place)


# name in zoo: (name in keras.applications, how its ImageNet weights want images; see _preprocess)
NETWORKS: dict[str, tuple[str, str]] = {
    "vgg16": ("VGG16", "caffe"),
    "vgg19": ("VGG19", "caffe"),
    "inception-v3": ("InceptionV3", "tf"),
    "resnet50": ("ResNet50", "caffe"),
    "xception": ("Xception", "tf"),
    "efficientnet-v2-b0": ("EfficientNetV2B0", "inside"),
    "convnext-tiny": ("ConvNeXtTiny", "inside"),
    "densenet121": ("DenseNet121", "torch"),
}
# The ImageNet weights of each: place, sum, licence, megabytes.
FILES: dict[str, tuple[str, str, str, float]] = {
    "vgg16": (f"vgg16/vgg16_{TF}_notop.h5", "md5 6d6bbae143d832006294945121d1f1fc", "CC-BY-4.0", 58.9),
    "vgg19": (f"vgg19/vgg19_{TF}_notop.h5", "md5 253f8cb515780f3b799900260a226db6", "CC-BY-4.0", 80.1),
    "inception-v3": (
        f"inception_v3/inception_v3_{TF}_notop.h5",
        "md5 bcbd6486424b2319ff4ef7d526e38f63",
        "Apache-2.0",
        87.9,
    ),
    "resnet50": (f"resnet/resnet50_{TF}_notop.h5", "md5 4d473c1dd8becc155b73f8504c6f6626", "MIT", 94.8),
    "xception": (f"xception/xception_{TF}_notop.h5", "md5 b0042744bf5b25fce3cb969f33bebb97", "MIT", 83.7),
    "efficientnet-v2-b0": (
        "efficientnet_v2/efficientnetv2-b0_notop.h5",
        "md5 893217f2bb855e2983157299931e43ff",
        "Apache-2.0",
        24.3,
    ),
    "convnext-tiny": (
        "convnext/convnext_tiny_notop.h5",
        "sha256 d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        "MIT",
        111.6,
    ),
    "densenet121": (
        f"densenet/densenet121_{TF}_notop.h5",
        "md5 30ee3e1110167f948a6b9946edeeb738",
        "BSD-3-Clause",
        29.1,
    ),
}
# The widths that MobileNetV2 has ImageNet weights for, and the size of each in megabytes. Keras names no sums.
MOBILENET_V2 = {0.35: 2.0, 0.5: 3.2, 0.75: 5.9, 1.0: 9.4, 1.3: 15.5, 1.4: 17.9}
# Channel statistics of ImageNet as in keras.applications: BGR 0..255 for caffe, RGB 0..1 for torch.
CAFFE_MEAN = (103.939, 116.779, 123.68)
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class KerasApplication(zoo.Backbone):
    """A network of keras.applications without its top; its preprocessing is part of the model."""

    network: ClassVar[str]
    preprocessing: ClassVar[str]

    def pretrained(self) -> dict[str, zoo.WeightsFile]:
        return {"imagenet": imagenet_file(*FILES[self.name])}

    def options(self) -> dict[str, Any]:
        """Further arguments of the network's function in keras.applications."""
        return {}

    def build(self, image_shape: tuple[int, int, int]) -> keras.Model:
        import keras

        images = keras.Input(image_shape)
        # Named twice: Keras checks the size of `input_shape`, and builds on `input_tensor`.
        network = self._application(
            weights=None, input_shape=image_shape, input_tensor=_preprocess(images, self.preprocessing)
        )
        return keras.Model(images, network.outputs[0])

    def load_weights(self, model: keras.Model, source: str) -> None:
        """Through Keras' own model, whose layers a weights file knows; preprocessing has no weights to copy."""
        imagenet = "imagenet" if source == "imagenet" else None
        donor = self._application(weights=imagenet, input_shape=model.input_shape[1:])
        if imagenet is None:
            donor.load_weights(source)
        model.set_weights(donor.get_weights())

    def _application(self, **arguments: Any) -> keras.Model:
        import keras

        return getattr(keras.applications, self.network)(include_top=False, **self.options(), **arguments)


def _preprocess(images: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """What the network's `preprocess_input` in keras.applications does, as layers that are saved with the model."""
    import keras

    layers = keras.layers
    if mode == "tf":  # to -1..1
        return layers.Rescaling(1 / 127.5, offset=-1, name="preprocess")(images)
    if mode == "torch":  # standardised channels
        scale = [1 / (255 * std) for std in TORCH_STD]
        offset = [-mean / std for mean, std in zip(TORCH_MEAN, TORCH_STD, strict=True)]
        return layers.Rescaling(scale, offset=offset, name="preprocess")(images)
    if mode == "caffe":  # BGR with centred channels
        offset = [-mean for mean in CAFFE_MEAN]
        return layers.Rescaling(1.0, offset=offset, name="preprocess")(keras.ops.flip(images, axis=-1))
    return images  # the network does it itself


@dataclass(frozen=True)
class MobileNetV2(KerasApplication):
    """MobileNetV2; `alpha` scales the width of its layers."""

    name = "mobilenet-v2"
    network = "MobileNetV2"
    preprocessing = "tf"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, not {self.alpha}")

    def options(self) -> dict[str, Any]:
        return {"alpha": self.alpha}

    def pretrained(self) -> dict[str, zoo.WeightsFile]:
        if self.alpha not in MOBILENET_V2:
            return {}
        place = f"mobilenet_v2/mobilenet_v2_{TF}_{self.alpha}_224_no_top.h5"
        return {"imagenet": imagenet_file(place, "", "Apache-2.0", MOBILENET_V2[self.alpha])}


def _backbone(name: str, network: str, preprocessing: str) -> type[KerasApplication]:
    about = f"{network} of keras.applications."
    fields = {"name": name, "network": network, "preprocessing": preprocessing, "__doc__": about}
    return dataclass(frozen=True)(type(network, (KerasApplication,), {**fields, "__module__": __name__}))


@zoo.hookimpl
def zoo_backbones() -> Sequence[type[zoo.Backbone]]:
    return [MobileNetV2, *(_backbone(name, *differs) for name, differs in NETWORKS.items())]
