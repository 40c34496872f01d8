"""What a recipe will train, stage by stage, before anything is trained: `zoo show`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from zoo.data.splits import Subset
from zoo.interfaces import PART_KINDS, Cosine, Decay, Recipe, Stage
from zoo.report import plots
from zoo.report.screen import sentences
from zoo.training.batches import augmented
from zoo.training.model import Network, assemble, count, frozen_prefix, splits_block, unfreeze
from zoo.training.optimizer import learning_rate


def build(recipe: Recipe, classes: int, image_size: int) -> Network:
    """The recipe's network with random weights: nothing is downloaded to show it."""
    backbone = dataclasses.replace(recipe.backbone, weights="none")
    return assemble(backbone, recipe.head, (image_size, image_size, 3), classes)


def recipe_tables(recipe: Recipe, network: Network, stages: Sequence[Stage]) -> RenderableType:
    """The parts with every parameter, and a table of the stages. Leaves the network as the last stage wants it."""
    title = f"{recipe.name} (from {recipe.source})"
    parts = Table("part", "name", sentences("parameters"), title=title, title_justify="left")
    for kind in PART_KINDS:
        parameters = getattr(recipe, kind).table()
        name = parameters.pop("name")
        shown = ", ".join(f"{key} = {_short(value)}" for key, value in parameters.items())
        parts.add_row(kind, name, shown or "–")
    own = {name: value for name, value in recipe.table().items() if name not in PART_KINDS}
    parts.add_row("training", "", ", ".join(f"{key} = {value}" for key, value in own.items()))

    model = network.model
    size = f"{len(model.layers)} layers, {model.count_params():,} parameters, images {model.input_shape[1:]}"
    columns = ["stage", "epochs", "patience", "optimizer", "learning rate", "loss", "trains", "trained", "frozen"]
    table = Table(*columns, title=f"Stages ({size})", title_justify="left")
    warnings = []
    for stage in stages:
        first = unfreeze(network, stage)
        trained, frozen = (count(weights) for weights in (model.trainable_weights, model.non_trainable_weights))
        table.add_row(
            stage.name,
            str(stage.epochs),
            str(stage.patience),
            _optimizer(stage),
            _rate(stage),
            _loss(stage),
            _what_trains(network, stage, first),
            f"{trained:,}",
            f"{frozen:,}",
        )
        warnings += [f"warning: {text}" for text in [splits_block(network, stage, first)] if text]
    return Group(parts, table, *warnings)


def _short(value: object) -> str:
    return "as below" if isinstance(value, tuple) and value and isinstance(value[0], dict) else str(value)


def _optimizer(stage: Stage) -> str:
    name, parameters = stage.optimizer_parts()
    return "\n".join([name, *(f"{key} {value}" for key, value in parameters.items())])


def _rate(stage: Stage) -> str:
    start = f"{stage.learning_rate:g}"
    if stage.layer_decay < 1:
        start += f" (times {stage.layer_decay:g}\nfor each tenth deeper)"
    if isinstance(stage.decay, Decay):
        every = (
            f"{stage.decay.every_steps} steps" if stage.decay.every_steps else f"{stage.decay.every_epochs:g} epochs"
        )
        return f"{start}, times {stage.decay.rate:g}\nevery {every}{', in steps' if stage.decay.staircase else ''}"
    if isinstance(stage.decay, Cosine):
        warmup = f", {stage.decay.warmup_epochs:g} epochs\nof warm-up" if stage.decay.warmup_epochs else ""
        return f"{start}{warmup},\ncosine to {stage.decay.final * stage.learning_rate:g}"
    return start


def _loss(stage: Stage) -> str:
    smoothing = [f"smoothing {stage.label_smoothing:g}"] if stage.label_smoothing else []
    weights = [f"weights {stage.class_weights}"] if stage.class_weights else []
    mixed = [f"{name} {value:g}" for name in ("mixup", "cutmix") if (value := getattr(stage, name))]
    kind = f"focal, gamma {stage.focal_gamma:g}" if stage.focal_gamma else "cross-entropy"
    return "\n".join([kind, *smoothing, *weights, *mixed])


def _what_trains(network: Network, stage: Stage, first: int) -> str:
    layers = network.model.layers
    trained = sum(1 for layer in layers if layer.trainable_weights)
    cut = frozen_prefix(network.model, first)
    since = "everything" if cut is None else f"from {layers[first].name} on"
    batchnorm = "" if stage.batchnorm == "train" or network.is_head(layers[first]) else ",\nbackbone batchnorm frozen"
    return f"{since} ({trained} layers){batchnorm}"


def pictures(recipe: Recipe, stages: Sequence[Stage], training: Subset, out: Path) -> list[Path]:
    """augmented.png, images and what the augmenter makes of them in five epochs, and learning-rate.png; their paths."""
    key = (recipe.seed, 0)
    chosen = np.sort(np.random.default_rng(0).permutation(len(training))[:5])
    originals = training.pixels[training.rows[chosen]]
    rows, captions = [], []
    for position, original in zip(chosen, originals, strict=True):
        drawn = [augmented(recipe.augmenter, original, (*key, epoch, int(position))) for epoch in range(5)]
        rows += [original, *drawn]
        captions += ["original", *(f"epoch {epoch + 1}" for epoch in range(5))]
    grid, curve = out / "augmented.png", out / "learning-rate.png"
    plots.image_grid(np.stack(rows), captions, f"{recipe.name}: augmenter {recipe.augmenter.name}", grid, columns=6)
    steps = math.ceil(len(training) / recipe.batch_size)
    plots.learning_rates([(stage.name, rates(stage, steps)) for stage in stages], recipe.name, steps, curve)
    return [grid, curve]


def rates(stage: Stage, steps_per_epoch: int) -> np.ndarray:
    """The learning rate at every step of a stage, float64 (epochs * steps_per_epoch,), if it isn't stopped early."""
    rate = learning_rate(stage, steps_per_epoch)
    steps = np.arange(stage.epochs * steps_per_epoch)
    if isinstance(rate, float):
        return np.full(len(steps), rate)
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.vectorized_map(rate, keras.ops.convert_to_tensor(steps))))
