"""Lay one picture over another by their local features, and measure how well they agree where both show something."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import stats

from zoo.auditing.keypoints import SIDE, Features, Picture

MIN_INLIERS = 8  # features that must fall on each other; unrelated pictures reach 6 by chance now and then
STRETCH = 2.0  # most that one picture may be enlarged against the other
TOLERANCE = 4.0  # pixels that features may miss each other by
WINDOW = 28  # side of the windows in which detail is compared, pixels
CLIPPED = (4, 251)  # grey levels beyond which brightening or darkening may have cut off


@dataclass(frozen=True)
class Overlay:
    """Where the first picture lies on the second, and how well they agree there.

    `matrix`, float64 (2, 3), maps x, y in the first picture to the second; if `mirrored`, in the first picture flipped
    left to right, and if `negative`, with dark and light exchanged. `inliers` is how many features fall on each other,
    and `miss` by how many pixels half of them miss at most; NaN for none. `overlap` is the share of the smaller picture
    that both show. `detail` is the correlation of fine structure: the median over windows, weighted by their contrast;
    `agree` is the share of windows where it is above a half. `tone` is the rank correlation of grey levels, which no
    brightness, contrast or gamma changes. `brightness` and `contrast` are the second's mean grey level less the
    first's, and its standard deviation by the first's.
    """

    matrix: np.ndarray
    mirrored: bool
    negative: bool
    inliers: int
    miss: float
    overlap: float
    detail: float
    agree: float
    tone: float
    brightness: float
    contrast: float


def align(first: Features, second: Features) -> tuple[np.ndarray, int] | None:
    """The affine map that lays the first picture's features on the second's, and how many it fits; None if too few.

    RANSAC finds the shift, rotation and scale that most pairs of mutually nearest features share; an affine map is
    fitted to these by least squares.
    """
    if min(len(first.points), len(second.points)) < MIN_INLIERS:
        return None
    source, target = mutually_nearest(first, second)
    usable = np.abs(target[:, 2] - source[:, 2]) < np.log(STRETCH)
    source, target = source[usable], target[usable]
    if len(source) < MIN_INLIERS:
        return None
    # Looser than TOLERANCE: the map need not be a similarity.
    start, end = (np.ascontiguousarray(each[:, :2]) for each in (source, target))
    _, found = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=2.5 * TOLERANCE)
    inliers = np.asarray(found).ravel() > 0
    points = np.column_stack([source[:, :2], np.ones(len(source))])
    for _ in range(4):
        if inliers.sum() < MIN_INLIERS:
            return None
        matrix = _least_squares(points[inliers], target[inliers, :2])
        inliers = np.hypot(*(points @ matrix.T - target[:, :2]).T) < TOLERANCE
    if inliers.sum() < MIN_INLIERS or not _plausible(matrix):
        return None
    return matrix, int(inliers.sum())


def mutually_nearest(first: Features, second: Features) -> tuple[np.ndarray, np.ndarray]:
    """The points (k, 3) of features of both pictures that are each other's most alike."""
    alike = first.descriptors.astype(np.float32) @ second.descriptors.astype(np.float32).T
    nearest = alike.argmax(axis=1)
    mutual = np.flatnonzero(alike.argmax(axis=0)[nearest] == np.arange(len(nearest)))
    return first.points[mutual], second.points[nearest[mutual]]


def misses(first: Features, second: Features, matrix: np.ndarray) -> float:
    """By how many pixels half of the features that fall on each other under a map miss at most; NaN for none."""
    source, target = mutually_nearest(first, second)
    there = np.column_stack([source[:, :2], np.ones(len(source))]) @ matrix.T
    missed = np.hypot(*(there - target[:, :2]).T)
    return float(np.median(missed[missed < TOLERANCE])) if (missed < TOLERANCE).any() else math.nan


def turned(quarters: int) -> np.ndarray:
    """The map, float64 (2, 3), that turns a picture counterclockwise by so many quarters."""
    return np.asarray(cv2.getRotationMatrix2D(((SIDE - 1) / 2, (SIDE - 1) / 2), 90 * quarters, 1))


def _least_squares(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """An affine map; for few points a shift, rotation and scale only, which they determine better."""
    if len(points) >= 10:
        return np.asarray(np.linalg.lstsq(points, target, rcond=None)[0].T)
    x, y, one = points.T
    rows = np.concatenate([np.column_stack([x, -y, one, 0 * one]), np.column_stack([y, x, 0 * one, one])])
    cosine, sine, right, down = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)[0]
    return np.array([[cosine, -sine, right], [sine, cosine, down]])


