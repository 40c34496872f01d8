"""Walk the stages of a schedule; keep the weights of the best epoch by the validation role."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from zoo.data.splits import Subset
from zoo.errors import DataError, TrainingError
from zoo.interfaces import Recipe, Stage, TestTime
from zoo.plugins.registry import checked_stages
from zoo.training import batchnorm, features
from zoo.training.batches import Batches, TrainingBatches, augmented, for_fit
from zoo.training.callbacks import EarlyStopping, Monitor, Notify, Validation, averaging
from zoo.training.checkpoint import Checkpoint, State, others, values
from zoo.training.device import jit
from zoo.training.model import Network, TableModel, count, depths, join, split, splits_block, unfreeze
from zoo.training.optimizer import loss, optimizer
from zoo.training.options import TrainingOptions

# The columns of history.csv, one row an epoch.
HISTORY = ["stage", "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "val_auc"]
IMAGE_BATCH = 64  # images; only memory and speed depend on it
# Where a stage trains on features that are mere vectors, a step is so short that what Keras does between steps takes
# longer: it then takes all steps of an epoch at once, and validates so many vectors at a time. The vectors lie where
# the network computes, unless they are more bytes than this.
VECTOR_BATCH = 4096
MOST_VECTORS = 2**30


def train(
    network: Network,
    recipe: Recipe,
    options: TrainingOptions,
    training: Subset,
    validation: Subset,
    classes: Sequence[str],
    save_best: Callable[[keras.Model], None],
    checkpoint: Checkpoint,
    notify: Notify,
) -> list[dict[str, Any]]:
    """Train all stages of a recipe, each from the best epoch of the one before; the rows of history.csv.

    After each stage `save_best` is given the network with the best epoch of all stages so far, by what the recipe
    monitors, and in the end `network.model` has its weights. The state is saved to `checkpoint` after an epoch; where
    it already holds one, training goes on from there, and ends as if it had never been interrupted. With a feature
    cache, where a stage leaves a prefix of the network frozen and images are neither augmented nor mixed, what the
    prefix makes of them is computed once.

    Raises DataError where validation lacks a class and the recipe monitors the AUC, TrainingError when a loss is no
    longer a number, or the augmenter fails.
    """
    if recipe.monitor == "auc" and (absent := {*range(len(classes))} - {*validation.labels.tolist()}):
        lacks = ", ".join(classes[label] for label in sorted(absent))
        raise DataError(f'monitor = "auc": no validation image is {lacks}, so that there is no AUC; use "loss"')
    stages, augmenter, seed = stages_of(recipe, options), recipe.augmenter, recipe.seed
    augmented(augmenter, training.pixels[training.rows[0]], (seed,))  # one that cannot is found before all else
    state = _begin(network, training, seed, checkpoint, notify)
    while True:
        stage = stages[state.stage]
        first_unfrozen = unfreeze(network, stage)
        if warning := splits_block(network, stage, first_unfrozen):
            notify({"event": "warning", "text": warning})
        trainable = count(network.model.trainable_weights)
        notify(
            {
                "event": "stage_started",
                "stage": stage.name,
                "number": state.stage + 1,
                "stages": len(stages),
                "epochs": stage.epochs,
                "steps": math.ceil(len(training) / recipe.batch_size),
                "trainable": trainable,
                "frozen": count(network.model.weights) - trainable,
            }
        )
        model, (inputs, validation_inputs) = _inputs(
            network, first_unfrozen, [training, validation], reuses(recipe, options) and not stage.mixes, notify
        )
        # Held while the stage trains: what is in use no process deletes, and scoring wants it again.
        stored = [inputs, validation_inputs]
        if together := _are_small(stored):
            model, (inputs, validation_inputs) = _on_table(model, stored)
        batches = TrainingBatches(
            inputs, classes, recipe.batch_size, augmenter, stage, (seed, state.stage), state.epoch
        )
        model.compile(
            optimizer=optimizer(stage, len(batches), depths(network)),
            loss=loss(stage, len(classes)),
            metrics=[accuracy],
            jit_compile=jit(),
            steps_per_execution=len(batches) if together and _several_steps() else 1,
        )
        try:
            model.fit(
                for_fit(batches, together),
                steps_per_epoch=len(batches),
                initial_epoch=stage.epochs if state.ended else state.epoch,
                epochs=stage.epochs,
                shuffle=False,  # the batches shuffle themselves, and reproducibly
                verbose=0,
                callbacks=[
                    *averaging(stage, state),
                    Validation(Batches(validation_inputs, len(classes), VECTOR_BATCH if together else IMAGE_BATCH)),
                    EarlyStopping(state.rows, stage.patience, recipe.monitor),
                    Monitor(network.model, stage, recipe.monitor, batches, state, checkpoint, notify),
                ],
            )
        except Exception:
            if batches.failure is not None:
                raise TrainingError(str(batches.failure)) from batches.failure
            raise
        notify({"event": "stage_ended", "stage": stage.name, "epochs": state.epoch})
        network.model.set_weights(state.best)
        save_best(network.model)
        if state.stage + 1 == len(stages):
            return state.history
        network.model.set_weights(state.stage_best)
        state = replace(
            state,
            stage=state.stage + 1,
            epoch=0,
            ended=False,
            weights=state.stage_best,
            others=values(others(network.model)),
            optimizer=[],
        )
        checkpoint.begin_stage(state)


def _begin(network: Network, training: Subset, seed: int, checkpoint: Checkpoint, notify: Notify) -> State:
    """The state to go on from, which the network's weights then have: the checkpoint's, or that of an untrained one."""
    model = network.model
    state = checkpoint.load()
    if state is None:
        if network.lacks_statistics:
            batchnorm.fit(model, training, seed)
        weights = values(model.weights)
        state = State(stage=0, epoch=0, weights=weights, others=values(others(model)), stage_best=weights, best=weights)
        checkpoint.begin_stage(state)
        return state
    notify({"event": "resumed", "epochs": len(state.history)})
    model.set_weights(state.weights)
    return state


def to_score(
    network: Network, stages: Sequence[Stage], subsets: Sequence[Subset], reuse: bool, notify: Notify
) -> tuple[keras.Model, list[Subset]]:
    """The model to score after these stages, and what to score it on.

    That is images; or, with `reuse` and where all stages left a prefix frozen, what was stored of it in training.
    """
    if not reuse:
        return network.model, [*subsets]
    first = min(unfreeze(network, stage) for stage in stages)
    model, inputs = _inputs(network, first, subsets, reuse, notify, check=False)  # training has checked them
    return (model, inputs) if inputs[0].pixels is not subsets[0].pixels else (network.model, inputs)


def _inputs(
    network: Network, first_unfrozen: int, subsets: Sequence[Subset], reuse: bool, notify: Notify, check: bool = True
) -> tuple[keras.Model, list[Subset]]:
    """The part of the network to run, and what to run it on: images, or what a frozen prefix makes of them."""
    prefix, rest = split(network, first_unfrozen)
    if reuse and prefix is not None:
        try:
            stored = {
                subset.store: features.load_features(
                    prefix,
                    subset.pixels,
                    subset.store,
                    lambda done, total: notify({"event": "features", "done": done, "total": total}),
                    check,
                    lambda line: notify({"event": "warning", "text": line}),
                )
                for subset in {subset.store: subset for subset in subsets}.values()
            }
            return rest, [replace(subset, pixels=stored[subset.store]) for subset in subsets]
        except DataError as error:
            notify({"event": "warning", "text": f"every epoch runs the whole network: {error}"})
    return join(prefix, rest), [*subsets]


def _are_small(subsets: Sequence[Subset]) -> bool:
    """Whether the inputs are features that are mere vectors, and few enough to lie where the network computes."""
    images = sum(len(subset) for subset in subsets)
    each = subsets[0].pixels[:1]
    return each.ndim == 2 and images * each.nbytes <= MOST_VECTORS


def _on_table(rest: keras.Model, subsets: Sequence[Subset]) -> tuple[keras.Model, list[Subset]]:
    """A model of the same outputs for rows of a table, and these subsets with the numbers of their rows as inputs."""
    table = np.concatenate([subset.pixels[subset.rows] for subset in subsets])
    numbers, ends = np.arange(len(table), dtype=np.int32), np.cumsum([len(subset) for subset in subsets])
    rows = np.split(numbers, ends[:-1])
    return TableModel(table, rest), [
        replace(subset, pixels=numbers, rows=mine) for subset, mine in zip(subsets, rows, strict=True)
    ]


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


def scorer(model: keras.Model) -> keras.Model:
    """The same network, compiled to predict: compiling the network itself would be saved with it."""
    compiled = keras.Model(model.inputs[0], model.outputs[0])
    compiled.compile(jit_compile=jit())
    return compiled


def predict(compiled: keras.Model, subset: Subset, classes: int, tta: TestTime = "none") -> np.ndarray:
    """The outputs of a `scorer` for a subset in order: float32 (n, 1) for two classes, (n, classes) for more.

    With `tta` "flips" each is the mean over the image and its mirror image.
    """
    views = (False, True) if tta == "flips" else (False,)
    each = [Batches(subset, classes, IMAGE_BATCH, mirrored).outputs(compiled) for mirrored in views]
    return np.asarray(np.mean(each, axis=0) if len(each) > 1 else each[0])


def stages_of(recipe: Recipe, options: TrainingOptions) -> list[Stage]:
    """The stages of a recipe, within the epochs and rates that the options allow."""
    return [
        replace(
            stage,
            epochs=min(stage.epochs, options.max_epochs or stage.epochs),
            learning_rate=max(stage.learning_rate, options.min_learning_rate),
        )
        for stage in checked_stages(recipe.schedule)
    ]


def reuses(recipe: Recipe, options: TrainingOptions) -> bool:
    """Whether what frozen layers make of an image can be reused: not if the image is another in every epoch."""
    return options.feature_cache and not recipe.augmenter.changes_images
