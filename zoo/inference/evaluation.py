"""What trained networks are worth on labelled images of another place: answers and labels -> tables."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from zoo import __version__
from zoo.data import dataset, labels, loading, splits
from zoo.data.config import DataConfig
from zoo.data.dataset import Dataset
from zoo.data.options import DataOptions
from zoo.errors import ConfigError, DataError, LeakError, shorten
from zoo.evaluation import calibration, metrics, missed, operating_point, sources
from zoo.evaluation.config import HALF
from zoo.files import hash_file, write_csv, write_json
from zoo.inference.members import Ensemble

SCORES = ["metric", "value", "low", "high"]
# Of each image, beside who it is and what it was called.
ANSWERS = ["decision", "probability", "calibrated", "spread", "seen"]


@dataclass(frozen=True)
class Evaluation:
    """How trained networks do on the labelled images of `name`, as data frames; `write` keeps them.

    `scores` has a row a metric with its 95 % interval, by patient where patients are known, at the operating point
    that was chosen before. `thresholds` has that point and 0.5, `calibration` whether probabilities are right, as they
    are and scaled, `by_source` a row for each source (or what stands in its place), `missed` a row for each image that
    is called wrong; their columns are those of the tables of a run. `predictions` has a row an image, `refused` those
    that could not be used. `scored` is `predictions` with a row a picture, as zoo.evaluation.comparison takes them.
    `notes` says what a reader must know.
    """

    ensemble: Ensemble
    name: str
    root: Path
    scores: pd.DataFrame
    thresholds: pd.DataFrame
    calibration: pd.DataFrame
    by_source: pd.DataFrame
    missed: pd.DataFrame
    predictions: pd.DataFrame
    refused: pd.DataFrame
    scored: pd.DataFrame
    notes: list[str]

    @property
    def title(self) -> str:
        """What people are shown as the model's name: one that has seen some of these images is marked."""
        return self.ensemble.model + " (LEAKED)" * bool((self.predictions["seen"] > 0).any())

    def write(self, folder: Path) -> None:
        """Write each table as CSV, and evaluation.json, which says by what and of what they are."""
        folder.mkdir(parents=True, exist_ok=True)
        two = len(self.ensemble.classes) == 2
        tables = {"scores": self.scores, "missed": self.missed, "predictions": self.predictions}
        tables |= {"threshold": self.thresholds, "calibration": self.calibration} if two else {}
        tables |= {"by_source": self.by_source} if self.sourced else {}
        for name, table in tables.items():
            write_csv(folder / f"{name}.csv", table)
        members = [{"name": each.title, "sha256": hash_file(each.file)} for each in self.ensemble.members]
        about = {
            "model": self.ensemble.model,
            "members": members,
            "classes": self.ensemble.classes,
            "threshold": self.ensemble.threshold,
            "operating_point": self.ensemble.point.table() if two else None,
            "images": int(self.predictions["image"].nunique()),
            "refused": self.refused.set_index("path")["fault"].to_dict(),
            "leaked": int((self.predictions["seen"] > 0).sum()),
            "notes": self.notes,
            "zoo": __version__,
        }
        write_json(folder / "evaluation.json", about)

    @property
    def sourced(self) -> bool:
        """Whether sources are known."""
        return len(self.by_source) > 0


def labelled(options: DataOptions, ensemble: Ensemble, by: str | None = None) -> Dataset:
    """The images that `options` names, with the classes of these networks; a row a file, and nothing decoded.

    `by` is a column of a table that stands for the source. Files of folds or roles are taken once, whatever these are.

    Raises ConfigError for data that the networks have no classes for, DataError for what cannot be used.
    """
    if options.data is None:
        raise ConfigError("no data: name labelled images with --data DIR or a table of them")
    if by is not None:
        options = dataclasses.replace(options, columns={**(options.columns or {}), "source": by})
    said: list[str] = []
    wanted = dataclasses.replace(options, classes=tuple(ensemble.classes))
    settled = loading.settle(DataConfig(), wanted, said.append)
    found = dataset.read_dataset(settled.origin, settled.config, strict=False)
    notes = [*said, *found.notes]
    if found.in_folds:
        notes.append("the folds or roles of these data are passed over: each image is taken once")
    if by is not None and (found.table["source"] == "").all():
        notes.append(f"no image has anything in column {by}: there are no rows by it")
    table = found.table.drop_duplicates(["path", "label"])[["path", "label", "group", "source"]]
    return dataclasses.replace(found, table=table.reset_index(drop=True), notes=notes)


