"""The shortcut baseline: how well facts about files predict the label, with nobody looking at the picture.

A small model of gradient-boosted trees (scikit-learn) is given width and height, or the format, or the mean colour, and
so on, and is scored by cross-validation, pictures of one patient or photograph kept together. What it can do, a network
can do as well, and may prefer to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from zoo.auditing.facts import CORNERS
from zoo.auditing.findings import Finding, Severity, counted
from zoo.evaluation import metrics
from zoo.evaluation.intervals import Scored, interval

FEATURES: dict[str, list[str]] = {
    "size": ["width", "height"],
    "aspect": ["aspect"],
    "bytes": ["bytes"],
    "format": ["format"],
    "mean colour": ["red", "green", "blue"],
    "border": ["border_mean", "border_spread", "border_black"],
    "corners": CORNERS,
}
TOGETHER = "all together"
FOLDS = 5
LEAST = 20  # images of each class that a baseline needs
STRONG, WEAK = 0.75, 0.6  # an interval of the AUC that begins above is an error, a warning

SHORTCUT_COLUMNS = ["scope", "feature", "images", "auc", "low", "high", "remark"]


def baseline(pictures: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """SHORTCUT_COLUMNS: the AUC of each of FEATURES and of all together, with its 95 % interval, overall and by source.

    `pictures` has a row per picture: the columns of zoo.auditing.facts, label, source, and unit, alike for those that
    must stay together. For more than two classes the AUC is the average of each class against the rest. The interval is
    DeLong's for two classes and single pictures, else that of a bootstrap of units. `scope` is "all" or "source NAME".
    Where nothing can be said numbers are NaN, and `remark` says why; else it has what is typical of each class.
    """
    sources = [name for name in sorted(set(pictures["source"])) if name]
    scopes = [("all", pictures)]
    if len(sources) > 1 or (sources and (pictures["source"] == "").any()):
        scopes += [(f"source {name}", pictures[pictures["source"] == name]) for name in sources]
    rows = [row for scope, part in scopes for row in _scope(scope, part, classes)]
    return pd.DataFrame(rows, columns=SHORTCUT_COLUMNS)


def findings(table: pd.DataFrame) -> Iterator[Finding]:
    """What a table of `baseline` says about the data: an error for a strong shortcut, a warning for a weaker one."""
    yield from _shortcut(table[table["low"] > STRONG], "error", "strong", "well")
    yield from _shortcut(table[(table["low"] > WEAK) & (table["low"] <= STRONG)], "warning", "weak", "to some degree")
    silent = table[table["auc"].isna()].drop_duplicates("scope")
    for scope, remark in zip(silent["scope"], silent["remark"], strict=True):
        yield Finding("note", "shortcut-unknown", f"no shortcut baseline of {scope}: {remark}")


def _shortcut(rows: pd.DataFrame, severity: Severity, kind: str, how: str) -> Iterator[Finding]:
    if rows.empty:
        return
    best = rows.sort_values("low", ascending=False).iloc[0]
    where = "" if best["scope"] == "all" else f" in {best['scope']}"
    others = [name for name in dict.fromkeys(rows["feature"]) if name != best["feature"]]
    text = (
        f"the label can be guessed {how} without looking at the picture: AUC {best['auc']:.2f} "
        f"({best['low']:.2f} to {best['high']:.2f}) from {best['feature']}{where}"
        f"{'; also from ' if others else ''}{', '.join(others)}"
    )
    advice = (
        "Find out where it comes from. Size, format, bytes, border and corners are the camera, or the program that "
        "saved the files: make all classes alike, or train on one source. Colour may be the disease itself; a network "
        "must do better than this."
    )
    yield Finding(severity, f"shortcut-{kind}", text, advice, rows.reset_index(drop=True))


def _scope(scope: str, pictures: pd.DataFrame, classes: Sequence[str]) -> list[tuple[object, ...]]:
    """Rows of SHORTCUT_COLUMNS for some of the pictures."""
    labels, units = pictures["label"].to_numpy(), pd.factorize(pictures["unit"])[0]
    counts = np.bincount(labels, minlength=len(classes))
    units_of = [len(np.unique(units[labels == label])) for label in range(len(classes))]
    folds = min(FOLDS, *units_of)
    if counts.min() < LEAST or folds < 2:
        few = f"{counted(int(counts.min()), 'image')} of {classes[int(counts.argmin())]}; it needs {LEAST}"
        one = f"all of {classes[int(np.argmin(units_of))]} are of one group"
        remark = f"too few images ({few if counts.min() < LEAST else one})"
        return [(scope, TOGETHER, len(pictures), math.nan, math.nan, math.nan, remark)]
    columns = {name: _numbers(pictures[parts]) for name, parts in FEATURES.items()}
    columns[TOGETHER] = np.hstack([*columns.values()])
    rows: list[tuple[object, ...]] = []
    for name, values in columns.items():
        if (values == values[0]).all():
            rows.append((scope, name, len(pictures), 0.5, 0.5, 0.5, f"the same in all: {_typical(pictures, name)}"))
            continue
        scores = _scores(values, labels, units, folds)
        remark = "" if name == TOGETHER else _by_class(pictures, name, classes)
        rows.append((scope, name, len(pictures), *_auc(labels, scores, units), remark))
    return rows


def _numbers(table: pd.DataFrame) -> np.ndarray:
    """Features as float64 (n, k); formats become numbers in the order of their names."""
    formats = {"BMP": 0, "JPEG": 1, "PNG": 2, "TIFF": 3, "WebP": 4}
    coded = {name: column.map(formats) if name == "format" else column for name, column in table.items()}
    return pd.DataFrame(coded).to_numpy(dtype=np.float64)


def _scores(values: np.ndarray, labels: np.ndarray, units: np.ndarray, folds: int) -> np.ndarray:
    """Probabilities (n, classes) of each picture, from a model that has not seen it or its like."""
    model = HistGradientBoostingClassifier(
        max_iter=50,
        max_leaf_nodes=8,
        min_samples_leaf=max(2, min(20, len(labels) // 20)),
        early_stopping=False,
        random_state=0,
    )
    groups = units if len(np.unique(units)) < len(units) else None
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(folds, shuffle=True, random_state=0)
    with threadpool_limits(1, "openmp"):  # threads wait for one another longer than these few numbers take
        predicted = cross_val_predict(model, values, labels, groups=groups, cv=splitter, method="predict_proba")
    return np.asarray(predicted)


def _auc(labels: np.ndarray, scores: np.ndarray, units: np.ndarray) -> tuple[float, float, float]:
    """AUC and its interval; scores (n, classes)."""
    return metrics.score(labels, scores)["auc"], *interval("auc", [[Scored(labels, scores, units)]])


def _by_class(pictures: pd.DataFrame, feature: str, classes: Sequence[str]) -> str:
    return "; ".join(
        f"{name} {_typical(pictures[pictures['label'] == label], feature)}" for label, name in enumerate(classes)
    )


def _typical(pictures: pd.DataFrame, feature: str) -> str:
    """What these pictures mostly are: medians, means of border and corners, the commonest format with its share."""
    parts = pictures[FEATURES[feature]]
    middle = parts.mean() if feature in ("border", "corners") else parts.median(numeric_only=True)
    if feature == "size":
        return f"{middle['width']:.0f} x {middle['height']:.0f}"
    if feature == "aspect":
        return f"{middle['aspect']:.2f}"
    if feature == "bytes":
        return f"{middle['bytes'] / 1000:,.1f} kB"
    if feature == "format":
        shares = parts["format"].value_counts(normalize=True)
        return f"{shares.index[0]} {shares.iloc[0]:.0%}"
    if feature == "mean colour":
        return f"red {middle['red']:.0f} green {middle['green']:.0f} blue {middle['blue']:.0f}"
    if feature == "border":
        return f"grey {middle['border_mean']:.0f}, {middle['border_black']:.0%} black"
    return f"grey {', '.join(f'{middle[name]:.0f}' for name in CORNERS[::2])}"
