"""Networks that answer together: which files they are, and how their probabilities are decided by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from zoo.data.in_use import Mark
from zoo.evaluation.calibration import Scaling
from zoo.evaluation.config import OperatingPoint
from zoo.training.model_file import About


@dataclass(frozen=True)
class Member:
    """One network: its file, what it says of itself, the probability from which it calls an image positive, and the
    scaling that makes its probabilities right, None if none is known."""

    title: str
    file: Path
    about: About
    threshold: float
    scaling: Scaling | None = None


@dataclass(frozen=True)
class Ensemble:
    """Networks of one model, whose probabilities are averaged.

    `point` is what their thresholds were chosen for, `prevalence` the share of positives that predictive values are
    for, None for that of whatever is scored. `notes` says what a reader of their answers must know, `copies`
    are near-duplicates that audits found, see `zoo.data.known_copies`. While `mark` is held nobody deletes the files.
    """

    model: str
    members: tuple[Member, ...]
    point: OperatingPoint
    notes: tuple[str, ...]
    copies: pd.DataFrame
    prevalence: float | None = None
    mark: Mark | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, the positive one last."""
        return self.members[0].about.classes

    @property
    def image_size(self) -> int:
        """Pixels a side of what the networks take."""
        return self.members[0].about.image_size

    @property
    def threshold(self) -> float | None:
        """The mean probability from which an image is called positive; None for more than two classes.

        It is the mean over members, as in the row of threshold.csv that is over all folds.
        """
        if len(self.classes) != 2:
            return None
        return sum(member.threshold for member in self.members) / len(self.members)

    @property
    def flips(self) -> bool:
        """Whether an image and its mirror image are averaged, as these networks were trained for."""
        return self.members[0].about.recipe.get("tta") == "flips"