def _plausible(matrix: np.ndarray) -> bool:
    stretch = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(stretch[0] < STRETCH and stretch[1] > 1 / STRETCH)


def refine(first: Picture, second: Picture, matrix: np.ndarray) -> np.ndarray:
    """The map moved to where the pictures' detail correlates best (ECC, Evangelidis and Psarakis 2008)."""
    half = (SIDE // 2, SIDE // 2)
    small = [cv2.resize(picture.detail, half, interpolation=cv2.INTER_AREA) for picture in (first, second)]
    start = (matrix * [1, 1, 0.5]).astype(np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
    nothing = np.ones((SIDE // 2, SIDE // 2), np.uint8)
    try:
        _, found = cv2.findTransformECC(small[0], small[1], start, cv2.MOTION_AFFINE, stop, nothing, 1)
    except cv2.error:  # it diverged
        return matrix
    found = np.asarray(found, np.float64) * [1, 1, 2]
    return found if _plausible(found) else matrix


def lay_over(
    first: Picture, second: Picture, matrix: np.ndarray, mirrored: bool, negative: bool, inliers: int, miss: float
) -> Overlay:
    """Measure how well two pictures agree under that map. The first is given as it is mirrored and negative, or not."""

    def fetch(values: np.ndarray, interpolation: int) -> np.ndarray:
        return np.asarray(cv2.warpAffine(values, matrix, (SIDE, SIDE), flags=cv2.WARP_INVERSE_MAP | interpolation))

    common = fetch(second.counts, cv2.INTER_NEAREST) * first.counts
    area = min(first.counts.sum(), second.counts.sum() / abs(np.linalg.det(matrix[:, :2])))
    detail, agree = _detail(first.detail, fetch(second.detail, cv2.INTER_LINEAR), common.astype(np.float32))
    inner = cv2.erode(common, np.ones((9, 9), np.uint8))[::4, ::4] > 0  # away from what blurring has mixed in
    a, b = first.tone[::4, ::4][inner], fetch(second.tone, cv2.INTER_LINEAR)[::4, ::4][inner]
    brightness = float(b.mean() - a.mean()) if len(a) else 0.0
    contrast = float((b.std() + 1) / (a.std() + 1)) if len(a) else 1.0
    kept = (np.minimum(a, b) > CLIPPED[0]) & (np.maximum(a, b) < CLIPPED[1])
    a, b = a[kept], b[kept]
    usable = len(a) >= 50 and min(np.ptp(a), np.ptp(b)) > 0
    tone = float(stats.spearmanr(a, b).statistic) if usable else 0.0
    overlap = float(common.sum() / max(area, 1))
    return Overlay(matrix, mirrored, negative, inliers, miss, overlap, detail, agree, tone, brightness, contrast)


def _detail(a: np.ndarray, b: np.ndarray, common: np.ndarray) -> tuple[float, float]:
    """Median over windows of the correlation within each, weighted by the standard deviations there.

    And the share of windows in which it is above a half.
    """

    def total(values: np.ndarray) -> np.ndarray:
        cells = cv2.resize(values * common, (2 * SIDE // WINDOW,) * 2, interpolation=cv2.INTER_AREA)
        return cv2.boxFilter(cells, -1, (2, 2), normalize=False)[1:, 1:]  # windows overlap by half

    filled = total(np.ones_like(a))
    count = np.maximum(filled, 1e-3)
    mean_a, mean_b = total(a) / count, total(b) / count
    var_a = np.maximum(total(a * a) / count - mean_a**2, 0)
    var_b = np.maximum(total(b * b) / count - mean_b**2, 0)
    noise = 0.02  # variance below which correlation means nothing; pictures have about 1
    correlation = (total(a * b) / count - mean_a * mean_b) / np.sqrt((var_a + noise) * (var_b + noise))
    seen = filled > 2  # of 4 cells
    weight = np.where(seen, np.sqrt(var_a) + np.sqrt(var_b), 0)
    if not weight.any():
        return 0.0, 0.0
    order = np.argsort(correlation, axis=None)
    shares = np.cumsum(weight.ravel()[order])
    median = float(correlation.ravel()[order][np.searchsorted(shares, shares[-1] / 2)])
    return median, float((correlation[seen] > 0.5).mean())
