"""Find pictures that are copies of one photograph: flipped, rotated, cropped, brightened, recompressed, negative.

Pictures that may be copies (zoo.auditing.candidates) are laid over each other. They are copies if fine structure agrees
all over what both show, and so do the grey levels up to brightness, contrast and gamma. Photographs of one kind of
object share outlines, not details. Two photographs of the same eye share details, but not the light: they are told
apart as the same scene, and so is a copy whose light was changed from place to place.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, groupby, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from zoo.auditing.candidates import Candidate, by_features, by_thumbnails, merge, thumbnail
from zoo.auditing.keypoints import SIDE, Features, Picture, features, prepare
from zoo.auditing.overlay import MIN_INLIERS, Overlay, align, lay_over, misses, refine, turned
from zoo.data.images import hash_image

Progress = Callable[[int, int], None]

# Other pictures that are laid over each picture, by features (mirrored or not) and by thumbnails.
CANDIDATES = 25
THUMBNAILS = 6
# Thresholds lie between copies and the closest other pairs among 1,481 fundus photographs, with copies in 37 ways.
MIN_OVERLAP = 0.4  # of the smaller picture; pieces of one brick wall fit each other in a quarter
MIN_DETAIL = 0.7  # 99 % of fundus copies exceed 0.76, but for those with much noise or strong compression
# 99.5 % of fundus copies exceed 0.982; photographs of one eye on two days reach 0.979, most stay below 0.95.
MIN_TONE = 0.98
# Noise and compression cost detail, and features that would tell; 95 % of such copies exceed 0.995 in tone, other
# pictures with as much detail reach 0.986.
SURE_TONE, NOISY_DETAIL = 0.99, 0.55
# Richly structured pictures lose some tone to cut-off lights and slight misalignment. They may if detail is better
# than two days' photographs of one eye ever reach (0.87), and with more inliers than blurred pictures share (15), which
# miss by less than those of a scene that was photographed from a little aside.
SURE_DETAIL, SURE_INLIERS, SURE_MISS = 0.88, 20, 0.6
# What was written over a copy, or done to its colours, moves nothing: features of two photographs miss by 0.27 or more.
EXACT, EXACT_INLIERS = 0.2, 40
# One eye photographed twice, of which 29 pairs were looked at: 20 to 124 features that miss by 0.27 to 0.9 pixels, and
# all but one agree in 0.71 of the windows. Of others, two eyes behind one dirty lens come nearest, with 27 features
# that miss by 1.3 and 0.61; and two with the same stamp on them, which agree in 0.57.
SCENE_INLIERS, SCENE_MISS, SCENE_AGREE = 20, 1.0, 0.65
BENT_MISS, BENT_AGREE = 2.0, 0.8  # of what is no plane, seen from a little aside
SAME_SCENE = "same scene"

SAME_ANGLE = 1.5  # degrees
SAME_SCALE = 0.04
SAME_PLACE = 0.03  # of the side
SAME_BRIGHTNESS = 6  # grey levels
SAME_CONTRAST = 0.15


class Found(NamedTuple):
    """Pairs of pictures that show one photograph or scene, and the pictures that hold too little detail to tell.

    `pairs` has the columns first and second, row numbers with first < second; similarity, 0 to 1, how well fine
    structure agrees (1 for identical pixels); and change, what makes the second of the first: "identical", "flipped",
    "rotated 90, darkened", "cropped" and so on, in degrees without direction. It begins with SAME_SCENE for two
    photographs of one thing, or a copy whose light was changed from place to place. `plain` are rows of pictures that
    match only if they are identical.
    """

    pairs: pd.DataFrame
    plain: list[int]


def near_duplicates(pixels: np.ndarray, progress: Progress | None = None) -> Found:
    """All pairs of pictures that are copies of one photograph or show one scene, in the order of their rows.

    `pixels` is uint8 RGB (n, size, size, 3), possibly memory-mapped; from 64 pixels a side. `progress` is called with
    steps done and in all. Takes about 150 kB of memory a picture.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in range(len(pixels)):
        rows_of[hash_image(pixels[row])].append(row)
    groups = list(rows_of.values())
    found = [(*pair, 1.0, "identical") for rows in groups for pair in combinations(rows, 2)]
    copies, plain = _copies(pixels, [rows[0] for rows in groups], progress)
    for one, other, overlay in copies:
        change = name_change(overlay) if is_copy(overlay) else f"{SAME_SCENE}, {name_change(overlay)}"
        similarity = min(max(overlay.detail, 0.0), 1.0)
        found += [(min(pair), max(pair), similarity, change) for pair in product(groups[one], groups[other])]
    pairs = pd.DataFrame(sorted(found), columns=["first", "second", "similarity", "change"])
    return Found(pairs, sorted(row for position in plain for row in groups[position]))


