"""The run folder's predictions -> results.csv, summary.csv, comparison.csv and the best model of each fold."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from zoo.data import splits
from zoo.errors import DataError, line
from zoo.evaluation import calibration, comparison, metrics, missed, operating_point, sources
from zoo.evaluation.config import HALF, EvaluationConfig, OperatingPoint, point_of, require_two
from zoo.files import read_csv, read_json, replacing, write_csv, write_json
from zoo.limits import ROPE
from zoo.plugins.registry import from_table
from zoo.run import provenance
from zoo.run.folder import JobFolder, JobKey, RunFolder
from zoo.run.provenance import Provenance


@dataclass(frozen=True)
class Comparison:
    """Models compared over folds, as data frames.

    `results` has a row per model and fold (results.csv), `summary` one per model, role and metric (summary.csv),
    `comparison` one per pair of models (comparison.csv), `predictions` one per model, fold, role and image. They are at
    `point`, 0.5 unless another is asked for. `thresholds` has a row per model and fold, and one over folds, at 0.5 and
    at the operating point that the run aims at (threshold.csv; for two classes), and `missed` has a row per model and
    test image that it gets wrong there (missed.csv). `missing` names the jobs that are not done, `notes` says what a
    reader must know of the numbers. Paths of images begin at `root`.
    """

    run: RunFolder
    results: pd.DataFrame
    summary: pd.DataFrame
    comparison: pd.DataFrame
    predictions: pd.DataFrame
    missing: list[str]
    notes: list[str]
    thresholds: pd.DataFrame
    missed: pd.DataFrame
    metric: str
    rope: float
    point: OperatingPoint
    aim: EvaluationConfig
    classes: list[str]
    roles: dict[str, str]
    root: Path

    @cached_property
    def calibration(self) -> pd.DataFrame:
        """Whether probabilities are right (calibration.csv); no row for more than two classes."""
        table = calibration.calibration(self.predictions if len(self.classes) == 2 else self.predictions[:0])
        return table.merge(comparison.marks(self.predictions).reset_index(), on="model", how="left")

    @cached_property
    def aimed(self) -> pd.DataFrame:
        """`predictions` with the thresholds of the operating point that the run aims at; for two classes."""
        chosen = operating_point.thresholds(self.predictions, self.aim.operating_point, self.aim.prevalence)
        return operating_point.with_thresholds(self.predictions, chosen)

    @cached_property
    def by_source(self) -> pd.DataFrame:
        """A row for each model and source of images, at the aim; none where no sources are known, or of more classes.

        Columns as zoo.evaluation.sources has them.
        """
        known = self.run.sources(self.run.read()) if len(self.classes) == 2 else {}
        return sources.by_source(self.aimed if known else self.predictions[:0], known)

    @property
    def words(self) -> list[str]:
        """A sentence for each pair of models."""
        return comparison.words(self.comparison, self.results, self.predictions)

    @property
    def titles(self) -> dict[str, str]:
        """What people are shown as each model's name: weights that have seen test images are marked, or may have."""
        rows = self.summary.drop_duplicates("model").to_dict("records")
        return {row["model"]: row["model"] + mark(row) for row in rows}

    def marked(self) -> Comparison:
        """The same with the models named by their titles in every table."""
        renamed = {
            name: getattr(self, name).replace(dict.fromkeys(columns, self.titles))
            for name, columns in (
                ("results", ["model"]),
                ("summary", ["model"]),
                ("predictions", ["model"]),
                ("comparison", ["model_a", "model_b"]),
            )
        }
        return dataclasses.replace(self, **renamed)

    def at(self, **point: Any) -> Comparison:
        """The same models and folds with every table at another operating point, chosen on validation.

        `point` is one field of OperatingPoint, such as `sensitivity=0.95`, `specificity`, `youden=True`,
        `cost={"missed": 10, "false_alarm": 1}` or `threshold`. Raises ConfigError for any other, or more than two
        classes.
        """
        jobs = self.predictions
        return compare(
            self.run, [*jobs["model"].unique()], tuple(jobs["fold"].unique()), self.metric, point_of(point), self.rope
        )

    def report(self, file: str | Path, images: bool = True) -> None:
        """Write the page to share, `report.html`, to a file; with photographs of test images unless told otherwise.

        Raises OSError if it cannot be written.
        """
        from zoo.report import run_page

        run_page.write(self, Path(file), images)

    def write_point(self, folder: Path) -> None:
        """Write missed.csv into a folder, and for two classes threshold.csv."""
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "missed.csv", self.missed)
        if len(self.classes) == 2:
            write_csv(folder / "threshold.csv", self.thresholds)

    def trade_offs(self) -> dict[str, pd.DataFrame]:
        """For each model what more sensitivity costs on validation, see zoo.evaluation.operating_point.trade_off."""
        each = self.predictions.groupby("model", sort=False)
        return {str(model): operating_point.trade_off(of_model, self.aim) for model, of_model in each}

    def write(self, folder: Path) -> None:
        """Write results.csv, summary.csv, comparison.csv and missed.csv into a folder.

        For two classes threshold.csv and calibration.csv too.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("results", "summary", "comparison"):
            write_csv(folder / f"{name}.csv", getattr(self, name))
        self.write_point(folder)
        if len(self.classes) == 2:
            write_csv(folder / "calibration.csv", self.calibration)


def compare(
    run: RunFolder,
    models: Sequence[str] = (),
    folds: splits.Folds = None,
    metric: str = "auc",
    point: OperatingPoint | None = None,
    rope: float = 0.01,
    prevalence: float | None = None,
) -> Comparison:
    """Every table of a run, from its predictions: nothing is trained, and no table on the disk is read or written.

    `models` and `folds` pick some, none given means all; `metric` is the one that pairs are compared by, `point` where
    decisions are made, 0.5 if none is given. It and `prevalence` go before what the run aims at.

    Raises ConfigError for a folder that is no run, for unknown models, folds or metrics, for a rope that is no number
    of its kind, and for an operating point of more than two classes.
    """
    metrics.check_metric(metric)
    ROPE.check("rope", rope)
    record = run.read()
    aim = from_table(EvaluationConfig, record.get("evaluation", {}), f"{run.request}: evaluation")
    aim = dataclasses.replace(
        aim,
        operating_point=point or aim.operating_point,
        prevalence=aim.prevalence if prevalence is None else prevalence,
    )
    if point:
        require_two(record["data"]["classes"], f"{run.path}: ")
    run.require_models(record, models)
    chosen = splits.choose(record["data"]["folds"], folds, str(run.path))
    wanted = [job for job in run.expected(record) if (not models or job[0] in models) and job[1] in chosen]
    said = run.check(record, wanted)
    table = run.read_splits(record)
    predictions, to_train = read_predictions(run, wanted, table), _to_train(table)
    points = dict.fromkeys([HALF, aim.operating_point]) if len(record["data"]["classes"]) == 2 else ()
    of_points = {each: operating_point.thresholds(predictions, each, aim.prevalence) for each in points}
    thresholds, wrong, unsupported = _at_points(predictions, of_points, aim, to_train, record["data"]["classes"])
    point = point or HALF
    if point != HALF:
        predictions = operating_point.with_thresholds(predictions, of_points[point])
    results = _with_weights(run, comparison.results(predictions))
    summaries = [comparison.summary(predictions, results, to_train)]
    if results["model"].nunique() > 1:
        best = comparison.best_by_validation(results, metric)
        as_used, scores = comparison.as_chosen(predictions, best), comparison.as_chosen(results, best)
        summaries.append(comparison.summary(as_used, scores, to_train))
    missing = [name for job in wanted if (name := _missing(run, job))]
    return Comparison(
        run,
        _without_repeat(results),
        pd.concat(summaries, ignore_index=True),
        comparison.compare(predictions, results, to_train, metric, rope),
        predictions,
        missing,
        [
            *said,
            *notes(predictions, table, missing),
            *_one_class(predictions, point, record["data"]["classes"]),
            *unsupported,
        ],
        thresholds,
        wrong,
        metric,
        rope,
        point,
        aim,
        record["data"]["classes"],
        record["data"]["roles"],
        _root(record["data"]),
    )


def _root(data: Mapping[str, Any]) -> Path:
    """Where the paths of images begin: the data's folder, or that of its manifest."""
    root = Path(data.get("root", ""))
    return root.parent if root.is_file() else root


