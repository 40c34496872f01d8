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
from zoo.evaluation import calibration, comparison, metrics, operating_point
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
    opened = bundle.open_bundle(place) if bundle.is_bundle(place) else _of_file(place, told=point is None)
    if prevalence is not None:
        opened = dataclasses.replace(opened, prevalence=prevalence)
    if point is None:
        return opened
    require_two(opened.classes, f"{place}: ")
    threshold = point.threshold
    if threshold is None:
        raise ConfigError(f"{place} has no validation images to choose {point} on; name its run folder, or --threshold")
    members = tuple(dataclasses.replace(member, threshold=threshold) for member in opened.members)
    return dataclasses.replace(opened, members=members, point=point)


def _of_file(file: Path, told: bool) -> Ensemble:
    """The network of a model file, which holds no operating point; whether that is `told`."""
    about = model_file.read_about(file)
    if about is None:
        model_file.custom_classes(file)  # says what is wrong with a file that is none
        raise ConfigError(f"{file} does not say which classes it knows: only models that zoo has trained do")
    notes = [
        f"{file.name} holds no operating point: images are called positive from {metrics.THRESHOLD} on; its run folder "
        "has the threshold that validation chose"
    ] * (told and len(about.classes) == 2)
    member = Member(file.name, file, about, metrics.THRESHOLD)
    return Ensemble(about.model, (member,), HALF, tuple(notes), pd.DataFrame(columns=known_copies.NEAR_COLUMNS))


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
        members.append(Member(title, file, about, thresholds.get(job, metrics.THRESHOLD), scalings.get(job)))
    return Ensemble(model, tuple(members), point, tuple(notes), run.known_duplicates(), prevalence)
