"""What each lever for accuracy gives by itself: the same recipe with one thing changed, on all folds.

    python benchmarks/levers.py FOLDS --out RUN                          # hours on two CPU cores; goes on where it was
    python benchmarks/levers.py FOLDS --out RUN --image-size 160 --epochs 10 --levers base ema mixup
    python benchmarks/levers.py FOLDS --out RUN --levers together --seeds 3     # and what the mean of three networks is

FOLDS are images in folds, or a manifest, as `zoo compare --data` takes them. Each lever is a model of its own, `base`
the shipped efficientnet-lite-tuned without the levers that it has, which are `together`. Printed for each, over the
folds: the mean validation AUC, how far it is above `base` on the same folds with the standard error of that, the mean
AUC on test, and the minutes that a fold took; with several seeds the AUCs are means over them, and beside them stands
that of the mean probability of the networks of a fold. Levers are chosen by validation; test stands beside it to be
read once, when all choices are made.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

import zoo
from zoo.evaluation import metrics
from zoo.evaluation.comparison import SCORED_ROLES, probabilities
from zoo.files import read_csv
from zoo.plugins.discovery import discover
from zoo.plugins.registry import load_registry

SHIPPED = "efficientnet-lite-tuned"
ADAMW = {"name": "adamw", "weight_decay": 0.05}
# What is taken back of it, so that each lever stands alone: fields of the model, and of its last stage.
PLAIN = ({"monitor": "loss", "tta": "none"}, {"optimizer": ADAMW})
AVERAGED = {"optimizer": {**ADAMW, "use_ema": True, "ema_momentum": 0.98}}
# What each changes of that.
LEVERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "base": ({}, {}),
    "colour": ({"augmenter": {"name": "photo"}}, {}),
    "erase": (
        {"augmenter": {"name": "photo", "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "erase": 0.5}},
        {},
    ),
    "mild": ({"augmenter": {"name": "study", "shift": 0.05, "zoom": [0.9, 1.1]}}, {}),
    "mixup": ({}, {"mixup": 0.4}),
    "cutmix": ({}, {"cutmix": 1.0}),
    "ema": ({}, AVERAGED),
    "layer-decay": ({}, {"layer_decay": 0.75}),
    "smoothing": ({}, {"label_smoothing": 0.1}),
    "focal": ({}, {"focal_gamma": 2.0}),
    "by-auc": ({"monitor": "auc"}, {}),
    "flips": ({"tta": "flips"}, {}),
    "unweighted": ({}, {"class_weights": None}),
    "batchnorm": ({}, {"batchnorm": "train"}),
    "together": ({"monitor": "auc", "tta": "flips"}, AVERAGED),
}


def model(shipped: dict[str, Any], lever: str, epochs: int) -> dict[str, Any]:
    """The table of a model in registry.toml."""
    (plain, plain_stage), (changes, of_stage) = PLAIN, LEVERS[lever]
    *first, last = shipped["schedule"]["each"]
    last = {**last, **plain_stage, "epochs": epochs, "patience": epochs, **of_stage}
    stages = [*first, {name: value for name, value in last.items() if value is not None}]
    return {**shipped, **plain, **changes, "schedule": {**shipped["schedule"], "each": stages}}


def toml(value: Any) -> str:
    """A value as TOML writes it within a line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else json.dumps(value)


def table(done: zoo.Comparison) -> pd.DataFrame:
    """A row a lever, see above."""
    results = done.results
    jobs = results[["model", "fold"]].drop_duplicates().itertuples(index=False, name=None)
    seconds = {job: read_csv(done.run.job(*job, 0).history)["seconds"].sum() for job in jobs}
    validation, test = (
        results.pivot_table(index="fold", columns="model", values=metrics.column("auc", role)) for role in SCORED_ROLES
    )
    gain = validation.sub(validation["base"], axis=0)
    columns = {
        "validation": validation.mean(),
        "above base": gain.mean(),
        "standard error": gain.sem(),
        "test": test.mean(),
        "minutes a fold": pd.Series(seconds).groupby(level=0).mean() / 60,
    }
    if done.predictions["repeat"].any():
        columns |= {f"{role}, mean of seeds": of_means(done.predictions, role) for role in SCORED_ROLES}
    return pd.DataFrame(columns).sort_values("validation", ascending=False)


def of_means(predictions: pd.DataFrame, role: str) -> pd.Series:
    """The AUC of the mean probability of the networks of a fold, averaged over folds, by model."""
    of_role = predictions[predictions["role"] == role]
    images = of_role.groupby(["model", "fold", "image"])[["label", "probability"]].mean()
    folds = images.groupby(["model", "fold"]).apply(
        lambda fold: metrics.auc(fold["label"].to_numpy(), probabilities(fold))
    )
    return folds.groupby("model").mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--folds", default="all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--levers", nargs="+", choices=[*LEVERS], default=[*LEVERS])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    levers = list(dict.fromkeys(["base", *arguments.levers]))
    registry = arguments.out / "levers.toml"
    shipped = load_registry(None, discover()).models[SHIPPED]
    lines = [f"[models.{lever}]\n" + _lines(model(shipped, lever, arguments.epochs)) for lever in levers]
    registry.write_text("\n".join([f"[data]\nimage_size = {arguments.image_size}\n", *lines]), encoding="utf-8")

    def listen(job: Any, event: dict[str, Any]) -> None:
        if event["event"] in ("job_ended", "job_failed"):
            score = event.get("metrics", {}).get("validation", {}).get("auc", event.get("error"))
            print(f"{job.title}: {score}", flush=True)

    options = {"registry": registry, "folds": arguments.folds, "workers": arguments.workers, "listen": listen}
    done = zoo.compare(levers, data=arguments.data, out=arguments.out / "run", repeats=arguments.seeds, **options)
    print(table(done).round(4).to_string())


def _lines(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {toml(value)}\n" for name, value in values.items())


if __name__ == "__main__":
    main()
