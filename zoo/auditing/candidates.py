"""Which pictures are so alike that one may be a copy of the other: to be laid over each other and looked at closely.

Two ways lead there. Pictures that share local features, wherever these lie, are found however they were turned, cropped
or shifted. Thumbnails are alike where noise, strong compression or a negative have changed the features, but nothing
has moved except by quarter turns and mirrors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.feature_extraction.text import TfidfTransformer

from zoo.auditing.keypoints import Features, Picture

WORDS = 4096  # in the vocabulary of features, at most
FEATURES_PER_WORD = 100
NEAREST_WORDS = 3  # a feature counts for its nearest few words: it may change a little between copies
_CHUNK = 2000  # rows that are compared with all words or all pictures at once

THUMBNAIL = 32  # pixels a side
THUMBNAIL_BLUR = 2.5  # standard deviation in pixels of the picture: noise is gone, vessels are not
# Of a thumbnail with the one most like it of another eye: 0.71, in every tenth case 0.79; of noisy copies: 0.76.
ALIKE = 0.65


class Candidate(NamedTuple):
    """Rows of two pictures, and what makes the second of the first: mirrored, then turned by so many quarters.

    `negative` says that dark and light are exchanged. `quarters` is None where local features are to tell.
    """

    first: int
    second: int
    mirrored: bool
    quarters: int | None = None
    negative: bool = False


def by_features(pictures: Sequence[Features], most: int) -> set[Candidate]:
    """Pairs that share features.

    Each picture is paired with those `most` whose bags of visual words (Sivic and Zisserman 2003) are most like its
    own or its mirrored one: a pair that ranks high for either of its pictures is in.
    """
    if not any(len(picture.descriptors) for picture in pictures):
        return set()
    everything = np.concatenate([picture.descriptors for picture in pictures])
    words = _vocabulary(everything)
    counts = [len(picture.points) for picture in pictures]
    bags = _bags(everything, counts, words)
    # By shares, not by length: a border or a stamp of many pictures would make these the most alike of all.
    weights = TfidfTransformer(sublinear_tf=True, norm="l1").fit(bags)
    bags = weights.transform(bags)
    turned = np.concatenate([picture.mirrored().descriptors for picture in pictures])
    mirrored = weights.transform(_bags(turned, counts, words))
    columns = bags.T.tocsc()
    pairs: set[Candidate] = set()
    for start in range(0, len(pictures), _CHUNK // 4):
        rows = slice(start, start + _CHUNK // 4)
        plain, flipped = ((kind[rows] @ columns).toarray() for kind in (bags, mirrored))
        alike = np.maximum(plain, flipped)
        own = np.arange(len(alike))
        alike[own, start + own] = 0
        best = np.argsort(-alike, axis=1, kind="stable")[:, :most]
        for row, column in zip(*np.nonzero(np.take_along_axis(alike, best, 1) > 0), strict=True):
            first, second = int(row), int(best[row, column])
            flip = bool(flipped[first, second] > plain[first, second])
            pairs.add(Candidate(min(start + first, second), max(start + first, second), flip))
    return pairs


def thumbnail(picture: Picture) -> np.ndarray:
    """Float32 (THUMBNAIL, THUMBNAIL), of mean 0 and norm 1 unless it is plain: the detail that is no surround."""
    smooth = cv2.GaussianBlur(picture.detail * picture.counts, (0, 0), THUMBNAIL_BLUR)
    small = cv2.resize(smooth, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    return np.asarray(small / norm if norm > 0 else small)


def by_thumbnails(thumbnails: Sequence[np.ndarray], most: int) -> set[Candidate]:
    """Pairs whose thumbnails correlate by ALIKE or more in some position, for each picture at most `most`."""
    if not thumbnails:
        return set()
    small = np.stack(thumbnails)
    flat = small.reshape(len(small), -1).T
    pairs: set[Candidate] = set()
    for start in range(0, len(small), _CHUNK // 4):
        rows = small[start : start + _CHUNK // 4]
        turned = [np.rot90(kind, quarters, axes=(1, 2)) for kind in (rows, rows[:, :, ::-1]) for quarters in range(4)]
        alike = np.stack([part.reshape(len(rows), -1) @ flat for part in turned])
        position, best = np.abs(alike).argmax(axis=0), np.abs(alike).max(axis=0)
        own = np.arange(len(rows))
        best[own, start + own] = 0
        near = np.argpartition(-best, min(most, best.shape[1] - 1), axis=1)[:, :most]
        for row, column in zip(*np.nonzero(np.take_along_axis(best, near, 1) >= ALIKE), strict=True):
            one, other = int(row), int(near[row, column])
            place = int(position[one, other])
            mirrored, quarters = place > 3, place % 4
            negative = bool(alike[place, one, other] < 0)
            first, second = start + one, other
            if first > second:  # backwards: a mirrored picture is turned by the same quarters, another by the opposite
                first, second, quarters = second, first, quarters if mirrored else -quarters % 4
            pairs.add(Candidate(first, second, mirrored, quarters, negative))
    return pairs


def merge(features: set[Candidate], thumbnails: set[Candidate]) -> list[Candidate]:
    """All of them, by rows; of one pair by both ways that by thumbnails, whose features are looked at as well."""
    both = {each[:3] for each in thumbnails if not each.negative}
    kept = [*thumbnails, *(each for each in features if each[:3] not in both)]
    return sorted(kept, key=lambda each: (*each[:3], each.negative, each.quarters or 0))


def _vocabulary(descriptors: np.ndarray) -> np.ndarray:
    """Float32 (words, 128): centres of clusters of a sample of the descriptors."""
    rng = np.random.default_rng(0)
    count = min(int(np.clip(len(descriptors) // FEATURES_PER_WORD, 256, WORDS)), len(descriptors))
    sample = descriptors[np.sort(rng.choice(len(descriptors), min(len(descriptors), 20 * count), replace=False))]
    clusters = MiniBatchKMeans(count, init="random", n_init=1, max_iter=5, batch_size=4096, random_state=0)
    return np.asarray(clusters.fit(sample.astype(np.float32)).cluster_centers_, np.float32)


def _bags(descriptors: np.ndarray, counts: Sequence[int], words: np.ndarray) -> sparse.csr_matrix:
    """How often each picture (row) has each word (column). `counts` has the number of descriptors of each picture."""
    nearest = []
    square = (words**2).sum(axis=1)
    for start in range(0, len(descriptors), _CHUNK):
        distance = square - 2 * descriptors[start : start + _CHUNK].astype(np.float32) @ words.T
        for _ in range(NEAREST_WORDS):
            word = distance.argmin(axis=1)
            nearest.append(np.stack([start + np.arange(len(word)), word]))
            distance[np.arange(len(word)), word] = np.inf
    feature, word = np.concatenate(nearest, axis=1)
    picture = np.repeat(np.arange(len(counts)), counts)[feature]
    ones = np.ones(len(word), np.float32)
    return sparse.csr_matrix((ones, (picture, word)), (len(counts), len(words)))
