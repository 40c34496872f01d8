"""Augmenters: random changes to training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class NoAugmentation(zoo.Augmenter):
    """Every image as it is."""

    name = "none"
    changes_images = False

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return images


@zoo.hookimpl
def zoo_augmenters() -> Sequence[type[zoo.Augmenter]]:
    return [NoAugmentation]
