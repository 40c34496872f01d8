"""The pictures of a comparison of models over folds, each as PNG and SVG.

Every function takes data frames and a path without ending. It returns the two files, or [] for nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogFormatter, MaxNLocator
from sklearn import metrics as sklearn_metrics

from zoo.evaluation import metrics
from zoo.evaluation.calibration import net_benefit, reliability
from zoo.evaluation.comparison import Pooled, called
from zoo.report import plots
from zoo.report.plots import BLUE, GREY, ORANGE

# Okabe and Ito without yellow, which is too pale for a line; the second seven models get another line style.
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = list(product(("-", (0, (4, 1.5)), (0, (1, 1.2))), COLOURS))
# Apart in lightness too, for a print without colours.
VERDICTS = {"better": BLUE, "equivalent": "#F0E442", "undecided": "#E3E3E3", "worse": ORANGE}
BELOW = 0.2  # how far below its dots the mean of a row stands, in rows
Histories = Mapping[int, pd.DataFrame] | Mapping[str, pd.DataFrame]


def learning_curves(histories: Histories, title: str, path: Path) -> list[Path]:
    """Accuracy and loss per epoch of all folds: a column of two panels a stage, a thin line a fold, a thick mean.

    `histories` maps a fold (or a label such as "0 seed 1") to its history.csv: columns stage, epoch, loss,
    accuracy, val_loss and val_accuracy. The mean at an epoch is over the folds that still ran then, NaN left out; a
    dot is the last epoch of a fold. The loss axis is logarithmic where a few values dwarf the rest.
    """
    parts = [history.assign(fold=str(fold)) for fold, history in histories.items() if len(history)]
    if not parts:
        return []
    table = pd.concat(parts)
    stages = list(dict.fromkeys(table["stage"]))
    figure = Figure(figsize=(max(5.0, 1.2 + 3.4 * len(stages)), 6.0), layout="constrained")
    grid: Any = figure.subplots(2, len(stages), squeeze=False, sharex="col", sharey="row")
    for column, stage in enumerate(stages):
        part = table[table["stage"] == stage]
        for axes, metric in zip(grid[:, column], ("accuracy", "loss"), strict=True):
            _lines_and_mean(axes, part, metric, BLUE, 0.2)
            _lines_and_mean(axes, part, f"val_{metric}", ORANGE, 0.4)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        grid[0, column].set_title(f"stage {column + 1}: {stage}", fontsize=10)
        grid[1, column].set_xlabel("epoch")
        grid[1, column].set_xlim(part["epoch"].min() - 0.6, part["epoch"].max() + 0.6)
        grid[1, column].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("loss (cross-entropy)")
    losses = np.ma.masked_invalid(table[["loss", "val_loss"]].to_numpy()).compressed()
    if len(losses) and losses.min() > 0 and losses.max() > 5 * np.quantile(losses, 0.95):
        grid[1, 0].set_yscale("log")
        grid[1, 0].yaxis.set_major_formatter("{x:g}")  # 0.01, not a formula
        grid[1, 0].yaxis.set_minor_formatter(LogFormatter())
    handles = [Line2D([], [], color=BLUE), Line2D([], [], color=ORANGE)]
    labels = ["training", "validation"]
    if len(parts) > 1:
        thin = Line2D([0, 1], [0, 0], color=GREY, linewidth=0.8, alpha=0.6, marker=".", markevery=[1])
        handles += [thin, Line2D([], [], color=GREY, linewidth=2.2)]
        labels += [f"each of {len(parts)} training runs and its end", "mean of those still running"]
    figure.legend(handles, labels, loc="outside lower center", ncols=4 if len(stages) > 2 else 2, frameon=False)
    figure.suptitle(title, fontsize=11)
    return plots.save_png_and_svg(figure, path)


def _lines_and_mean(axes: Axes, part: pd.DataFrame, metric: str, colour: str, alpha: float) -> None:
    folds = [fold for _, fold in part.groupby("fold", sort=False)]
    for fold in folds if len(folds) > 1 else []:
        axes.plot(fold["epoch"], fold[metric], color=colour, linewidth=0.8, alpha=alpha)
        axes.plot(fold["epoch"].iloc[-1:], fold[metric].iloc[-1:], ".", color=colour, markersize=4, alpha=0.6)
    mean = part.groupby("epoch")[metric].mean()
    axes.plot(mean.index, mean, color=colour, linewidth=2.2, marker="o" if len(mean) == 1 else None)


def metric_by_model(results: pd.DataFrame, summary: pd.DataFrame, metric: str, role: str, path: Path) -> list[Path]:
    """A row a model, best mean first: a dot a fold on the row, and the mean with its interval.

    `results` has columns model, fold and `{metric}_{role}`; several rows of one fold (column repeat) are averaged.
    `summary` has columns model, role, metric, mean, low and high, the ends of the 95 % interval. Values that are
    not defined are skipped, and with them a model that has no other; a model with fewer folds than the rest
    says how many; an interval that is not known is left out.
    """
    column = metrics.column(metric, role)
    known = results.dropna(subset=[column]) if column in results else results.iloc[:0]
    if known.empty:
        return []
    values = known.groupby(["model", "fold"])[column].mean().unstack()
    chosen = summary[(summary["metric"] == metric) & (summary["role"] == role)].set_index("model").reindex(values.index)
    means = chosen["mean"].fillna(values.mean(axis=1)).sort_values(ascending=metric == "loss", kind="stable")
    values, chosen = values.loc[means.index], chosen.loc[means.index]
    rows = np.arange(len(values))
    figure = Figure(figsize=(8.0, 1.7 + 0.42 * len(values)), layout="constrained")
    axes = figure.subplots()
    for row in rows[::2]:
        axes.axhspan(row - 0.5, row + 0.5, color=GREY, alpha=0.07, linewidth=0)
    # Equal values of two folds darken each other instead of leaving the row.
    folds_of_each = values.shape[1]
    for row, each in zip(rows, values.to_numpy(), strict=True):
        axes.plot(each, np.full(folds_of_each, row), "o", color=GREY, markersize=5, alpha=0.45, markeredgewidth=0)
    counts = values.notna().sum(axis=1).items()
    axes.set_yticks(rows, [f"{name}{_if_fewer(count, values.shape[1])}" for name, count in counts])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(f"{metrics.NAMES.get(metric, metric)} ({'lower' if metric == 'loss' else 'higher'} is better)")
    handles = [Line2D([], [], color=GREY, linestyle="", marker="o", markersize=5, alpha=0.6)]
    mean_of_repeats = " (mean of its repeats)" if known.duplicated(["model", "fold"]).any() else ""
    labels = [f"one fold{mean_of_repeats}"]
    with_interval = chosen["low"].notna().any()
    if folds_of_each > 1 or with_interval:
        diamond: dict[str, Any] = {"marker": "D", "markersize": 7, "color": ORANGE, "markeredgecolor": "white"}
        axes.hlines(rows + BELOW, chosen["low"], chosen["high"], color=ORANGE, linewidth=2.2, zorder=3)
        axes.plot(means, rows + BELOW, **diamond, linestyle="", zorder=4)
        handles.append(Line2D([], [], **diamond, linewidth=2.2 if with_interval else 0))
        mean = "mean" if folds_of_each > 1 else "the fold"
        labels.append(f"{mean} and 95 % interval" if with_interval else mean)
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"{metrics.NAMES.get(metric, metric)} on {role}, {_folds(known)}", fontsize=11)
    return plots.save_png_and_svg(figure, path)


def roc_and_pr(predictions: pd.DataFrame, model: str, role: str, path: Path) -> list[Path]:
    """ROC and precision-recall curve of one model: a thin line a fold, a thick one of all folds pooled.

    `predictions` has columns fold, role, label (0 or 1) and probability, and maybe repeat: then a thin line a
    fold and repeat. Predictions that are NaN are skipped; a fold with one class only has no line of its own.
    Nothing is drawn for more than two classes, or where the whole role has one class only.
    """
    part = _two_classes(predictions, role)
    if part.empty:
        return []
    figure, panels = _roc_and_pr_panels(part)
    keys = [key for key in ("fold", "repeat") if key in part and part[key].nunique() > 1]
    each_alone = [rows for _, rows in part.groupby(keys) if rows["label"].nunique() == 2] if keys else []
    thin: dict[str, Any] = {"color": BLUE, "linewidth": 0.8, "alpha": 0.4}
    areas = np.array([_draw_curves(panels, rows, **thin) for rows in each_alone]).reshape(-1, 2)
    pooled = _draw_curves(panels, part, color=BLUE, linewidth=2.2)
    for axes, name, area, each in zip(panels, ("AUC", "average precision"), pooled, areas.T, strict=True):
        handles = [Line2D([], [], color=BLUE, linewidth=2.2)]
        labels = [f"{'all pooled: ' if keys else ''}{name} {area:.3f}"]
        if len(each):
            handles.append(Line2D([], [], **thin))
            labels.append(f"each {' and '.join(keys)}: {name} {each.min():.3f} to {each.max():.3f}")
        handles.append(Line2D([], [], color=GREY, linestyle=":"))
        axes.legend(handles, [*labels, "chance"], loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False)
    figure.suptitle(f"{model} on {role} ({len(part)} predictions, {_folds(part)})", fontsize=11)
    return plots.save_png_and_svg(figure, path)


def roc_of_models(predictions: pd.DataFrame, role: str, path: Path) -> list[Path]:
    """Pooled ROC and precision-recall curves of all models, the legend sorted by AUC, best first.

    `predictions` is as for `roc_and_pr`, with a column model. What is skipped there is skipped here, model by
    model. The chance level of the precision is the share of positives in all predictions.
    """
    parts = [(str(model), _two_classes(rows, role)) for model, rows in predictions.groupby("model", sort=False)]
    everything = pd.concat([part for _, part in parts]) if parts else predictions
    if everything.empty:
        return []
    figure, panels = _roc_and_pr_panels(everything)
    folds = everything["fold"].nunique()
    legend = []
    # A style by place, not by rank, and one for a skipped model too: the same in the pictures of all roles.
    for (model, part), (line, colour) in zip(parts, cycle(STYLES), strict=False):
        if part.empty:
            continue
        style: dict[str, Any] = {"color": colour, "linestyle": line}
        auc, precision = _draw_curves(panels, part, **style)
        label = f"{model}{_if_fewer(part['fold'].nunique(), folds)}: AUC {auc:.3f}, AP {precision:.3f}"
        legend.append((auc, Line2D([], [], **style), label))
    legend.sort(key=lambda entry: -entry[0])
    handles = [handle for _, handle, _ in legend] + [Line2D([], [], color=GREY, linestyle=":")]
    labels = [label for *_, label in legend] + ["chance"]
    ncols = 2 if len(labels) > 3 and max(map(len, labels)) <= 60 else 1
    figure.set_figheight(5.0 + 0.21 * math.ceil(len(handles) / ncols))
    figure.legend(handles, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=9, handlelength=3)
    figure.suptitle(f"{role}, pooled predictions of {_folds(everything)}", fontsize=11)
    return plots.save_png_and_svg(figure, path)


def _two_classes(predictions: pd.DataFrame, role: str) -> pd.DataFrame:
    """The predictions of a role that a curve can be drawn from; none for more or fewer than two classes."""
    part = predictions[predictions["role"] == role].dropna(subset=["probability"])
    of_more = any(str(name).startswith("probability_") for name in predictions)
    return part if set(part["label"]) == {0, 1} and not of_more else part.iloc[:0]


def _roc_and_pr_panels(part: pd.DataFrame) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(9.0, 5.9), layout="constrained")
    panels: Any = figure.subplots(1, 2)
    panels[0].plot([0, 1], [0, 1], color=GREY, linestyle=":")
    panels[1].axhline(part["label"].mean(), color=GREY, linestyle=":")
    texts = (("ROC", "1 - specificity", "recall"), ("precision-recall", "recall", "precision"))
    for axes, (title, across, up) in zip(panels, texts, strict=True):
        axes.set(title=title, xlabel=across, ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _draw_curves(panels: Sequence[Axes], part: pd.DataFrame, **style: Any) -> tuple[float, float]:
    """Draw the ROC and the precision-recall curve; the area under each (AUC, average precision)."""
    labels, probabilities = part["label"].to_numpy(), part["probability"].to_numpy()
    false_positives, recall, _ = sklearn_metrics.roc_curve(labels, probabilities)
    panels[0].plot(false_positives, recall, **style)
    precision, recall, _ = sklearn_metrics.precision_recall_curve(labels, probabilities, drop_intermediate=True)
    # Steps, not slopes: the average precision is the area under steps. The curve begins at the first positive found:
    # before it precision is 0, and 1 at recall 0 by scikit-learn's own addition, a spike that means nothing.
    found = recall > 0
    recall, precision = np.append(recall[found], 0), np.append(precision[found], precision[found][-1])
    panels[1].plot(recall, precision, drawstyle="steps-post", **style)
    auc = sklearn_metrics.roc_auc_score(labels, probabilities)
    return float(auc), float(sklearn_metrics.average_precision_score(labels, probabilities))


def confusion_sums(
    predictions: pd.DataFrame, classes: Sequence[str], role: str, point: object, path: Path
) -> list[Path]:
    """A confusion matrix a model, summed over folds and repeats: counts, and below them the share of the true class.

    `predictions` has columns model, fold, role, label and probability (two classes, decided at `point`, with whose
    threshold) or a probability_CLASS each (more: the most probable class). Predictions that are NaN are skipped.
    """
    columns = ["probability"] if len(classes) == 2 else [f"probability_{name}" for name in classes]
    part = predictions[predictions["role"] == role].dropna(subset=columns)
    if part.empty:
        return []
    models, folds = list(part.groupby("model", sort=False)), part["fold"].nunique()
    side = max(2.6, len(classes) * max(0.8, 0.09 * max(len(name) for name in classes)))
    across = min(len(models), max(1, int(14 // side)))
    down = math.ceil(len(models) / across)
    figure = Figure(figsize=(max(4.0, (side + 0.6) * across), (side + 0.8) * down + 0.6), layout="constrained")
    grid: Any = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(models) :]:
        axes.axis("off")
    for axes, (model, rows) in zip(grid.flat, models, strict=False):
        predicted = called(rows)
        counts = sklearn_metrics.confusion_matrix(rows["label"], predicted, labels=range(len(classes)))
        plots.confusion(axes, counts, classes)
        axes.set_title(f"{model}{_if_fewer(rows['fold'].nunique(), folds)}", fontsize=9)
    how = f"{classes[-1]}, at {point}" if len(classes) == 2 else "the most probable class"
    figure.suptitle(f"{role}, sum of {_folds(part)}\n{how}", fontsize=11)
    return plots.save_png_and_svg(figure, path)


def calibration(before: Pooled, after: Pooled, title: str, path: Path) -> list[Path]:
    """Are probabilities right, and what decisions by them are worth: of all test images, before and after scaling.

    Left ten equally large groups of images: what was predicted across, how many were positive up. Right the net benefit
    of acting from each probability on, by the scaled ones, on everyone and on nobody.
    """
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for images, colour, name in ((before, GREY, "as they are"), (after, ORANGE, "scaled on validation")):
        table = reliability(images.labels, images.probabilities[:, 1])
        left.plot(table["predicted"], table["observed"], color=colour, marker="o", markersize=4, label=name)
        near = " to ".join(f"{count:,}" for count in sorted({table["images"].min(), table["images"].max()}))
    left.set_xlabel(f"predicted probability, {near} images a dot")
    left.set_ylabel("share that is positive")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    curve = net_benefit(after.labels, after.probabilities[:, 1])
    for column, colour, name in (("model", ORANGE, "by the scaled probabilities"), ("all", GREY, "act on everyone")):
        right.plot(curve["at"], curve[column], color=colour, label=name)
    right.axhline(0, color="black", linewidth=0.8, linestyle=":", label="on nobody")
    top = max(0.05, float(curve["model"].max()))
    right.set_ylim(-0.25 * top, 1.1 * top)
    right.set_xlabel("probability from which one acts")
    right.set_ylabel("net benefit")
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.set_xlim(0, 1)
    figure.suptitle(f"{title}, test", fontsize=11)
    return plots.save_png_and_svg(figure, path)


def trade_off(table: pd.DataFrame, title: str, aim: object, path: Path) -> list[Path]:
    """What more found cases cost: false alarms across, found positives up, a dot a row; `aim` is drawn large.

    `table` as of zoo.evaluation.operating_point.trade_off, on the validation role.
    """
    figure = Figure(figsize=(6.5, 4.8), layout="constrained")
    axes = figure.subplots()
    found = table["positives"] - table["missed"]
    axes.plot(table["alarms"], found, color=GREY, marker="o", markersize=4, linewidth=1.2, zorder=1)
    for _, rows in table.assign(found=found).groupby(["alarms", "found"], sort=False):
        aimed, place = (rows["point"] == str(aim)).any(), (rows["alarms"].iloc[0], rows["found"].iloc[0])
        axes.plot(*place, "o", color=ORANGE if aimed else GREY, markersize=10 if aimed else 5, zorder=2)
        numbers = ", ".join(str(number + 1) for number in rows.index)
        axes.annotate(numbers, place, (0, -9), textcoords="offset points", ha="center", va="top", fontsize=9)
    listed = [
        f"{number}: {row['point']}, from {row['threshold']:.2g}{'' if row['supported'] else ' (not sure)'}"
        for number, row in enumerate(table.to_dict("records"), 1)
    ]
    axes.text(0.98, 0.04, "\n".join(listed), transform=axes.transAxes, ha="right", va="bottom", ma="left", fontsize=8)
    axes.set_xlim(0, max(1, table["negatives"].max()) * 1.02)
    axes.set_ylim(0, max(1, table["positives"].max()) * 1.02)
    axes.set_xlabel(f"false alarms, of {table['negatives'].max():,} negative validation images")
    axes.set_ylabel(f"found, of {table['positives'].max():,} positive validation images")
    axes.grid(alpha=0.3)
    axes.set_title(title, fontsize=11)
    return plots.save_png_and_svg(figure, path)


def verdicts(comparison: pd.DataFrame, path: Path) -> list[Path]:
    """Every pair of models, best first: is the column's model better than the row's, by how much, how surely.

    Of one pair the difference with its interval and the three probabilities are drawn instead.

    `comparison` holds the pairs of one metric, the better model on average as model_a: columns model_a, model_b,
    metric, difference, low, high, rope, better, equivalent, worse (posterior probabilities about model_a) and verdict.
    A cell gives the verdict, the difference (above 0 in favour of model_a) and the probability of the verdict; where
    undecided, that of better. A pair without a verdict is skipped. Raises ValueError for several metrics at once.
    """
    pairs = comparison[comparison["verdict"].isin(VERDICTS)]
    if pairs.empty:
        return []
    metric, *others = pairs["metric"].unique()
    if others:
        raise ValueError(f"verdicts draws one metric, not {', '.join([metric, *others])}; pass the rows of one")
    if len(pairs) == 1:
        return _one_pair(pairs.iloc[0], path)
    wins = pairs["model_a"].value_counts()
    models = sorted(dict.fromkeys([*pairs["model_a"], *pairs["model_b"]]), key=lambda name: -wins.get(name, 0))
    columns, rows = ([name for name in models if (pairs[key] == name).any()] for key in ("model_a", "model_b"))
    figure = Figure(figsize=(max(6.9, 2.6 + 0.74 * len(columns)), 2.4 + 0.52 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for pair in pairs.to_dict("records"):
        fill, colour = VERDICTS[pair["verdict"]], "white" if pair["verdict"] == "better" else "black"
        x, y = columns.index(pair["model_a"]), rows.index(pair["model_b"])
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=fill, edgecolor="white", linewidth=1.5))
        probability = pair["better" if pair["verdict"] == "undecided" else pair["verdict"]]
        surely = "P > 0.999" if probability > 0.9995 else f"P {probability:.3f}"
        text = f"{pair['verdict']}\n{pair['difference']:+.3f}\n{surely}".replace("+nan", "–").replace("nan", "–")
        axes.text(x, y, text, color=colour, fontsize=8, ha="center", va="center")
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    slant: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if len(columns) > 1 else {}
    axes.set_xticks(range(len(columns)), columns, **slant)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    question = f"{metrics.NAMES.get(metric, metric)}: is the model of the column better than that of the row?"
    cells = "verdict, difference in its favour, posterior probability of the verdict (undecided: of better)"
    figure.suptitle(f"{question}\n{cells}", fontsize=10)
    return plots.save_png_and_svg(figure, path)


def _one_pair(pair: pd.Series[Any], path: Path) -> list[Path]:
    """The difference of two models with its interval and the region that counts as equal; the three probabilities."""
    name = metrics.NAMES.get(pair["metric"], pair["metric"])
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    ends = np.array([pair["low"], pair["high"], pair["difference"], -pair["rope"], pair["rope"]], dtype=float)
    above.axvspan(-pair["rope"], pair["rope"], color=VERDICTS["equivalent"], alpha=0.6, linewidth=0)
    above.axvline(0, color=GREY, linewidth=0.8)
    above.hlines(0, pair["low"], pair["high"], color=BLUE, linewidth=2.2)
    above.plot(pair["difference"], 0, "D", color=BLUE, markersize=8, markeredgecolor="white")
    reach = 1.15 * np.nanmax(np.abs(ends))
    above.set(xlim=(-reach, reach), ylim=(-1, 1), yticks=[])
    for side, model, align in ((0.0, pair["model_b"], "left"), (1.0, pair["model_a"], "right")):
        above.text(side, 0.97, f"{model} better", transform=above.transAxes, ha=align, va="top", fontsize=8, color=GREY)
    above.set_xlabel(f"difference in {name}, 95 % interval; the band counts as equal (± {pair['rope']:g})")
    above.spines[["top", "right", "left"]].set_visible(False)
    left = 0.0
    for verdict, meaning in (("better", "better"), ("equivalent", "equal"), ("worse", "worse")):
        share = pair[verdict]
        if share > 0:
            below.barh(0, share, left=left, color=VERDICTS[verdict], edgecolor="white")
            colour = "black" if verdict == "equivalent" else "white"
            if share > 0.12:
                below.text(left + share / 2, 0, f"{meaning}\n{share:.1%}", ha="center", va="center", color=colour)
            left += share
    below.set(xlim=(0, 1), yticks=[], xlabel=f"probability that {pair['model_a']} is better, equal, worse")
    below.spines[["top", "right", "left"]].set_visible(False)
    if not left:
        below.text(0.5, 0, "not known: the folds are too few, or all alike", ha="center", va="center")
        below.set_ylim(-1, 1)
    figure.suptitle(f"{pair['model_a']} against {pair['model_b']}: {pair['verdict']}", fontsize=11)
    return plots.save_png_and_svg(figure, path)


def _folds(table: pd.DataFrame) -> str:
    folds, repeats = (table[key].nunique() if key in table else 1 for key in ("fold", "repeat"))
    return f"{folds} fold{'s' * (folds != 1)}" + (f" x {repeats} repeats" if repeats > 1 else "")


def _if_fewer(count: int, folds: int) -> str:
    return f" ({count} fold{'s' * (count != 1)})" if count < folds else ""
