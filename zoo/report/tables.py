"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Column, Table

from zoo.comparison import Comparison, mark
from zoo.evaluation.comparison import ROLES
from zoo.evaluation.metrics import METRICS

FOLDS_SHOWN = 10


def number(value: float | None) -> str:
    """Four digits after the point, or a dash for a metric that is not defined."""
    return "–" if value is None or pd.isna(value) else f"{value:.4f}"


def p_value(value: float) -> str:
    """As number, but never 0."""
    return "<0.0001" if value < 0.0001 else number(value)


def class_counts(counts: pd.DataFrame, image_size: int, roles: dict[str, str] | None = None) -> Table:
    """Images of each class, a row per fold and role; `counts` as from zoo.data.splits.class_counts.

    `roles` gives the folder that plays each role, where that is to be shown; a manifest or a split file gives each role
    by its own name.
    """
    folder = ["folder"] if roles and any(role != folder for role, folder in roles.items()) else []
    table = Table("fold", "role", *folder, "array", *counts.columns, "balance", title="Images", title_justify="left")
    for fold, role in counts.index:
        row = counts.loc[(fold, role)]
        shape = f"{int(row.sum())} x {image_size} x {image_size} x 3 uint8"
        played = [roles[role]] if roles and folder else []
        table.add_row(str(fold), role, *played, shape, *(str(count) for count in row), _balance(row))
    return table


def folds(counts: pd.DataFrame, groups: pd.Series[int]) -> Table:
    """Images, share of each class and groups, a row per fold and role of the first folds.

    `counts` and `groups` as from zoo.data.splits.class_counts and group_counts.
    """
    known = bool(groups.any())
    headings = ["fold", "role", "images", *counts.columns, "balance", *(["groups"] if known else [])]
    table = Table(*headings, title="Folds", title_justify="left")
    shown = counts.index.get_level_values("fold").unique()[:FOLDS_SHOWN]
    for fold, role in counts.index[counts.index.get_level_values("fold").isin(shown)]:
        row = counts.loc[(fold, role)]
        number_of_groups = [str(groups.loc[(fold, role)])] if known else []
        table.add_row(
            str(fold), role, str(int(row.sum())), *(str(count) for count in row), _balance(row), *number_of_groups,
            end_section=role == counts.loc[fold].index[-1],
        )  # fmt: skip
    return table


def _balance(counts: pd.Series[int]) -> str:
    return " : ".join(f"{share:.1%}" for share in counts / counts.sum())


def scores(results: dict[str, dict[str, Any]], classes: Sequence[str]) -> RenderableType:
    """Metrics and confusion matrices of one job; `results` is the content of metrics.json."""
    positive = f"positive class: {classes[-1]}" if len(classes) == 2 else "averages over the classes"
    threshold = next(iter(results.values()))["threshold"]
    at = f", threshold {threshold:g}" if threshold is not None else ""
    table = Table("role", "images", *METRICS, title=f"Metrics ({positive}{at})", title_justify="left")
    for role, score in results.items():
        seen = score.get("leaked")
        name = f"{role} (LEAKED: the weights have seen {seen} of these images)" if seen else role
        table.add_row(name, str(score["images"]), *(number(score[name]) for name in METRICS))
    matrices = [confusion(role, score["confusion_matrix"], classes) for role, score in results.items()]
    return Group(table, Columns(matrices, padding=(0, 3)))


