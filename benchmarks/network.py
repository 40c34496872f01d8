"""How fast the network itself computes, with nothing around it, for `benchmarks/study.py` to compare with.

    python benchmarks/network.py --stage head

Assembles EfficientNetB0 as zoo does, freezes what the stage freezes, and feeds one batch from memory again and again
to what is left to train. Prints one line of JSON: seconds of a training step, of a step that scores as many images as
one of validation does, and images a second of the frozen prefix.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import zoo
from zoo.training import model
from zoo.training.device import jit
from zoo_efficientnet import EfficientNetB0
from zoo_heads import Pooled

STAGES = {
    "head": zoo.Stage("head", 1, 1, 1e-3),
    "top": zoo.Stage("top", 1, 1, 1e-4, unfreeze=20),
    "all": zoo.Stage("all", 1, 1, 1e-5, unfreeze="all", batchnorm="train"),
}


class Constant(keras.utils.PyDataset):
    """One batch for ever."""

    num_batches = None

    def __init__(self, batch: tuple[np.ndarray, ...]) -> None:
        super().__init__()
        self.batch = batch

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self.batch


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def median_seconds(work: Callable[[], object], times: int) -> float:
    """Of one call, after one that is not counted."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, default="head")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="timed as one, where one is too short")
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    keras.config.set_dtype_policy(options.precision)
    size, batch = options.image_size, options.batch
    network = model.assemble(EfficientNetB0(weights="none"), Pooled(), (size, size, 3), 2)
    prefix, rest = model.split(network, model.unfreeze(network, STAGES[options.stage]))
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    labels = rng.integers(0, 2, (batch, 1)).astype("float32")
    result = {}
    if prefix is not None:
        prefix.compile(jit_compile=jit())
        images = inputs[:64]
        result["prefix_images_per_second"] = len(images) / median_seconds(
            lambda: prefix.predict_on_batch(images), options.rounds
        )
        inputs = np.concatenate([prefix.predict_on_batch(inputs[i : i + 64]) for i in range(0, batch, 64)])
    steps = 200 if inputs.ndim == 2 else options.steps
    at_once = steps if inputs.ndim == 2 else 1
    rest.compile("rmsprop", "binary_crossentropy", jit_compile=jit(), steps_per_execution=at_once)
    clock = Clock()
    data = Constant((inputs, labels))
    rest.fit(data, steps_per_epoch=steps, epochs=options.rounds + 1, verbose=0, shuffle=False, callbacks=[clock])
    result["step"] = float(np.median(clock.seconds[1:])) / steps
    result["scoring_step"] = median_seconds(lambda: rest.test_on_batch(inputs, labels), options.rounds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
