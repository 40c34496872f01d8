"""How much faster a stage with a frozen network trains on stored features.

    python benchmarks/frozen_features.py            # about two minutes on two CPU cores

Trains the head of EfficientNetB0 at 224 px on the demo's images twice in one process, on images and on features, and
prints seconds and their ratios: for the whole stage, features computed from nothing included, and for an epoch once
they are there (the median, without the first epoch of each, in which Keras compiles). The weights are random: time
does not depend on them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import zoo
from zoo.data import demo, images
from zoo.data.splits import Subset
from zoo_augment import NoAugmentation
from zoo_efficientnet import EfficientNetB0
from zoo_heads import Pooled


def demo_images(size: int) -> tuple[Subset, Subset]:
    """The demo's images as training and validation subsets of one store."""
    table = demo.describe()
    pixels = np.stack([images.resize(demo.draw(ratio, seed), size) for seed, ratio in enumerate(table["cup_to_disc"])])
    labels, names = table["label"].to_numpy(), tuple(table["file"])
    ends = (0, 4 * len(labels) // 5, len(labels))
    training, validation = (
        Subset(pixels, np.arange(a, b), labels[a:b], names[a:b], names[a:b], f"benchmark {size}")
        for a, b in pairwise(ends)
    )
    return training, validation


def stage_seconds(subsets: tuple[Subset, Subset], size: int, epochs: int, reuse: bool) -> tuple[float, list[float]]:
    """Seconds of the whole stage, and of each epoch."""
    import keras

    from zoo.training import model, trainer
    from zoo.training.checkpoint import Checkpoint

    keras.utils.set_random_seed(0)
    network = model.assemble(EfficientNetB0(weights="none"), Pooled(), (size, size, 3), 2)
    stage = zoo.Stage("head", epochs, epochs, 1e-3)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint", {})
        started = time.perf_counter()
        history = trainer.train(
            network, [stage], NoAugmentation(), *subsets, ["normal", "abnormal"], 128, 0, Path(folder) / "best.keras",
            checkpoint, lambda event: None, reuse,
        )  # fmt: skip
        return time.perf_counter() - started, [row["seconds"] for row in history]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=224)
    options = parser.parse_args()
    subsets = demo_images(options.image_size)
    print(f"{len(subsets[0])} training and {len(subsets[1])} validation images, {options.epochs} epochs")
    results = {}
    for name, reuse in (("on images", False), ("on features", True)):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["ZOO_CACHE"] = cache
            whole, epochs = stage_seconds(subsets, options.image_size, options.epochs, reuse)
        results[name] = whole, statistics.median(epochs[1:])
        print(f"{name:12} whole stage {whole:8.1f} s   an epoch {1000 * results[name][1]:8.0f} ms")
    ratios = [slow / fast for slow, fast in zip(*results.values(), strict=True)]
    print(f"{'ratio':12} whole stage {ratios[0]:8.1f}     an epoch {ratios[1]:8.0f}")


if __name__ == "__main__":
    main()