def confusion(role: str, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    """One confusion matrix: a row per true class, a column per predicted class."""
    table = Table("true \\ predicted", *classes, title=f"Confusion matrix, {role}", title_justify="left")
    for name, row in zip(classes, counts, strict=True):
        table.add_row(name, *(str(count) for count in row))
    return table


def results(table: pd.DataFrame) -> Table:
    """results.csv with the main metrics of both roles, and mean ± standard deviation per model of several folds."""
    shown = [(role, name) for role in ROLES for name in ("accuracy", "f1", "recall", "auc")]
    columns = [f"{name}_{role}" for role, name in shown]
    headings = ["model", "fold", "weights", *(f"{name}\n{role}" for role, name in shown)]
    view = Table(*headings, title="Results", title_justify="left")
    for model, rows in table.groupby("model", sort=False):
        for _, row in rows.iterrows():
            view.add_row(
                str(model) + mark(row.to_dict()),
                str(row["fold"]),
                row["weights"],
                *(number(row[column]) for column in columns),
            )
        if len(rows) > 1:
            spread = [f"{number(rows[column].mean())}\n± {number(rows[column].std())}" for column in columns]
            view.add_row(str(model), "mean ± sd", "", *spread, style="bold")
    return view


def summary(done: Comparison) -> Table:
    """Mean ± standard deviation over folds of the main metrics, each with its 95 % interval."""
    shown = list(dict.fromkeys(["recall", done.metric, "auc", "f1"]))
    columns = [(role, name) for role in ROLES for name in shown]
    title = f"Mean ± sd over folds, and 95 % interval, threshold {done.threshold:g}"
    headings = [f"{name}\n{role}" for role, name in columns]
    view = Table("model", "weights", "folds", *headings, title=title, title_justify="left")
    cells = {(row["model"], row["role"], row["metric"]): row for row in done.summary.to_dict("records")}
    main = done.summary[(done.summary["role"] == "test") & (done.summary["metric"] == done.metric)]
    for model in main.sort_values("mean", ascending=done.metric == "loss", na_position="last")["model"]:
        texts = []
        for role, name in columns:
            cell = cells[model, role, name]
            texts.append(f"{_mean(cell)}\n{_interval(cell)}")
        weights = done.results.loc[done.results["model"] == model, "weights"].unique()
        view.add_row(str(model), "\n".join(weights), str(cells[model, "test", done.metric]["folds"]), *texts)
    return view


def intervals(done: Comparison, model: str) -> Table:
    """The metrics of one model, recall first: mean ± standard deviation over folds, and 95 % interval."""
    rows = done.summary[done.summary["model"] == model].to_dict("records")
    cells = {(row["role"], row["metric"]): row for row in rows}
    title = f"Metrics with 95 % intervals, threshold {done.threshold:g}"
    view = Table("metric", *ROLES, title=title, title_justify="left")
    for name in dict.fromkeys(["recall", "specificity", "auc", *METRICS[1:], *METRICS]):  # the loss last
        both = [cells[role, name] for role in ROLES]
        view.add_row(name, *(f"{_mean(cell)}  ({_interval(cell)})" for cell in both))
    return view


def _mean(cell: Mapping[Any, Any]) -> str:
    return number(cell["mean"]) + (f" ± {number(cell['sd'])}" if cell["folds"] > 1 else "")


def _interval(cell: Mapping[Any, Any]) -> str:
    return "no interval" if pd.isna(cell["low"]) else f"{cell['low']:.3f} – {cell['high']:.3f}"


def spread(done: Comparison) -> list[str]:
    """For each model with repeats, how much of what varies is due to folds, and how much to seeds."""
    if "sd_seeds" not in done.summary:
        return []
    main = done.summary[(done.summary["role"] == "test") & (done.summary["metric"] == done.metric)]
    return [
        f"{row['model']}: {done.metric} on test varies by {number(row['sd_folds'])} between folds and by "
        f"{number(row['sd_seeds'])} between seeds (standard deviations)"
        for row in main.dropna(subset="sd_seeds").to_dict("records")
    ]


def comparison(pairs: pd.DataFrame) -> Table:
    """comparison.csv; `pairs` has its columns."""
    metric = pairs["metric"].iloc[0]
    title = (
        f"Pairs by {metric} on the test role: corrected t-test (p adjusted after Holm), Bayesian t-test "
        f"(± {pairs['rope'].iloc[0]:g} counts as equal); on the pooled images DeLong, bootstrap, McNemar"
    )
    headings = [
        "folds", "a - b", "95 % interval", "p", "P better", "P equal", "verdict", "AUC a - b",
        "p DeLong", "bootstrap 95 %", "p McNemar",
    ]  # fmt: skip
    table = Table(Column("model a\nmodel b", no_wrap=True), *headings, title=title, title_justify="left")
    for row in pairs.to_dict("records"):
        table.add_row(
            f"{row['model_a']}\n{row['model_b']}", str(row["folds"]), number(row["difference"]),
            f"{number(row['low'])}\n{number(row['high'])}", p_value(row["p_holm"]), number(row["better"]),
            number(row["equivalent"]), row["verdict"], number(row["auc_difference"]), p_value(row["delong_p_holm"]),
            f"{number(row['bootstrap_low'])}\n{number(row['bootstrap_high'])}", p_value(row["mcnemar_p_holm"]),
        )  # fmt: skip
    return table