def evaluate(ensemble: Ensemble, found: Dataset, answers: pd.DataFrame, allow_leak: bool = False) -> Evaluation:
    """Score `answers`, a table of `Predictor.predict` with the images of `found` in their order.

    Raises DataError where no image can be used or a picture has two labels; LeakError where networks have seen some of
    the images, unless that is allowed: then they are marked.
    """
    table = found.table.join(answers.drop(columns="path"))
    whole, refused = table[table["fault"] == ""], table[table["fault"] != ""]
    if whole.empty:
        raise DataError(f"{found.root}: none of {len(table):,} images can be used:\n{shorten(_named(refused))}")
    splits.check_labels(whole, ensemble.classes)
    once = whole.drop_duplicates("image")
    seen = once[once["seen"] > 0]
    if len(seen) and not allow_leak:
        raise LeakError(
            f"networks were trained or selected on {len(seen):,} of {len(once):,} images, and their scores would be "
            "inflated; leave these out, or have every number marked as leaked with --allow-leak:\n"
            f"{shorten([*seen['path']])}"
        )
    two = len(ensemble.classes) == 2
    predictions = once.assign(model=ensemble.model, fold=0, repeat=0, role="test")
    if two:
        predictions["threshold"] = ensemble.threshold
    scores = [(name, *values) for name, values in sources.with_intervals(predictions, metrics.METRICS).items()]
    point = ensemble.point if two else HALF
    notes = [*ensemble.notes, *found.notes, *answers.attrs["notes"], *_notes(whole, refused, seen)]
    named = labels.named(whole, ensemble.classes)
    shown = ["path", "image", "label", "group", "source", *ANSWERS]
    return Evaluation(
        ensemble,
        Path(found.config.root).resolve().name,
        found.root,
        pd.DataFrame(scores, columns=SCORES),
        _thresholds(predictions, ensemble) if two else pd.DataFrame(columns=operating_point.COLUMNS),
        _calibration(predictions) if two else pd.DataFrame(columns=["scaled"]),
        sources.by_source(predictions if two else predictions[:0], found.sources),
        missed.missed(predictions, point, ensemble.classes),
        named[[*shown, *(f"probability_{name}" for name in ensemble.classes if not two)]].reset_index(drop=True),
        refused[["path", "fault"]].reset_index(drop=True),
        predictions,
        notes,
    )


def _thresholds(predictions: pd.DataFrame, ensemble: Ensemble) -> pd.DataFrame:
    """The rows of threshold.csv at 0.5 and at the point of these networks, chosen before."""
    rows = []
    for point, threshold in {HALF: HALF.threshold, ensemble.point: ensemble.threshold}.items():
        job = {"model": ensemble.model, "fold": 0, "repeat": 0, "threshold": threshold, "chosen_on": 0, "fault": ""}
        tested = operating_point.tested(predictions, pd.DataFrame([job]), point, 0.0, ensemble.prevalence)
        rows.append(tested[tested["fold"] == operating_point.ALL_FOLDS])
    dropped = ["fold", "repeat", "chosen_on", "supported"]  # of the run that the threshold comes from
    return pd.concat(rows, ignore_index=True).drop(columns=dropped)


def _calibration(predictions: pd.DataFrame) -> pd.DataFrame:
    """As calibration.csv: as they are (`scaled` 0) and by the scaling of each network (1), where that is known."""
    truth = predictions["label"].to_numpy()
    rows: list[dict[str, Any]] = [{"scaled": 0, **calibration.measured(truth, predictions["probability"].to_numpy())}]
    if predictions["calibrated"].notna().all():
        rows.append({"scaled": 1, **calibration.measured(truth, predictions["calibrated"].to_numpy(dtype=float))})
    return pd.DataFrame(rows)


def _notes(whole: pd.DataFrame, refused: pd.DataFrame, seen: pd.DataFrame) -> list[str]:
    said, pictures = [], whole["image"].nunique()
    if len(seen):
        said.append(f"LEAKED, as allowed: networks were trained or selected on {len(seen):,} of these images")
    if len(refused):
        said.append(f"{len(refused):,} of {len(refused) + len(whole):,} images cannot be used and are left out")
    if pictures < len(whole):
        said.append(f"{len(whole):,} files show {pictures:,} different pictures: each counts once")
    if (whole["group"] == "").all():
        said.append("no groups (such as patients) are known: intervals take all images as independent")
    unknown = int((whole["source"] == "").sum())
    if 0 < unknown < len(whole):
        said.append(f"{unknown:,} images have no source, and are in no row by source")
    return said


def _named(refused: pd.DataFrame) -> list[str]:
    return [f"{path}: {fault}" for path, fault in zip(refused["path"], refused["fault"], strict=True)]
