"""The form in which pictures are compared, and their local features.

Pictures are compared in a form that keeps what a copy keeps: grey, at one working size, slightly blurred (against
JPEG blocks and lost resolution), with local mean and contrast evened out (against brightness, contrast and gamma).
Features are SIFT (Lowe 2004) with the square root of RootSIFT (Arandjelovic and Zisserman 2012), which survive
rotation and scaling; those of the mirrored picture follow from them by reordering.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 224  # working size, pixels; all lengths below are at this size
BLUR = 1.4  # standard deviation in pixels; without it a fifth of the small JPEG copies shared too few features
TONE_BLUR = 4.0  # the same for grey levels, against small misalignment
NEIGHBOURHOOD = SIDE / 16  # standard deviation of what "local" mean and contrast are taken over, pixels
FEATURES = 300  # per picture, at most: the strongest
SURROUND_TOLERANCE = 4  # grey levels a plain surround may differ from its corner
SURROUND_NOISE = 1.2  # grey levels of standard deviation it may have
ONE_THING = 0.8  # share of what a surround leaves that is in one piece
SURROUND_MARGIN = 8  # pixels beside it that its outline reaches


@dataclass(frozen=True)
class Picture:
    """A picture in the form that is compared; all are (SIDE, SIDE).

    `detail` is float32, about -3 to 3: grey with local mean and contrast evened out. `tone` is float32: grey levels,
    blurred. `counts` is uint8, 0 in a plain surround that reaches a corner (black around a fundus or beside an
    X-ray) and along it: its outline is the camera's, and the same in different photographs.
    """

    detail: np.ndarray
    tone: np.ndarray
    counts: np.ndarray

    def mirrored(self) -> Picture:
        """The picture flipped left to right."""
        return Picture(*(np.ascontiguousarray(part[:, ::-1]) for part in (self.detail, self.tone, self.counts)))

    def negative(self) -> Picture:
        """The picture with dark and light exchanged."""
        return dataclasses.replace(self, detail=-self.detail, tone=255 - self.tone)


@dataclass(frozen=True)
class Features:
    """Of one picture, k of them.

    `points` is float32 (k, 3): x and y in pixels, logarithm of the size. `descriptors` is uint8 (k, 128).
    """

    points: np.ndarray
    descriptors: np.ndarray

    def mirrored(self) -> Features:
        """The features of the picture flipped left to right."""
        points = self.points * np.array([-1, 1, 1], np.float32) + np.array([SIDE - 1, 0, 0], np.float32)
        return Features(points, self.descriptors[:, _MIRRORED])


# A SIFT descriptor is 4 x 4 cells of 8 directions each, relative to the feature's own direction.
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


def prepare(image: np.ndarray) -> Picture:
    """The picture of uint8 RGB pixels (height, width, 3)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shrinks = len(grey) > SIDE
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), BLUR)
    detail = smooth - cv2.GaussianBlur(smooth, (0, 0), NEIGHBOURHOOD)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), NEIGHBOURHOOD))
    # The floor keeps noise in plain places small: half a grey level, and a tenth of the picture's own contrast.
    detail = detail / (contrast + 0.5 + 0.1 * detail.std())
    counts = 1 - _surround(cv2.GaussianBlur(grey, (0, 0), BLUR))
    return Picture(detail, cv2.GaussianBlur(smooth, (0, 0), TONE_BLUR), counts)


def _surround(grey: np.ndarray) -> np.ndarray:
    found = np.zeros((SIDE, SIDE), np.uint8)
    tolerance = (SURROUND_TOLERANCE,) * 3
    flags = 4 | 1 << 8 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY
    for corner in ((0, 0), (SIDE - 1, 0), (0, SIDE - 1), (SIDE - 1, SIDE - 1)):
        mask = np.zeros((SIDE + 2, SIDE + 2), np.uint8)
        cv2.floodFill(grey, mask, corner, 0, tolerance, tolerance, flags)
        plain = mask[1:-1, 1:-1] > 0
        if grey[plain].std() < SURROUND_NOISE:
            found[plain] = 1
    opened = cv2.morphologyEx(found, cv2.MORPH_OPEN, _disc(2))  # without threads that leak into the picture
    _, _, parts, _ = cv2.connectedComponentsWithStats(1 - opened)
    areas = parts[1:, cv2.CC_STAT_AREA]
    if len(areas) and areas.max() < ONE_THING * areas.sum():
        return np.zeros_like(found)  # stars in the sky, words on a page: what lies between them is no surround
    return np.asarray(cv2.dilate(opened, _disc(SURROUND_MARGIN)))


def _disc(radius: int) -> np.ndarray:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


def features(picture: Picture) -> Features:
    """The strongest local features of a picture."""
    levels = np.clip(128 + 45 * picture.detail, 0, 255).astype(np.uint8)
    sift = cv2.SIFT_create(FEATURES, contrastThreshold=0.015, edgeThreshold=12)  # type: ignore[attr-defined]
    keypoints, found = sift.detectAndCompute(levels, picture.counts)
    if found is None:
        return Features(np.zeros((0, 3), np.float32), np.zeros((0, 128), np.uint8))
    points = [(*point.pt, np.log(point.size)) for point in keypoints[:FEATURES]]
    found = found[:FEATURES]
    roots = 255 * np.sqrt(found / np.maximum(found.sum(axis=1, keepdims=True), 1))
    return Features(np.asarray(points, np.float32), roots.round().astype(np.uint8))
