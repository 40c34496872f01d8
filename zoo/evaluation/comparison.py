"""Predictions of several models over folds -> the tables of a comparison. Pure functions of data frames.

`predictions` has a row per model, fold, repeat, role and image, with the columns model, fold, repeat, and those of
predictions.csv, `group` (empty where images belong to no group such as a patient), and `threshold`, the probability
from which its job calls an image positive (0.5 where there is no such column).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from zoo.evaluation import intervals, metrics, statistics

SCORED_ROLES = ("validation", "test")
JOB = ["model", "fold", "repeat"]
LOWER_IS_BETTER = frozenset({"loss"})
# What is said of weights in every table: of a job it is the sum, or the largest, of its predictions, and so for the
# jobs of a model. `leaked` counts test images that they have seen, `origin_unknown` is 1 where nobody can tell.
MARKS = {"leaked": "sum", "origin_unknown": "max"}
SUMMARY_COLUMNS = ["model", "role", "metric", "folds", "mean", "sd", "low", "high"]
# The columns of comparison.csv: over folds, then over the pooled test images.
FOLD_COLUMNS = [
    "model_a",
    "model_b",
    "folds",
    "mean_a",
    "mean_b",
    "difference",
    "low",
    "high",
    "p",
    "better",
    "equivalent",
    "worse",
    "rope",
    "verdict",
]
IMAGE_COLUMNS = [
    "images",
    "auc_a",
    "auc_b",
    "auc_difference",
    "auc_low",
    "auc_high",
    "delong_p",
    "bootstrap_low",
    "bootstrap_high",
    "only_a_right",
    "only_b_right",
    "mcnemar_p",
]
PAIR_COLUMNS = [
    *FOLD_COLUMNS[:2],
    "metric",
    *FOLD_COLUMNS[2:9],
    "p_holm",
    *FOLD_COLUMNS[9:],
    *IMAGE_COLUMNS[:7],
    "delong_p_holm",
    *IMAGE_COLUMNS[7:],
    "mcnemar_p_holm",
]
# The row of summary.csv for what one gets who takes the best model by validation; no recipe can have this name.
CHOSEN = "(best by validation)"


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    """float64 (n, classes) from the probability columns."""
    several = [name for name in predictions.columns if name.startswith("probability_")]
    return metrics.per_class(predictions[several or ["probability"]].to_numpy())


def thresholds(predictions: pd.DataFrame) -> np.ndarray:
    """The threshold of each prediction (n,)."""
    return predictions.get("threshold", pd.Series(metrics.THRESHOLD, predictions.index)).to_numpy(dtype=np.float64)


def called(predictions: pd.DataFrame) -> np.ndarray:
    """The class that each image is called (n,)."""
    return metrics.predict(probabilities(predictions), thresholds(predictions))


def results(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per model, fold and repeat, with every metric of both roles as `<metric>_<role>`.

    Where predictions have columns of MARKS, this table has them too, and those that are made of it.
    """
    scores = {}
    for key, job in predictions.groupby(JOB, sort=False):
        parts = {role: job[job["role"] == role] for role in SCORED_ROLES}
        scores[key] = {
            role: metrics.score(part["label"].to_numpy(), probabilities(part), thresholds(part))
            for role, part in parts.items()
        }
    table = results_of(scores)
    return table.merge(_marks(predictions, JOB).reset_index(), on=JOB, how="left")


def marks(results: pd.DataFrame) -> pd.DataFrame:
    """The columns of MARKS that a table of results has, a row per model."""
    return _marks(results, ["model"])


