"""What a run means, in sentences for whoever decides by it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from zoo.evaluation import comparison, statistics
from zoo.evaluation.comparison import CHOSEN, pooled
from zoo.evaluation.operating_point import ALL_FOLDS
from zoo.inference.evaluation import Evaluation
from zoo.run.results import Comparison

SHOWN = 10  # models; the rest is in summary.csv
VALUES = ("sensitivity", "specificity", "ppv", "npv")


def of_run(done: Comparison, model: str, best_accuracy: float | None = None) -> list[str]:
    """What a model did on the test role: what it missed, what it alarmed for, how well it ranks, in words.

    For two classes; of repeats the first is counted. `best_accuracy` is the most that can be reached, where that is
    known.
    """
    test = done.predictions[(done.predictions["model"] == model) & (done.predictions["role"] == "test")]
    test = comparison.first_repeats(test)
    if test.empty:
        return []
    rows = done.summary[(done.summary["model"] == model) & (done.summary["role"] == "test")]
    cells = {row["metric"]: row for row in rows.to_dict("records")}
    labels, called = test["label"].to_numpy(), comparison.called(test)
    said = (
        [_missed(labels, called, cells, done.classes), ranked(cells["auc"], done.classes)]
        if len(done.classes) == 2
        else []
    )
    said += _blind(called, done.classes)
    if best_accuracy is not None:
        said.append(
            f"It is right in {cells['accuracy']['mean']:.0%} of the test images; on the demo no classifier can be "
            f"right more often than {best_accuracy:.0%} of the time."
        )
    return said


def _missed(labels: np.ndarray, called: np.ndarray, cells: dict[str, Any], classes: list[str]) -> str:
    healthy, ill = classes
    of_ill, of_healthy = called[labels == 1], called[labels == 0]
    return (
        f"Of {len(of_ill):,} {ill} test images it missed {(of_ill == 0).sum():,} "
        f"(recall {_interval(cells['recall'])}), and of {len(of_healthy):,} {healthy} ones it called "
        f"{(of_healthy == 1).sum():,} {ill} (specificity {_interval(cells['specificity'])})."
    )


def ranked(auc: Mapping[Any, Any], classes: Sequence[str]) -> str:
    """How well a model ranks images, of the mean and the interval (mean, low, high) of its AUC."""
    if pd.isna(auc["mean"]):
        return "The AUC is not known: the images lack a class."
    chance = "; 0.5 is chance, and not ruled out" if auc["low"] <= 0.5 <= auc["high"] else "; 0.5 is chance"
    return f"AUC {_interval(auc)}{chance}: how often {classes[1]} images are ranked above {classes[0]} ones."


def _blind(called: np.ndarray, classes: list[str]) -> list[str]:
    if len(set(called.tolist())) > 1:
        return []
    return [f"It finds nothing: it calls every test image {classes[called[0]]}."]


def _interval(cell: Mapping[Any, Any]) -> str:
    if pd.isna(cell["mean"]):
        return "not known"
    between = f", {cell['low']:.2f} to {cell['high']:.2f}" if not pd.isna(cell["low"]) else ""
    return f"{cell['mean']:.2f}{between}"


def of_each(done: Comparison) -> list[str]:
    """A line for each of the best models: what it missed and alarmed for on the pooled test images, and its AUC."""
    if len(done.classes) != 2 or done.summary.empty:
        return []
    healthy, ill = done.classes
    test = done.summary[(done.summary["role"] == "test") & (done.summary["model"] != CHOSEN)]
    auc = {row["model"]: row for row in test[test["metric"] == "auc"].to_dict("records")}
    main = test[test["metric"] == done.metric].sort_values("mean", ascending=done.metric == "loss")
    lines = []
    for model in main["model"][:SHOWN]:
        images = pooled(done.predictions[done.predictions["model"] == model])
        missed, alarms = images.called[images.labels == 1] == 0, images.called[images.labels == 0] == 1
        lines.append(
            f"{model} missed {missed.sum():,} of {len(missed):,} {ill} images and called {alarms.sum():,} of "
            f"{len(alarms):,} {healthy} ones {ill}; AUC {_interval(auc[model])}."
        )
    return lines


def verdict(done: Comparison) -> list[str]:
    """The run in a few sentences: the best model, how well it ranks, and what it misses and alarms for."""
    model = best(done)
    if not model:
        return ["No job is done: there is nothing to tell yet."]
    title, chosen = done.titles[model], _best_of_folds(done)
    folds = int(chosen.sum())
    rows = done.summary[(done.summary["model"] == model) & (done.summary["role"] == "test")]
    auc = {row["metric"]: row for row in rows.to_dict("records")}["auc"]
    said = []
    if len(chosen) > 1 or done.results["model"].nunique() > 1:
        where = f"in {chosen[model]} of {folds} folds" if folds > 1 else "in the only fold"
        said.append(f"{title} is the best by validation {where}. Its AUC on test is {_interval(auc)}; 0.5 is chance.")
        return said + at_point(done, model)
    return [*of_run(done, model), *at_point(done, model)]


def best(done: Comparison) -> str:
    """The model that is the best by validation in the most folds, '' if there is none."""
    return str(next(iter(_best_of_folds(done).index), ""))


def _best_of_folds(done: Comparison) -> pd.Series[int]:
    """In how many folds each model is the best by validation, the most first."""
    results = done.results.assign(repeat=done.results.get("repeat", 0))
    return comparison.best_by_validation(results, done.metric)["model"].value_counts()


def at_point(done: Comparison, model: str) -> list[str]:
    """What a model misses and alarms for at the point that the run aims at; nothing for more than two classes."""
    rows = done.thresholds[(done.thresholds["fold"] == ALL_FOLDS) & (done.thresholds["model"] == model)]
    aimed = rows[rows["point"] == str(done.aim.operating_point)]
    return [at(row, done.titles[row["model"]], done.classes) for row in aimed.to_dict("records")]


def at(row: Mapping[Any, Any], model: str, classes: Sequence[str]) -> str:
    """What a model misses and alarms for, of a row of threshold.csv that is over all images."""
    healthy, ill = classes
    point = str(row["point"]) + ("" if row["point"].startswith("threshold ") else ", chosen on validation")
    cells = {name: {"mean": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]} for name in VALUES}
    said = (
        f"At {point}, {model} misses {row['missed']:,} of {row['positives']:,} {ill} test "
        f"images and calls {row['alarms']:,} of {row['negatives']:,} {healthy} ones {ill}: sensitivity "
        f"{_interval(cells['sensitivity'])}, specificity {_interval(cells['specificity'])}."
    )
    if not row["positives"] or not row["negatives"]:  # of one class alone nothing follows for the other
        return said
    return (
        f"{said} Where {row['prevalence']:.0%} are {ill}, {_of_100(cells['ppv'], 'alarms')}, and "
        f"{_of_100(cells['npv'], f'images called {healthy}')}."
    )


def _of_100(cell: Mapping[str, float], what: str) -> str:
    return f"there are no {what}" if pd.isna(cell["mean"]) else f"{100 * cell['mean']:.0f} of 100 {what} are right"


def next_of(done: Comparison) -> list[str]:
    """What to do with a comparison now, each with the command, or the file, for it."""
    where = shlex.quote(str(done.run.path))
    chosen = _best_of_folds(done)
    folds = int(chosen.sum())
    steps = [
        f"best by validation: {name} in {count} of {folds} fold{'s' * (folds > 1)} ({where}/best)"
        for name, count in chosen[:1].items()
    ]
    if done.missing:
        steps.append("what is missing: the same command with this --out runs it")
    if done.results["fold"].nunique() < statistics.FEW_FOLDS:
        steps.append(f"fewer than {statistics.FEW_FOLDS} folds decide nothing: the same command with --folds all")
    if len(done.classes) == 2:
        steps.append(f"what fewer missed cost in false alarms: zoo threshold {where}")
    return steps


def next_steps(done: Comparison, model: str, data: Sequence[str] = ()) -> list[str]:
    """What to do with a run now, each with the command, or the file, for it; `data` are the options of its images."""
    where = shlex.quote(str(done.run.path))
    folds = done.results.loc[done.results["model"] == model, "fold"].unique()
    steps = [f"each image with its probability: {where}/{model}/fold-{folds[0]}/predictions.csv"]
    if len(folds) == 1:
        steps.append(
            "more than one fold, for intervals that know training: the same command with --folds all (folders of "
            "train, val and test are one fold; zoo data split divides them)"
        )
    steps.append(f"is another model better? {shlex.join(['zoo', 'compare', model, 'OTHER', *data])}")
    if len(done.classes) == 2:
        steps.append(f"what fewer missed cost in false alarms: zoo threshold {where}")
    return steps


def of_evaluation(done: Evaluation) -> list[str]:
    """What networks do on labelled images of another place, at the operating point that was chosen before."""
    classes, predictions = done.ensemble.classes, done.predictions.drop_duplicates("image")
    counts = ", ".join(f"{(predictions['label'] == name).sum():,} {name}" for name in classes)
    networks = len(done.ensemble.members)
    who = f"{done.title}, mean of {networks} networks" if networks > 1 else done.title
    said = [f"{who}, on {len(predictions):,} images of {done.name}: {counts}."]
    if len(classes) == 2:
        scores = done.scores.rename(columns={"value": "mean"}).set_index("metric")
        said.append(ranked(scores.loc["auc"].to_dict(), classes))
        said.append(at(done.thresholds.iloc[-1].to_dict(), done.title, classes))
    return said
