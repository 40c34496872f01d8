"""The worst pairs of copies side by side, as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from zoo.auditing.run import Audit
from zoo.data.decoding import read_image
from zoo.data.images import resize
from zoo.errors import DataError, printable
from zoo.report import plots

PAIRS = 12
ACROSS = 3
SIDE = 224  # pixels


def worst(pairs: pd.DataFrame, most: int = PAIRS) -> pd.DataFrame:
    """The pairs that cross most, one of each photograph before a second of any."""
    again = pairs.groupby("photograph").cumcount()
    changed = pairs["change"] != "identical"  # those that nobody would find by hand
    crosses = pairs["crosses"].str.contains
    order = pd.DataFrame(
        {
            "labels": ~crosses("labels"),
            "roles": ~crosses("roles"),
            "groups": ~crosses("groups"),
            "again": again > 0,
            "changed": ~changed,
            "times": again,
        }
    )
    return pairs.loc[order.sort_values(["again", *order.columns.drop("again")], kind="stable").index].head(most)


def draw(audit: Audit, path: Path) -> bool:
    """A sheet of the worst pairs at `path`; whether there was any to draw."""
    chosen = worst(audit.copies)
    shown = [(row, pictures) for row in chosen.to_dict("records") if (pictures := _pictures(audit.root, row))]
    if not shown:
        return False
    rows, across = math.ceil(len(shown) / ACROSS), min(ACROSS, len(shown))
    figure = Figure(figsize=(4.2 * across, 2.6 * rows + 0.6), layout="constrained")
    panels: Any = figure.subfigures(rows, across, squeeze=False, hspace=0.04, wspace=0.02)
    for panel, (row, pictures) in zip(panels.flat, shown, strict=False):
        divides = any(what in row["crosses"] for what in ("labels", "roles", "groups"))
        across_what = f", across {row['crosses']}" if row["crosses"] else ""
        panel.suptitle(f"{row['change']}{across_what}", fontsize=8, color=plots.ORANGE if divides else "black")
        for axes, picture, side in zip(panel.subplots(1, 2), pictures, ("first", "second"), strict=True):
            axes.imshow(picture)
            axes.set_xticks([])
            axes.set_yticks([])
            facts = [row[f"{side}_role"] and f"fold {row['fold']} {row[f'{side}_role']}", row[f"{side}_label"]]
            facts += [row[f"{side}_group"]]
            lines = [shorten_path(row[f"{side}_path"], 34), ", ".join(text for text in facts if text)[:44]]
            axes.set_xlabel(printable("\n".join(lines), keep="\n"), fontsize=6.5)
    number = len(audit.copies)
    title = (
        f"{len(shown)} of {number:,} pairs, the worst first" if number > len(shown) else "all pairs, the worst first"
    )
    figure.suptitle(f"Copies of one photograph, or one scene: {title}", fontsize=10)
    plots.save(figure, path)
    return True


def _pictures(root: Path, row: dict[Any, Any]) -> list[Any]:
    """Both pictures of a pair; none if a file has gone since it was read."""
    try:
        return [resize(read_image(root / row[f"{side}_path"]).pixels, SIDE) for side in ("first", "second")]
    except (OSError, DataError):
        return []


def shorten_path(path: str, most: int = 48) -> str:
    """The path if it is short, else its beginning and its end: names tell apart by their end."""
    return path if len(path) <= most else f"{path[: most // 3]}…{path[len(path) - (most - most // 3 - 1) :]}"
