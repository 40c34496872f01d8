"""heatmaps.csv: what a job's network looked at in the test images that it may get wrong, whatever the threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from zoo.errors import DataError
from zoo.evaluation import missed
from zoo.files import read_csv, write_csv
from zoo.run.job import Job

if TYPE_CHECKING:
    from zoo.data.splits import Subset
    from zoo.training.model import Network

COLUMNS = ["image", "path", "class", "row", "column", "change"]


def write(job: Job, network: Network, test: Subset) -> None:
    """Write the heat maps of the images of a job that is scored, in long form; none where that would take long.

    `change` is by how much the log odds of the class fall when that part of the image is blanked, see
    zoo.training.heatmap. Of two classes the positive one is asked about, of more the one that the image is called.
    """
    from zoo.training import heatmap, precision

    if not heatmap.is_cheap(network):
        return
    predictions = read_csv(job.folder.predictions)
    worst = missed.worst(predictions[predictions["role"] == "test"], len(job.classes))
    places = {image: place for place, image in enumerate(test.hashes)}
    rows = test.rows[[places[image] for image in worst["image"]]]
    maps = heatmap.heat_maps(precision.in_full(network.model), test.pixels[rows], worst["called"].to_numpy())
    count, height, width = maps.shape
    down, across = np.mgrid[:height, :width].reshape(2, -1)
    table = pd.DataFrame(
        {
            **{name: worst[name].repeat(height * width).to_numpy() for name in ("image", "path")},
            "class": np.asarray(job.classes, dtype=object)[worst["called"]].repeat(height * width),
            "row": np.tile(down, count),
            "column": np.tile(across, count),
            "change": maps.ravel().round(4),
        }
    )
    write_csv(job.folder.heatmaps, table)


def read(files: list[Path]) -> dict[str, np.ndarray]:
    """The maps (rows, columns) of these files by image hash; of an image in several of them the first.

    A file that is not there, or not as zoo wrote it, has none.
    """
    maps: dict[str, np.ndarray] = {}
    for file in files:
        try:
            table = read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
            places, changes = table[["row", "column"]].to_numpy(dtype=float), table["change"].to_numpy(dtype=np.float32)
            for image, rows in table.groupby("image", sort=False).indices.items():
                grid = _grid(places[rows], changes[rows])
                if grid is not None:
                    maps.setdefault(str(image), grid)
        except (DataError, KeyError, ValueError):
            continue
    return maps


def _grid(places: np.ndarray, changes: np.ndarray) -> np.ndarray | None:
    """A map of which each part has one of these places (n, 2); None where that is not so, or a change is no number."""
    height, width = places.max(axis=0) + 1
    if height * width != len(places) or (places < 0).any() or (places % 1).any():
        return None
    grid = np.full((int(height), int(width)), np.nan, dtype=np.float32)
    grid[tuple(places.T.astype(int))] = changes
    return grid if np.isfinite(grid).all() else None
