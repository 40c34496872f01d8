"""Assemble a network from a backbone and a head, load its weights, and freeze it as a stage asks."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from zoo.errors import ConfigError, PluginError, WeightsError, unknown
from zoo.files import hash_file
from zoo.interfaces import Backbone, Head, Stage, title
from zoo.plugins.isolation import blaming
from zoo.training import archive, backend, batchnorm, precision
from zoo.training.flat import flat
from zoo.training.part_checks import building, check_finite

DOWNLOAD_TIMEOUT = 30.0  # seconds without an answer after which a download of weights is given up


@dataclass(frozen=True)
class Network:
    """A flat functional model, from uint8-valued images to probabilities, and which of its layers are whose."""

    model: keras.Model
    head_layers: frozenset[str]
    weights: str  # what the backbone really started from: one of its starts, "random" or "file NAME sha256 …"
    warning: str | None = None

    @property
    def lacks_statistics(self) -> bool:
        """Whether its batch-norm statistics are of no use: it is random, or has weights of another network."""
        return self.weights != "imagenet" and not self.weights.startswith("file ")

    def is_head(self, layer: keras.Layer) -> bool:
        """Whether the layer belongs to the head."""
        return layer.name in self.head_layers


def assemble(backbone: Backbone, head: Head, image_shape: tuple[int, int, int], classes: int) -> Network:
    """Build backbone and head into one flat model, so that layers can be counted through both.

    Raises PluginError if a part cannot be built, returns something else or isn't for this backend of Keras,
    WeightsError for weights that cannot be had or don't fit.
    """
    backend.check_backend(head, keras.config.backend())
    base = build(backbone, image_shape)
    weights, warning = load_weights(backbone, base)
    check_finite(backbone, base)
    with blaming(title(backbone), "builds a network that cannot be made anew from its configuration"):
        base = flat(base)
    if lost := batchnorm.unknown_to_keras(base):
        raise PluginError(
            f"{title(backbone)} keeps what Keras doesn't know of, so that it would be lost when weights are put back: "
            f"{', '.join(lost[:3])}{', …' * (len(lost) > 3)}; make these buffers variables of the layer, as in "
            "docs/wrapping.md"
        )
    # The loss needs probabilities of more than three digits.
    with precision.full(), building(head, f"cannot be built on {title(backbone)}"):
        outputs = head.build(base.outputs[0], classes)
        model = keras.Model(base.inputs[0], outputs, name="network")
    expected = (None, 1 if classes == 2 else classes)
    if model.output_shape != expected:
        raise PluginError(f"{title(head)} gives outputs {model.output_shape}; {expected} is needed")
    of_backbone = {layer.name for layer in base.layers}
    head_layers = frozenset(layer.name for layer in model.layers if layer.name not in of_backbone)
    return Network(model, head_layers, weights, warning)


def build(backbone: Backbone, image_shape: tuple[int, int, int]) -> keras.Model:
    """The network of a backbone, as it builds it. Raises PluginError as `assemble` does."""
    backend.check_backend(backbone, keras.config.backend())
    with building(backbone, f"cannot be built for images {image_shape}"):
        base = backbone.build(image_shape)
    if not isinstance(base, keras.Model) or len(getattr(base, "outputs", None) or ()) != 1 or len(base.inputs) != 1:
        raise PluginError(f"{title(backbone)} must build a functional keras.Model with one input and output")
    return base


def load_weights(backbone: Backbone, model: keras.Model) -> tuple[str, str | None]:
    """Fill the backbone's network as `backbone.weights` says; (what it holds now, a warning or None).

    Raises WeightsError for weights that cannot be had, unless they are "auto": that is then whatever can.
    """
    if backbone.weights == "none":
        return "random", None
    if backbone.from_file:
        load = partial(backbone.load_weights, model)
        return _load_file(load, Path(backbone.weights).expanduser(), title(backbone)), None
    faults: list[tuple[str, str]] = []
    for source in backbone.starts if backbone.weights == "auto" else (backbone.weights,):
        try:
            with socket_timeout(DOWNLOAD_TIMEOUT):
                backbone.load_weights(model, source)
            return source, _instead(backbone, faults, f"the weights of {source}") if faults else None
        except (Exception, SystemExit) as error:
            faults.append((source, " ".join(str(error).split())))
    if backbone.weights != "auto":
        told, why, advice = _missed(backbone, *faults[0])
        raise WeightsError(f"{told}{why}. {advice}")
    return "random", _instead(backbone, faults, "random weights")


def same_start(weights: str | None) -> str:
    """What a backbone's `weights` must say for it to begin as a network did, see `Network.weights`; None is random."""
    return "none" if weights in (None, "random") else str(weights)


