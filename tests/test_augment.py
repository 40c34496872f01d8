from __future__ import annotations

import numpy as np

from zoo_augment import NoAugmentation


def test_none_changes_nothing_and_says_so() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    assert NoAugmentation().augment(images, np.random.default_rng(0)) is images
    assert not NoAugmentation.changes_images
