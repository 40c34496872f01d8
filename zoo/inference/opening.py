"""Which networks answer together: those of a model in a run folder, of a bundle, or of a single model file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from zoo.data import known_copies
from zoo.data.splits import Folds, choose
from zoo.errors import ConfigError
from zoo.evaluation import calibration, comparison, operating_point
from zoo.evaluation.calibration import Scaling
from zoo.evaluation.config import HALF, EvaluationConfig, OperatingPoint, require_two
from zoo.files import expand
from zoo.inference import bundle
from zoo.inference.members import Ensemble, Member
from zoo.plugins.registry import from_table
from zoo.run import results
from zoo.run.folder import RunFolder
from zoo.training import model_file


def open_model(
    path: str | Path,
    model: str | None = None,
    folds: Folds = None,
    point: OperatingPoint | None = None,
    prevalence: float | None = None,
) -> Ensemble:
    """What a run folder, a bundle or a .keras file has to answer with; no network is loaded yet.

    Of a run folder `model` names one of its models, which may be left out where there is one, and `folds` some of its
    folds. `point` and `prevalence`, as in EvaluationConfig, go before what the run aims at.

    Raises ConfigError for what is none of these, or has been changed since zoo wrote it, WeightsError for a file that
    is damaged.
    """
    place = expand(path)
    if place.is_dir():
        return _of_run(RunFolder(place), model, folds, point, prevalence)
    if model is not None or folds is not None:
        raise ConfigError(f"{place} is no run folder, of which --model and --folds choose networks")
    if bundle.is_bundle(place):
        return _decided(bundle.open_bundle(place), place, point, prevalence)
    about = model_file.read_about(place)
    if about is None:
        model_file.custom_classes(place)  # says what is wrong with a file that is none
        raise ConfigError(f"{place} does not say which classes it knows: only models that zoo has trained do")
    if point:
        require_two(about.classes, f"{place}: ")
    said = _of_file(place, point) if len(about.classes) == 2 else []
    threshold = point.threshold if point and point.threshold is not None else 0.5
    return Ensemble(
        about.model,
        (Member(place.name, place, about, threshold),),
        OperatingPoint(threshold=threshold),
        tuple(said),
        pd.DataFrame(columns=known_copies.NEAR_COLUMNS),
        prevalence,
    )


def _of_file(file: Path, point: OperatingPoint | None) -> list[str]:
    """What to know of decisions by a model file alone. Raises ConfigError for a point that it cannot have."""
    if point is None:
        return [
            f"{file.name} holds no operating point: images are called positive from 0.5 on; its run folder "
            "has the threshold that validation chose"
        ]
    if point.threshold is None:
        raise ConfigError(f"{file} has no validation images to choose {point} on; name its run folder, or --threshold")
    return []


def _decided(opened: Ensemble, file: Path, point: OperatingPoint | None, prevalence: float | None) -> Ensemble:
    """The networks of a bundle, whose own point and prevalence hold unless others are given."""
    if prevalence is not None:
        opened = dataclasses.replace(opened, prevalence=prevalence)
    if point is None:
        return opened
    require_two(opened.classes, f"{file}: ")
    _of_file(file, point)
    each = [dataclasses.replace(member, threshold=point.threshold or 0.0) for member in opened.members]
    return dataclasses.replace(opened, members=tuple(each), point=point)


def _of_run(
    run: RunFolder, model: str | None, folds: Folds, point: OperatingPoint | None, prevalence: float | None
) -> Ensemble:
    record = run.read()
    classes, models = record["data"]["classes"], [*record["recipes"]]
    if model is None and len(models) > 1:
        raise ConfigError(f"{run.path} holds {len(models)} models; choose one: --model {' or --model '.join(models)}")
    model = model or models[0]
    run.require_models(record, [model])
    if point:
        require_two(classes, f"{run.path}: ")
    chosen = choose(record["data"]["folds"], folds, str(run.path))
    jobs = [job for job in run.expected(record) if job[0] == model]
    notes = run.check(record, jobs)
    predictions = results.read_predictions(run, jobs, run.read_splits(record))
    done = [job for job in jobs if run.job(*job).done and job[1] in chosen]
    if not done:
        raise ConfigError(f"{run.path}: no fold of {model} is done that could answer; the run's own command goes on")
    lost = [RunFolder.title(*job) for job in jobs if job[1] in chosen and job not in done]
    notes += [f"left out, as not done: {', '.join(lost)}"] if lost else []
    aim = from_table(EvaluationConfig, record.get("evaluation", {}), f"{run.request}: evaluation")
    point, prevalence = point or aim.operating_point, aim.prevalence if prevalence is None else prevalence
    thresholds: Mapping[Any, float] = {}
    scalings: Mapping[Any, Scaling] = {}
    if len(classes) == 2:
        table = operating_point.thresholds(predictions, point, prevalence)
        thresholds = table.set_index(comparison.JOB)["threshold"].to_dict()
        scalings = calibration.scalings(predictions)
        faults = table.loc[table["fault"] != "", "fault"]
        notes += [f"no {point} is sure: {faults.iloc[0]}"] if len(faults) else []
    members = []
    for job in done:
        file = run.job(*job).best
        about = model_file.read_about(file)
        if about is None or about.classes != classes:
            raise ConfigError(f"{file} is not the network that {run.request} tells of; train again: --redo MODEL:FOLD")
        title = RunFolder.title(*job).removeprefix(f"{model}, ")
        members.append(Member(title, file, about, thresholds.get(job, HALF.threshold or 0.5), scalings.get(job)))
    return Ensemble(model, tuple(members), point, tuple(notes), run.known_duplicates(), prevalence)
