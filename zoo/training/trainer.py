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
from zoo.errors import DataError, TrainingError
from zoo.files import replacing
from zoo.interfaces import Augmenter, Stage
from zoo.training import features
from zoo.training.batches import Batches, TrainingBatches, check_augmenter
from zoo.training.checkpoint import Checkpoint, State, assign, others, values
from zoo.training.device import jit
from zoo.training.model import Network, count, fit_batchnorm, join, split, splits_block, unfreeze
from zoo.training.optimizer import optimizer

# The columns of history.csv, one row an epoch.
HISTORY = ["stage", "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
PREDICTION_BATCH = 64  # images; only memory and speed depend on it
# Where a stage trains on features that are mere vectors, a step is so short that what Keras does between steps and
# between validation batches takes longer: so many steps at once, and so many vectors.
VECTOR_STEPS, VECTOR_BATCH = 32, 4096

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
    checkpoint: Checkpoint,
    notify: Notify,
    reuse: bool = True,
) -> list[dict[str, Any]]:
    """Train all stages, each from the best epoch of the one before; the rows of history.csv.

    After each stage `best_file` (.keras) holds the best epoch by validation loss of all stages so far, and in the
    end `network.model` has its weights. After every epoch the state is saved to `checkpoint`; where it already holds
    one, training goes on from there, and ends as if it had never been interrupted. `reuse`: where a stage leaves a
    prefix of the network frozen and images are not augmented, what the prefix makes of them is computed once.

    Raises TrainingError when a loss is no longer a number.
    """
    check_augmenter(augmenter, training)
    state = _begin(network, training, seed, checkpoint, notify)
    while True:
        stage = stages[state.stage]
        first_unfrozen = unfreeze(network, stage)
        if warning := splits_block(network, stage, first_unfrozen):
            notify({"event": "warning", "text": warning})
        trainable = count(network.model.trainable_weights)
        notify({
            "event": "stage_started", "stage": stage.name, "number": state.stage + 1, "stages": len(stages),
            "epochs": stage.epochs, "steps": math.ceil(len(training) / batch_size), "trainable": trainable,
            "frozen": count(network.model.weights) - trainable,
        })  # fmt: skip
        model, inputs, validation_inputs = _inputs(
            network, first_unfrozen, training, validation, reuse and not augmenter.changes_images, notify
        )
        batches = TrainingBatches(inputs, classes, batch_size, augmenter, stage, (seed, state.stage), state.epoch)
        vectors = inputs.pixels.ndim == 2
        model.compile(
            optimizer=optimizer(stage, len(batches)),
            loss="binary_crossentropy" if len(classes) == 2 else "categorical_crossentropy",
            metrics=[accuracy],
            jit_compile=jit(),
            steps_per_execution=min(VECTOR_STEPS, len(batches)) if vectors and _several_steps() else 1,
        )
        model.fit(
            batches,
            validation_data=Batches(validation_inputs, len(classes), VECTOR_BATCH if vectors else PREDICTION_BATCH),
            initial_epoch=stage.epochs if state.ended else state.epoch,
            epochs=stage.epochs,
            shuffle=False,  # the batches shuffle themselves, and reproducibly
            verbose=0,
            callbacks=[
                _EarlyStopping(state.rows, stage.patience),
                _Monitor(network.model, stage, batches, state, checkpoint, notify),
            ],
        )
        notify({"event": "stage_ended", "stage": stage.name, "epochs": state.epoch})
        network.model.set_weights(state.best)
        with replacing(best_file) as draft:
            network.model.save(draft)
        if state.stage + 1 == len(stages):
            return state.history
        network.model.set_weights(state.stage_best)
        state = dataclasses.replace(
            state, stage=state.stage + 1, epoch=0, ended=False, weights=state.stage_best,
            others=values(others(network.model)), optimizer=[],
        )  # fmt: skip
        checkpoint.begin_stage(state)


def _begin(network: Network, training: Subset, seed: int, checkpoint: Checkpoint, notify: Notify) -> State:
    """The state to go on from, which the network's weights then have: the checkpoint's, or that of an untrained one."""
    model = network.model
    state = checkpoint.load()
    if state is None:
        if network.weights == "random":
            fit_batchnorm(model, training, seed)
        weights = values(model.weights)
        state = State(stage=0, epoch=0, weights=weights, others=values(others(model)), stage_best=weights, best=weights)
        checkpoint.begin_stage(state)
        return state
    notify({"event": "resumed", "epochs": len(state.history)})
    model.set_weights(state.weights)
    return state


