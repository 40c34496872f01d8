"""What happens at the end of an epoch: validation, early stopping, the best weights, the checkpoint, the news."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from zoo.errors import TrainingError
from zoo.evaluation import metrics
from zoo.files import without_nan
from zoo.interfaces import MONITORS, Monitored, Stage
from zoo.training.batches import Batches, TrainingBatches
from zoo.training.checkpoint import Checkpoint, State, assign, others, values
from zoo.training.optimizer import highest_rate

# Seconds that a kill may cost: a head on stored features trains an epoch in less than it takes to save the state.
SAVE_EVERY = 1.0

# Receives what happens as plain data: {"event": "epoch_ended", "stage": …, …}.
Notify = Callable[[dict[str, Any]], None]


class Validation(keras.callbacks.Callback):
    """Adds loss, accuracy and AUC of the validation role to an epoch's logs, as results.csv has them.

    Must come before all that reads them.

    Instead of fit's own `validation_data`, which takes a third of an epoch to start over where a head trains on
    features, and whose loss is another in each backend once a network is very sure.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        labels, probabilities = self.batches.subset.labels, metrics.per_class(self.batches.outputs(self.model))
        logs["val_loss"] = float(metrics.losses(labels, probabilities).mean())
        logs["val_accuracy"] = float((metrics.predict(probabilities) == labels).mean())
        logs["val_auc"] = metrics.auc(labels, probabilities)


class _Averaging(keras.callbacks.SwapEMAWeights):
    """Between epochs the network has the averages of its weights, and the optimiser has what it trains, in their place.

    Keras' own, for a training that goes on in the same way: so are the weights and the optimiser of a state.
    """

    def __init__(self, swapped: bool) -> None:
        super().__init__(swap_on_epoch=True)
        self._ema_weights_in_model = swapped

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        # In the last epoch both become one array under jax, which the next prediction gives away.
        if keras.backend.backend() == "jax" and epoch == self.params["epochs"] - 1:
            for average in self.model.optimizer.variables:
                average.assign(keras.ops.copy(average))


def averaging(stage: Stage, state: State) -> list[keras.callbacks.Callback]:
    """What averages weights where a stage asks for it. Must come first: an epoch is judged by the averages."""
    return [_Averaging(swapped=bool(state.optimizer))] if stage.optimizer_parts()[1].get("use_ema") else []


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' own, after the epochs that were run before: `rows` of history.csv."""

    def __init__(self, rows: Sequence[dict[str, Any]], patience: int, monitor: Monitored) -> None:
        super().__init__(monitor=f"val_{monitor}", mode=MONITORS[monitor], patience=patience)
        self._rows = rows

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        for row in self._rows:
            self.on_epoch_end(row["epoch"] - 1, row)


class Monitor(keras.callbacks.Callback):
    """Ends an epoch: writes it into the state, keeps the best, saves the state every second, and tells the world.

    Stops the training when a loss is no longer a number. Must come after early stopping.
    """

    def __init__(
        self,
        network: keras.Model,
        stage: Stage,
        monitor: Monitored,
        batches: TrainingBatches,
        state: State,
        checkpoint: Checkpoint,
        notify: Notify,
    ) -> None:
        super().__init__()
        self.stage = stage
        self.monitor = monitor
        self.batches = batches
        self.state = state
        self.checkpoint = checkpoint
        self.notify = notify
        # Looked for once: to walk a network takes as long as a step on stored features.
        self._weights, self._others = network.weights, others(network)
        self._changing: set[int] = set()
        self._epoch = 0
        self._started = self._told = 0.0
        self._saved = -math.inf

    def on_train_begin(self, logs: Any = None) -> None:
        fitted: Any = getattr(self.model, "rest", self.model)
        self._changing = {id(weight) for weight in fitted.weights}
        # Only now: Keras may already have traced the model, and drawn random numbers for it.
        assign(self._others, self.state.others)
        if self.state.optimizer:
            self.model.optimizer.build(self.model.trainable_variables)
            assign(self.model.optimizer.variables, self.state.optimizer)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch + 1
        self._started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 0 and keras.backend.backend() == "torch":  # dropout draws from a global generator, no variable
            key = [*self.batches.key, self._epoch - 1]  # and by now the data loader has drawn from it too
            keras.utils.set_random_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {})["loss"])
        self._check(loss, f"step {batch + 1} of epoch {self._epoch}")
        now = time.perf_counter()
        if now - self._told > 0.25 or batch + 1 == len(self.batches):
            self._told = now
            self.notify(
                {"event": "step_ended", "stage": self.stage.name, "epoch": self._epoch, "step": batch + 1, "loss": loss}
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        numbers = {key: float(value) for key, value in (logs or {}).items()}
        self._check(numbers["val_loss"], f"validation after epoch {self._epoch}")
        row: dict[str, Any] = {
            "stage": self.stage.name,
            "epoch": self._epoch,
            "learning_rate": highest_rate(self.model.optimizer),
            **{key: numbers[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")},
            "seconds": round(time.perf_counter() - self._started, 3),
            "val_auc": numbers["val_auc"],
        }
        state = self.state
        state.weights = [  # a frozen prefix is most of the network: copying it would take longer than training a head
            values([weight])[0] if id(weight) in self._changing else before
            for weight, before in zip(self._weights, state.weights, strict=True)
        ]
        state.ended = self.model.stop_training
        best = self._is_best(row, state.history)
        if self._is_best(row, state.rows):
            state.stage_best = state.weights
        state.epoch += 1
        state.history.append(row)
        if best:
            state.best = state.weights
        if state.ended or state.epoch == self.stage.epochs or time.perf_counter() - self._saved >= SAVE_EVERY:
            state.others, state.optimizer = values(self._others), values(self.model.optimizer.variables)
            self.checkpoint.save(state)
            self._saved = time.perf_counter()
        number = len(state.history)
        told = {**without_nan(row), "epochs": self.stage.epochs, "number": number, "best": best}
        self.notify({"event": "epoch_ended", **told})

    def _is_best(self, row: dict[str, Any], before: Sequence[dict[str, Any]]) -> bool:
        """Whether an epoch is better than all epochs before it."""
        of, sign = f"val_{self.monitor}", 1 if MONITORS[self.monitor] == "max" else -1
        return all(sign * row[of] > sign * other[of] for other in before)

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"stage {self.stage.name!r}: the loss is {loss} at {where}; "
                f"try a learning rate below {self.stage.learning_rate:g}, or look at the images and labels"
            )