def _marks(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The columns of MARKS that a table has, one row a group; none has none, which pandas 2 cannot aggregate."""
    there = {mark: how for mark, how in MARKS.items() if mark in table}
    groups = table.groupby(by, sort=False)
    return groups.agg(there) if there else groups.size().to_frame()[[]]


def results_of(scores: Mapping[Any, Mapping[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """The table of `results` from the content of metrics.json of each job, by (model, fold, repeat)."""
    numbers = [(role, name) for role in SCORED_ROLES for name in metrics.METRICS]
    rows = [(*key, *(of_job[role][name] for role, name in numbers)) for key, of_job in scores.items()]
    table = pd.DataFrame(rows, columns=[*JOB, *(metrics.column(name, role) for role, name in numbers)])
    leaked = [of_job["test"].get("leaked", 0) for of_job in scores.values()]
    return table.assign(leaked=leaked) if any(leaked) else table


def by_fold(results: pd.DataFrame, column: str) -> pd.DataFrame:
    """A metric with a row per fold and a column per model, repeats averaged; NaN where a job is missing."""
    return results.pivot_table(index="fold", columns="model", values=column, aggfunc="mean", dropna=False, sort=False)


def summary(predictions: pd.DataFrame, results: pd.DataFrame, to_train: Mapping[str, float]) -> pd.DataFrame:
    """Mean, standard deviation over folds and 95 % interval: a row per model, role and metric.

    `to_train` has, for each role, its number of images over that of training images. The interval is over images, or
    over groups of them where those are known (zoo/evaluation/intervals.py). Where there are repeats the seeds of a fold
    are averaged first, and sd_folds and sd_seeds tell how much each of the two varies.
    """
    repeats = results["repeat"].nunique() > 1
    rows = []
    for model, jobs in results.groupby("model", sort=False):
        own = predictions[predictions["model"] == model]
        for role in SCORED_ROLES:
            folds = scored_folds(own[own["role"] == role])
            for name in metrics.METRICS:
                values = jobs.pivot_table(
                    index="fold", columns="repeat", values=metrics.column(name, role), dropna=False
                )
                means = values.mean(axis=1).dropna().to_numpy()
                low, high = intervals.interval(name, folds, to_train[role])
                row: dict[str, object] = {
                    "model": model,
                    "role": role,
                    "metric": name,
                    "folds": len(means),
                    "mean": means.mean() if len(means) else np.nan,
                    "sd": means.std(ddof=1) if len(means) > 1 else np.nan,
                    "low": low,
                    "high": high,
                }
                if repeats:
                    whole = values.dropna().to_numpy()
                    spread = statistics.spread(whole) if len(whole) else statistics.Spread(np.nan, np.nan)
                    row |= {"sd_folds": spread.folds, "sd_seeds": spread.seeds}
                rows.append(row)
    table = pd.DataFrame(rows, columns=[*SUMMARY_COLUMNS, *(["sd_folds", "sd_seeds"] if repeats else [])])
    return table.merge(marks(results).reset_index(), on="model", how="left")


def scored_folds(predictions: pd.DataFrame) -> list[list[intervals.Scored]]:
    """The predictions of one model for one role: its folds, and for each fold its repeats, as intervals take them."""
    return [
        [scored(rows.sort_values("image")) for _, rows in fold.groupby("repeat", sort=True)]
        for _, fold in predictions.groupby("fold", sort=True)
    ]


def scored(rows: pd.DataFrame) -> intervals.Scored:
    """The predictions of one job for one role, in their order."""
    return intervals.Scored(rows["label"].to_numpy(), probabilities(rows), clusters(rows), thresholds(rows))


def clusters(predictions: pd.DataFrame) -> np.ndarray:
    """Whose each image is (n,): its group, or where none is known the image itself."""
    group = predictions["group"].fillna("").astype(str).to_numpy()
    return np.where(group == "", "image " + predictions["image"].astype(str).to_numpy(), "group " + group)


def best_by_validation(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of `results` whose model and repeat have the best `metric` on validation, one a fold."""
    known = results[results[metrics.column(metric, "validation")].notna()]
    column = known[metrics.column(metric, "validation")] * (-1 if metric in LOWER_IS_BETTER else 1)
    return known.loc[column.groupby(known["fold"], sort=True).idxmax()]


def one_class(predictions: pd.DataFrame) -> pd.Series[int]:
    """The class that a job calls every image of the validation role, by model, fold and repeat; none for the others."""
    validation = predictions[predictions["role"] == "validation"]
    jobs = validation.assign(called=called(validation)).groupby(JOB, sort=False)["called"]
    return jobs.first()[jobs.nunique() == 1]


def as_chosen(table: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table (model, fold, repeat, …) that belong to the best job of each fold, as one model's."""
    rows = best[JOB].merge(table, on=JOB, how="left", sort=False)
    return rows.assign(model=CHOSEN, repeat=0)


@dataclass(frozen=True)
class Pooled:
    """The test predictions of one model over folds, one entry an image, in the order of the images' hashes.

    `labels` (n,), `probabilities` (n, classes), `clusters` (n,) say whose image each is, `called` (n,) its class by the
    model.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    clusters: np.ndarray
    called: np.ndarray


def first_repeats(predictions: pd.DataFrame) -> pd.DataFrame:
    """Of each fold of each model the predictions of its first repeat that is done."""
    return predictions[predictions["repeat"] == predictions.groupby(["model", "fold"])["repeat"].transform("min")]


def tested_images(predictions: pd.DataFrame) -> pd.DataFrame:
    """A row for each image that one model tests, by its hash in ascending order; repeats but the first are left out.

    Probabilities of an image that several folds test are averaged, and so are their thresholds; of what else stands
    beside them the first is taken.
    """
    once = first_repeats(predictions)
    test = once[once["role"] == "test"]
    means = [name for name in test.columns if name.startswith("probability") or name == "threshold"]
    others = test.columns.difference(["image", *means], sort=False)
    return test.groupby("image", sort=True).agg({**dict.fromkeys(means, "mean"), **dict.fromkeys(others, "first")})


def pooled(predictions: pd.DataFrame) -> Pooled:
    """Pool the test predictions of one model, see `tested_images`."""
    images = tested_images(predictions)
    whose = clusters(images.reset_index())
    return Pooled(images["label"].to_numpy(), probabilities(images), whose, called(images))


def draws(images: Pooled) -> np.ndarray:
    """Bootstrapped AUCs, empty for more than two classes."""
    if images.probabilities.shape[1] != 2:
        return np.empty(0)
    return statistics.bootstrap_auc(images.labels, images.probabilities[None, :, 1], images.clusters)[:, 0]


def same_tests(predictions: pd.DataFrame) -> pd.Series[int]:
    """For each fold the first one that tests the same images: they tell of one test set, however often it is counted.

    By fold, in ascending order.
    """
    test = predictions[predictions["role"] == "test"].drop_duplicates(["fold", "image"])
    images = test.groupby("fold", sort=True)["image"].agg(frozenset)
    first = {each: fold for fold, each in reversed([*images.items()])}
    return images.map(first)


def compare(
    predictions: pd.DataFrame,
    results: pd.DataFrame,
    to_train: Mapping[str, float],
    metric: str = "auc",
    rope: float = 0.01,
) -> pd.DataFrame:
    """A row per pair of models, on the test role and on the folds that both have; docs/statistics.md has the columns.

    `model_a` is the one with the better mean, and a difference above 0 is in its favour. Decided pairs come first.
    """
    values, same = by_fold(results, metrics.column(metric, "test")), same_tests(predictions)
    if metric in LOWER_IS_BETTER:
        values = -values
    rows = [
        _over_folds(values[[one, other]].dropna().groupby(same).mean(), to_train["test"], rope)
        for one, other in combinations(values, 2)
    ]
    table = pd.DataFrame(rows, columns=FOLD_COLUMNS)
    if metric in LOWER_IS_BETTER:
        table[["mean_a", "mean_b"]] = -table[["mean_a", "mean_b"]]

    @cache
    def images(model: str, folds: tuple[int, ...]) -> tuple[Pooled, np.ndarray]:
        own = pooled(predictions[(predictions["model"] == model) & predictions["fold"].isin(folds)])
        return own, draws(own)

    rows = []
    for a, b in zip(table["model_a"], table["model_b"], strict=True):
        folds = tuple(values.index[values[[a, b]].notna().all(axis=1)])
        rows.append(_over_images(images(a, folds), images(b, folds)) if folds else {"images": 0})
    table = pd.concat([table, pd.DataFrame(rows, columns=IMAGE_COLUMNS)], axis=1)
    adjusted = {f"{name}_holm": statistics.holm(table[name]) for name in ("p", "delong_p", "mcnemar_p")}
    table["verdict"] = [
        statistics.verdict(statistics.Probabilities(*row), p, folds)
        for row, p, folds in zip(
            table[["better", "equivalent", "worse"]].to_numpy(), adjusted["p_holm"], table["folds"], strict=True
        )
    ]
    rank = table["verdict"].map({"better": 0, "equivalent": 1}).fillna(2)
    table = table.assign(metric=metric, rank=rank, **adjusted).sort_values(["rank", "p"], kind="stable")
    table = table[PAIR_COLUMNS].reset_index(drop=True)
    for mark, of_model in marks(results).items():
        both = pd.DataFrame({end: table[f"model_{end}"].map(of_model) for end in ("a", "b")})
        table[mark] = both.agg(MARKS[str(mark)], axis=1)
    return table


def _over_folds(both: pd.DataFrame, to_train: float, rope: float) -> dict[str, object]:
    """The tests over folds of one pair; `both` has its two models as columns, where higher is better."""
    means = both.mean()
    a, b = sorted(both.columns, key=lambda model: -means[model] if len(both) else 0)
    differences = (both[a] - both[b]).to_numpy()
    test = statistics.corrected_t_test(differences, to_train)
    probability = statistics.correlated_t_test(differences, to_train, rope)
    return {
        "model_a": a,
        "model_b": b,
        "folds": len(both),
        "mean_a": means[a],
        "mean_b": means[b],
        "difference": test.difference,
        "low": test.low,
        "high": test.high,
        "p": test.p,
        "better": probability.better,
        "equivalent": probability.equivalent,
        "worse": probability.worse,
        "rope": rope,
    }


def _over_images(one: tuple[Pooled, np.ndarray], other: tuple[Pooled, np.ndarray]) -> dict[str, object]:
    """The tests over the pooled test images of one pair, each with its draws; those of the AUC only for two classes."""
    (a, draws_a), (b, draws_b) = one, other
    labels = a.labels
    count = len(np.unique(a.clusters))
    groups = a.clusters if count < len(labels) else None
    right_a, right_b = (each.called == labels for each in (a, b))
    errors = statistics.mcnemar(right_a, right_b, groups)
    row: dict[str, object] = {
        "images": len(labels),
        "only_a_right": errors.only_a,
        "only_b_right": errors.only_b,
        "mcnemar_p": errors.p,
    }
    if a.probabilities.shape[1] == 2:
        test = statistics.delong(labels, a.probabilities[:, 1], b.probabilities[:, 1], groups)
        low, high = statistics.bootstrap_interval(draws_a - draws_b, test.difference, count)
        row |= {
            "auc_a": test.auc_a,
            "auc_b": test.auc_b,
            "auc_difference": test.difference,
            "auc_low": test.low,
            "auc_high": test.high,
            "delong_p": test.p,
            "bootstrap_low": low,
            "bootstrap_high": high,
        }
    return row


def words(table: pd.DataFrame, results: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    """A sentence for each pair: the verdict, both means, their difference with its interval, in how many folds, why.

    The three tables are of one comparison.
    """
    if table.empty:
        return []
    metric = table["metric"].iloc[0]
    values, same = by_fold(results, metrics.column(metric, "test")), same_tests(predictions)
    said = []
    for row in table.to_dict("records"):
        both = values[[row["model_a"], row["model_b"]]].dropna().groupby(same).mean()
        gain = (both[row["model_a"]] - both[row["model_b"]]) * (-1 if metric in LOWER_IS_BETTER else 1)
        said.append(_sentence(row, int((gain > 0).sum())))
    return said


def _sentence(row: Mapping[Any, Any], ahead: int) -> str:
    """`ahead` counts the folds in which the first model is the better one."""
    a, b, metric, folds = row["model_a"], row["model_b"], row["metric"], row["folds"]
    if row.get("leaked"):
        return f"LEAKED, and so no evidence: {_sentence({**row, 'leaked': 0}, ahead)}"
    if row.get("origin_unknown"):
        unknown = "It cannot be told whether their weights have seen test images."
        return f"{_sentence({**row, 'origin_unknown': 0}, ahead)} {unknown}"
    if folds < 1:
        return f"{a} and {b} have no test set in common: undecided."
    means = f"{metrics.NAMES.get(metric, metric)} {row['mean_a']:.3f} against {row['mean_b']:.3f}"
    if folds < 2:
        return f"{a} against {b} is undecided: {means} in 1 fold, and one fold cannot tell."
    if np.isnan(row["p"]):
        return (
            f"{a} against {b} is undecided: {means}, and the same difference in each of {folds} folds leaves no "
            "variance to judge by."
        )
    size = (
        f"{means}, {abs(row['difference']):.3f} {'lower' if metric in LOWER_IS_BETTER else 'higher'} "
        f"(95 % interval {row['low']:.3f} to {row['high']:.3f}), ahead in {ahead} of {folds} folds"
    )
    adjusted = f"adjusted p {'< 0.001' if row['p_holm'] < 0.001 else '= ' + format(row['p_holm'], '.3f')}"
    if row["verdict"] == "better":
        return f"{a} is better than {b}: {size}; probability {row['better']:.1%}, {adjusted}."
    if row["verdict"] == "equivalent":
        within = f"they differ by less than {row['rope']:g} with probability {row['equivalent']:.1%}"
        return f"{a} and {b} are as good as each other: {size}; {within}."
    few = f"; fewer than {statistics.FEW_FOLDS} folds decide nothing" if folds < statistics.FEW_FOLDS else ""
    chances = f"better {row['better']:.1%}, equal {row['equivalent']:.1%}, worse {row['worse']:.1%}"
    return f"{a} against {b} is undecided: {size}; {chances}, {adjusted}{few}."
