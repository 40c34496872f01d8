"""The pictures of a run, as PNG files, and how a picture is saved. No window is ever opened."""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from zoo.files import replacing
from zoo.interfaces import MONITORS, Monitored

DPI, OF_PHOTOGRAPHS = 200, 110
# Colours that stay apart for colour-blind readers (Okabe and Ito, 2008).
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
FOR, AGAINST = (213, 94, 0), (0, 114, 178)  # the same as RGB: what speaks for a class, and against it

_endings: ContextVar[tuple[str, ...]] = ContextVar("endings", default=("png", "svg"))


def save(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write the figure whole or not at all, in the format that the ending names (.png, .svg).

    Names of classes, models and files may be anything: a $ in them begins no formula, and they may be in any script.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    packed: Any = {"pil_kwargs": {"compress_level": 3}} if path.suffix == ".png" else {}  # 6 takes twice as long
    with replacing(path) as draft, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(draft, dpi=dpi, format=path.suffix[1:], metadata={"Date": None}, **packed)


def save_png_and_svg(figure: Figure, path: Path) -> list[Path]:
    """PATH.png and PATH.svg, for a path without ending; the two paths. Within `svg_only` the latter alone."""
    paths = [path.with_name(f"{path.name}.{ending}") for ending in _endings.get()]
    # Text stays text in the SVG, to be searched and edited, and the same data gives the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "zoo"}):
        for each in paths:
            save(figure, each)
    return paths


@contextmanager
def svg_only() -> Iterator[None]:
    """Within, pictures are not drawn as PNG too, which takes longer."""
    token = _endings.set(("svg",))
    try:
        yield
    finally:
        _endings.reset(token)


def curves(history: pd.DataFrame, title: str, path: Path, monitor: Monitored = "loss") -> None:
    """Accuracy and loss per epoch, a column of two panels per stage, the best epoch of each stage marked.

    `history` has the columns of history.csv; `monitor` is what the best epoch was chosen by. Where that is the AUC, it
    has a third panel.
    """
    panels = ("accuracy", "loss", "auc") if monitor == "auc" else ("accuracy", "loss")
    of, lowest = f"val_{monitor}", MONITORS[monitor] == "min"
    stages = list(dict.fromkeys(history["stage"]))
    figure = Figure(figsize=(1.2 + 3.0 * len(stages), 0.8 + 2.1 * len(panels)), layout="constrained")
    grid: Any = figure.subplots(len(panels), len(stages), squeeze=False, sharex="col", sharey="row")
    best_of_all = history[of].idxmin() if lowest else history[of].idxmax()
    for column, stage in enumerate(stages):
        part = history[history["stage"] == stage]
        best = part[of].idxmin() if lowest else part[of].idxmax()
        for axes, metric in zip(grid[:, column], panels, strict=True):
            marker = "o" if len(part) == 1 else None
            if metric in part:  # of the AUC there is none of training
                axes.plot(part["epoch"], part[metric], color=BLUE, marker=marker)
            axes.plot(part["epoch"], part[f"val_{metric}"], color=ORANGE, marker=marker)
            axes.axvline(part["epoch"][best], color=GREY, linewidth=0.8, linestyle=":")
            axes.plot(part["epoch"][best], part[f"val_{metric}"][best], **_best_marker(best == best_of_all))
            axes.grid(alpha=0.25)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.spines[["top", "right"]].set_visible(False)
        rates = [_power_of_ten(part["learning_rate"].iloc[row]) for row in (0, -1)]
        rate = rates[0] if rates[0] == rates[1] else " to ".join(rates)
        grid[0, column].set_title(f"stage {column + 1}: {stage} (learning rate {rate})", fontsize=10)
        grid[-1, column].set_xlabel("epoch")
    for axes, metric in zip(grid[:, 0], panels, strict=True):
        axes.set_ylabel({"loss": "loss (cross-entropy)", "auc": "AUC"}.get(metric, metric))
    lines = [Line2D([], [], color=colour) for colour in (BLUE, ORANGE)]
    dots = [Line2D([], [], **_best_marker(of_all)) for of_all in (False, True)]
    chosen = "lowest validation loss of the stage" if lowest else "highest validation AUC of the stage"
    labels = ["training", "validation", chosen, "of all stages (best.keras)"]
    figure.legend([*lines, *dots], labels, loc="outside lower center", ncols=min(4, 2 * len(stages)), frameon=False)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def _power_of_ten(value: float) -> str:
    """0.001 as 1e-3."""
    digits, exponent = f"{value:.1e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def _best_marker(of_all_stages: bool) -> dict[str, Any]:
    """A filled dot for the epoch that best.keras holds, a hollow one for the best of a stage."""
    filled = ORANGE if of_all_stages else "white"
    return {"marker": "o", "markersize": 7, "color": filled, "markeredgecolor": ORANGE, "linestyle": "", "zorder": 3}


def confusion_matrices(scores: dict[str, dict[str, Any]], classes: Sequence[str], title: str, path: Path) -> None:
    """One confusion matrix per role side by side: counts, and below them the share of the true class.

    `scores` is the content of metrics.json.
    """
    side = max(2.6, 0.8 * len(classes))
    figure = Figure(figsize=((side + 0.7) * len(scores), side + 1.1), layout="constrained")
    panels: Any = figure.subplots(1, len(scores), squeeze=False)[0]
    for axes, (role, score) in zip(panels, scores.items(), strict=True):
        confusion(axes, np.asarray(score["confusion_matrix"]), classes)
        axes.set_title(f"{role} (n = {score['images']}, F1 {score['f1']:.3f})", fontsize=9)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def confusion(axes: Axes, counts: np.ndarray, classes: Sequence[str]) -> None:
    """One confusion matrix, a row per true class: counts, and below them the share of the true class."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{shares[row, column]:.1%}",
            ha="center",
            va="center",
            fontsize=10,
            color="white" if shares[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)


def learning_rates(stages: Sequence[tuple[str, np.ndarray]], title: str, steps_per_epoch: int, path: Path) -> None:
    """The learning rate over the epochs of each stage, one panel a stage; rates are per step."""
    figure = Figure(figsize=(1.2 + 3.0 * len(stages), 2.9), layout="constrained")
    panels: Any = figure.subplots(1, len(stages), squeeze=False)[0]
    for number, (axes, (name, rates)) in enumerate(zip(panels, stages, strict=True), start=1):
        axes.plot(np.arange(len(rates)) / steps_per_epoch, rates, color=BLUE)
        axes.set_title(f"stage {number}: {name}", fontsize=10)
        axes.set_xlabel("epoch")
        axes.set_ylim(0, 1.1 * rates.max())
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("learning rate")
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def image_grid(images: np.ndarray, captions: Sequence[str], title: str, path: Path, columns: int = 5) -> None:
    """uint8 RGB images (n, height, width, 3) in rows of `columns`, each with its caption."""
    height, width = images.shape[1:3]
    rows, gap, strip = math.ceil(len(images) / columns), height // 16, height // 7  # beside an image, and above it
    sheet = np.full((rows * (strip + height), columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    across = 1.75 * width / height
    figure = Figure(figsize=(across * columns, 2.0 * rows + 0.4), layout="constrained")
    axes = figure.subplots()  # one for all: laying out one for each image takes seconds
    axes.axis("off")
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = number // columns * (strip + height) + strip, number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
        axes.text(left + width / 2, top - strip / 6, caption, ha="center", va="bottom", fontsize=9)
    axes.imshow(sheet)
    figure.suptitle(title, fontsize=11)
    save(figure, path, OF_PHOTOGRAPHS)


def jpeg(pixels: np.ndarray, quality: int) -> str:
    """An image, uint8 RGB (height, width, 3), as base64 of a JPEG."""
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return base64.b64encode(encoded.tobytes()).decode()


def overlaid(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, uint8 RGB (height, width, 3), and beside it what speaks for a class in orange, against it in blue.

    `heat` is (rows, columns), as of zoo.training.heatmap; its own largest value has the strongest colour.
    """
    return np.hstack([image, coloured(image, heat)])


def coloured(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image in grey, with what speaks for a class in orange and against it in blue, see `overlaid`."""
    height, width = image.shape[:2]
    relative = (heat / max(float(np.abs(heat).max()), 1e-6)).astype(np.float32)
    strength = cv2.resize(relative, (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(np.abs(strength), 0, 1)[..., None] * 0.65
    colour = np.where(strength[..., None] > 0, np.array(FOR), np.array(AGAINST))
    grey = image.mean(axis=2, keepdims=True)
    return np.asarray((grey * (1 - share) + colour * share).round().astype(np.uint8))


def heat_map(image: np.ndarray, heat: np.ndarray, title: str, asked: str, path: Path) -> None:
    """An image and its heat map, see `overlaid`; `asked` is the class that was asked about."""
    both = overlaid(image, heat)
    figure = Figure(figsize=(8.0, 1.0 + 8.0 * both.shape[0] / both.shape[1]), layout="constrained")
    axes = figure.subplots()
    axes.imshow(both)
    axes.axis("off")
    figure.suptitle(title, fontsize=10)
    handles = [
        Patch(color="#{:02x}{:02x}{:02x}".format(*colour), label=f"{how} {asked}")
        for how, colour in (("speaks for", FOR), ("against", AGAINST))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    save(figure, path)