def _copies(
    pixels: np.ndarray, rows: list[int], progress: Progress | None
) -> tuple[list[tuple[int, int, Overlay]], list[int]]:
    """Pairs of positions in `rows` whose pictures are copies or of one scene, each once; and of which are too plain."""
    steps = 2 * len(rows)

    def report(done: int) -> None:
        if progress:
            progress(done, steps)

    best: dict[tuple[int, int], Overlay] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        described: list[Features] = []
        thumbnails: list[np.ndarray] = []

        def look(row: int) -> tuple[Features, np.ndarray]:
            picture = prepare(pixels[row])
            return features(picture), thumbnail(picture)

        for found, small in pool.map(look, rows):
            described.append(found)
            thumbnails.append(small)
            report(len(described))
        plain = [position for position, found in enumerate(described) if len(found.points) < MIN_INLIERS]
        for position in plain:
            thumbnails[position] = np.zeros_like(thumbnails[position])
        wanted = merge(by_features(described, CANDIDATES), by_thumbnails(thumbnails, THUMBNAILS))
        pairs = groupby(wanted, key=lambda pair: pair.first)

        def compare(group: tuple[int, list[Candidate]]) -> tuple[int, list[tuple[int, int, Overlay]]]:
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
    return [(one, other, overlay) for (one, other), overlay in best.items()], plain


def _overlays(
    pixels: np.ndarray, rows: list[int], described: list[Features], pairs: list[Candidate]
) -> Iterable[tuple[int, int, Overlay]]:
    """Of candidate pairs with the same first picture, those that are copies or of one scene."""
    first: Picture | None = None
    for pair in pairs:
        one, other = described[pair.first], described[pair.second]
        one = one.mirrored() if pair.mirrored else one
        # Of a negative the features are others.
        found = None if pair.negative else align(one, other)
        if not found and pair.quarters is None:
            continue
        matrix, inliers = found or (turned(pair.quarters or 0), 0)
        first = first or prepare(pixels[rows[pair.first]])
        picture, second = first.mirrored() if pair.mirrored else first, prepare(pixels[rows[pair.second]])
        picture = picture.negative() if pair.negative else picture
        matrix = refine(picture, second, matrix)
        miss = misses(one, other, matrix) if inliers else np.nan
        overlay = lay_over(picture, second, matrix, pair.mirrored, pair.negative, inliers, miss)
        if is_copy(overlay) or is_same_scene(overlay):
            yield pair.first, pair.second, overlay


def is_copy(overlay: Overlay) -> bool:
    """Whether pictures agree so well that they come from one photograph."""
    if overlay.overlap < MIN_OVERLAP:
        return False
    return (
        (overlay.detail >= MIN_DETAIL and overlay.tone >= MIN_TONE and overlay.inliers > 0)
        or (overlay.detail >= NOISY_DETAIL and overlay.tone >= SURE_TONE)
        or (overlay.detail >= SURE_DETAIL and overlay.inliers >= SURE_INLIERS and overlay.miss <= SURE_MISS)
        or (overlay.detail >= MIN_DETAIL and overlay.inliers >= EXACT_INLIERS and overlay.miss <= EXACT)
    )


def is_same_scene(overlay: Overlay) -> bool:
    """Whether pictures show the same thing, such as one eye, photographed twice or in another light."""
    return (
        overlay.overlap >= MIN_OVERLAP
        and overlay.inliers >= SCENE_INLIERS
        and (
            (overlay.agree >= SCENE_AGREE and overlay.miss <= SCENE_MISS)
            or (overlay.agree >= BENT_AGREE and overlay.miss <= BENT_MISS)
        )
    )


def name_change(overlay: Overlay) -> str:
    """What makes the second picture of the first, in words."""
    linear = overlay.matrix[:, :2]
    angle = abs(np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])))
    nearest = 90 * round(angle / 90)
    angle = nearest if abs(angle - nearest) < SAME_ANGLE else round(angle)
    words = ["negative"] * overlay.negative
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
    if overlay.negative:
        return ", ".join(words)
    if abs(overlay.brightness) > SAME_BRIGHTNESS:
        words.append("brightened" if overlay.brightness > 0 else "darkened")
    elif abs(np.log(overlay.contrast)) > SAME_CONTRAST:
        words.append("contrast changed")
    return ", ".join(words) or "recompressed or resized"
