"""TensorBoard: curves and scores of each job, in the folder tensorboard of the job.

`tensorboard --logdir RUN` shows them. Tags are those of Keras' own callback, over the epochs of all stages; the scores
of the best epoch follow at the last. Needs zoo[tensorboard].
"""

import atexit
import json
import time
from pathlib import Path
from typing import Any

import zoo

FLUSH = 2  # seconds after which a curve that is being watched is brought up to date
_writers: dict[Path, Any] = {}
_last: dict[str, int] = {}  # folder of a job -> its last epoch


def _library() -> Any:
    try:
        import tensorboardX
    except ImportError as error:
        raise zoo.PluginError("tensorboardX is missing: pip install 'zoo[tensorboard]'") from error
    return tensorboardX


def _writer(job: dict[str, Any], role: str, step: int) -> Any:
    """The writer of a role; what an earlier attempt wrote from that step on is hidden."""
    folder = Path(job["folder"]) / "tensorboard" / role
    if folder not in _writers:
        suffix = f".{time.time_ns()}"  # two sessions may begin within one second, of which their names are made
        writer = _writers[folder] = _library().SummaryWriter(
            str(folder), purge_step=step, flush_secs=FLUSH, filename_suffix=suffix
        )
        atexit.register(writer.close)  # writes what waits, should the job never end
    return _writers[folder]


@zoo.hookimpl
def zoo_run_started() -> None:
    _library()  # if it is missing, say so before anything is trained


@zoo.hookimpl
def zoo_epoch_ended(run: dict[str, Any], job: dict[str, Any], epoch: dict[str, Any]) -> None:
    step = _last[job["folder"]] = epoch["number"]
    training, validation = (_writer(job, role, step) for role in ("train", "validation"))
    if step == 1:
        recipe = json.dumps(run["recipes"][job["model"]] | {"seed": job["seed"]}, indent=2)
        training.add_text("recipe", f"```json\n{recipe}\n```", step)
    for name in ("loss", "accuracy", "learning_rate"):
        training.add_scalar(f"epoch_{name}", epoch[name], step)
    for name in ("loss", "accuracy", "auc"):
        if (value := epoch[f"val_{name}"]) is not None:
            validation.add_scalar(f"epoch_{name}", value, step)


@zoo.hookimpl
def zoo_job_ended(job: dict[str, Any], result: dict[str, Any]) -> None:
    folder = Path(job["folder"]) / "tensorboard"
    if result["state"] == "skipped" and folder.exists():  # told in an earlier session
        return
    for role, scores in (result["metrics"] or {}).items():
        step = _last.get(job["folder"], 0)
        for name, value in scores.items():
            if isinstance(value, int | float):
                _writer(job, role, step).add_scalar(f"scores/{name}", value, step)
    for path in [path for path in _writers if path.parent == folder]:
        _writers.pop(path).close()