def _inputs(
    network: Network, first_unfrozen: int, training: Subset, validation: Subset, reuse: bool, notify: Notify
) -> tuple[keras.Model, Subset, Subset]:
    """The model to fit in a stage, and what to fit it on: images, or what a frozen prefix makes of them."""
    prefix, rest = split(network, first_unfrozen)
    if reuse and prefix is not None:
        prefix.compile(jit_compile=jit())
        try:
            stored = {
                subset.store: features.load(
                    prefix, subset.pixels, subset.store,
                    lambda done, total: notify({"event": "features", "done": done, "total": total}),
                )
                for subset in {training.store: training, validation.store: validation}.values()
            }  # fmt: skip
            return rest, *(dataclasses.replace(s, pixels=stored[s.store]) for s in (training, validation))
        except DataError as error:
            notify({"event": "warning", "text": f"every epoch runs the whole network: {error}"})
    return join(prefix, rest), training, validation


def _several_steps() -> bool:
    """Whether Keras can take several steps at once: not under torch."""
    return bool(keras.backend.backend() != "torch")


def accuracy(targets: Any, outputs: Any) -> Any:
    """1 or 0 for each image, (n,): whether its class is right. Keras' own would not count smoothed targets."""
    ops = keras.ops
    if outputs.shape[-1] == 1:
        right = ops.equal(targets[:, 0] > 0.5, outputs[:, 0] > 0.5)
    else:
        right = ops.equal(ops.argmax(targets, axis=-1), ops.argmax(outputs, axis=-1))
    return ops.cast(right, outputs.dtype)


class _EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' own, after the epochs that were run before: `rows` of history.csv."""

    def __init__(self, rows: Sequence[dict[str, Any]], patience: int) -> None:
        super().__init__(monitor="val_loss", mode="min", patience=patience)
        self._rows = rows

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        for row in self._rows:
            self.on_epoch_end(row["epoch"] - 1, row)


class _Monitor(keras.callbacks.Callback):
    """Ends an epoch: writes it into the state, keeps the best, saves the state, and tells the world.

    Stops the training when a loss is no longer a number. Must come after early stopping.
    """

    def __init__(
        self, network: keras.Model, stage: Stage, batches: TrainingBatches, state: State, checkpoint: Checkpoint,
        notify: Notify,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network = network
        self.stage = stage
        self.batches = batches
        self.state = state
        self.checkpoint = checkpoint
        self.notify = notify
        self._changing: set[int] = set()
        self._epoch = 0
        self._started = self._told = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        fitted: Any = getattr(self.model, "rest", self.model)
        self._changing = {id(weight) for weight in fitted.weights}
        # Only now: Keras may already have traced the model, and drawn random numbers for it.
        assign(others(self.network), self.state.others)
        if self.state.optimizer:
            self.model.optimizer.build(self.model.trainable_variables)
            assign(self.model.optimizer.variables, self.state.optimizer)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if keras.backend.backend() == "torch":  # its dropout draws from a global generator, which is no variable
            keras.utils.set_random_seed(int(np.random.SeedSequence([*self.batches.key, epoch]).generate_state(1)[0]))
        self._epoch = epoch + 1
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {})["loss"])
        self._check(loss, f"step {batch + 1} of epoch {self._epoch}")
        now = time.perf_counter()
        if now - self._told > 0.25 or batch + 1 == len(self.batches):
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
        state = self.state
        state.weights = [  # a frozen prefix is most of the network: copying it would take longer than training a head
            values([weight])[0] if id(weight) in self._changing else before
            for weight, before in zip(self.network.weights, state.weights, strict=True)
        ]
        state.others = values(others(self.network))
        state.optimizer = values(self.model.optimizer.variables)
        state.ended = self.model.stop_training
        best = _is_lowest(row, state.history)
        if _is_lowest(row, state.rows):
            state.stage_best = state.weights
        state.epoch += 1
        state.history.append(row)
        if best:
            state.best = state.weights
        self.checkpoint.save(state)
        self.notify({"event": "epoch_ended", **row, "epochs": self.stage.epochs, "best": best})

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"stage {self.stage.name!r}: the loss is {loss} at {where}; "
                f"try a learning rate below {self.stage.learning_rate:g}, or look at the images and labels"
            )


def _is_lowest(row: dict[str, Any], before: Sequence[dict[str, Any]]) -> bool:
    """Whether an epoch's validation loss is below that of all epochs before it."""
    return all(row["val_loss"] < other["val_loss"] for other in before)


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
