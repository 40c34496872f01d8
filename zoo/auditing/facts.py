"""What files tell of themselves without anybody looking at the picture: size, format, colour, border.

An audit asks how well these alone predict the label: a camera, a clinic or a program that saved one class otherwise
than the other shows here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from zoo.data import decoding, formats, images
from zoo.data.remarks import Remarks
from zoo.errors import DataError
from zoo.files import identity

Progress = Callable[[int, int], None]

BORDER = 50  # the border is one in so many pixels of the shorter side wide
CORNER = 8  # a corner is one in so many pixels of each side
BLACK = 16  # grey levels from which a pixel is no longer black
CORNERS = [f"corner_{place}_{what}" for place in ("nw", "ne", "sw", "se") for what in ("mean", "spread")]
FACT_COLUMNS = [
    "path",
    "image",
    "fault",
    "remarks",
    "width",
    "height",
    "aspect",
    "bytes",
    "format",
    "red",
    "green",
    "blue",
    "border_mean",
    "border_spread",
    "border_black",
    *CORNERS,
]


def read_facts(root: Path, paths: Sequence[str], progress: Progress | None = None) -> pd.DataFrame:
    """FACT_COLUMNS, a row per path, in the order given; each file (hard links are one) is decoded once, in threads.

    `image` is the sha256 of the decoded pixels; `fault` says why a file cannot be used, '' if it can, and all else is
    then '' or NaN; `remarks` is what to know of one that can (zoo.data.remarks). Width and height are pixels as
    decoded, aspect is width / height; colours and greys are 0..255: means over the whole picture, mean and standard
    deviation of the grey of border and corners; border_black is the share of the border that is nearly black.
    `progress` is called with files done and in all.
    """
    path_of: dict[object, str] = {}
    identities: dict[str, object] = {}
    for path in dict.fromkeys(paths):
        try:
            identities[path] = identity(root / path)
        except OSError:
            identities[path] = path  # reading it will say what is wrong
        path_of.setdefault(identities[path], path)
    found: dict[object, dict[str, Any]] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for key, facts in zip(path_of, pool.map(lambda path: _facts(root / path), path_of.values()), strict=True):
            found[key] = facts
            if progress:
                progress(len(found), len(path_of))
    nothing = {"image": "", "fault": "", "remarks": Remarks(), "format": ""}
    return pd.DataFrame(
        [{"path": path, **nothing, **found[key]} for path, key in identities.items()], columns=FACT_COLUMNS
    )


def _facts(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        picture = decoding.read_bytes(data)
    except DataError as error:
        return {"fault": str(error)}
    except FileNotFoundError:
        return {"fault": "not found"}
    except OSError as error:
        return {"fault": f"cannot be read: {error.strerror}"}
    image = picture.pixels
    height, width = image.shape[:2]
    facts = {
        "remarks": picture.remarks,
        "image": images.hash_image(image),
        "format": formats.name(data),
        "bytes": len(data),
    }
    facts |= {"width": width, "height": height, "aspect": width / height}
    facts |= dict(zip(("red", "green", "blue"), cv2.mean(image), strict=False))
    return facts | _edges(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _edges(grey: np.ndarray) -> dict[str, float]:
    """Border and corners of a picture, uint8 (height, width)."""
    height, width = grey.shape
    thick = max(1, min(height, width) // BORDER)
    strips = (grey[:thick], grey[-thick:], grey[thick:-thick, :thick], grey[thick:-thick, -thick:])
    border = np.concatenate([strip.ravel() for strip in strips])
    facts = {
        "border_mean": float(border.mean()),
        "border_spread": float(border.std()),
        "border_black": float((border < BLACK).mean()),
    }
    down, across = -(-height // CORNER), -(-width // CORNER)
    corners = (grey[:down, :across], grey[:down, -across:], grey[-down:, :across], grey[-down:, -across:])
    values = [value for corner in corners for value in (float(corner.mean()), float(corner.std()))]
    return facts | dict(zip(CORNERS, values, strict=True))
