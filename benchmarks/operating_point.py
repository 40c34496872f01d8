"""How often test keeps what an operating point promises: simulated runs, the threshold chosen in two ways.

    python benchmarks/operating_point.py [--runs 200]

Each run is ten folds of one model with an AUC of 0.895, four in ten images positive. The networks of its folds differ
in how high and how wide their scores lie, as those of real folds do. A sensitivity of 0.95 is asked for. Printed for
400 and 1480 images: what test reaches on average over runs, and the specificity that is left, where each fold takes the
highest threshold that reaches it on its own validation images, and as zoo chooses.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy import stats

from zoo.evaluation import comparison, operating_point
from zoo.evaluation.config import OperatingPoint

AUC, FOLDS, ASKED = 0.895, 10, 0.95


def run(images: int, rng: np.random.Generator) -> pd.DataFrame:
    """The predictions of a run; a fold tests the part of its number and validates on the next."""
    labels = rng.permutation((np.arange(images) % 10 < 4).astype(int))
    own = stats.norm.ppf(AUC) * np.sqrt(2) * (labels - 0.5) + rng.normal(0, 0.7, images)
    parts = []
    for fold in range(FOLDS):
        scores = own + rng.normal(0, np.sqrt(1 - 0.7**2), images)
        scores = scores * np.exp(rng.normal(0, 0.15)) + rng.normal(0, 0.3)
        for role, part in (("validation", (fold + 1) % FOLDS), ("test", fold)):
            rows = np.flatnonzero(np.arange(images) % FOLDS == part)
            table = {
                "image": rows.astype(str),
                "label": labels[rows],
                "probability": 1 / (1 + np.exp(-2 * scores[rows])),
            }
            parts.append(pd.DataFrame(table).assign(fold=fold, role=role))
    return pd.concat(parts, ignore_index=True).assign(model="m", repeat=0, group="")


def highest(scores: pd.Series) -> float:
    """The highest threshold that reaches what is asked for on the positive images with these scores."""
    return float(np.sort(scores)[int((1 - ASKED) * len(scores) + 1e-9)])


def reached(predictions: pd.DataFrame) -> tuple[float, float]:
    """Sensitivity and specificity of all test images."""
    test = predictions[predictions["role"] == "test"]
    right = comparison.called(test) == test["label"]
    return float(right[test["label"] == 1].mean()), float(right[test["label"] == 0].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    count = parser.parse_args().runs
    for images in (400, 1480):
        rng = np.random.default_rng(images)
        ways: dict[str, list[tuple[float, float]]] = {"each fold's own validation": [], "zoo": []}
        for _ in range(count):
            table = run(images, rng)
            of_ill = table[(table["role"] == "validation") & (table["label"] == 1)].groupby("fold")["probability"]
            plain = table["fold"].map(of_ill.agg(highest))
            ways["each fold's own validation"].append(reached(table.assign(threshold=plain)))
            chosen = operating_point.thresholds(table, OperatingPoint(sensitivity=ASKED))
            ways["zoo"].append(reached(operating_point.with_thresholds(table, chosen)))
        for way, values in ways.items():
            (found, left), error = np.mean(values, axis=0), stats.sem([value for value, _ in values])
            print(f"{images} images, {way}: sensitivity {found:.3f} ± {error:.3f}, specificity {left:.3f}")


if __name__ == "__main__":
    main()
