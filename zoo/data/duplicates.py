"""Find pictures that are copies of one photograph: flipped, rotated, cropped, shifted, brightened, recompressed.

Pictures that share local features are laid over each other. They are copies if fine structure agrees all over what
both show, and so do the grey levels up to brightness, contrast and gamma: photographs of one kind of object, even of
the same eye on another day, share outlines and details but not the light.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, groupby, product

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from zoo.data.images import hash_image
from zoo.data.keypoints import SIDE, Features, Picture, candidates, features, prepare
from zoo.data.overlay import Overlay, align, lay_over, refine

Progress = Callable[[int, int], None]

CANDIDATES = 25  # other pictures, mirrored or not, that are laid over each picture
# Thresholds lie between copies and the closest other pairs among 1,481 fundus photographs with 600 labelled copies
# and 600 harder planted ones, and 500 pieces of photographs (people, things, cells, walls, gravel) and their copies.
MIN_OVERLAP = 0.4  # of the smaller picture; pieces of one brick wall fit each other in a quarter
MIN_DETAIL = 0.7  # 99 % of fundus copies exceed 0.76
# 99.5 % of fundus copies exceed 0.982; photographs of one eye on two days reach 0.978, most stay below 0.95.
MIN_TONE = 0.98
# Richly structured pictures lose some tone to cut-off lights and slight misalignment. They may if detail is better
# than two days' photographs of one eye ever reach (0.87), and with more inliers than blurred pictures share (15).
SURE_DETAIL = 0.88
SURE_INLIERS = 20

SAME_ANGLE = 1.5  # degrees
SAME_SCALE = 0.04
SAME_PLACE = 0.03  # of the side
SAME_BRIGHTNESS = 6  # grey levels
SAME_CONTRAST = 0.15


def near_duplicates(pixels: np.ndarray, progress: Progress | None = None) -> pd.DataFrame:
    """All pairs of pictures that are copies of one photograph, in the order of their rows.

    `pixels` is uint8 RGB (n, size, size, 3), possibly memory-mapped; from 64 pixels a side. The columns are first
    and second, row numbers with first < second; similarity, 0 to 1, how well fine structure agrees (1 for identical
    pixels); and change, what makes the second of the first: "identical", "flipped", "rotated 90, darkened",
    "cropped" and so on, in degrees without direction. Nearly plain pictures match only if identical.
    `progress` is called with steps done and in all. Takes about 150 kB of memory a picture.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in range(len(pixels)):
        rows_of[hash_image(pixels[row])].append(row)
    groups = list(rows_of.values())
    found = [(*pair, 1.0, "identical") for rows in groups for pair in combinations(rows, 2)]
    for one, other, overlay in _copies(pixels, [rows[0] for rows in groups], progress):
        change = describe(overlay)
        similarity = min(max(overlay.detail, 0.0), 1.0)
        found += [(min(pair), max(pair), similarity, change) for pair in product(groups[one], groups[other])]
    return pd.DataFrame(sorted(found), columns=["first", "second", "similarity", "change"])


def _copies(pixels: np.ndarray, rows: list[int], progress: Progress | None) -> Iterable[tuple[int, int, Overlay]]:
    """Pairs of positions in `rows` whose pictures are copies, each once."""
    steps = 2 * len(rows)

    def report(done: int) -> None:
        if progress:
            progress(done, steps)

    best: dict[tuple[int, int], Overlay] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        described: list[Features] = []
        for picture in pool.map(lambda row: features(prepare(pixels[row])), rows):
            described.append(picture)
            report(len(described))
        pairs = groupby(candidates(described, CANDIDATES), key=lambda pair: pair[0])

        def compare(group: tuple[int, list[tuple[int, int, bool]]]) -> tuple[int, list[tuple[int, int, Overlay]]]:
            return group[0], list(_overlays(pixels, rows, described, group[1]))

        # Threads of the linear algebra library would only be in the way of these.
        with threadpool_limits(1, "blas"):
            for position, overlays in pool.map(compare, [(first, list(group)) for first, group in pairs]):
                for one, other, overlay in overlays:
                    known = best.get((one, other))
                    if known is None or overlay.detail > known.detail:
                        best[one, other] = overlay
                report(len(rows) + position)
    report(steps)
    return [(one, other, overlay) for (one, other), overlay in best.items()]


def _overlays(
    pixels: np.ndarray, rows: list[int], described: list[Features], pairs: list[tuple[int, int, bool]]
) -> Iterable[tuple[int, int, Overlay]]:
    """Of candidate pairs with the same first picture, those that are copies."""
    first: Picture | None = None
    for one, other, mirrored in pairs:
        found = align(described[one].mirrored() if mirrored else described[one], described[other])
        if not found:
            continue
        first = first or prepare(pixels[rows[one]])
        turned, second = first.mirrored() if mirrored else first, prepare(pixels[rows[other]])
        matrix, inliers = found
        overlay = lay_over(turned, second, refine(turned, second, matrix), mirrored, inliers)
        if is_copy(overlay):
            yield one, other, overlay


def is_copy(overlay: Overlay) -> bool:
    """Whether pictures agree so well that they come from one photograph."""
    if overlay.overlap < MIN_OVERLAP or overlay.detail < MIN_DETAIL:
        return False
    return overlay.tone >= MIN_TONE or (overlay.detail >= SURE_DETAIL and overlay.inliers >= SURE_INLIERS)


def describe(overlay: Overlay) -> str:
    """What makes the second picture of the first, in words."""
    linear = overlay.matrix[:, :2]
    angle = abs(np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])))
    nearest = 90 * round(angle / 90)
    angle = nearest if abs(angle - nearest) < SAME_ANGLE else round(angle)
    words = []
    if overlay.mirrored and angle == 180:
        words.append("flipped upside down")
    else:
        words += ["flipped"] * overlay.mirrored + [f"rotated {angle}"] * bool(angle)
    stretch = np.linalg.svd(linear, compute_uv=False)
    centre = np.full(2, (SIDE - 1) / 2)
    moved = np.hypot(*(linear @ centre + overlay.matrix[:, 2] - centre)) / SIDE
    if np.abs(np.log(stretch)).max() > SAME_SCALE:
        words.append("cropped")
    elif moved > SAME_PLACE:
        words.append("shifted")
    if abs(overlay.brightness) > SAME_BRIGHTNESS:
        words.append("brightened" if overlay.brightness > 0 else "darkened")
    elif abs(np.log(overlay.contrast)) > SAME_CONTRAST:
        words.append("contrast changed")
    return ", ".join(words) or "recompressed or resized"
