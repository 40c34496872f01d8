"""How much slower `zoo predict` is than the network alone: images are read, decoded and hashed beside it.

    python benchmarks/predict.py                      # 2,000 JPEG files of 512 pixels, EfficientNetB0 at 224
    python benchmarks/predict.py --images 400 --side 2000

Random weights of the shipped network are written as a model file, and pictures as JPEG files, into a folder that is
deleted in the end. Both rates are measured in turn in one process, in three rounds, after one of each for warmth.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import zoo
from zoo.data.decoding import read_image
from zoo.data.images import resize
from zoo.inference.predictor import BATCH
from zoo.plugins import discovery, registry
from zoo.training import model, model_file, trainer

MODEL = "efficientnet-head"
ROUNDS = 3


def write_model(file: Path, size: int) -> None:
    """The model of that name with random weights, as a job would leave it."""
    recipe = registry.load_registry(None, discovery.discover()).recipe(MODEL)
    backbone = dataclasses.replace(recipe.backbone, weights="none")
    network = model.assemble(backbone, recipe.head, (size, size, 3), 2).model
    network.save(file)
    model_file.write_about(file, model_file.About.of(recipe, ["normal", "abnormal"], size))


def write_images(folder: Path, count: int, side: int) -> list[Path]:
    """JPEG files of smooth noise, all different."""
    rng, files = np.random.default_rng(0), []
    folder.mkdir()
    for number in range(count):
        small = rng.integers(0, 255, (side // 16, side // 16, 3)).astype(np.uint8)
        files.append(folder / f"{number:05d}.jpg")
        cv2.imwrite(str(files[-1]), cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC))
    return files


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=512, help="pixels a side of the files")
    parser.add_argument("--size", type=int, default=224, help="pixels a side of what the network takes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model.keras", arguments.size)
        files = write_images(folder / "images", arguments.images, arguments.side)
        began = time.perf_counter()
        loaded = zoo.load(folder / "model.keras")
        loading = time.perf_counter() - began
        pixels = np.stack([resize(read_image(file).pixels, arguments.size) for file in files])
        alone = trainer.scorer(loaded.networks[0])

        def network() -> object:
            return alone.predict(pixels, batch_size=BATCH, verbose=0)

        def predict() -> object:
            return loaded.predict(files)

        network(), predict()
        rounds = [(seconds(network), seconds(predict)) for _ in range(ROUNDS)]
    print(f"loading one network: {loading:.1f} s, TensorFlow itself aside")
    for of_network, of_zoo in rounds:
        rates = (arguments.images / of_network, arguments.images / of_zoo)
        print(f"images a second: network alone {rates[0]:.1f}, zoo predict {rates[1]:.1f}: {rates[1] / rates[0]:.2f}")
    print(f"median: {np.median([of_network / of_zoo for of_network, of_zoo in rounds]):.2f} of the network's own rate")


if __name__ == "__main__":
    main()
