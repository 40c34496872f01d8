"""Networks of keras.applications as backbones: one class for all, a table for what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import zoo

if TYPE_CHECKING:
    import keras

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
# Channel statistics of ImageNet as in keras.applications: BGR 0..255 for caffe, RGB 0..1 for torch.
CAFFE_MEAN = (103.939, 116.779, 123.68)
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class KerasApplication(zoo.Backbone):
    """A network of keras.applications without its top; its preprocessing is part of the model."""

    network: ClassVar[str]
    preprocessing: ClassVar[str]

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


def _backbone(name: str, network: str, preprocessing: str) -> type[KerasApplication]:
    about = f"{network} of keras.applications."
    fields = {"name": name, "network": network, "preprocessing": preprocessing, "__doc__": about}
    return dataclass(frozen=True)(type(network, (KerasApplication,), {**fields, "__module__": __name__}))


@zoo.hookimpl
def zoo_backbones() -> Sequence[type[zoo.Backbone]]:
    return [MobileNetV2, *(_backbone(name, *differs) for name, differs in NETWORKS.items())]
