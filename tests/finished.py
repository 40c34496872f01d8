"""A run folder whose jobs are done, without the time that it takes to train them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.data import images, splits
from zoo.evaluation import metrics
from zoo.files import read_json, write_csv, write_json
from zoo.plugins import discovery, registry
from zoo.run import plan, provenance, results, train_and_score
from zoo.run.folder import RunFolder
from zoo.run.job import Job
from zoo.run.plan import Plan
from zoo.run.provenance import Provenance
from zoo.run.request import Request
from zoo.training import model_file

HISTORY = pd.DataFrame(
    {
        "stage": ["head", "head"],
        "epoch": [1, 2],
        "learning_rate": [0.001, 0.001],
        "seconds": [1.0, 1.0],
        **{name: [0.5, 0.4] for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc")},
    }
)


def finish(request: Request, seen: Provenance | None = None, networks: bool = False) -> RunFolder:
    """The run folder of a request, every job with probabilities by chance and a file in place of its model.

    Its weights have seen its own images of training and validation, and what is in `seen`. With `networks` each job has
    a network of random weights, and its probabilities.
    """
    with plan.make_plan(request) as made:
        for number, job in enumerate(made.jobs):
            job.folder.path.mkdir(parents=True)
            own = made.splits[(made.splits["fold"] == job.fold) & (made.splits["role"] != "test")]["image"]
            write_json(job.folder.provenance, (seen or Provenance()).seeing(own).table())
            write_csv(job.folder.history, HISTORY)
            if networks:
                _add_network(job, made, number)
            else:
                _add_chance(job, made, number)
            job.folder.set_status("done", weights="random", warning=None, machine={})
        results.write_results(made.run)
        done = results.compare(made.run)
        done.write(made.run.path)
        results.write_best(done)
        results.write_scalings(done)
    return made.run


def two_networks(data: Path, out: Path, **changes: Any) -> RunFolder:
    """The run folder of scratch-cnn on two folds at 32 pixels, with networks; `changes` are fields of the request."""
    said = {"models": ("scratch-cnn",), "data": str(data), "folds": None, "out": out, "image_size": 32}
    return finish(Request(**said | changes), networks=True)


def _add_chance(job: Job, made: Plan, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = made.splits[(made.splits["fold"] == job.fold) & (made.splits["role"] != "train")]
    table = rows[["role", "image", "path", "label"]].assign(probability=rng.uniform(size=len(rows)))
    scores = {
        role: metrics.score(part["label"].to_numpy(), metrics.per_class(part[["probability"]].to_numpy()))
        for role, part in table.groupby("role")
    }
    write_csv(job.folder.predictions, table)
    write_json(job.folder.metrics, scores)
    job.folder.best.write_bytes(b"a model")


def _add_network(job: Job, made: Plan, seed: int) -> None:
    import keras

    from zoo.training import model
    from zoo.training.checkpoint import values

    recipe = registry.build_recipe(job.model, job.recipe, discovery.discover(), job.source)
    backbone = dataclasses.replace(recipe.backbone, weights="none")
    keras.utils.set_random_seed(seed)
    network = model.assemble(backbone, recipe.head, (job.image_size, job.image_size, 3), len(job.classes)).model
    # A job of another test that starts from the same seed has seen nothing by that.
    began_with = provenance.hash_arrays(values(network.weights))
    kernel = next(weight for weight in reversed(network.weights) if weight.path.endswith("kernel"))
    kernel.assign(kernel * 30)  # so that images differ in their probabilities
    network.save(job.folder.best)
    seen = Provenance.from_table(read_json(job.folder.provenance))
    provenance.embed(job.folder.best, seen, began_with)
    model_file.write_about(job.folder.best, model_file.About.of(recipe, job.classes, job.image_size))
    store = images.open_store(Path(job.images))
    subsets = {role: splits.subset(made.splits, job.fold, role, store) for role in ("validation", "test")}
    train_and_score.score(job, network, subsets, job.folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
