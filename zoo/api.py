"""What the command line does, from Python: train and compare, merge, read data, make splits, audit."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from zoo import limits
from zoo.auditing import run
from zoo.auditing.run import Audit
from zoo.data import dataset, images, labels, loading
from zoo.data.options import DataOptions
from zoo.data.splits import as_folds
from zoo.errors import UnwrittenError, of_system
from zoo.evaluation.metrics import check_metric
from zoo.files import expand, given
from zoo.plugins import discovery
from zoo.plugins.registry import Registry, load_registry, split_config
from zoo.run import merge as merging
from zoo.run import plan, results, scheduler
from zoo.run.executor import Execution, Executor, Kind
from zoo.run.folder import RunFolder
from zoo.run.job import Job
from zoo.run.plan import Plan
from zoo.run.request import Request
from zoo.run.results import Comparison


def compare(
    models: Sequence[str] = (),
    *,
    data: str | Path | pd.DataFrame | None = None,
    splits: str | Path | pd.DataFrame | None = None,
    folds: str | int | Sequence[int] = "all",
    out: str | Path | None = None,
    workers: int | None = None,
    executor: Kind = "local",
    metric: str = "auc",
    rope: float = 0.01,
    listen: scheduler.Listen | None = None,
    **options: Any,
) -> Comparison:
    """Train every model on every fold, or go on with a run folder, and compare them: `zoo compare`.

    `models` are names, none for all that are registered; `data` a folder, a manifest or the same as a data frame, None
    for what the registry says; `splits` a split file or what `make_splits` returns, None for the data's own folds;
    `folds` "all", "first", a number, several, or a text such as "0,3" or "0-4"; `out` the run folder. `workers` is how
    many jobs run at a time, and `executor` where: "local" or "ray". `options` are the other fields of
    `zoo.run.executor.Execution` (ray_address, cpus_per_job, gpus_per_job, memory_per_job), of
    `zoo.data.options.DataOptions` (test_data, classes, positive, columns, label, labels, groups, image_size) and of
    `zoo.run.request.Request` (weights, seed, max_epochs, registry, repeats, fresh, redo, feature_cache, precision,
    trackers, operating_point, prevalence, shard). `listen` is called with each job and event.
    Jobs that fail stand in the `missing` of what it returns.

    Raises ZooError for a request that cannot be met.
    """
    options |= {name: given(options[name]) for name in ("registry", "start_from") if name in options}
    where = {field.name: options.pop(field.name) for field in fields(Execution) if field.name in options}
    execution = Execution(executor=executor, workers=workers, **where)
    request = Request(
        models=tuple(models),
        data=data,
        splits=given(splits) if isinstance(splits, str) else splits,
        folds=as_folds(folds),
        out=given(out),
        **options,
    )
    with execution.open() as opened:
        return execute(request, opened, metric, rope, listen=listen).comparison


@dataclass(frozen=True)
class Executed:
    """A run that is over: what was planned, the jobs that failed, and what came of the others."""

    plan: Plan
    failed: list[Job]
    comparison: Comparison


def execute(
    request: Request,
    executor: Executor,
    metric: str = "auc",
    rope: float = 0.01,
    decoded: images.Progress | None = None,
    planned: Callable[[Plan, Executor], None] = lambda plan, executor: None,
    listen: scheduler.Listen | None = None,
) -> Executed:
    """Plan what is asked for, run its jobs, compare what came of them, and write the tables and the best models.

    This is what `compare`, `zoo run` and `zoo compare` do. `executor` is open. `decoded` is called with images decoded
    and in all, `planned` once all is checked and written down, with the executor, `listen` with each job and event.

    Raises ZooError for a request that cannot be met, and UnwrittenError where jobs are done and their tables cannot be
    written.
    """
    check_metric(metric)
    limits.ROPE.check("rope", rope)
    with plan.make_plan(request, decoded) as made:
        planned(made, executor)
        failed = scheduler.execute(made, listen or (lambda job, event: None), executor)
        done = _written(made.run, metric, rope)
    return Executed(made, failed, done)


def merge(runs: Sequence[str | Path], out: str | Path, *, metric: str = "auc", rope: float = 0.01) -> Comparison:
    """Join run folders of one `compare`, each with another `shard` of its jobs, into a new one: `zoo merge`.

    Jobs that none of them has done stand in the `missing` of what it returns; the same `compare` with this `out` and
    without shard runs them.

    Raises ConfigError for folders of different requests, with a job in two of them, or with files that were changed
    since, and for an `out` that is there already; UnwrittenError where the tables cannot be written.
    """
    check_metric(metric)
    limits.ROPE.check("rope", rope)
    run, notes = merging.merge([RunFolder(expand(each)) for each in runs], expand(out))
    done = _written(run, metric, rope)
    return dataclasses.replace(done, notes=[*notes, *done.notes])


def _written(run: RunFolder, metric: str, rope: float) -> Comparison:
    """The tables of a run folder, written into it with the best models."""
    done = results.compare(run, metric=metric, rope=rope)
    try:
        done.write(run.path)
        results.write_best(done)
        results.write_scalings(done)
    except OSError as error:
        again = shlex.join(["zoo", "report", str(run.path)])
        raise UnwrittenError(f"tables cannot be written: {of_system(error)}; then {again}") from error
    return done


def read_data(
    data: str | Path | pd.DataFrame | None = None, *, registry: str | Path | None = None, **options: Any
) -> pd.DataFrame:
    """The images that `data` lists, a row per file; nothing is decoded.

    Columns path, label (class name), group and source ('' if unknown); fold and role before them if the data come in
    folds or roles. `data` as for `compare`; `options` are the other fields of `zoo.data.options.DataOptions`:
    test_data, classes, positive, columns, label, labels, groups.

    Raises ZooError for data that cannot be used.
    """
    settled = loading.settle(_registry(registry).data, DataOptions(data=data, **options))
    found = dataset.read_dataset(settled.origin, settled.config, test=settled.test)
    return labels.named(found.table, found.config.classes)


def make_splits(
    data: str | Path | pd.DataFrame | None = None,
    *,
    method: str | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    combinations: int | Literal["all"] | None = None,
    seed: int | None = None,
    registry: str | Path | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Divide images into folds, checked: `zoo data split`. The table of splits.csv, for `splits` of `compare`.

    What is not given is as `split` under [data] in the registry says. `options` as for `read_data`.

    Raises ZooError for data or folds that cannot be used.
    """
    config = _registry(registry).data
    how = split_config(config.split, method=method, folds=folds, repeats=repeats, combinations=combinations, seed=seed)
    made = loading.make_splits(config, DataOptions(data=data, **options), how)
    return labels.named(made.splits, made.config.classes)


def audit(
    data: str | Path | pd.DataFrame | None = None,
    *,
    splits: str | Path | pd.DataFrame | None = None,
    folds: str | int | Sequence[int] = "all",
    near_duplicates: bool = True,
    listen: run.Listen | None = None,
    registry: str | Path | None = None,
    **options: Any,
) -> Audit:
    """Look for what is wrong with images and folds before anything is trained: `zoo data audit`.

    `data`, `splits` and `folds` as for `compare`, `options` as for `read_data`, and image_size. `near_duplicates` says
    whether flipped, rotated, cropped or brightened copies are looked for, which takes minutes for thousands of images,
    at `image_size` pixels. `listen` is called with each step, and how much of it is done. The tables of what it returns
    are data frames; its `write` keeps them, and its `is_clean` says whether nothing is wrong.

    Raises ZooError for data that cannot be audited; whatever else is wrong is a finding.
    """
    config = _registry(registry).data
    splits = given(splits) if isinstance(splits, str) else splits
    said = DataOptions(data=data, **options)
    return run.look(config, said, splits, as_folds(folds), near_duplicates=near_duplicates, listen=listen)


def _registry(path: str | Path | None) -> Registry:
    return load_registry(given(path), discovery.discover())
