"""Procedural fundus photographs, for trying zoo without data. Deterministic: the same images everywhere.

Each image shows a retina cropped around the optic disc. Its cup-to-disc ratio r is drawn evenly from
0.2 to 0.8, and its label is "abnormal" if r plus Gaussian noise of standard deviation 0.06 exceeds 0.5. So no
classifier, not even one that measures r without error, can be right more often than
1 - (0.06 / 0.3) / sqrt(2 pi) = 92.0 % of the time: that is the best possible accuracy.

Exposure, the size and colour of the disc, and bright spots about it vary, so that how bright an image is says nothing
of r: what tells is shape, which is easier to find for a network that has seen other images before.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from zoo.data import cache
from zoo.errors import DataError, reason
from zoo.files import check_writable, is_free

CLASSES = ("normal", "abnormal")
IMAGES = 600
FOLDS = 10
SIZE = 128  # pixels
IMAGE_SIZE = 96  # what the demo is resized to for training, pixels
MAX_EPOCHS = 6  # a stage of the demo, at most
MIN_LEARNING_RATE = 1e-4  # of the demo: the study's 1e-5 moves nothing in so few steps
BATCH_SIZE = 16  # of the demo: a few hundred images make too few steps with more
VERSION = 2  # raise it when the images change

RATIO_RANGE = (0.2, 0.8)
LABEL_NOISE = 0.06
BEST_ACCURACY = 1 - LABEL_NOISE / (RATIO_RANGE[1] - 0.5) / np.sqrt(2 * np.pi)


def folder(tell: cache.Tell = lambda line: None) -> Path:
    """The demo in the study's layout, in the user cache; made on first use, in seconds.

    `tell` is given a line if it was there and damaged, and therefore made anew.
    """
    return cache.make_once(cache.folder("demo", str(VERSION)), _fill, 30_000_000, tell)


def write_demo(target: Path) -> None:
    """Copy the demo to a folder that doesn't exist yet, or is empty.

    Raises DataError if it is in use or cannot be written, ConfigError if that is known at once.
    """
    if not is_free(target):
        raise DataError(f"{target} is already in use; name a folder that is new or empty")
    check_writable(target, "zoo data demo DIR")
    try:
        _fill(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {reason(error)}") from error


def plan_images(images: int = IMAGES, seed: int = 0) -> pd.DataFrame:
    """One row per image: file, cup_to_disc, label (0 normal, 1 abnormal), and part (0..9).

    Parts are balanced: fold k tests on part k, validates on part k + 1 and trains on the others.
    """
    rng = np.random.default_rng(seed)
    ratio = rng.uniform(*RATIO_RANGE, images)
    label = (ratio + rng.normal(0, LABEL_NOISE, images) > 0.5).astype(int)
    part = np.empty(images, dtype=int)
    for value in (0, 1):
        of_class = rng.permutation(np.flatnonzero(label == value))
        part[of_class] = np.arange(len(of_class)) % FOLDS
    names = [f"demo{number:03d}.png" for number in range(images)]
    return pd.DataFrame({"file": names, "cup_to_disc": ratio, "label": label, "part": part})


def _fill(target: Path) -> None:
    """Fold 0 holds the files; the other folds link to them where the file system can, else copy."""
    table = plan_images()
    with ThreadPoolExecutor() as pool:
        drawn = [*pool.map(draw, table["cup_to_disc"], range(len(table)))]
    first: dict[str, Path] = {}
    for fold in range(FOLDS):
        rows = table[["file", "label", "part"]].itertuples(index=False, name=None)
        roles = {fold: "valid", (fold + 1) % FOLDS: "test"}
        for row, (name, label, part) in enumerate(rows):
            path = target / f"Fold{fold}" / roles.get(part, "train") / CLASSES[label] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if fold == 0:
                _, data = cv2.imencode(".png", cv2.cvtColor(drawn[row], cv2.COLOR_RGB2BGR))
                path.write_bytes(data)  # imwrite says nothing of a full disk
                first[name] = path
            else:
                _link(first[name], path)
    table.to_csv(target / "demo.csv", index=False)


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)


def draw(ratio: float, seed: int, size: int = SIZE) -> np.ndarray:
    """One fundus photograph with that cup-to-disc ratio: uint8 RGB (size, size, 3)."""
    rng = np.random.default_rng([VERSION, seed])
    scale = 2 * size  # drawn at twice the size and averaged down, against jagged edges
    y, x = np.mgrid[0:scale, 0:scale].astype(np.float32) / np.float32(scale)

    exposure = rng.uniform(0.75, 1.05)
    hue = np.array([0.72, 0.34, 0.16]) * rng.uniform([0.85, 0.8, 0.7], [1.15, 1.2, 1.3])
    light = 1 - rng.uniform(0.3, 0.9) * ((x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2)
    image = light[..., None] * hue
    image += (
        cv2.GaussianBlur(rng.normal(0, 1, (scale, scale, 1)).astype(np.float32), (0, 0), scale / 24)[..., None] * 0.4
    )

    centre = rng.uniform(0.42, 0.58, 2)
    radius = rng.uniform(0.17, 0.26)
    oval = rng.uniform(0.9, 1.0)
    disc = np.hypot((x - centre[0]) / oval, y - centre[1]) / radius
    shift = rng.uniform(-0.08, 0.08, 2) * radius
    cup = np.hypot((x - centre[0] - shift[0]) / oval, y - centre[1] - shift[1]) / (radius * ratio)
    image = _blend(image, np.array([0.97, 0.85, 0.62]) * rng.uniform(0.9, 1.0), _spots(rng, scale))
    cup_colour = np.array([0.99, 0.9, 0.7]) * rng.uniform(0.93, 1.0)
    pallor = rng.uniform(0, 0.45)  # some discs are nearly as bright as their cups
    disc_colour = (1 - pallor) * np.array([0.93, 0.66, 0.38]) * rng.uniform(0.88, 1.0) + pallor * cup_colour
    image = _blend(image, disc_colour, _inside(disc, 0.06))
    image = _blend(image, cup_colour, rng.uniform(0.75, 0.9) * _inside(cup, 0.1))

    vessels = np.zeros((scale, scale), dtype=np.float32)
    for _ in range(rng.integers(7, 11)):
        _vessel(vessels, rng, centre, radius)
    blood = np.array([0.45, 0.13, 0.09]) * rng.uniform(0.8, 1.2)
    image = _blend(image, blood, 0.75 * cv2.GaussianBlur(vessels, (0, 0), scale / 200))
    image = cv2.resize((image * exposure).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    image = image + rng.normal(0, 0.012, image.shape)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """1 inside a normalised distance of 1, 0 outside, with a soft edge."""
    return np.asarray(1 / (1 + np.exp(np.clip((distance - 1) / softness * 4, -30, 30))))


def _blend(image: np.ndarray, colour: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.asarray(image * (1 - mask[..., None]) + colour * mask[..., None])


def _spots(rng: np.random.Generator, scale: int) -> np.ndarray:
    """Up to eight bright spots, as drusen and exudates are: how much of each is seen at a pixel, 0 to 0.9."""
    mask = np.zeros((scale, scale), dtype=np.float32)
    for _ in range(rng.integers(0, 9)):
        x, y = rng.uniform(0, scale, 2)
        axes = rng.uniform(0.01, 0.06) * scale * rng.uniform(0.8, 1.2, 2)
        box = ((float(x), float(y)), (2 * float(axes[0]), 2 * float(axes[1])), 0.0)
        cv2.ellipse(mask, box, float(rng.uniform(0.5, 0.9)), cv2.FILLED, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), scale / 150))


def _vessel(mask: np.ndarray, rng: np.random.Generator, centre: np.ndarray, radius: float) -> None:
    """A vessel that leaves the disc up or down, bends sideways and thins out, drawn into `mask` with value 1."""
    scale = len(mask)
    angle = rng.choice([-1, 1]) * np.pi / 2 + rng.uniform(-0.9, 0.9)
    bend = rng.normal(0, 0.04)
    width = rng.uniform(0.012, 0.028)
    step = 0.03
    point = centre + rng.uniform(-0.3, 0.3, 2) * radius
    for _ in range(40):
        following = point + step * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(v) for v in np.round(p * scale)) for p in (point, following)]
        cv2.line(mask, ends[0], ends[1], 1.0, max(1, round(width * scale)), cv2.LINE_AA)
        point, angle, width = following, angle + bend + rng.normal(0, 0.09), width * 0.97
        if not (0 <= point[0] <= 1 and 0 <= point[1] <= 1):
            break