def read_predictions(run: RunFolder, wanted: Sequence[JobKey], table: pd.DataFrame) -> pd.DataFrame:
    """The predictions of all jobs that are done, with model, fold, repeat and group before their own columns."""
    groups = table.drop_duplicates("image").set_index("image")["group"]
    parts = []
    for model, fold, repeat in wanted:
        job = run.job(model, fold, repeat)
        if job.done:
            part = read_csv(job.predictions)
            _check_predictions(job.predictions, part, table[table["fold"] == fold])
            part = _marked(part, run, job)
            part.insert(0, "model", model)
            part.insert(1, "fold", fold)
            part.insert(2, "repeat", repeat)
            parts.append(part.assign(group=part["image"].map(groups).fillna("")))
    empty = [*comparison.JOB, "role", "image", "path", "label", "probability", "group"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=empty)
    return table.assign(**{mark: table[mark].fillna(0).astype(int) for mark in comparison.MARKS if mark in table})


def _marked(predictions: pd.DataFrame, run: RunFolder, job: JobFolder) -> pd.DataFrame:
    """The predictions of a job, marked by what its weights have seen; what was marked in training stays so.

    Then near-duplicates may have been known that are not any more.
    """
    try:
        seen = Provenance.from_table(read_json(job.provenance))
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{job.provenance} is not what zoo wrote: {error}; train again with --redo MODEL:FOLD"
        ) from None
    test = predictions["role"] == "test"
    leaks = {*provenance.leaked(predictions["image"][test], seen.images, run.known_duplicates())}
    if "leaked" in predictions:
        leaks |= {*predictions["image"][predictions["leaked"] > 0]}
    predictions = predictions.drop(columns=list(comparison.MARKS), errors="ignore")
    if leaks:
        predictions["leaked"] = (test & predictions["image"].isin(leaks)).astype(int)
    return predictions.assign(origin_unknown=1) if seen.unknown else predictions


