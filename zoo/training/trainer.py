"""Walk the stages of a schedule; keep the weights of the best epoch by validation loss."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.data.splits import Subset
from zoo.errors import TrainingError
from zoo.interfaces import Augmenter, Stage
from zoo.training.batches import Batches, TrainingBatches, check_augmenter
from zoo.training.device import jit
from zoo.training.model import Network, count, fit_batchnorm, splits_block, stage_model, unfreeze
from zoo.training.optimizer import optimizer

# The columns of history.csv, one row an epoch.
HISTORY = ["stage", "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
PREDICTION_BATCH = 64  # images; only memory and speed depend on it

# Receives what happens as plain data: {"event": "epoch_ended", "stage": …, …}.
Notify = Callable[[dict[str, Any]], None]


def train(
    network: Network,
    stages: Sequence[Stage],
    augmenter: Augmenter,
    training: Subset,
    validation: Subset,
    classes: Sequence[str],
    batch_size: int,
    seed: int,
    best_file: Path,
    notify: Notify,
) -> list[dict[str, Any]]:
    """Train all stages, each from the best epoch of the one before; the rows of history.csv.

    `best_file` (.keras) always holds the best epoch by validation loss of all stages so far, and
    `network.model` ends with its weights.

    Raises TrainingError when a loss is no longer a number.
    """
    history: list[dict[str, Any]] = []
    check_augmenter(augmenter, training)
    if network.weights == "random":
        fit_batchnorm(network.model, training, seed)
    best = _BestEpoch(network.model, best_file)
    for number, stage in enumerate(stages):
        first_unfrozen = unfreeze(network, stage)
        if warning := splits_block(network, stage, first_unfrozen):
            notify({"event": "warning", "text": warning})
        model = stage_model(network, first_unfrozen)
        batches = TrainingBatches(training, classes, batch_size, augmenter, stage, (seed, number))
        model.compile(
            optimizer=optimizer(stage, len(batches)),
            loss="binary_crossentropy" if len(classes) == 2 else "categorical_crossentropy",
            metrics=[accuracy],
            jit_compile=jit(),
        )
        notify({
            "event": "stage_started", "stage": stage.name, "number": number + 1, "stages": len(stages),
            "epochs": stage.epochs, "steps": len(batches), "trainable": count(model.trainable_weights),
            "frozen": count(model.non_trainable_weights),
        })  # fmt: skip
        monitor = _Monitor(stage, len(batches), history, best, notify)
        stop = keras.callbacks.EarlyStopping(
            monitor="val_loss", mode="min", patience=stage.patience, restore_best_weights=True
        )
        model.fit(
            batches,
            validation_data=Batches(validation, len(classes), PREDICTION_BATCH),
            epochs=stage.epochs,
            shuffle=False,  # the batches shuffle themselves, and reproducibly
            verbose=0,
            callbacks=[monitor, stop],
        )
        notify({"event": "stage_ended", "stage": stage.name, "epochs": monitor.epochs_run})
    best.restore()
    return history


def accuracy(targets: Any, outputs: Any) -> Any:
    """1 or 0 for each image, (n,): whether its class is right. Keras' own would not count smoothed targets."""
    ops = keras.ops
    if outputs.shape[-1] == 1:
        right = ops.equal(targets[:, 0] > 0.5, outputs[:, 0] > 0.5)
    else:
        right = ops.equal(ops.argmax(targets, axis=-1), ops.argmax(outputs, axis=-1))
    return ops.cast(right, outputs.dtype)


class _BestEpoch:
    """The weights with the lowest validation loss so far, in memory and in a file."""

    def __init__(self, model: keras.Model, file: Path) -> None:
        self.model = model
        self.file = file
        self.loss = math.inf
        self.weights: list[Any] = []

    def offer(self, loss: float) -> bool:
        """Keep the model's present weights if they are better; whether they were."""
        if loss >= self.loss:
            return False
        self.loss = loss
        self.weights = self.model.get_weights()
        draft = self.file.with_name(f".draft-{self.file.name}")
        self.model.save(draft)
        draft.replace(self.file)
        return True

    def restore(self) -> None:
        """Put the best weights back into the model."""
        self.model.set_weights(self.weights)


class _Monitor(keras.callbacks.Callback):
    """Tells the world how an epoch goes, and stops when a loss is no longer a number."""

    def __init__(
        self, stage: Stage, steps: int, history: list[dict[str, Any]], best: _BestEpoch, notify: Notify
    ) -> None:
        super().__init__()
        self.stage = stage
        self.steps = steps
        self.history = history
        self.best = best
        self.notify = notify
        self.epochs_run = 0
        self._epoch = 0
        self._started = self._told = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch + 1
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {})["loss"])
        self._check(loss, f"step {batch + 1} of epoch {self._epoch}")
        now = time.perf_counter()
        if now - self._told > 0.25 or batch + 1 == self.steps:
            self._told = now
            self.notify({
                "event": "step_ended", "stage": self.stage.name, "epoch": self._epoch, "step": batch + 1,
                "loss": loss,
            })  # fmt: skip

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        numbers = {key: float(value) for key, value in (logs or {}).items()}
        self._check(numbers["val_loss"], f"validation after epoch {self._epoch}")
        row: dict[str, Any] = {
            "stage": self.stage.name,
            "epoch": self._epoch,
            "learning_rate": float(self.model.optimizer.learning_rate),
            **{key: numbers[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")},
            "seconds": round(time.perf_counter() - self._started, 3),
        }
        self.history.append(row)
        self.epochs_run += 1
        improved = self.best.offer(row["val_loss"])
        self.notify({"event": "epoch_ended", **row, "epochs": self.stage.epochs, "best": improved})

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"stage {self.stage.name!r}: the loss is {loss} at {where}; "
                f"try a learning rate below {self.stage.learning_rate:g}, or look at the images and labels"
            )


def predict(model: keras.Model, subset: Subset, classes: int) -> np.ndarray:
    """The network's outputs for a subset in order: float32 (n, 1) for two classes, (n, classes) for more."""
    scorer = keras.Model(model.inputs[0], model.outputs[0])  # compiling the network itself would be saved with it
    scorer.compile(jit_compile=jit())
    return np.asarray(scorer.predict(Batches(subset, classes, PREDICTION_BATCH), verbose=0))


def capped(stages: Sequence[Stage], max_epochs: int | None) -> list[Stage]:
    """The stages with at most `max_epochs` epochs each."""
    if max_epochs is None:
        return list(stages)
    return [dataclasses.replace(stage, epochs=min(stage.epochs, max_epochs)) for stage in stages]