def _instead(backbone: Backbone, faults: Sequence[tuple[str, str]], taken: str) -> str:
    """A warning that training starts from something else than the best: what of that is missing, and how to have it."""
    told, why, advice = _missed(backbone, *faults[0])
    return f"{told}, training from {taken}{why}. {advice}"


def _missed(backbone: Backbone, source: str, reason: str) -> tuple[str, str, str]:
    """What is missing, why, and what to do about it."""
    if reason == f"backbone {backbone.name!r} brings no ImageNet weights":  # which would say it twice
        return f"{title(backbone)} brings no ImageNet weights", "", _advice(backbone, source)
    name = "ImageNet" if source == "imagenet" else source
    return f"no {name} weights for {title(backbone)}", f": {reason}", _advice(backbone, source)


def start_from(network: Network, path: Path) -> Network:
    """The network with all weights, those of the head included, from a model file of the same recipe.

    Raises WeightsError if the file is none, or of another network.
    """
    return dataclasses.replace(
        network, weights=_load_file(network.model.load_weights, path, "the network"), warning=None
    )


def _load_file(load: Callable[[str], None], path: Path, what: str) -> str:
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist")
    archive.check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns of layers that the file leaves random
            load(str(path))
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"weights file {path} does not fit {what}: {reason}") from error
    return f"file {path.name} sha256 {hash_file(path)[:12]}"


def _advice(backbone: Backbone, source: str) -> str:
    """How to have the weights of a start after all."""
    place = ""
    with contextlib.suppress(Exception):  # a part that cannot say it
        if backbone.pretrained()[source].url:
            place = f"zoo weights fetch {backbone.name}, here or elsewhere with zoo weights export and import; or "
    return f"To use them {place}name a file with --weights FILE; --weights none starts from random weights"


@contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Keras downloads without a timeout; on a network that swallows packets it would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def unfreeze(network: Network, stage: Stage) -> int:
    """Set what is trainable in a stage; the index in `model.layers` of the first layer that isn't frozen.

    Raises ConfigError for a layer prefix that no layer has.
    """
    layers = network.model.layers
    first = min(_first_unfrozen(network, stage.unfreeze), _head_start(network))
    for index, layer in enumerate(layers):
        keeps = stage.batchnorm == "frozen" and not network.is_head(layer)
        for inner in batchnorm.flatten(layer):  # from the outside in: a layer hands a change on to those in it
            frozen = keeps and isinstance(inner, keras.layers.BatchNormalization)
            inner.trainable = index >= first and not frozen
        batchnorm.freeze_torch(layer, frozen=index < first or keeps)
    return first


def depths(network: Network, groups: int = 10) -> dict[int, int]:
    """How deep each weight of the backbone lies: its id to 1 (next to the head) up to `groups` (at the input).

    Layers with weights are divided evenly, in their order; what lies within a layer counts by itself.
    """
    leaves = [
        inner
        for layer in network.model.layers
        if not network.is_head(layer)
        for inner in batchnorm.flatten(layer)
        if inner.weights and len([*batchnorm.flatten(inner)]) == 1
    ]
    return {
        id(weight): math.ceil((len(leaves) - number) / len(leaves) * groups)
        for number, leaf in enumerate(leaves)
        for weight in leaf.weights
    }


def count(weights: Sequence[keras.Variable]) -> int:
    """How many numbers the weights hold."""
    return sum(math.prod(weight.shape) for weight in weights)


def _head_start(network: Network) -> int:
    """Layers are in topological order, so that the head's come last."""
    return min(index for index, layer in enumerate(network.model.layers) if network.is_head(layer))


def _first_unfrozen(network: Network, amount: int | str) -> int:
    layers = network.model.layers
    if amount == "all":
        return 0
    if isinstance(amount, int):
        return max(0, len(layers) - amount)
    for index, layer in enumerate(layers):
        if layer.name.startswith(amount):
            return index
    blocks = list(dict.fromkeys(layer.name.split("_")[0] for layer in layers))
    raise ConfigError(f"unfreeze: {unknown('layer prefix', amount, blocks)}")


def frozen_prefix(model: keras.Model, first_unfrozen: int) -> keras.KerasTensor | None:
    """The deepest tensor before layer `first_unfrozen` through which all data passes; None if that is the input.

    What comes before it is the same in every epoch: nothing there is trained.
    """
    limit = model.operations.index(model.layers[first_unfrozen])
    before = [cut for number, cut in _cuts(model) if number < limit]
    return before[-1] if before else None


