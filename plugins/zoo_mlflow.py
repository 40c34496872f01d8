"""MLflow: a run for each run folder and, nested in it, one for each job, with parameters, curves and scores.

They are kept where MLFLOW_TRACKING_URI says, else in the file mlflow.db of the current folder; in the experiment
MLFLOW_EXPERIMENT_NAME, else zoo. A run folder that goes on goes on with its MLflow runs. Needs zoo[mlflow].
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import zoo

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc", "learning_rate")
STATUS = {"done": "FINISHED", "skipped": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_ids: dict[str, str] = {}  # "" or the title of a job -> its MLflow run


@cache
def _client() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise zoo.PluginError("MLflow is missing: pip install 'zoo[mlflow]'") from error
    return MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db")


@cache
def _experiment() -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "zoo"
    found = _client().get_experiment_by_name(name)
    return found.experiment_id if found else _client().create_experiment(name)


def _find(tag: str, value: str, **tags: str) -> Any:
    """The newest MLflow run with all these tags, or None; only the first may be searched for by MLflow itself."""
    found = _client().search_runs([_experiment()], f"tags.`{tag}` = '{value}'", order_by=["start_time DESC"])
    return next((run for run in found if tags.items() <= run.data.tags.items()), None)


def _begin(key: str, name: str, tags: dict[str, str], params: Mapping[str, Any]) -> str:
    """A new MLflow run."""
    _ids[key] = _client().create_run(_experiment(), run_name=name, tags=tags).info.run_id
    from mlflow.entities import Param

    flat = [Param(name, value[:6000]) for name, value in _flat(params)]
    for start in range(0, len(flat), 100):  # both are MLflow's limits
        _client().log_batch(_ids[key], params=flat[start : start + 100])
    return _ids[key]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _resume(key: str, found: Any) -> str:
    _ids[key] = found.info.run_id
    _client().update_run(_ids[key], status="RUNNING")
    return _ids[key]


def _of_run(run: dict[str, Any]) -> str:
    """The MLflow run of a run folder."""
    if "" in _ids:
        return _ids[""]
    tags = {"zoo.started": run["started"], "zoo.path": run["path"]}
    if found := _find("zoo.started", run["started"], **tags):
        return _resume("", found)
    return _begin("", run["name"], tags, {"data": run["data"], "versions": run["versions"]})


def _of_job(run: dict[str, Any], job: dict[str, Any], anew: bool = False) -> str:
    """The MLflow run of a job."""
    title = job["title"]
    if title in _ids and not anew:
        return _ids[title]
    tags = {"mlflow.parentRunId": _of_run(run), "zoo.job": title, "zoo.folder": job["folder"]}
    if not anew and (found := _find("mlflow.parentRunId", tags["mlflow.parentRunId"], **{"zoo.job": title})):
        return _resume(title, found)
    params = {key: job[key] for key in ("model", "fold", "repeat")} | run["recipes"][job["model"]]
    return _begin(title, title, tags, params | {"seed": job["seed"]})


def _log(run_id: str, numbers: Mapping[str, Any], step: int) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    finite = {name: value for name, value in numbers.items() if isinstance(value, int | float) and math.isfinite(value)}
    _client().log_batch(run_id, metrics=[Metric(name, value, now, step) for name, value in finite.items()])


@zoo.hookimpl
def zoo_run_started(run: dict[str, Any]) -> None:
    _of_run(run)


@zoo.hookimpl
def zoo_epoch_ended(run: dict[str, Any], job: dict[str, Any], epoch: dict[str, Any]) -> None:
    run_id = _of_job(run, job, anew=epoch["number"] == 1)  # a job that starts over is another
    _log(run_id, {name: epoch[name] for name in CURVES}, epoch["number"])


@zoo.hookimpl
def zoo_job_ended(run: dict[str, Any], job: dict[str, Any], result: dict[str, Any]) -> None:
    if result["state"] == "skipped":
        known = _find("mlflow.parentRunId", _of_run(run), **{"zoo.job": job["title"]})
        if known and known.info.status == "FINISHED":
            return
    run_id = _of_job(run, job)
    for role, scores in (result["metrics"] or {}).items():
        _log(run_id, {f"{role}_{name}": value for name, value in scores.items()}, 0)
    for tag in ("weights", "error"):
        if result[tag]:
            _client().set_tag(run_id, f"zoo.{tag}", result[tag][:5000])
    _client().set_terminated(run_id, STATUS[result["state"]])


@zoo.hookimpl
def zoo_run_ended(run: dict[str, Any], result: dict[str, Any]) -> None:
    _client().set_terminated(_of_run(run), STATUS[result["state"]])
