"""How folds, classes and sources are made up: what is missing, what overlaps, what is uneven.

Tables of files are those of zoo.auditing.findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from zoo.auditing.findings import Finding, counted
from zoo.data.splits import ROLES, class_counts

# Shares of a class are called uneven where they differ by so much and it isn't chance.
UNEVEN = 0.1
CHANCE = 0.001


def folds(files: pd.DataFrame, classes: Sequence[str], all_folds: bool) -> Iterator[Finding]:
    """Roles that lack a class, test sets that overlap, images that are never tested, uneven folds.

    `all_folds` says whether these are all folds of the data: of some, not every image is tested.
    """
    counts = class_counts(files, classes)
    yield from _incomplete(counts, sorted(set(files["fold"])))
    yield from _tested(files, classes, all_folds)
    whole = counts[(counts > 0).all(axis=1).groupby(level="fold").transform("all")]
    uneven = [fold for fold, part in whole.groupby(level="fold") if _differ(part, UNEVEN)]
    if uneven:
        yield Finding(
            "warning",
            "uneven-folds",
            f"classes are spread unevenly over the roles of {counted(len(uneven), 'fold')}",
            "Scores of roles with other shares of the classes don't compare; zoo data split spreads them evenly.",
            counts.loc[uneven].reset_index(),
        )


def _incomplete(counts: pd.DataFrame, numbers: Sequence[int]) -> Iterator[Finding]:
    everywhere = pd.MultiIndex.from_product([numbers, ROLES], names=["fold", "role"])
    lacking = counts.reindex(everywhere, fill_value=0)
    lacking = lacking[(lacking == 0).any(axis=1)]
    if len(lacking):
        places = f"{counted(len(lacking), 'role')} of a fold {'has' if len(lacking) == 1 else 'have'}"
        yield Finding(
            "error",
            "missing-class",
            f"{places} no image of a class",
            "Training refuses such folds: nothing can be said of a class that isn't there. Take fewer folds, or divide "
            "anew.",
            lacking.reset_index(),
        )


def _tested(files: pd.DataFrame, classes: Sequence[str], all_folds: bool) -> Iterator[Finding]:
    tests = files[files["role"] == "test"].drop_duplicates(["fold", "photograph"])
    times = tests.groupby("photograph")["fold"].nunique()
    often = times[times > 1]
    number = files["fold"].nunique()
    if len(often):
        shared = tests[tests["photograph"].isin(often.index)].groupby("photograph")
        rows = shared.agg(path=("path", "first"), folds=("fold", list), times=("fold", "size")).reset_index(drop=True)
        yield Finding(
            "warning",
            "test-overlap",
            f"test sets overlap: {len(often):,} of {counted(len(times), 'tested photograph')} are tested in several "
            f"folds, up to {often.max()} times",
            "Folds that test the same photographs agree more than they should, and pooled scores count them several "
            "times. That is as it must be for repeated folds, else not.",
            rows.sort_values("times", ascending=False),
        )
    photographs = files.drop_duplicates("photograph")
    never = photographs[~photographs["photograph"].isin(times.index)]
    if number > 1 and all_folds and len(never):
        rows = pd.DataFrame({"path": [*never["path"]], "label": [classes[label] for label in never["label"]]})
        text = f"{len(never):,} of {counted(len(photographs), 'photograph')} are tested in no fold"
        yield Finding("warning", "never-tested", text, "Pooled scores say nothing about them.", rows)
    if number > 1 and all_folds and not len(often) and not len(never):
        text = f"every photograph is tested in exactly one of {number} folds: the test sets are a partition"
        yield Finding("note", "partition", text)


def classes_and_sources(pictures: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    """Counts of classes, overall and by source; `pictures` has one row per picture."""
    counts = by_source(pictures, classes)
    total = counts.loc["all"]
    shares = ", ".join(f"{name} {count:,} ({count / total.sum():.0%})" for name, count in total.items())
    yield Finding("note", "balance", f"{counted(len(pictures), 'picture')}: {shares}", rows=counts.reset_index())
    sources = counts.drop("all")
    if len(sources) < 2:
        return
    # A small source may lack a rare class by chance: all of n images miss a class of share p with (1 - p)^n.
    chance = (1 - total / total.sum()).to_numpy() ** sources.sum(axis=1).to_numpy()[:, None]
    lacking = (sources == 0) & (chance < CHANCE)
    single = sources[lacking.any(axis=1)]
    if len(single):
        names = ", ".join(f"{name} (no {', '.join(row.index[row == 0])})" for name, row in single.head(5).iterrows())
        yield Finding(
            "error",
            "source-tells-label",
            f"images of {counted(len(single), 'source')} lack a class: {names}",
            "A model can learn the camera instead of the disease, and no score on these data would show it. Train and "
            "test without such a source, or find images of the other class from it.",
            single.reset_index(),
        )
    rest = sources.drop(single.index)
    if len(rest) > 1 and _differ(rest, UNEVEN):
        yield Finding(
            "warning",
            "uneven-sources",
            "classes are spread unevenly over the sources",
            "To know the source is to know something about the label. Score each source on its own, and look at the "
            "shortcut baseline within sources.",
            rest.reset_index(),
        )


def by_source(pictures: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Images of each class: a row "all", and one per source where several are known."""
    sources = pictures["source"].replace({"": "unknown", "all": "'all'"})
    counts = pd.crosstab(sources, pictures["label"]).reindex(columns=range(len(classes)), fill_value=0)
    counts.columns = pd.Index(classes)
    total = counts.sum().to_frame("all").T
    return (pd.concat([total, counts]) if len(counts) > 1 else total).rename_axis("source")


def _differ(counts: pd.DataFrame, by: float) -> bool:
    """Whether shares of a class differ between rows of counts by so much, and not by chance (chi-squared test)."""
    table = counts.loc[counts.sum(axis=1) > 0, counts.sum() > 0].to_numpy()
    if min(table.shape) < 2:
        return False
    shares = table / table.sum(axis=1, keepdims=True)
    return bool(np.ptp(shares, axis=0).max() >= by and stats.chi2_contingency(table).pvalue < CHANCE)
