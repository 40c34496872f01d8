"""Checks of a backbone."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import WeightsError, one_line
from zoo.files import expand
from zoo.interfaces import Backbone, Stage
from zoo.testing.keras_parts import is_deterministic, saves_and_reloads, works_with
from zoo.testing.subject import Subject

if TYPE_CHECKING:
    import numpy as np

    from zoo.training.model import Network


def builds(subject: Subject) -> None:
    """A functional model with one input and one output, at two image sizes, under heads for 2 and for 5 classes.

    Any number of images goes in, their shape is the one asked for; finite floats come out, in the shape declared.
    """
    import numpy as np

    from zoo.testing import networks

    for size, classes in zip(subject.sizes, (2, 5), strict=True):
        model = networks.features(networks.network(subject, size, classes))
        if model.input_shape != (None, size, size, 3):
            raise subject.wrong(
                f"built for images {(size, size, 3)} it takes {model.input_shape}: begin with keras.Input(image_shape)"
            )
        if None in model.output_shape[1:] or model.output_shape[0] is not None:
            raise subject.wrong(
                f"its output has the shape {model.output_shape} for images {(size, size, 3)}: all but the number of "
                "images (the first, None) must be known"
            )
        for number in (1, 3):
            outputs = networks.run(model, networks.noise(size, number))
            if outputs.shape != (number, *model.output_shape[1:]):
                raise subject.wrong(
                    f"it declares an output of {model.output_shape}, and gives {outputs.shape} for {number} images: a "
                    "layer's compute_output_shape() must say what its call() returns"
                )
            if not np.issubdtype(outputs.dtype, np.floating):
                raise subject.wrong(f"its output is {outputs.dtype}: features must be floats")
            if not np.isfinite(outputs).all():
                raise subject.wrong(f"its features of random images at {size} px hold infinities or no numbers")


def takes_0_to_255(subject: Subject) -> None:
    """Images are RGB 0..255, uint8 or float alike: black, white and noise give finite features, and brightness counts.

    Normalisation belongs inside the network.
    """
    import numpy as np

    from zoo.testing import networks

    size = subject.sizes[0]
    model = networks.features(networks.network(subject))
    flat = [np.full((size, size, 3), value, np.uint8) for value in (0, 255)]
    images = np.stack([*flat, networks.noise(size, 1)[0]])
    outputs = networks.run(model, images)
    if not np.isfinite(outputs).all():
        raise subject.wrong(
            "its features of a black, a white or a random image (0..255) hold infinities or no numbers: normalise by "
            "constants inside the network, not by what an image's own values divide by"
        )
    if not networks.alike(outputs, networks.run(model, images.astype(np.float32))):
        raise subject.wrong(
            "it makes something else of float images than of uint8 ones: begin with keras.Input(image_shape)"
        )
    ramp = np.broadcast_to(np.linspace(20, 230, size, dtype=np.uint8)[:, None, None], (size, size, 3))
    pictures = np.stack([ramp, ramp.transpose(1, 0, 2), np.where(ramp < 125, ramp, 250 - ramp)])
    outputs = networks.run(model, pictures)
    if networks.alike(outputs[0], outputs[1]) and networks.alike(outputs[0], outputs[2]):
        raise subject.wrong(
            "it makes the same of pictures that have nothing darker than 20 of 255, whatever is on them, as if values "
            "were to lie in 0..1: begin the network with its normalisation, such as keras.layers.Rescaling(1 / 255)"
        )


def stages(network: Network) -> Iterator[Stage]:
    """One stage for each way to freeze a network."""
    of_backbone = [layer for layer in network.model.layers if not network.is_head(layer)]
    heads = len(network.model.layers) - len(of_backbone)
    with_weights = [layer.name for layer in of_backbone if layer.weights]

    def stage(unfreeze: int | str, batchnorm: Any = "frozen") -> Stage:
        return Stage(
            f"unfreeze = {unfreeze!r}, batchnorm = {batchnorm!r}", 1, 1, 1e-2, unfreeze=unfreeze, batchnorm=batchnorm
        )

    yield stage(0)
    yield stage(heads + len(of_backbone) // 2)
    if with_weights:
        yield stage(with_weights[len(with_weights) * 2 // 3], "train")
    yield stage("all")
    yield stage("all", "train")


def freezes_exactly(subject: Subject) -> None:
    """Each way to freeze it leaves exactly the declared weights trainable, and training changes no other.

    Tried are unfreeze = 0, a number of layers, a layer's name and "all", with batchnorm frozen and not. After one step
    of training all that is frozen is the same bit by bit, moving statistics too, and the gradient has reached the
    first layer that isn't.
    """
    from zoo.testing import freezing, networks

    images = networks.noise(subject.sizes[0])
    for stage in stages(networks.network(subject)):
        freezing.check(subject, networks.network(subject), stage, images)


def prefix_equals_whole(subject: Subject) -> None:
    """Frozen layers apart and the rest after them give what the whole network gives, and each image by itself too.

    What frozen layers make of an image is computed once and kept, alone or among others.
    """
    from zoo.testing import networks
    from zoo.training import model as training

    network = networks.network(subject)
    images = networks.noise(subject.sizes[0])
    whole = networks.run(network.model, images)
    model = networks.features(network)
    together = networks.run(model, images)
    alone = networks.run(model, images[:1])
    if not networks.alike(together[:1], alone):
        raise subject.wrong(
            "its features of an image depend on the other images of the batch: compute nothing over the first axis; "
            "BatchNormalization takes its moving statistics outside training"
        )
    for stage in stages(network):
        prefix, rest = training.split(network, training.unfreeze(network, stage))
        if prefix is None:
            continue
        features = networks.run(prefix, images)
        if not networks.alike(whole, networks.run(rest, features)):
            raise subject.wrong(
                f"with {stage.name} the frozen layers and then the rest give something else than the whole network: "
                "use each layer once, and let none keep a state"
            )


def takes_weights_from_file(subject: Subject) -> None:
    """A weights file fills every weight, and one of another network is refused.

    Tried are the file that its own model's save_weights() writes, unless load_weights() is its own and refuses that,
    and the file that its `weights` name, if they do. The default of `weights` must be fit to be installed.
    """
    import keras

    from zoo.testing import networks

    _check_default(subject)
    model = networks.built(subject)
    if not model.weights:
        return
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own, foreign = (str(Path(folder) / f"{name}.weights.h5") for name in ("own", "foreign"))
        model.save_weights(own)
        stranger = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
        stranger.save_weights(foreign)
        images = networks.noise(subject.sizes[0])
        try:
            loaded = _outputs(subject, own, images)
        except WeightsError as error:
            if type(subject.part).load_weights is Backbone.load_weights:
                raise subject.wrong(
                    f"it refuses the weights that its own model.save_weights() wrote: {_reason(error)}"
                ) from error
        else:
            if not networks.alike(networks.run(model, images), loaded):
                raise subject.wrong(
                    "with the weights that its own model.save_weights() wrote it gives other outputs: load_weights() "
                    "must fill every weight of the model from the file, or raise an error"
                )
        if subject.part.from_file:
            try:
                first, second = (_outputs(subject, subject.part.weights, images, seed) for seed in (1, 2))
            except WeightsError as error:
                raise subject.wrong(f"{subject.part.weights} cannot be loaded: {_reason(error)}") from error
            if not networks.alike(first, second):
                raise subject.wrong(
                    f"{subject.part.weights} doesn't fill it: load_weights() must fill every weight from the file"
                )
        with contextlib.suppress(WeightsError):
            _outputs(subject, foreign, images)
            raise subject.wrong(
                "it takes a weights file of another network without a word: let load_weights() raise an error for a "
                "file that doesn't fit (Keras' own model.load_weights() does, unless skip_mismatch is set)"
            )


def _check_default(subject: Subject) -> None:
    """The file that comes with a plug-in, if one does, is there, and can be installed without harm."""
    default = Path(type(subject.part).weights)
    source = Path(getattr(sys.modules.get(subject.package), "__file__", None) or "")
    beside = source.parent.parent if source.name == "__init__.py" else source.parent
    if default.suffix == ".pth" and default.parent == beside:
        raise subject.wrong(
            f"its weights come as {default.name} beside a module: installed so, every start of Python would read that "
            f"as a list of folders, and fail. Name it {default.stem}.pt, or put module and file into a package"
        )
    if subject.part.from_file and not expand(subject.part.weights).is_file():
        raise subject.wrong(
            f"its weights file {subject.part.weights} does not exist: put it there, and see to it that the wheel holds "
            "it too"
        )


def _reason(error: WeightsError) -> str:
    """What load_weights() itself has raised."""
    return one_line(error.__cause__ or error)


def _outputs(subject: Subject, file: str, images: np.ndarray, seed: int = 1) -> np.ndarray:
    """What a network makes of images that is built with a seed and filled from a file. WeightsError if refused."""
    from zoo.testing import networks
    from zoo.training import model as training

    model = networks.built(subject, seed)
    training.load_weights(dataclasses.replace(subject.part, weights=file), model)
    return networks.run(model, images)


CHECKS = (
    builds,
    takes_0_to_255,
    freezes_exactly,
    saves_and_reloads,
    prefix_equals_whole,
    is_deterministic,
    takes_weights_from_file,
)
__all__ = ["CHECKS", "works_with"]
