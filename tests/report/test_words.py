"""What the last screen says to whoever decides by it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from zoo.evaluation import comparison
from zoo.evaluation.config import HALF
from zoo.report import words

TO_TRAIN = {"validation": 0.25, "test": 0.25}


def done(probabilities: list[float], labels: list[int], folds: int = 1, **changes: Any) -> Any:
    """A comparison of one model that gives these probabilities in each fold, of other images."""
    rows = [
        {
            "model": "m",
            "fold": fold,
            "repeat": 0,
            "role": role,
            "image": f"{fold}-{role}-{row}",
            "label": label,
            "probability": probability,
            "group": "",
        }
        for fold in range(folds)
        for role in ("validation", "test")
        for row, (probability, label) in enumerate(zip(probabilities, labels, strict=True))
    ]
    predictions = pd.DataFrame(rows)
    results = comparison.results(predictions)
    fields: dict[str, Any] = {
        "predictions": predictions,
        "results": results,
        "point": HALF,
        "classes": ["normal", "glaucoma"],
        "summary": comparison.summary(predictions, results, TO_TRAIN),
        "run": SimpleNamespace(path="runs/my run"),
    }
    return SimpleNamespace(**fields | changes)


LABELS = [0] * 20 + [1] * 10
SCORES = [0.1] * 17 + [0.8] * 3 + [0.9] * 6 + [0.2] * 4


def test_it_says_what_was_missed_and_what_it_cost() -> None:
    missed, auc = words.of_run(done(SCORES, LABELS), "m")
    assert missed == (
        "Of 10 glaucoma test images it missed 4 (recall 0.60, 0.26 to 0.88), and of 20 normal ones it called 3 "
        "glaucoma (specificity 0.85, 0.62 to 0.97)."
    )
    assert auc.startswith("AUC 0.")
    assert auc.endswith("; 0.5 is chance: how often glaucoma images are ranked above normal ones.")


def test_it_counts_over_folds_and_knows_the_best_possible() -> None:
    said = words.of_run(done(SCORES, LABELS, folds=3), "m", best_accuracy=0.79)
    assert said[0].startswith("Of 30 glaucoma test images it missed 12 (recall 0.60, ")
    assert said[-1] == (
        "It is right in 77% of the test images; on the demo no classifier can be right more often than 79% of the time."
    )


@pytest.mark.parametrize(("level", "name"), [(0.1, "normal"), (0.9, "glaucoma")])
def test_a_model_that_finds_nothing_is_called_so(level: float, name: str) -> None:
    said = words.of_run(done([level] * 30, LABELS), "m")
    assert "0.5 is chance, and not ruled out" in said[1]
    assert said[-1] == f"It finds nothing: it calls every test image {name}."


def test_more_classes_have_no_ill_and_no_healthy() -> None:
    rng = np.random.default_rng(0)
    made = done(SCORES, LABELS, classes=["a", "b", "c"])
    each = rng.dirichlet([1, 1, 1], len(made.predictions))
    made.predictions[["probability_a", "probability_b", "probability_c"]] = each
    assert words.of_run(made, "m") == []
    assert not any("threshold" in step for step in words.next_steps(made, "m"))


def test_next_steps_can_be_typed() -> None:
    steps = words.next_steps(done(SCORES, LABELS), "m")
    assert any("--folds all" in step for step in steps)
    assert steps[-1] == "what fewer missed cost in false alarms: zoo threshold 'runs/my run'"
    assert len(words.next_steps(done(SCORES, LABELS, folds=2), "m")) == len(steps) - 1
    told = words.next_steps(done(SCORES, LABELS), "m", ["--data", "my photos", "--labels", "0=a,1=b"])
    assert "is another model better? zoo compare m OTHER --data 'my photos' --labels 0=a,1=b" in told
