"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table

from zoo.evaluation.metrics import METRICS


def number(value: float | None) -> str:
    """Four digits after the point, or a dash for a metric that is not defined."""
    return "–" if value is None or pd.isna(value) else f"{value:.4f}"


def class_counts(counts: pd.DataFrame, roles: dict[str, str], image_size: int) -> Table:
    """Images of each class, a row per fold and role; `counts` as from zoo.data.splits.class_counts."""
    table = Table("fold", "role", "folder", "array", *counts.columns, "balance", title="Images", title_justify="left")
    for fold, role in counts.index:
        row = counts.loc[(fold, role)]
        total = int(row.sum())
        shape = f"{total} x {image_size} x {image_size} x 3 uint8"
        balance = " : ".join(f"{share:.0%}" for share in row / total)
        table.add_row(str(fold), role, roles[role], shape, *(str(count) for count in row), balance)
    return table


def scores(results: dict[str, dict[str, Any]], roles: dict[str, str], classes: Sequence[str]) -> RenderableType:
    """Metrics and confusion matrices of one job; `results` is the content of metrics.json."""
    positive = f"positive class: {classes[-1]}" if len(classes) == 2 else "averages over the classes"
    threshold = next(iter(results.values()))["threshold"]
    at = f", threshold {threshold:g}" if threshold is not None else ""
    table = Table("role", "folder", "images", *METRICS, title=f"Metrics ({positive}{at})", title_justify="left")
    for role, score in results.items():
        table.add_row(role, roles[role], str(score["images"]), *(number(score[name]) for name in METRICS))
    matrices = [confusion(role, score["confusion_matrix"], classes) for role, score in results.items()]
    return Group(table, Columns(matrices, padding=(0, 3)))


def confusion(role: str, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    """One confusion matrix: a row per true class, a column per predicted class."""
    table = Table("true \\ predicted", *classes, title=f"Confusion matrix, {role}", title_justify="left")
    for name, row in zip(classes, counts, strict=True):
        table.add_row(name, *(str(count) for count in row))
    return table


def results(table: pd.DataFrame, roles: dict[str, str]) -> Table:
    """results.csv with the main metrics of both roles, and mean ± standard deviation per model of several folds."""
    shown = [(role, name) for role in ("validation", "test") for name in ("accuracy", "f1", "recall", "auc")]
    columns = [f"{name}_{role}" for role, name in shown]
    title = f"Results (validation: folder {roles['validation']}, test: folder {roles['test']})"
    headings = ["model", "fold", "weights", *(f"{name}\n{role}" for role, name in shown)]
    view = Table(*headings, title=title, title_justify="left")
    for model, rows in table.groupby("model", sort=False):
        for _, row in rows.iterrows():
            view.add_row(str(model), str(row["fold"]), row["weights"], *(number(row[column]) for column in columns))
        if len(rows) > 1:
            spread = [f"{number(rows[column].mean())}\n± {number(rows[column].std())}" for column in columns]
            view.add_row(str(model), "mean ± sd", "", *spread, style="bold")
    return view
