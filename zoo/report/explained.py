"""Pictures of what networks looked at, one for each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.data.decoding import read_image
from zoo.data.images import resize
from zoo.inference.predictor import Predictor
from zoo.report import plots


def draw(predictor: Predictor, table: pd.DataFrame, out: Path, name: str | None = None) -> list[dict[str, Any]]:
    """Draw each image of `predictor.predict` that has numbers, and what speaks for and against a class, into `out`.

    The class is `name`, or the one that the image is called. A row for each: image, called, class, probability of the
    class, picture.
    """
    classes, rows = predictor.classes, []
    for number, row in enumerate(table[table["fault"] == ""].to_dict("records"), 1):
        file, asked = Path(row["path"]), name or row["decision"]
        if len(classes) == 2:
            probability = row["probability"] if asked == classes[1] else 1 - row["probability"]
        else:
            probability = row[f"probability_{asked}"]
        pixels = read_image(file).pixels
        small = resize(pixels, predictor.image_size)[None]
        heat = predictor.heat_maps(small, np.array([classes.index(asked)]))[0]
        picture = out / f"{number:03d}-{file.stem[:80]}.png"
        title = f"{file.name}\n{predictor.ensemble.model} calls it {row['decision']}; probability of {asked} "
        plots.heat_map(pixels, heat, f"{title}{probability:.3f}", asked, picture)
        rows.append(
            {
                "image": file.name,
                "called": row["decision"],
                "class": asked,
                "probability": f"{probability:.3f}",
                "picture": picture.name,
            }
        )
    return rows
