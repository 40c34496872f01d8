"""How many images a second are augmented: ours, Keras' ImageDataGenerator, and Keras' random layers.

    python benchmarks/augmentation.py               # about a minute on two CPU cores

All three rotate, zoom, shift and flip 224 px images in batches of 64 with the study's ranges, each in its usual way:
ours as the training step gets it, from `TrainingBatches`; ImageDataGenerator from `flow`; a stack of Keras' layers
called on batches. (The first two also shear by up to 0.15 degrees.) They take turns, and the median and the spread of
several rounds are printed, with the ratio to ours. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np

import zoo
from zoo.data.splits import Subset
from zoo_augment import Study

BATCH, SIZE, IMAGES = 64, 224, 640


def ours(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """What a training step gets of the `study` augmenter."""
    from zoo.training.batches import TrainingBatches

    count = len(pixels)
    names = tuple(map(str, range(count)))
    subset = Subset(pixels, np.arange(count), np.arange(count) % 2, names, names, "benchmark")
    batches = TrainingBatches(subset, ["a", "b"], BATCH, Study(), zoo.Stage("all", 1, 1, 1e-3), (0, 0))
    return (batches[number][0] for number in itertools.count())


def image_data_generator(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """What the study used; Keras has it no longer among its public names."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(
        rotation_range=20,
        zoom_range=0.15,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=0.15,
        horizontal_flip=True,
        fill_mode="nearest",
        dtype="uint8",
    )
    return (images for images, _ in generator.flow(pixels, np.zeros(len(pixels)), batch_size=BATCH))


def keras_layers(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """A stack of Keras' random layers, as its examples have it."""
    from keras import layers

    stack = [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(20 / 360, fill_mode="nearest"),
        layers.RandomZoom(0.15, 0.15, fill_mode="nearest"),
        layers.RandomTranslation(0.2, 0.2, fill_mode="nearest"),
    ]
    for start in itertools.cycle(range(0, len(pixels), BATCH)):
        images = pixels[start : start + BATCH].astype("float32")
        for layer in stack:
            images = layer(images, training=True)
        yield np.asarray(images)


def rate(batches: Iterator[np.ndarray], seconds: float) -> float:
    """Images a second over about so many seconds."""
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        done += len(next(batches))
    return done / (time.perf_counter() - started)


def measure(rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """Images a second of each way, one entry a round; in each round all take their turn."""
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=np.uint8)
    makers: dict[str, Callable[[np.ndarray], Iterator[np.ndarray]]] = {
        "zoo, study": ours,
        "ImageDataGenerator": image_data_generator,
        "Keras layers": keras_layers,
    }
    streams = {name: make(pixels) for name, make in makers.items()}
    for stream in streams.values():
        next(stream)  # what is imported and traced once is not counted
    rates = [[rate(stream, seconds) for stream in streams.values()] for _ in range(rounds)]
    return dict(zip(streams, np.array(rates).T, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each in each round")
    options = parser.parse_args()
    table = measure(options.rounds, options.seconds)
    for name, rates in table.items():
        ratios = table["zoo, study"] / rates
        print(
            f"{name:20} {np.median(rates):8,.0f} images/s ({rates.min():,.0f} to {rates.max():,.0f})   "
            f"ours is {np.median(ratios):5.1f} times as fast ({ratios.min():.1f} to {ratios.max():.1f})"
        )


if __name__ == "__main__":
    main()
