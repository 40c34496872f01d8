"""Pairs of models on the terminal: a sentence each, what a gain costs, and the other tests, each explained once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.table import Column, Table

from zoo.evaluation import comparison
from zoo.report.tables import number, p_value
from zoo.run.results import Comparison

SHOWN = 10  # pairs; the rest is in comparison.csv

EXPLAINED = (
    "t-test: over folds, corrected for what their training sets share (Nadeau and Bengio), p adjusted for all pairs "
    "(Holm); a small p says that chance alone would hardly make such a difference",
    "Bayes: over folds (Benavoli et al.), the probabilities that the first is better, that the two differ by at most "
    "{rope:g}, and that the first is worse",
    "DeLong: the two AUCs of all test images together, p adjusted",
    "bootstrap: 95 % interval of the difference of these AUCs, images (or patients) drawn again and again",
    "McNemar: images that only one of the two gets right at the threshold, p adjusted",
)


def said(done: Comparison) -> list[str]:
    """For each of the first pairs its sentence, and what the better one's finds cost in false alarms."""
    lines = []
    for sentence, row in zip(done.words[:SHOWN], done.comparison[:SHOWN].to_dict("records"), strict=True):
        lines += [sentence, *([cost] if (cost := _cost(done, row)) else [])]
    if len(done.words) > SHOWN:
        lines.append(f"… and {len(done.words) - SHOWN} more pairs in comparison.csv")
    return lines


def _cost(done: Comparison, row: Mapping[Any, Any]) -> str:
    """How many more positive images the first of two models finds at the threshold, and for how many false alarms."""
    if len(done.classes) != 2 or not row["images"]:
        return ""
    a, b = row["model_a"], row["model_b"]
    of_pair = done.predictions[done.predictions["model"].isin([a, b])]
    folds = of_pair.groupby("fold")["model"].nunique()
    of_pair = of_pair[of_pair["fold"].isin(folds.index[folds == 2])]
    found, alarms = {}, {}
    for model in (a, b):
        pooled = comparison.pooled(of_pair[of_pair["model"] == model])
        called = pooled.called == 1
        ill = pooled.labels == 1
        found[model], alarms[model] = int(called[ill].sum()), int(called[~ill].sum())
    healthy, positive = done.classes
    gain, price = found[a] - found[b], alarms[a] - alarms[b]
    more = f"{_more(gain)} of {ill.sum():,} {positive} images than {b}" if gain else f"as many {positive} images as {b}"
    alarmed = f"{_more(price)} false alarms" if price else "as many false alarms"
    return f"  At {done.point} {a} finds {more}, with {alarmed} among {(~ill).sum():,} {healthy} ones."


def _more(difference: int) -> str:
    return f"{abs(difference):,} {'more' if difference > 0 else 'fewer'}"


def other_tests(pairs: pd.DataFrame) -> Table:
    """What comparison.csv has of the first pairs beside the difference: a row a pair, p-values adjusted."""
    bayes = Column("Bayes\nbetter\nequal\nworse")
    table = Table(
        "models",
        "t-test\np",
        bayes,
        "DeLong\np",
        "bootstrap\n95 %",
        "McNemar\np",
        title="Other tests",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        show_lines=True,
    )
    for row in pairs[:SHOWN].to_dict("records"):
        table.add_row(
            f"{row['model_a']}\n{row['model_b']}",
            p_value(row["p_holm"]),
            "\n".join(number(row[name]) for name in ("better", "equivalent", "worse")),
            p_value(row["delong_p_holm"]),
            f"{number(row['bootstrap_low'])}\n{number(row['bootstrap_high'])}",
            p_value(row["mcnemar_p_holm"]),
        )
    return table


def explained(pairs: pd.DataFrame) -> list[str]:
    """What each column of `other_tests` is, a line each."""
    return [line.format(rope=pairs["rope"].iloc[0]) for line in EXPLAINED]
