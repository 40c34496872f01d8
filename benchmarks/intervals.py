"""How often zoo's 95 % intervals hold the truth, and how often its tests find a difference between equal models.

    python benchmarks/intervals.py                            # a quarter of an hour on two CPU cores
    python benchmarks/intervals.py --write docs/statistics.md # puts the tables there

Scores are drawn, not trained: two normal distributions as far apart as the AUC wants, eyes of a patient alike, folds
that divide the patients. The truth is the same for all draws, so that intervals can be counted that hold it. For the
tests both models are drawn from the same distribution: whatever is found is a false alarm.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import stats

from zoo.evaluation import intervals, metrics, statistics
from zoo.evaluation.intervals import Scored

ALIKE = 0.8  # correlation of the scores of two eyes
SHARED = 0.7  # correlation of the scores of two models
MODELS = 10
ROPE = 0.01


@dataclass(frozen=True)
class Setting:
    """Images, the share of ill ones among them, the AUC, eyes a patient, and folds; a disease is the patient's."""

    images: int
    ill: float
    auc: float
    eyes: int = 1
    folds: int = 1

    def __str__(self) -> str:
        return f"{self.images} images, {self.ill:.0%} ill, AUC {self.auc:g}, {self.eyes} a patient, {self.folds} folds"


SETTINGS = [
    Setting(400, 0.5, 0.8),
    Setting(40, 0.5, 0.8),
    Setting(40, 0.5, 0.97),
    Setting(400, 0.05, 0.8),
    Setting(400, 0.05, 0.97),
    Setting(100, 0.1, 0.9),
    Setting(400, 0.3, 0.88, eyes=2),
    Setting(80, 0.3, 0.88, eyes=2),
    Setting(80, 0.5, 0.97, eyes=2),
    Setting(400, 0.3, 0.88, folds=5),
    Setting(400, 0.3, 0.88, eyes=2, folds=10),
    Setting(1480, 0.27, 0.9, eyes=2, folds=10),
]


@dataclass(frozen=True)
class Coverage:
    """The share of intervals that hold the truth, and how wide they are on average."""

    share: float
    width: float


def drawn(setting: Setting, rng: np.random.Generator, models: int = 1) -> tuple[np.ndarray, ...]:
    """Labels (n,), scores (models, n), patients (n,) and folds (n,)."""
    patients = setting.images // setting.eyes
    labels = np.repeat((np.arange(patients) < round(patients * setting.ill)).astype(int), setting.eyes)
    patient = np.repeat(np.arange(patients), setting.eyes)

    def eyes() -> np.ndarray:
        own = rng.normal(size=len(labels))
        if setting.eyes == 1:
            return own
        return math.sqrt(ALIKE) * rng.normal(size=patients)[patient] + math.sqrt(1 - ALIKE) * own

    apart = math.sqrt(2) * float(stats.norm.ppf(setting.auc))
    shared = eyes() if models > 1 else 0.0
    weight = SHARED if models > 1 else 0.0
    noise = np.stack([math.sqrt(weight) * shared + math.sqrt(1 - weight) * eyes() for _ in range(models)])
    return labels, noise + apart * labels, patient, patient % setting.folds


def probabilities(setting: Setting, scores: np.ndarray) -> np.ndarray:
    """float64 (n, 2) from scores; at 0.5 somewhat fewer than all ill images are found."""
    positive = stats.logistic.cdf(1.5 * (scores - math.sqrt(2) * stats.norm.ppf(setting.auc) / 2))
    return np.column_stack([1 - positive, positive])


def parts(setting: Setting, rng: np.random.Generator) -> list[list[Scored]]:
    """One draw, as `intervals.interval` takes it."""
    labels, (scores,), patient, fold = drawn(setting, rng)
    each = probabilities(setting, scores)
    return [[Scored(labels[fold == k], each[fold == k], patient[fold == k])] for k in range(setting.folds)]


@cache
def truth(setting: Setting) -> dict[str, float]:
    """What every metric would be for very many images, the AUC as it was asked for."""
    many = Setting(400_000, setting.ill, setting.auc)
    ((everything,),) = parts(many, np.random.default_rng(2**20))
    return {**metrics.score(everything.labels, everything.probabilities), "auc": setting.auc}


def coverage(setting: Setting, names: Sequence[str], samples: int, seed: int = 0) -> dict[str, Coverage]:
    """Of each metric."""
    rng, true = np.random.default_rng(seed), truth(setting)
    to_train = 1 / (setting.folds - 1) if setting.folds > 1 else 0.0
    ends = np.array(
        [
            [intervals.interval(name, draw, to_train) for name in names]
            for draw in (parts(setting, rng) for _ in range(samples))
        ]
    )
    low, high = ends[..., 0], ends[..., 1]
    target = np.array([true[name] for name in names])
    held = np.where(np.isnan(low), np.nan, (low <= target) & (target <= high))
    return {
        name: Coverage(float(np.nanmean(held[:, row])), float(np.nanmean(high[:, row] - low[:, row])))
        for row, name in enumerate(names)
    }


