"""The network that this process has assembled last: a job that begins with the same one need not build it again."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from dataclasses import dataclass
from pathlib import Path

import keras

from zoo.files import hash_file
from zoo.interfaces import Backbone, Head
from zoo.training import batchnorm, model
from zoo.training.checkpoint import Arrays, assign, values
from zoo.training.model import Network

# What a network follows from, besides the machine and the code that this process has loaded.
_Origin = tuple[Backbone, Head, tuple[int, int, int], int, int, str, str]


@dataclass(frozen=True)
class _Kept:
    """A network as it was when it had been assembled: values of its variables, and which of them train."""

    origin: _Origin
    network: Network
    variables: list[keras.Variable]
    values: Arrays
    trainable: list[tuple[keras.Layer | keras.Variable, bool]]  # from the outside in, as layers hand a change on


_last: _Kept | None = None


def assemble(backbone: Backbone, head: Head, image_shape: tuple[int, int, int], classes: int, seed: int) -> Network:
    """As `zoo.training.model.assemble` in a new process whose random numbers begin at `seed`, and raises what it does.

    Then they begin there once more, for what comes next: the same whether the network was built or kept.
    """
    global _last
    content = ""
    with contextlib.suppress(OSError):  # a file that cannot be read, of which loading it tells
        content = hash_file(Path(backbone.weights).expanduser()) if backbone.from_file else ""
    origin: _Origin = (backbone, head, image_shape, classes, seed, keras.config.dtype_policy().name, content)
    if _last is not None and _last.origin == origin:
        network = _last.network
        assign(_last.variables, _last.values)
        for each, trains in _last.trainable:
            each.trainable = trains
    else:
        _last = None  # before there is another one
        gc.collect()
        keras.utils.set_random_seed(seed)
        network = model.assemble(backbone, head, image_shape, classes)
        if backbone.weights == "auto":  # the next job is told what that comes to, and what to warn of
            told = dataclasses.replace(backbone, weights=model.same_start(network.weights))
            origin = (told, *origin[1:])
        _last = _as_it_is(dataclasses.replace(network, warning=None), origin)
    keras.utils.set_random_seed(seed)
    return network


def _as_it_is(network: Network, origin: _Origin) -> _Kept:
    variables = network.model.variables
    layers = [inner for layer in network.model.layers for inner in batchnorm.flatten(layer)]
    trainable = [(each, each.trainable) for each in [*layers, *variables]]
    return _Kept(origin, network, variables, values(variables), trainable)