def feature_map(model: keras.Model) -> keras.KerasTensor | None:
    """The deepest tensor (n, height, width, channels) of more than one place through which all data passes, if any."""
    maps = [cut for _, cut in _cuts(model) if len(cut.shape) == 4 and math.prod(cut.shape[1:3]) > 1]
    return maps[-1] if maps else None


def _cuts(model: keras.Model) -> Iterator[tuple[int, keras.KerasTensor]]:
    """Each tensor through which all data passes but the input, and the number of the operation that makes it."""
    operations = model.operations  # in topological order: the layers, and bare operations such as x / 255 between them
    produced_by = {id(operation.output): index for index, operation in enumerate(operations)}
    last_used_by: dict[int, int] = {}
    for index, operation in enumerate(operations):
        for tensor in [] if isinstance(operation, keras.layers.InputLayer) else keras.tree.flatten(operation.input):
            if id(tensor) in produced_by:  # a bare operation may read constants too
                last_used_by[produced_by[id(tensor)]] = index
    open_until = 0  # the last operation that reads anything made before the operation at hand
    for index, operation in enumerate(operations):
        if open_until <= index and not isinstance(operation, keras.layers.InputLayer):
            yield index, operation.output
        open_until = max(open_until, last_used_by.get(index, index))


def splits_block(network: Network, stage: Stage, first_unfrozen: int) -> str | None:
    """A warning if a count of layers begins in the midst of a block, where data flows past the first layer too."""
    if not isinstance(stage.unfreeze, int) or not stage.unfreeze or not first_unfrozen:
        return None
    operations = network.model.operations
    layer = network.model.layers[first_unfrozen]
    before = operations[operations.index(layer) - 1]
    cut = frozen_prefix(network.model, first_unfrozen)
    if isinstance(before, keras.layers.InputLayer) or cut is before.output:
        return None
    return (
        f"stage {stage.name!r}: the last {stage.unfreeze} layers begin with {layer.name!r}, in the midst of a block; "
        "unfreeze by a layer prefix to keep blocks whole"
    )


class StageModel(keras.Model):
    """The network as one stage trains it: a frozen prefix in inference mode, then the rest in training mode.

    A functional model cannot say this: Keras passes the outer `training` flag to every layer in it, so that
    dropout and stochastic depth would go on in its frozen part.
    """

    def __init__(self, prefix: keras.Model, rest: keras.Model) -> None:
        super().__init__()
        self.prefix = prefix
        self.rest = rest

    def call(self, images: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        return self.rest(self.prefix(images, training=False), training=training)


class TableModel(keras.Model):
    """The rest of a network on rows of a table that lies where it computes: a batch is their numbers, int32 (n,).

    Handing over the rows themselves takes as long as a step of a head.
    """

    def __init__(self, table: np.ndarray, rest: keras.Model) -> None:
        super().__init__()
        self.rest = rest
        # Mixed precision would cast all of it, and not the rows alone.
        self.table = keras.Variable(table, dtype="float32", trainable=False, autocast=False, name="table")

    def call(self, rows: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        return self.rest(keras.ops.take(self.table, rows, axis=0), training=training)


def split(network: Network, first_unfrozen: int) -> tuple[keras.Model | None, keras.Model]:
    """The network as a stage sees it, once `unfreeze` has been called: (frozen prefix or None, the rest).

    They share all layers and weights with `network.model`. The prefix is as deep as can be: a pooling layer after the
    frozen ones belongs to it, since nothing in it is trained either.
    """
    model = network.model
    active = next(index for index, layer in enumerate(model.layers) if index >= first_unfrozen and not _inert(layer))
    cut = frozen_prefix(model, active)
    if cut is not None:
        prefix = keras.Model(model.inputs[0], cut)
        if prefix.variables:
            return prefix, keras.Model(cut, model.outputs[0])
    return None, keras.Model(model.inputs[0], model.outputs[0])


def head_alone(network: Network) -> keras.Model | None:
    """The network from the features on that its head gets; None if they are no single tensor."""
    first = next(index for index, layer in enumerate(network.model.layers) if network.is_head(layer))
    backbone, rest = split(network, first)
    return None if backbone is None else rest


def _inert(layer: keras.Layer) -> bool:
    """Whether a layer does the same in training as in inference, and has nothing to train."""
    told = any("training" in inspect.signature(inner.call).parameters for inner in batchnorm.flatten(layer))
    return not layer.variables and not told


def join(prefix: keras.Model | None, rest: keras.Model) -> keras.Model:
    """The model to fit in a stage on images: what `split` gave as a whole, the frozen prefix in inference mode."""
    if prefix is None:
        return rest
    staged = StageModel(prefix, rest)
    staged.build((None, *prefix.input_shape[1:]))
    return staged
