"""What people do today: one fold of the study as a notebook would train it, for `benchmarks/study.py` to compare with.

    python benchmarks/notebook.py DATA --stage head --epochs 2

Plain Keras, as its fine-tuning guide has it: every image of DATA/Fold0 in memory, EfficientNetB0 without its top (its
weights random: time does not depend on them), a small head, `fit` with early stopping and a checkpoint of the best
epoch, and ImageDataGenerator where images are augmented. Prints one line of JSON: seconds until the first epoch began
and until it ended, of each epoch, and the most memory that was used.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

STARTED = time.perf_counter()

import cv2  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

LEARNING_RATES = {"head": 1e-3, "top": 1e-4, "all": 1e-5}
CLASSES = ("normal", "abnormal")


def load(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 RGB (n, size, size, 3) and labels (n,) of one role."""
    images, labels = [], []
    for label, name in enumerate(CLASSES):
        for file in sorted((folder / name).iterdir()):
            image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
            images.append(cv2.resize(image, (size, size)))
            labels.append(label)
    return np.array(images), np.array(labels)


def network(size: int, stage: str) -> keras.Model:
    """EfficientNetB0 with the study's head; what the stage trains is trainable."""
    base = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(size, size, 3))
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(base.input, keras.layers.Dense(1, activation="sigmoid")(x))
    if stage == "head":
        base.trainable = False
    elif stage == "top":
        for layer in model.layers[:-20]:
            layer.trainable = False
        for layer in model.layers[-20:]:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    model.compile(keras.optimizers.RMSprop(LEARNING_RATES[stage]), "binary_crossentropy", metrics=["accuracy"])
    return model


class Clock(keras.callbacks.Callback):
    """When each epoch began and ended, validation included."""

    def __init__(self) -> None:
        super().__init__()
        self.began: list[float] = []
        self.ended: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.began.append(time.perf_counter())

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.ended.append(time.perf_counter())


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--stage", choices=LEARNING_RATES, default="head")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--augment", action="store_true")
    options = parser.parse_args()

    (images, labels), validation = (
        load(options.data / "Fold0" / role, options.image_size) for role in ("train", "test")
    )
    batches: object = (images, labels)
    if options.augment:
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
        batches = generator.flow(images, labels, batch_size=128)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [
            clock,
            keras.callbacks.EarlyStopping(monitor="val_loss", mode="min", patience=70),
            keras.callbacks.ModelCheckpoint(
                f"{folder}/best.keras", monitor="val_loss", mode="min", save_best_only=True
            ),
        ]
        arrays = {} if options.augment else {"y": labels, "batch_size": 128}
        network(options.image_size, options.stage).fit(
            batches if options.augment else images,
            **arrays,
            validation_data=validation,
            epochs=options.epochs,
            callbacks=callbacks,
            verbose=0,
        )
    result = {
        "setup": clock.began[0] - STARTED,
        "first": clock.ended[0] - STARTED,
        "epochs": [end - begin for begin, end in zip(clock.began, clock.ended, strict=True)],
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
