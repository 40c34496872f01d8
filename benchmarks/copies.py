"""How many copies of photographs `zoo data audit` finds, by what was done to them, and how many pairs it finds wrongly.

    python benchmarks/copies.py FOLDER                # images below FOLDER, each of another thing
    python benchmarks/copies.py FOLDER --images 700 --copies 12

Of images drawn at random as many copies are made in each of 37 ways, and all are looked through together. A pair counts
as found under whatever name (a copy, or the same scene). Pairs that were not planted are printed, to be looked at: two
photographs of one eye are no mistake.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from zoo.auditing.near_duplicates import SAME_SCENE, near_duplicates
from zoo.data.decoding import read_image
from zoo.data.layout import IMAGE_ENDINGS

SIDE = 224
Change = Callable[[np.ndarray], np.ndarray]


def tone(factor: float = 1.0, gamma: float = 1.0) -> Change:
    """Brighter or darker."""
    return lambda image: np.clip(255 * (image / 255) ** gamma * factor, 0, 255).round().astype(np.uint8)


def contrast(factor: float) -> Change:
    """About the middle grey."""
    return lambda image: np.clip((image - 127.5) * factor + 127.5, 0, 255).round().astype(np.uint8)


def warp(
    degrees: float, zoom: float = 1.0, shift: tuple[float, float] = (0, 0), border: int = cv2.BORDER_REPLICATE
) -> Change:
    """As the usual augmentation does it: about the centre. Shifts in shares of the side."""

    def change(image: np.ndarray) -> np.ndarray:
        side = len(image)
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, zoom)
        matrix[:, 2] += np.multiply(shift, side)
        return cv2.warpAffine(image, matrix, (side, side), borderMode=border)

    return change


def crop(kept: float, right: float, down: float) -> Change:
    """The part of the image that has this share of its side, enlarged."""

    def change(image: np.ndarray) -> np.ndarray:
        side = len(image)
        part = round(side * kept)
        x, y = int((side - part) * right), int((side - part) * down)
        return cv2.resize(image[y : y + part, x : x + part], (side, side), interpolation=cv2.INTER_CUBIC)

    return change


def jpeg(quality: int) -> Change:
    """Compressed and read again."""

    def change(image: np.ndarray) -> np.ndarray:
        written = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR))

    return change


def noise(deviation: float) -> Change:
    """Other noise on each image."""

    def change(image: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(int(image.sum()))
        return np.clip(image + rng.normal(0, deviation, image.shape), 0, 255).round().astype(np.uint8)

    return change


def border(share: float, level: int) -> Change:
    """A frame of one grey level, and the image smaller within."""

    def change(image: np.ndarray) -> np.ndarray:
        side = len(image)
        width = round(side * share)
        framed = cv2.copyMakeBorder(image, width, width, width, width, cv2.BORDER_CONSTANT, value=(level,) * 3)
        return cv2.resize(framed, (side, side), interpolation=cv2.INTER_AREA)

    return change


def small(share: float) -> Change:
    """Shrunk, and enlarged again."""

    def change(image: np.ndarray) -> np.ndarray:
        shrunk = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, image.shape[1::-1])

    return change


def hsv(hue: int = 0, saturation: float = 1.0) -> Change:
    """Other colours."""

    def change(image: np.ndarray) -> np.ndarray:
        parts = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(float)
        parts[..., 0] = (parts[..., 0] + hue) % 180
        parts[..., 1] = np.clip(parts[..., 1] * saturation, 0, 255)
        return cv2.cvtColor(parts.astype(np.uint8), cv2.COLOR_HSV2RGB)

    return change


def clahe(image: np.ndarray) -> np.ndarray:
    """Contrast evened out from place to place."""
    parts = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    parts[..., 0] = cv2.createCLAHE(3, (8, 8)).apply(parts[..., 0])
    return cv2.cvtColor(parts, cv2.COLOR_LAB2RGB)


def stamp(image: np.ndarray) -> np.ndarray:
    """Letters and a black box written over it."""
    image, side = image.copy(), len(image)
    cv2.putText(image, "Patient 0123", (side // 20, side // 8), cv2.FONT_HERSHEY_SIMPLEX, side / 300, (255,) * 3, 2)
    cv2.rectangle(image, (side * 7 // 10, side * 8 // 10), (side * 95 // 100, side * 95 // 100), (0, 0, 0), -1)
    return image


def stretch(image: np.ndarray) -> np.ndarray:
    """A quarter wider."""
    side = len(image)
    kept = round(side / 1.25)
    left = (side - kept) // 2
    return cv2.resize(image[:, left : left + kept], (side, side), interpolation=cv2.INTER_CUBIC)


def perspective(image: np.ndarray) -> np.ndarray:
    """Seen from the side."""
    side = len(image)
    before = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    after = before + np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32) * 0.06 * side
    return cv2.warpPerspective(image, cv2.getPerspectiveTransform(before, after), (side, side))


def several(*changes: Change) -> Change:
    """One after the other."""

    def change(image: np.ndarray) -> np.ndarray:
        for each in changes:
            image = np.ascontiguousarray(each(image))
        return image

    return change


CHANGES: dict[str, Change] = {
    "flipped": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "rotated 90": np.rot90,
    "rotated 180": lambda image: np.rot90(image, 2),
    "transposed": lambda image: image.transpose(1, 0, 2),
    "rotated 7": warp(7),
    "rotated 20": warp(-20),
    "rotated 45": warp(45, border=cv2.BORDER_CONSTANT),
    "shifted": warp(0, shift=(0.15, -0.1)),
    "zoom 1.2": warp(0, 1.2),
    "zoom 0.8": warp(0, 0.8, border=cv2.BORDER_CONSTANT),
    "crop 10 %": crop(0.9, 0.2, 0.8),
    "crop 20 %": crop(0.8, 0.1, 0.7),
    "crop 40 %": crop(0.6, 0.5, 0.4),
    "brighter": tone(1.3),
    "darker": tone(0.5),
    "gamma 0.5": tone(gamma=0.5),
    "gamma 2": tone(gamma=2),
    "contrast 1.5": contrast(1.5),
    "contrast 0.6": contrast(0.6),
    "CLAHE": clahe,
    "JPEG 50": jpeg(50),
    "JPEG 20": jpeg(20),
    "noise 10": noise(10),
    "noise 20": noise(20),
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), len(image) / 112),
    "white border": border(0.08, 255),
    "black border": border(0.08, 0),
    "shrunk": small(0.35),
    "grey": lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
    "hue": hsv(hue=20),
    "saturation": hsv(saturation=1.6),
    "stamp": stamp,
    "stretched": stretch,
    "perspective": perspective,
    "negative": lambda image: 255 - image,
    "everything": several(np.rot90, tone(gamma=1.4), warp(10), crop(0.9, 0.5, 0.5), jpeg(60)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=500, help="taken at random of those below FOLDER")
    parser.add_argument("--copies", type=int, default=12, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    files = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    if not files:
        parser.error(f"no images below {options.folder}")
    files = [files[place] for place in sorted(rng.permutation(len(files))[: options.images])]
    pictures = [cv2.resize(read_image(file).pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for file in files]
    origin, kind = list(range(len(files))), ["original"] * len(files)
    for name, change in CHANGES.items():
        for row in rng.permutation(len(files))[: options.copies].tolist():
            pictures.append(np.ascontiguousarray(change(pictures[row])))
            origin.append(row)
            kind.append(name)
    began = time.perf_counter()
    pairs, plain = near_duplicates(np.stack(pictures))
    seconds = time.perf_counter() - began
    words = {(row.first, row.second): str(row.change) for row in pairs.itertuples()}
    found = 0
    for name in CHANGES:
        said = [words.get((origin[row], row), "") for row in range(len(files), len(origin)) if kind[row] == name]
        found += sum(map(bool, said))
        scenes = sum(text.startswith(SAME_SCENE) for text in said)
        print(f"{name:14} {sum(map(bool, said)):3} of {len(said)}" + f", {scenes} as the same scene" * bool(scenes))
    planted = len(origin) - len(files)
    print(f"all            {found} of {planted}; {len(plain)} pictures are too plain to be compared")
    strangers = [(one, other) for one, other in words if origin[one] != origin[other]]
    print(f"{len(strangers)} pairs that were not planted")
    for one, other in strangers[:20]:
        shown = (f"{files[origin[row]]} ({kind[row]})" for row in (one, other))
        print(f"  {' = '.join(shown)}: {words[one, other]}")
    print(f"{seconds:.0f} s for {len(pictures)} pictures")


if __name__ == "__main__":
    main()
