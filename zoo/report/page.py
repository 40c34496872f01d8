"""The page to share, one file that needs no other and no network: what runs and evaluations have in common."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from zoo.errors import printable
from zoo.evaluation import comparison, missed
from zoo.evaluation.config import OperatingPoint
from zoo.report import plots, run_pictures, words

MOST_THUMBNAILS = 900  # in all: about 6 KB each
PER_KIND = 60  # of each kind, of one model
JPEG_QUALITY = 75
CONTENTS = {
    "models": "Scores",
    "threshold": "Threshold and missed images",
    "points": "Operating points",
    "calibration": "Probabilities",
    "data": "Images",
    "training": "Training",
    "settings": "Settings",
    "guidelines": "Guidelines",
    "cite": "How to cite",
}


def render(*, classes: Sequence[str], **sections: Any) -> str:
    """The page of these sections, which page.html names; one that is None is left out."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("zoo", "report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["cell"] = lambda value: printable(str(value), keep="\n\N{NO-BREAK SPACE}")
    own = resources.files("zoo.report")
    script, *styles = (own.joinpath(name).read_text("utf-8") for name in ("page.js", "base.css", "page.css"))
    shown = {name: sections["explorer" if name == "threshold" else name] for name in CONTENTS}
    return environment.get_template("page.html").render(
        **sections,
        contents=[(name, CONTENTS[name]) for name, section in shown.items() if section],
        two=len(classes) == 2,
        negative=classes[0],
        positive=classes[-1],
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style="".join(styles),
    )


def chart(caption: str, file: Path) -> dict[str, str]:
    """An SVG file as what an <img> takes."""
    return {"caption": caption, "data": f"data:image/svg+xml;base64,{base64.b64encode(file.read_bytes()).decode()}"}


def value(mean: float, low: float, high: float) -> str:
    """A number with its interval below it; a dash for none."""
    if pd.isna(mean):
        return "–"
    return f"{mean:.3f}" + ("" if pd.isna(low) else f"\n{low:.3f}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{high:.3f}")


def points(table: pd.DataFrame, positive: str) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of rows of threshold.csv: what each threshold finds, misses and alarms for."""
    prevalence = table["prevalence"].iloc[0]
    predictive = [f"PPV where {prevalence:.0%}\nare {positive}", "NPV there"]
    rows = [
        [
            f"{row['threshold']:.3g}",
            *(value(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in words.VALUES),
            f"{row['missed']:,} of {row['positives']:,}",
            f"{row['alarms']:,} of {row['negatives']:,}",
        ]
        for row in table.to_dict("records")
    ]
    return ["from", "sensitivity", "specificity", *predictive, "missed", "false alarms"], rows


def explorer(
    tested: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    aim: OperatingPoint,
    prevalence: float | None,
    root: Path,
    maps: Mapping[str, Mapping[str, np.ndarray]],
    with_images: bool,
) -> dict[str, Any]:
    """What the script of the page needs: images, and of each model probabilities, thresholds and heat maps.

    `tested` has the test images of each model by their hashes, see `comparison.tested_images`, and `maps` the heat maps
    of some of them; paths of images begin at `root`.
    """
    two = len(classes) == 2
    images = pd.concat(tested.values())
    images = images[~images.index.duplicated()].sort_index()
    place = {image: number for number, image in enumerate(images.index)}
    per_kind = min(PER_KIND, MOST_THUMBNAILS // (2 * len(tested)))
    parts, wanted = [], dict[str, None]()
    for title, own in tested.items():
        worst = missed.worst(own.reset_index(), len(classes), per_kind)
        wanted |= dict.fromkeys(worst["image"])
        known = maps.get(title, {})
        part: dict[str, Any] = {
            "title": title,
            "maps": {place[image]: _relative(known[image]) for image in worst["image"] if image in known},
        }
        if two:
            rows = own.reindex(images.index)
            part["p"] = [None if math.isnan(each) else each for each in rows["probability"]]
            part["t"] = rows["threshold"].fillna(0.5).tolist()
        else:
            called = comparison.called(own)
            chances = comparison.probabilities(own)[np.arange(len(own)), own["label"]]
            table = pd.DataFrame({"called": called, "p": chances, "label": own["label"], "image": own.index})
            wrong = table[table["called"] != table["label"]].sort_values("p")
            part["wrong"] = [[place[row.image], row.p, row.called] for row in wrong.itertuples()]
        parts.append(part)
    paths = images["path"].to_dict()
    files = [root / paths[image] for image in wanted] if with_images else []
    with ThreadPoolExecutor() as pool:
        thumbnails = list(pool.map(_jpeg, files))
    number = {image: index for index, image in enumerate(wanted)} if with_images else {}
    return {
        "classes": [*classes],
        "aim": str(aim),
        "prevalence": prevalence,
        "images": [
            {
                "path": printable(row["path"]),
                "group": printable(str(row["group"])),
                "label": int(row["label"]),
                "thumbnail": number.get(image),
            }
            for image, row in zip(images.index, images.to_dict("records"), strict=True)
        ],
        "thumbnails": thumbnails,
        "models": parts,
    }


def _jpeg(file: Path) -> str:
    return plots.jpeg(run_pictures.thumbnail(file), JPEG_QUALITY)


def _relative(heat: np.ndarray) -> list[list[int]]:
    """A heat map in hundredths of its largest value."""
    values: list[list[int]] = np.rint(100 * heat / max(float(np.abs(heat).max()), 1e-6)).astype(int).tolist()
    return values


def of_sources(table: pd.DataFrame, classes: Sequence[str], aim: OperatingPoint) -> dict[str, Any]:
    """A table as zoo.evaluation.sources makes it, for people."""
    names = {"auc": "AUC", "recall": f"sensitivity at {aim}", "specificity": "specificity there"}
    rows = [
        [
            row["model"],
            row["source"],
            f"{row['images']:,}",
            f"{row['positives']:,}",
            *(value(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in names),
        ]
        for row in table.to_dict("records")
    ]
    return {"columns": ["model", "source", "test images", classes[1], *names.values()], "rows": rows}


def flat(table: Any, where: str = "") -> list[tuple[str, str]]:
    """A nested table as rows of (dotted name, value)."""
    if isinstance(table, Mapping) and table:
        return [row for key, value in table.items() for row in flat(value, f"{where}.{key}" if where else str(key))]
    if isinstance(table, Sequence) and any(isinstance(each, Mapping) for each in table):
        return [row for number, each in enumerate(table) for row in flat(each, f"{where}.{number}")]
    return [(where, json.dumps(table, ensure_ascii=False) if not isinstance(table, str) else table)]
