"""A run folder whose jobs are done, without the time that it takes to train them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from zoo.evaluation import metrics
from zoo.files import write_csv, write_json
from zoo.run import plan, results
from zoo.run.folder import RunFolder
from zoo.run.provenance import Provenance
from zoo.run.request import Request

HISTORY = pd.DataFrame(
    {
        "stage": ["head", "head"],
        "epoch": [1, 2],
        "learning_rate": [0.001, 0.001],
        "seconds": [1.0, 1.0],
        **{name: [0.5, 0.4] for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc")},
    }
)


def finish(request: Request, seen: Provenance | None = None) -> RunFolder:
    """The run folder of a request, every job with probabilities by chance and a file in place of its model.

    Its weights have seen its own images of training and validation, and what is in `seen`.
    """
    with plan.make_plan(request) as made:
        for number, job in enumerate(made.jobs):
            rng = np.random.default_rng(number)
            rows = made.splits[(made.splits["fold"] == job.fold) & (made.splits["role"] != "train")]
            table = rows[["role", "image", "path", "label"]].assign(probability=rng.uniform(size=len(rows)))
            scores = {
                role: metrics.score(part["label"].to_numpy(), metrics.per_class(part[["probability"]].to_numpy()))
                for role, part in table.groupby("role")
            }
            job.folder.path.mkdir(parents=True)
            write_csv(job.folder.predictions, table)
            write_json(job.folder.metrics, scores)
            write_csv(job.folder.history, HISTORY)
            own = made.splits[(made.splits["fold"] == job.fold) & (made.splits["role"] != "test")]["image"]
            write_json(job.folder.provenance, (seen or Provenance()).seeing(own).table())
            job.folder.best.write_bytes(b"a model")
            job.folder.set_status("done", weights="random", warning=None, machine={})
        results.write_results(made.run)
        done = results.compare(made.run)
        done.write(made.run.path)
        results.write_best(done)
        results.write_scalings(done)
    return made.run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
