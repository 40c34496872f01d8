"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table

from zoo.evaluation import metrics
from zoo.evaluation.comparison import SCORED_ROLES
from zoo.evaluation.config import HALF
from zoo.evaluation.metrics import METRICS, NAMES
from zoo.evaluation.operating_point import ALL_FOLDS
from zoo.run.results import Comparison, mark

FOLDS_SHOWN = 10
SIDE_BY_SIDE = 3  # classes of confusion matrices that stand beside each other


def number(value: float | None, digits: int = 4) -> str:
    """So many digits after the point, or a dash for a metric that is not defined."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def p_value(value: float) -> str:
    """As number, but never 0."""
    return "<0.0001" if value < 0.0001 else number(value)


def calibration(row: Mapping[Any, Any]) -> dict[str, str]:
    """A row of calibration.csv for people: the cell of each heading."""
    names = {"brier": "Brier score", "slope": "slope", "intercept": "intercept"}
    about = {"probabilities": "scaled" if row["scaled"] else "as they are"}
    return about | {heading: number(row[name], 3) for name, heading in names.items()}


def class_counts(counts: pd.DataFrame, image_size: int, roles: dict[str, str] | None = None) -> Table:
    """Images of each class, a row per fold and role; `counts` as from zoo.data.splits.class_counts.

    `roles` gives the folder that plays each role, where that is to be shown; a manifest or a split file gives each role
    by its own name.
    """
    folder = ["folder"] if roles and any(role != folder for role, folder in roles.items()) else []
    title = f"Images of {image_size} x {image_size} x 3 uint8"
    table = Table("fold", "role", *folder, *_shares(counts), title=title, title_justify="left")
    for fold, role in counts.index:
        played = [roles[role]] if roles and folder else []
        table.add_row(str(fold), role, *played, *_shares_of(counts.loc[(fold, role)]))
    return table


def _shares(counts: pd.DataFrame) -> list[str]:
    """Headings for how many images there are of each class: the shares are told of two."""
    return ["images", *counts.columns, *(["balance"] if len(counts.columns) == 2 else [])]


def _shares_of(row: pd.Series[int]) -> list[str]:
    balance = [" : ".join(f"{share:.1%}" for share in row / row.sum())] if len(row) == 2 else []
    return [str(int(row.sum())), *(str(count) for count in row), *balance]


def folds(counts: pd.DataFrame, groups: pd.Series[int]) -> Table:
    """Images, share of each class and groups, a row per fold and role of the first folds.

    `counts` and `groups` as from zoo.data.splits.class_counts and group_counts.
    """
    known = bool(groups.any())
    headings = ["fold", "role", *_shares(counts), *(["groups"] if known else [])]
    table = Table(*headings, title="Folds", title_justify="left")
    shown = counts.index.get_level_values("fold").unique()[:FOLDS_SHOWN]
    for fold, role in counts.index[counts.index.get_level_values("fold").isin(shown)]:
        row = counts.loc[(fold, role)]
        number_of_groups = [str(groups.loc[(fold, role)])] if known else []
        table.add_row(
            str(fold), role, *_shares_of(row), *number_of_groups, end_section=role == counts.loc[fold].index[-1]
        )
    return table


def scores(results: dict[str, dict[str, Any]], classes: Sequence[str]) -> RenderableType:
    """Metrics and confusion matrices of one job; `results` is the content of metrics.json."""
    about = _about(classes, f"threshold {results['test']['threshold']:g}" if len(classes) == 2 else "")
    headings = [f"{role}\n{results[role]['images']} images" for role in SCORED_ROLES]
    table = Table("metric", *headings, title=f"Metrics ({about})", title_justify="left")
    for name in METRICS:
        table.add_row(name, *(number(results[role][name]) for role in SCORED_ROLES))
    return Group(table, confusions(results, classes))


def _about(classes: Sequence[str], point: object) -> str:
    """What the metrics are of."""
    return f"positive class: {classes[-1]}, {point}" if len(classes) == 2 else "averages over the classes"


def confusions(results: dict[str, dict[str, Any]], classes: Sequence[str]) -> RenderableType:
    """The confusion matrices of one job, and whether its weights have seen images that it is scored on."""
    leaked = [
        f"{role} is LEAKED: the weights have seen {seen} of these images"
        for role in SCORED_ROLES
        if (seen := results[role].get("leaked"))
    ]
    matrices = [confusion(role, results[role]["confusion_matrix"], classes) for role in SCORED_ROLES]
    return Group(*leaked, *([Columns(matrices, padding=(0, 3))] if len(classes) <= SIDE_BY_SIDE else matrices))


def confusion(role: str, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Table:
    """One confusion matrix: a row per true class, a column per predicted class."""
    table = Table("true \\ predicted", *classes, title=f"Confusion matrix, {role}", title_justify="left")
    for name, row in zip(classes, counts, strict=True):
        table.add_row(name, *(str(count) for count in row))
    return table


def results(table: pd.DataFrame, wide: bool = True) -> Table:
    """results.csv, and mean ± standard deviation per model of several folds: both roles if `wide`, else test alone."""
    roles = SCORED_ROLES if wide else SCORED_ROLES[-1:]
    shown = [(role, name) for role in roles for name in ("accuracy", "f1", "recall", "auc")]
    columns = [metrics.column(name, role) for role, name in shown]
    headings = ["fold", *(["weights"] if wide else []), *(f"{name}\n{role}" for role, name in shown)]
    view = Table("model", *headings, title="Results", title_justify="left")
    for model, rows in table.groupby("model", sort=False):
        for _, row in rows.iterrows():
            weights = [row["weights"]] if wide else []
            name = str(model) + mark(row.to_dict())
            view.add_row(name, str(row["fold"]), *weights, *(number(row[column]) for column in columns))
        if len(rows) > 1:
            spread = [f"{number(rows[column].mean())}\n± {number(rows[column].std())}" for column in columns]
            view.add_row(str(model), "mean\n± sd", *([""] if wide else []), *spread, style="bold")
    return view


def summary(done: Comparison, wide: bool = True) -> Table:
    """Mean ± standard deviation over folds of the main metrics, each with its 95 % interval.

    If `wide` of both roles, with the weights that training started from; else of test alone.
    """
    shown = list(dict.fromkeys(["recall", *([] if wide else ["specificity"]), done.metric, "auc"] + ["f1"] * wide))
    columns = [(role, name) for role in (SCORED_ROLES if wide else SCORED_ROLES[-1:]) for name in shown]
    count = int(done.summary["folds"].max())
    where = "folds" if wide else f"{count} fold{'s' * (count != 1)} on test"
    title = f"Mean ± sd over {where}, and 95 % interval, {done.point}"
    names = {name: NAMES.get(name, name) for name in shown}
    headings = [f"{names[name]}\n{role}" if wide else names[name] for role, name in columns]
    about = ["weights", "folds"] if wide else []
    view = Table("model", *about, *headings, title=title, title_justify="left", show_edge=wide)
    cells = {(row["model"], row["role"], row["metric"]): row for row in done.summary.to_dict("records")}
    main = done.summary[(done.summary["role"] == "test") & (done.summary["metric"] == done.metric)]
    for model in main.sort_values("mean", ascending=done.metric == "loss", na_position="last")["model"]:
        texts = [f"{_mean(cell)}\n{_interval(cell)}" for column in columns for cell in [cells[model, *column]]]
        weights = done.results.loc[done.results["model"] == model, "weights"].unique()
        folds = cells[model, "test", done.metric]["folds"]
        name = str(model) + (f"\n{folds} of {count} folds" if folds < count and not wide else "")
        view.add_row(name, *(["\n".join(weights), str(folds)] if wide else []), *texts)
    return view


def operating_points(done: Comparison, model: str | None = None) -> Table:
    """threshold.csv over folds: for each model, or one, 0.5 and what the run aims at, with what test makes of them."""
    over_folds = done.thresholds[done.thresholds["fold"] == ALL_FOLDS].sort_values("model", kind="stable")
    titles = done.titles
    view = Table("model", "sensitivity", "specificity", "missed", "alarms", title_justify="left")
    view.title = f"Test at thresholds chosen on validation, and at {HALF.threshold}"
    view.show_edge = False
    for name, rows in over_folds.groupby("model", sort=False):
        for row in rows.to_dict("records") if model in (None, name) else ():
            view.add_row(
                f"{titles[str(name)]}\n{row['point']}\n{_from(row)}",
                *(_with_interval(row, name) for name in ("sensitivity", "specificity")),
                f"{row['missed']:,}\nof {row['positives']:,}",
                f"{row['alarms']:,}\nof {row['negatives']:,}",
            )
    return view


def _from(row: Mapping[Any, Any]) -> str:
    """Where the decisions of a row begin; not the same in all folds, and a mean."""
    return f"from {row['threshold']:.3g} on" + ("" if row["supported"] else ", not sure")


def _with_interval(row: Mapping[Any, Any], name: str) -> str:
    cell = {"mean": row[name], "folds": 1, "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
    return f"{_mean(cell)}\n{_interval(cell)}"


def trade_off(table: pd.DataFrame, model: str) -> Table:
    """What each further case that is found costs in false alarms, on validation; see operating_point.trade_off."""
    title = f"What {model} would miss on validation, and alarm for"
    view = Table("point", "from", "missed", "alarms", "alarms for each\nfurther case", title=title)
    view.title_justify, view.show_edge = "left", False
    for row in table.to_dict("records"):
        price = "" if pd.isna(row["price"]) else f"{row['price']:.1f}"
        view.add_row(
            row["point"] + ("" if row["supported"] else "\n(not sure)"),
            f"{row['threshold']:.3g}",
            f"{row['missed']:,} of {row['positives']:,}",
            f"{row['alarms']:,} of {row['negatives']:,}",
            price,
        )
    return view


def intervals(done: Comparison, model: str) -> Table:
    """The metrics of one model, recall first: mean ± standard deviation over folds, and 95 % interval."""
    rows = done.summary[done.summary["model"] == model].to_dict("records")
    cells = {(row["role"], row["metric"]): row for row in rows}
    title = f"Metrics with 95 % intervals ({_about(done.classes, done.point)})"
    view = Table("metric", *SCORED_ROLES, title=title, title_justify="left")
    for name in dict.fromkeys(["recall", "specificity", "auc", *METRICS[1:], *METRICS]):  # the loss last
        both = [cells[role, name] for role in SCORED_ROLES]
        view.add_row(NAMES.get(name, name), *(f"{_mean(cell)} ({_interval(cell)})" for cell in both))
    return view


def _mean(cell: Mapping[Any, Any]) -> str:
    """Three digits, since the intervals tell how many of them mean something; the tables on the disk have all."""
    values = [cell["mean"], cell["sd"]] if cell["folds"] > 1 else [cell["mean"]]
    return " ± ".join(number(value, 3) for value in values)


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