def mark(row: Mapping[Any, Any]) -> str:
    """What stands beside the name of a model in every table and picture; `row` may have columns of MARKS."""
    return " (LEAKED)" * bool(row.get("leaked")) + " (origin unknown)" * bool(row.get("origin_unknown"))


def _check_predictions(file: Path, predictions: pd.DataFrame, fold: pd.DataFrame) -> None:
    """Raise DataError unless each image of both roles is predicted once, with its label; `fold` is of splits.csv."""
    columns = ["role", "image", "label"]

    def rows(table: pd.DataFrame) -> list[list[object]]:
        return table[columns].sort_values(columns).to_numpy().tolist()

    wanted = fold[fold["role"].isin(comparison.SCORED_ROLES)]
    if not {*columns, "probability"} <= {*predictions.columns} or rows(predictions) != rows(wanted):
        raise DataError(
            f"{file} holds other images, roles or labels than splits.csv of its run; was it copied from another run? "
            "Put back what was there, or train again with --redo MODEL:FOLD"
        )


def write_results(run: RunFolder) -> None:
    """Bring results.csv up to date, and in run.json the machine and the weights that the jobs really used."""
    record = run.read()
    scores = {}
    for model, fold, repeat in run.expected(record):
        job = run.job(model, fold, repeat)
        if job.done:
            status = job.status()
            record["machine"] = status["machine"]
            record.setdefault("weights", {}).setdefault(model, {})[str(fold)] = status["weights"]
            scores[model, fold, repeat] = job.scores()
    run.write(record)
    write_csv(run.results, _without_repeat(_with_weights(run, comparison.results_of(scores))))


def write_scalings(done: Comparison) -> None:
    """calibration.json beside each model: Platt's scaling of its probabilities, from validation. For two classes."""
    if len(done.classes) == 2:
        for job, scaling in calibration.scalings(done.predictions).items():
            write_json(done.run.job(*job).path / "calibration.json", vars(scaling))


def write_best(done: Comparison) -> None:
    """best/fold-<k>.json and .keras: of each fold the best job by `metric` on the validation role.

    The model file is a hard link to the job's where the disk can, else a copy.
    """
    column = metrics.column(done.metric, "validation")
    results = done.results if "repeat" in done.results else done.results.assign(repeat=0)
    one_class = comparison.one_class(done.predictions)
    for best in comparison.best_by_validation(results, done.metric).to_dict("records"):
        fold, key = best["fold"], tuple(best[name] for name in comparison.JOB)
        job = done.run.job(best["model"], fold, best["repeat"])
        target = done.run.best(fold)
        target.parent.mkdir(exist_ok=True)
        with replacing(target) as draft:
            draft.unlink(missing_ok=True)
            try:
                os.link(job.best, draft)
            except OSError:
                shutil.copyfile(job.best, draft)
        row = {
            "fold": int(fold),
            "model": best["model"],
            "metric": done.metric,
            "validation": best[column],
            "path": job.best.relative_to(done.run.path).as_posix(),
            **{name: int(best[name]) for name in comparison.MARKS if best.get(name)},
            **({"warning": _calls_all(done.classes[one_class[key]], done.point)} if key in one_class else {}),
        }
        write_json(target.with_suffix(".json"), row)


def _with_weights(run: RunFolder, results: pd.DataFrame) -> pd.DataFrame:
    weights = [run.job(*job).status()["weights"] for job in results[comparison.JOB].itertuples(index=False, name=None)]
    results.insert(len(comparison.JOB), "weights", weights)
    return results


