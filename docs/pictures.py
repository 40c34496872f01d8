"""The pictures in docs/, made by the commands that they show.

    python docs/pictures.py [audit] [comparison]

The audit's: a few of the demo's images in a folder per class, spoilt with five copies, one under the other label. The
comparison's: one, two and three stages on five of the demo's folds, which takes ten minutes.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from zoo.data import demo

PICTURES = Path(__file__).parent / "pictures"
SIDE = 256


def turned(image: np.ndarray, degrees: float, scale: float) -> np.ndarray:
    """Rotated and enlarged about its middle."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, scale)
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE))


COPIES = {
    "flipped": lambda image: image[:, ::-1],
    "rotated": lambda image: turned(image, 12, 1.0),
    "cropped": lambda image: turned(image, 0, 1.15),
    "brightened": lambda image: cv2.convertScaleAbs(image, alpha=1.0, beta=35),
}


def write_photos(folder: Path, count: int = 100) -> None:
    """Images in folders normal and abnormal, with copies of the first ones."""
    table = demo.plan_images(count, seed=1)
    paths = []
    for row, (name, ratio, label) in enumerate(zip(table["file"], table["cup_to_disc"], table["label"], strict=True)):
        path = folder / demo.CLASSES[label] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(demo.draw(ratio, seed=10_000 + row, size=SIDE), cv2.COLOR_RGB2BGR))
        paths.append(path)
    for path, (name, change) in zip(paths, COPIES.items(), strict=False):
        cv2.imwrite(str(path.with_name(f"{path.stem}-{name}.png")), change(cv2.imread(str(path))))
    other = paths[len(COPIES)]
    wrong = next(name for name in demo.CLASSES if name != other.parent.name)
    shutil.copyfile(other, folder / wrong / f"{other.stem}-again.png")


def zoo(scratch: str, *arguments: str, status: int = 0) -> None:
    """Run a command of zoo in a folder."""
    done = subprocess.run([sys.executable, "-m", "zoo.cli", *arguments], cwd=scratch, check=False)
    if done.returncode != status:
        sys.exit(f"zoo {shlex.join(arguments)} ended with status {done.returncode}")


def audit(scratch: str) -> None:
    """docs/pictures/audit-pairs.jpg."""
    write_photos(Path(scratch) / "photos")
    zoo(scratch, "data", "audit", "--data", "photos", status=1)  # something is wrong, and found
    sheet = cv2.imread(f"{scratch}/audit/pairs.png")
    small = cv2.resize(sheet, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(PICTURES / "audit-pairs.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 85])


def comparison(scratch: str) -> None:
    """docs/pictures/comparison.png."""
    stages = ["efficientnet-head", "efficientnet-top20", "efficientnet-staged"]
    zoo(scratch, "compare", *stages, "--folds", "0-4", "--out", "run")
    shutil.copyfile(f"{scratch}/run/pictures/auc-test.png", PICTURES / "comparison.png")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["audit", "comparison"]:
        with tempfile.TemporaryDirectory() as folder:
            {"audit": audit, "comparison": comparison}[name](folder)
