"""Pictures of what networks looked at, one for each image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.data.decoding import read_image
from zoo.data.images import resize
from zoo.errors import ConfigError
from zoo.evaluation import comparison, missed
from zoo.inference.evaluation import Evaluation
from zoo.inference.predictor import Predictor
from zoo.report import plots


def of_worst(predictor: Predictor, done: Evaluation, tell: Callable[[str, int, int], None]) -> dict[str, np.ndarray]:
    """What networks looked at in the images that they get most wrong, by image hash; none if that cannot be told.

    Maps are (rows, columns), of the class that `missed.worst` asks about. `tell` is called with the step, how much of
    it is done, and of how much.
    """
    worst = missed.worst(done.scored, len(predictor.classes)).to_dict("records")
    maps: dict[str, np.ndarray] = {}
    for number, row in enumerate(worst, 1):
        pixels = resize(read_image(done.root / row["path"]).pixels, predictor.image_size)
        try:
            (maps[row["image"]],) = predictor.heat_maps(pixels[None], np.array([row["called"]]))
        except ConfigError:  # of networks without a map of features
            return {}
        tell("what the networks looked at", number, len(worst))
    return maps


def draw(predictor: Predictor, table: pd.DataFrame, out: Path, name: str | None = None) -> list[dict[str, Any]]:
    """Draw each image of `predictor.predict` that has numbers, and what speaks for and against a class, into `out`.

    The class is `name`, or the one that the image is called. A row for each: image, called, class, probability of the
    class, picture.
    """
    classes, rows = predictor.classes, []
    whole = table[table["fault"] == ""]
    answered = zip(whole.to_dict("records"), comparison.probabilities(whole), strict=True)
    for number, (row, chances) in enumerate(answered, 1):
        file, asked = Path(row["path"]), name or row["decision"]
        label = classes.index(asked)
        probability = chances[label]
        pixels = read_image(file).pixels
        small = resize(pixels, predictor.image_size)[None]
        heat = predictor.heat_maps(small, np.array([label]))[0]
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