def _without_repeat(results: pd.DataFrame) -> pd.DataFrame:
    """results.csv has a column for repeats only where there are some."""
    return results if (results["repeat"] > 0).any() else results.drop(columns="repeat")


def _to_train(table: pd.DataFrame) -> dict[str, float]:
    """Images of each role over those of the training role, on average over folds."""
    sizes = table.groupby(["fold", "role"]).size().unstack()
    return {role: float((sizes[role] / sizes["train"]).mean()) for role in comparison.SCORED_ROLES}


def _missing(run: RunFolder, job: JobKey) -> str | None:
    folder = run.job(*job)
    if folder.done:
        return None
    lost = ", ".join(folder.missing()) if folder.status().get("state") == "done" else ""
    error = f"{lost} missing" if lost else folder.status().get("error", "not run yet").partition("\n")[0]
    return f"{RunFolder.title(*job)}: {line(error) or 'no message'}"


def _at_points(
    predictions: pd.DataFrame,
    chosen: Mapping[OperatingPoint, pd.DataFrame],
    aim: EvaluationConfig,
    to_train: dict[str, float],
    classes: Sequence[str],
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """threshold.csv and missed.csv at the thresholds of each point, and a note where validation can't choose them.

    For more than two classes the most probable class is taken, and there are no thresholds.
    """
    marks = comparison.marks(predictions).reset_index()
    if len(classes) != 2:
        wrong = missed.missed(predictions, HALF, classes).merge(marks, on="model", how="left")
        return pd.DataFrame(columns=operating_point.COLUMNS), wrong, []
    tables, lists, said = [], [], []
    for point, of_jobs in chosen.items():
        tables.append(operating_point.tested(predictions, of_jobs, point, to_train["test"], aim.prevalence))
        lists.append(missed.missed(operating_point.with_thresholds(predictions, of_jobs), point, classes))
        for model, jobs in of_jobs[of_jobs["fault"] != ""].groupby("model", sort=False):
            where = ", ".join(map(str, jobs["fold"].unique()))
            said.append(f"{model}: no {point} is sure in fold {where}: {jobs['fault'].iloc[0]}")
    thresholds, wrong = (pd.concat(each, ignore_index=True).merge(marks, on="model") for each in (tables, lists))
    return thresholds, wrong, said


def _calls_all(name: str, point: OperatingPoint) -> str:
    return f"calls every validation image {name} at {point}"


def _one_class(predictions: pd.DataFrame, point: OperatingPoint, classes: Sequence[str]) -> list[str]:
    """A note for each model that can't tell the classes apart in some fold."""
    said = []
    called = comparison.one_class(predictions).rename("called").reset_index()
    for number, name in enumerate(classes):
        for model, jobs in called[called["called"] == number].groupby("model", sort=False):
            folds = sorted(set(jobs["fold"]))
            where = f"fold{'s' * (len(folds) > 1)} {', '.join(map(str, folds))}"
            said.append(f"{model} {_calls_all(name, point)} in {where}: it finds no other class there")
    return said


def notes(predictions: pd.DataFrame, table: pd.DataFrame, missing: Sequence[str]) -> list[str]:
    """What a reader must know of the numbers; `table` is splits.csv, `missing` the jobs that are not done."""
    said = []
    if missing:
        said.append(
            f"{len(missing)} job{'s are' if len(missing) > 1 else ' is'} missing; pairs are compared on the folds that "
            "both models have"
        )
    if "origin_unknown" in predictions:
        models = predictions.loc[predictions["origin_unknown"] > 0, "model"].unique()
        said.append(f"ORIGIN UNKNOWN: it cannot be told whether weights of {', '.join(models)} have seen test images")
    if "leaked" in predictions:
        seen = predictions.groupby("model", sort=False)["leaked"].sum()
        said += [
            f"LEAKED: the weights of {model} have seen {int(count)} of the test images that they are scored on"
            for model, count in seen.items()
            if count
        ]
    test = table[table["fold"].isin(predictions["fold"].unique()) & (table["role"] == "test")]
    tested = test.groupby("image")["fold"].nunique()
    often = int((tested > 1).sum())
    same = comparison.same_tests(predictions)
    if same.nunique() < len(same):
        said.append(
            f"{len(same)} folds have {same.nunique()} different test set{'s' * (same.nunique() > 1)}: "
            "folds that test the same images are averaged, and count as one"
        )
    if often:
        said.append(
            f"the folds are no partition: {often} of {len(tested)} test images are tested in several folds; the "
            "pooled tests use the average of their probabilities"
        )
    if len(tested) and (table["group"] == "").all():
        said.append("no groups (such as patients) are known: the pooled tests take all images as independent")
    return said
