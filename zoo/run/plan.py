"""A request -> a plan: data read, recipes built, everything checked and written down, one job per model and fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from filelock import FileLock

from zoo import limits
from zoo.data import demo, images, known_copies, labels
from zoo.data.config import DataConfig
from zoo.data.loading import load_data
from zoo.errors import ConfigError, ZooError, unknown
from zoo.evaluation.config import require_two
from zoo.files import expand, write_csv
from zoo.interfaces import Recipe, title
from zoo.plugins import discovery, registry
from zoo.plugins.discovery import Plugin
from zoo.run import provenance, resume
from zoo.run.folder import RunFolder
from zoo.run.job import Job
from zoo.run.request import Request, aim, default_out, run_record, start_from_file, weights_files
from zoo.training import backend


@dataclass(frozen=True)
class Plan:
    """Everything settled and checked before the first job: nothing in it can still turn out to be wrong.

    Its run folder, `resumed` if it was begun before, is this process's alone, and the decoded images are marked as in
    use; as a context it gives both back.
    """

    run: RunFolder
    jobs: list[Job]
    data: DataConfig
    splits: pd.DataFrame
    notes: list[str]
    lock: FileLock
    store: images.ImageStore
    trackers: Sequence[Plugin] = ()
    resumed: bool = False
    is_demo: bool = False

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *exception: object) -> None:
        self.lock.release()
        if self.store.mark:
            self.store.mark.release()


def make_plan(request: Request, progress: images.Progress | None = None) -> Plan:
    """Settle and check a request, and write run.json and splits.csv.

    `progress` is called with images decoded and in all. Raises ZooError for a request that cannot be met.
    """
    found = discovery.discover()
    models = registry.load_registry(request.registry, found)
    notes = [*found.problems]
    try:
        recipes = _recipes(models, request, notes)
    except ConfigError as error:
        lost = resume.missing_parts(request.out, request.models, [request.start_from, request.weights], found)
        raise ConfigError("; ".join([str(error), *lost])) from error
    trackers = [found.get("tracker", name).plugin for name in dict.fromkeys(request.trackers)]
    data = load_data(models.data, request, request.folds, progress, request.splits)
    notes += data.notes
    if request.operating_point:
        require_two(data.config.classes)
    for recipe in recipes.values():
        _check_class_weights(recipe, data.config.classes)
    options = request.training(start_from=start_from_file(request))
    if data.is_demo:
        options = options.training(
            max_epochs=options.max_epochs or demo.MAX_EPOCHS,
            min_learning_rate=max(options.min_learning_rate, demo.MIN_LEARNING_RATE),
        )
        recipes = {
            name: dataclasses.replace(recipe, batch_size=min(recipe.batch_size, demo.BATCH_SIZE))
            for name, recipe in recipes.items()
        }
        notes.append(
            f"Demo: {data.splits['image'].nunique()} procedural fundus images at {data.config.image_size} px, "
            f"batches of {demo.BATCH_SIZE}, at most {options.max_epochs} epochs a stage, learning rates of at least "
            f"{options.min_learning_rate:g}; no classifier can be right more often than {demo.BEST_ACCURACY:.0%} of "
            "the time on it. Your own images: --data DIR"
        )
    for model, fold in request.redo:
        if model not in recipes or fold not in set(data.splits["fold"]):
            raise ConfigError(f"redo {model}:{fold}: this request has no such job")
    folds = list(dict.fromkeys(data.splits["fold"].tolist()))
    _check_numbers(recipes.values(), len(folds), request.repeats)
    files = weights_files(recipes.values(), options.start_from)
    copies, said = provenance.check_leaks(data.splits, files, options.allow_leak)
    notes += said
    if not data.is_demo:
        notes += known_copies.notes(data.splits)
    folder = RunFolder(request.out or default_out(request))
    folder.create(recipes)
    lock = folder.lock()
    try:
        resumed = folder.request.exists() and not request.fresh
        described = run_record(request, recipes, data, options, aim(request, models.evaluation))
        table = labels.named(data.splits, data.config.classes)
        notes += _write_down(folder, request, described, table, data.sources)
        write_csv(folder.duplicates, copies)
    except BaseException:
        lock.release()
        raise
    jobs = [
        Job(
            model=name,
            fold=fold,
            repeat=repeat,
            recipe={**recipe.table(), "seed": recipe.seed + repeat},
            source=recipe.source,
            classes=list(data.config.classes),
            image_size=data.config.image_size,
            images=str(data.store.folder.absolute()),
            run=str(folder.path.absolute()),
            origins=recipe.origins,
            **vars(options),
        )
        for name, recipe in recipes.items()
        for fold in folds
        for repeat in range(request.repeats)
    ]
    if request.shard:
        part, parts = request.shard
        own = jobs[part - 1 :: parts]
        notes.append(f"Shard {part} of {parts}: {len(own)} of {len(jobs)} jobs")
        jobs = own
    return Plan(folder, jobs, data.config, data.splits, notes, lock, data.store, trackers, resumed, data.is_demo)


def _write_down(
    folder: RunFolder, request: Request, described: dict[str, Any], table: pd.DataFrame, sources: Mapping[str, str]
) -> list[str]:
    """Write run.json and splits.csv, or add the request to a folder begun with the same data; what to know of that."""
    notes = []
    again = [(model, fold, repeat) for model, fold in request.redo for repeat in range(request.repeats)]
    if request.fresh:
        folder.clear()
    if folder.request.exists():
        before = folder.read()
        resume.refuse_changes(folder, before, described)
        if folder.splits.exists():
            folder.read_splits(before)
        kept = [job for job in folder.expected(before) if job not in again]
        notes = [*folder.check(before, kept), *resume.other_origins(before, described)]
        notes += resume.lost(folder, [job for job in kept if job[0] in described["recipes"]])
        before["recipes"] = {**before["recipes"], **described["recipes"]}
        before["weights_files"] = {**before.get("weights_files", {}), **described["weights_files"]}
        for known in ("origins", "code"):
            before[known] = {**described[known], **before.get(known, {})}
        if request.operating_point or request.prevalence:
            before["evaluation"] = described["evaluation"]
        before["repeats"] = max(before.get("repeats", 1), described["repeats"])
        before["trackers"] = list(dict.fromkeys([*before.get("trackers", ()), *described["trackers"]]))
        described = before
    else:
        folder.check_begun(described["recipes"])
    if not folder.request.exists() or not folder.splits.exists():
        described = {**described, "files": folder.write_splits(table, sources)}
    folder.write(described)
    for job in again:
        folder.job(*job).remove()
    return notes


def _recipes(models: registry.Registry, request: Request, notes: list[str]) -> dict[str, Recipe]:
    """The recipes asked for. A faulty one is an error if it is named, and only noted if all are asked for."""
    recipes = {}
    for name in dict.fromkeys(request.models or models.names()):
        try:
            recipes[name] = _recipe(models, name, request)
        except ZooError as error:
            if request.models:
                raise
            notes.append(f"model {name} left out: {error}")
    if not recipes:
        raise ConfigError(f"no models: no plug-in offers any that works and {models.path} names none")
    return recipes


def _recipe(models: registry.Registry, name: str, request: Request) -> Recipe:
    recipe = models.recipe(name)
    backend.check_recipe(recipe)
    if request.weights is not None:
        recipe = dataclasses.replace(recipe, backbone=dataclasses.replace(recipe.backbone, weights=request.weights))
    if recipe.backbone.from_file:
        file = expand(recipe.backbone.weights)
        if not file.is_file():
            raise ConfigError(_absent(recipe))
        recipe = dataclasses.replace(
            recipe, backbone=dataclasses.replace(recipe.backbone, weights=str(file.absolute()))
        )
    if request.seed is not None:
        recipe = dataclasses.replace(recipe, seed=request.seed)
    return recipe


def _absent(recipe: Recipe) -> str:
    """What to say of a weights file that isn't there: the user has named it, or its backbone should have brought it."""
    backbone = recipe.backbone
    if backbone.weights == type(backbone).weights:
        return (
            f"{recipe.name}: {backbone.weights}, the weights of {title(backbone)}, does not exist; it should have come "
            f"with {backbone.__zoo_origin__}: is it packed into its wheel? --weights none starts from random weights"
        )
    known = ", ".join(["auto", *backbone.starts, "none"])
    return f"{recipe.name}: weights file {backbone.weights} does not exist; use {known} or a file"


def _check_numbers(recipes: Collection[Recipe], folds: int, repeats: int) -> None:
    """Refuse more jobs than anybody waits for, and seeds that repeats would take beyond the last."""
    count = len(recipes) * folds * repeats
    if count > limits.JOBS:
        raise ConfigError(
            f"{len(recipes)} models x {folds} folds x {repeats} repeats are {count:,} jobs, and "
            f"{limits.JOBS:,} are the most: name fewer"
        )
    for recipe in recipes:
        if fault := limits.SEED.fault(recipe.seed + repeats - 1):
            raise ConfigError(f"{recipe.name}: the seed of its last repeat {fault}")


def _check_class_weights(recipe: Recipe, classes: Sequence[str]) -> None:
    for stage in registry.checked_stages(recipe.schedule):
        for name in stage.class_weights if isinstance(stage.class_weights, dict) else ():
            if name not in classes:
                raise ConfigError(f"{recipe.name}: class_weights: {unknown('class', name, list(classes))}")