def false_alarms(setting: Setting, samples: int, seed: int = 0) -> dict[str, float]:
    """How often each test of two equal models on the same images has p < 0.05, or an interval without 0."""
    rng, found = np.random.default_rng(seed), np.zeros(5)
    middle = math.sqrt(2) * float(stats.norm.ppf(setting.auc)) / 2
    for sample in range(samples):
        labels, (a, b), patient, _ = drawn(setting, rng, models=2)
        right = (a > middle) == labels, (b > middle) == labels
        by_patient = statistics.delong(labels, a, b, patient)
        draws = statistics.bootstrap_auc(labels, np.stack([a, b]), patient, draws=500, seed=sample)
        low, high = statistics.bootstrap_interval(draws[:, 0] - draws[:, 1], by_patient.difference, len(set(patient)))
        p = [
            by_patient.p,
            statistics.mcnemar(*right, patient).p,
            1.0 if low <= 0 <= high else 0.0,
            statistics.delong(labels, a, b).p,
            statistics.mcnemar(*right).p,
        ]
        found += np.array(p) < 0.05
    names = ("DeLong", "McNemar", "bootstrap", "DeLong by image", "McNemar by image")
    return dict(zip(names, (found / samples).tolist(), strict=True))


def said_better(folds: int, samples: int, seed: int = 0) -> dict[str, float]:
    """How often ten equal models give at least one "better", and one raw p below 0.05."""
    rng, said = np.random.default_rng(seed), np.zeros(2)
    setting = Setting(80 * folds, 0.3, 0.88, folds=folds)
    for _ in range(samples):
        labels, scores, _, fold = drawn(setting, rng, models=MODELS)
        values = [
            [statistics.auc_influence(labels[fold == k] == 1, row[fold == k])[0] for k in range(folds)]
            for row in scores
        ]
        pairs = [np.subtract(values[a], values[b]) for a in range(MODELS) for b in range(a)]
        ratio = 1 / (folds - 1)
        p = np.array([statistics.corrected_t_test(pair, ratio).p for pair in pairs])
        words = [
            statistics.verdict(statistics.correlated_t_test(pair, ratio, ROPE), adjusted, folds)
            for pair, adjusted in zip(pairs, statistics.holm(p), strict=True)
        ]
        said += np.array([bool({"better", "worse"} & {*words}), (p < 0.05).any()])
    return dict(zip(("better", "p < 0.05, not adjusted"), (said / samples).tolist(), strict=True))


def tables(samples: int, seed: int) -> str:
    """Everything, in Markdown."""
    names = ("recall", *(name for name in metrics.METRICS if name != "recall"))
    lines = [f"Of {samples} draws each, the share whose 95 % interval holds the truth (and its mean width):", ""]
    lines += [f"| images | ill | AUC | a patient | folds | {' | '.join(names)} |", "|---" * (5 + len(names)) + "|"]
    for setting in SETTINGS:
        row = coverage(setting, names, samples, seed)
        cells = [f"{row[name].share:.1%} ({row[name].width:.2f})" for name in names]
        known = [setting.images, f"{setting.ill:.0%}", setting.auc, setting.eyes, setting.folds]
        lines.append(f"| {' | '.join(map(str, [*known, *cells]))} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        "Two equal models on the same images: how often a test finds a difference (5 % are promised). By image ",
    ]
    lines[-1] += "is what the tests would say if they took the eyes of a patient for independent:"
    of_pairs = [Setting(400, 0.3, 0.88), *(setting for setting in SETTINGS if setting.eyes > 1 and setting.folds == 1)]
    of_pairs.append(Setting(200, 0.1, 0.9, eyes=2))
    heads = [*false_alarms(of_pairs[0], 1)]
    lines += ["", f"| images | ill | AUC | a patient | {' | '.join(heads)} |", "|---" * (4 + len(heads)) + "|"]
    for setting in of_pairs:
        found = false_alarms(setting, samples, seed)
        known = [setting.images, f"{setting.ill:.0%}", setting.auc, setting.eyes]
        lines.append(f"| {' | '.join(map(str, [*known, *(f'{share:.1%}' for share in found.values())]))} |")
        print(lines[-1], flush=True)
    lines += ["", "Ten equal models, 45 pairs: how many comparisons say at least once that one is better:"]
    lines += ["", "| folds | verdict *better* | p < 0.05, not adjusted |", "|---|---|---|"]
    for folds in (5, 10):
        said = said_better(folds, max(100, samples // 4), seed)
        lines.append(f"| {folds} | {' | '.join(f'{share:.1%}' for share in said.values())} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between its two marks")
    options = parser.parse_args()
    text = tables(options.samples, options.seed)
    if options.write:
        marks = r"(?s)(<!-- simulated -->).*?(<!-- end -->)"
        page = options.write.read_text(encoding="utf-8")
        written = re.sub(marks, lambda found: f"{found[1]}\n\n{text}\n\n{found[2]}", page)
        options.write.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
