"""Checks of a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.interfaces import Stage
from zoo.testing.keras_parts import is_deterministic, saves_and_reloads
from zoo.testing.subject import Subject

if TYPE_CHECKING:
    import numpy as np


def gives_probabilities(subject: Subject) -> None:
    """For 2 classes (n, 1) in 0..1, for 5 classes (n, 5) in 0..1 whose rows sum to 1, on feature maps of two sizes."""
    from zoo.testing import networks

    for size, classes in zip(subject.sizes, (2, 5), strict=True):
        network = networks.network(subject, size, classes)
        _check_probabilities(subject, networks.run(network.model, networks.noise(size)), classes)
        for layer in network.model.layers:  # far from 0, where a missing activation shows
            if network.is_head(layer):
                layer.set_weights([weight * 20 for weight in layer.get_weights()])
        _check_probabilities(subject, networks.run(network.model, networks.noise(size)), classes)


def _check_probabilities(subject: Subject, outputs: np.ndarray, classes: int) -> None:
    remedy = "end with a Dense(1) with a sigmoid" if classes == 2 else f"end with a Dense({classes}) with a softmax"
    low, high, sums = outputs.min(), outputs.max(), outputs.sum(axis=1)
    if not 0 <= low <= high <= 1:  # nor if one is no number
        raise subject.wrong(f"for {classes} classes its outputs lie in {low:.3g}..{high:.3g}, not 0..1: {remedy}")
    if classes > 2 and abs(sums - 1).max() > 1e-3:
        raise subject.wrong(
            f"for {classes} classes the probabilities of an image sum to {sums[0]:.3g}, not 1: {remedy}"
        )


def names_its_layers(subject: Subject) -> None:
    """Each layer has a name of its own, the same every time, and not one that a backbone's layer may have."""
    from zoo.testing import networks

    first, again = networks.network(subject), networks.another(subject)
    unnamed = sorted(first.head_layers - again.head_layers)
    if unnamed:
        example = f'name="head_{unnamed[0].rstrip("_0123456789")}"'
        raise subject.wrong(
            f"its layers {', '.join(unnamed)} were named by Keras, which may name a backbone's layer alike, and "
            f"otherwise next time: give each a name of its own, such as {example}"
        )


def trains_alone(subject: Subject) -> None:
    """With unfreeze = 0 exactly the head's weights train; batch normalisation of its own always does."""
    from zoo.testing import freezing, networks

    images = networks.noise(subject.sizes[0])
    for stage in (Stage("unfreeze = 0", 1, 1, 1e-2), Stage("unfreeze = 'all'", 1, 1, 1e-2, unfreeze="all")):
        freezing.check(subject, networks.network(subject), stage, images)


CHECKS = (gives_probabilities, names_its_layers, trains_alone, saves_and_reloads, is_deterministic)
