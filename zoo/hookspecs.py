"""The hooks that a plug-in may implement, each with `@zoo.hookimpl`, and the version of this interface.

The first five say what a plug-in adds. The last four tell a tracker how a run goes: a module with any of them offers
the tracker that is named as its entry point, for `--tracker NAME`. They are called in a process of the tracker's own,
one after the other, with what JSON can hold: nothing that they do, raise or return reaches the training. A hook names
those of its arguments that it wants. Mappings may get further keys within a version of the interface.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pluggy

from zoo.interfaces import Augmenter, Backbone, Head, Schedule

API_VERSION = "1.0"
"""The version of the plug-in interface: hooks and part classes together.

The first number grows when a plug-in must be changed to go on working, the second when something is added. A plug-in
may say ZOO_API = ">=1,<2" at the top of its module.
"""

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")
"""Marks a function of a plug-in's module as one of these hooks: `@zoo.hookimpl`."""


@hookspec
def zoo_backbones() -> Sequence[type[Backbone]]:  # type: ignore[empty-body]
    """Backbone classes that recipes may name."""


@hookspec
def zoo_heads() -> Sequence[type[Head]]:  # type: ignore[empty-body]
    """Head classes that recipes may name."""


@hookspec
def zoo_schedules() -> Sequence[type[Schedule]]:  # type: ignore[empty-body]
    """Schedule classes that recipes may name."""


@hookspec
def zoo_augmenters() -> Sequence[type[Augmenter]]:  # type: ignore[empty-body]
    """Augmenter classes that recipes may name."""


@hookspec
def zoo_models() -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Ready-made models: name to table, as under [models] in registry.toml."""


@hookspec
def zoo_run_started(run: Mapping[str, Any]) -> None:
    """Jobs are about to run; told once, before all else.

    `run` holds `path` (of the run folder, absolute) and `name` (of that folder), `started` (when the folder was begun,
    ISO 8601) and `resumed` (whether it was there before); `models`, `folds`, `repeats` and `jobs` (as `job` below) of
    this session; and of run.json `recipes` (name to table with every parameter), `data`, `versions`, `request`.
    """


@hookspec
def zoo_epoch_ended(run: Mapping[str, Any], job: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
    """A job has trained for an epoch; one that goes on tells only the epochs to come.

    `job` holds `model`, `fold`, `repeat` (from 0), `title` (for people), `folder` (absolute) and `seed`. `epoch` holds
    the columns of history.csv: `stage`, `epoch` (within the stage, from 1), `learning_rate`, `loss`, `accuracy`,
    `val_loss`, `val_accuracy`, `seconds`, `val_auc` (None without an image of each class); and `epochs` (at most, of
    the stage), `number` (over all stages of the job, from 1) and `best` (whether it is the best epoch of the job so
    far, by what the recipe monitors).
    """


@hookspec
def zoo_job_ended(run: Mapping[str, Any], job: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """A job has ended, or was done before the run went on.

    `result` holds `state` ("done", "failed", "interrupted", or "skipped" for one that was done before), `metrics` (the
    content of metrics.json: role to metric to number, None where there is none), `weights` (what the backbone started
    from) and `error`; the last three are None where there are none.
    """


@hookspec
def zoo_run_ended(run: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """No job runs any more; told last. Nothing is told where the whole of zoo was killed.

    `result` holds `state` ("done", "failed" if some jobs did, or "interrupted"), `done` and `failed` (titles of jobs),
    `results` (the rows of results.csv, None where a cell is empty) and `seconds` (that this session took).
    """
