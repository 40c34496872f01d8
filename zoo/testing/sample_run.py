"""What a tracker is told of a sample run: two sessions, in which jobs end in every way that there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FURTHER = {"of_a_later_zoo": [1, 2, 3]}  # mappings may get further keys
SCORES: dict[str, Any] = {  # without a picture of one class there is no AUC
    "loss": 0.6,
    "accuracy": 0.7,
    "f1": 0.8,
    "precision": 1.0,
    "recall": 0.7,
    "specificity": None,
    "auc": None,
    "confusion_matrix": [[0, 0], [3, 7]],
    "threshold": 0.5,
    "images": 10,
}
PART: dict[str, Any] = {"name": "sample", "width": 32, "widths": [8, 16], "rates": {"first": 0.1}, "decay": None}

# A hook and its arguments.
Call = tuple[str, dict[str, Any]]


def calls(folder: str, resumed: bool) -> list[Call]:
    """The calls of a session in a run folder, which is made; of the one that goes on if it is `resumed`."""
    path = Path(folder) / "runs" / "sample"
    jobs = [_job(path, fold) for fold in (0, 1)]
    run = _run(path, jobs, resumed)
    if resumed:
        told = [_ended(jobs[0], "skipped"), _epoch(jobs[1], 2), _ended(jobs[1], "interrupted")]
    else:
        told = [
            _epoch(jobs[0], 1),
            _epoch(jobs[1], 1),
            _epoch(jobs[0], 2),
            _ended(jobs[0], "done"),
            _ended(jobs[1], "failed"),
        ]
    result = {
        "state": "interrupted" if resumed else "failed",
        "done": [jobs[0]["title"]],
        "failed": [] if resumed else [jobs[1]["title"]],
        "results": [{"model": "sample", "fold": 0, "weights": "random", "loss_test": 0.6, "auc_test": None}],
        "seconds": 12.5,
        **FURTHER,
    }
    everything: list[Call] = [("zoo_run_started", {}), *told, ("zoo_run_ended", {"result": result})]
    return [(hook, {"run": run, **arguments}) for hook, arguments in everything]


def _run(path: Path, jobs: list[dict[str, Any]], resumed: bool) -> dict[str, Any]:
    parts = dict.fromkeys(("backbone", "head", "schedule", "augmenter"), PART)
    recipe = {**parts, "batch_size": 32, "seed": 0, "monitor": "loss", "tta": "none"}
    return {
        "path": str(path),
        "name": path.name,
        "started": "2020-02-29T12:00:00+00:00",
        "resumed": resumed,
        "models": ["sample"],
        "folds": [0, 1],
        "repeats": 1,
        "jobs": jobs,
        "recipes": {"sample": recipe},
        "data": {"root": "demo", "image_size": 64, "classes": ["normal", "abnormal"], "fingerprint": "0" * 64},
        "versions": {"zoo": "0.1.0", "python": "3.11.0"},
        "request": {"models": ["sample"], "out": None},
        **FURTHER,
    }


def _job(path: Path, fold: int) -> dict[str, Any]:
    folder = path / "sample" / f"fold-{fold}"
    folder.mkdir(parents=True, exist_ok=True)
    title = f"sample fold {fold}"
    return {"model": "sample", "fold": fold, "repeat": 0, "title": title, "folder": str(folder), "seed": 0, **FURTHER}


def _epoch(job: dict[str, Any], number: int) -> Call:
    epoch = {
        "stage": "head",
        "epoch": number,
        "learning_rate": 1e-3,
        "loss": 0.7,
        "accuracy": 0.5,
        "val_loss": 0.7,
        "val_accuracy": 0.5,
        "seconds": 1.5,
        "val_auc": None,
        "epochs": 200,
        "number": number,
        "best": number == 1,
        **FURTHER,
    }
    return "zoo_epoch_ended", {"job": job, "epoch": epoch}


def _ended(job: dict[str, Any], state: str) -> Call:
    metrics = dict.fromkeys(("validation", "test"), SCORES)
    scored = state in ("done", "skipped")
    result = {
        "state": state,
        "metrics": metrics if scored else None,
        "weights": "random" if scored else None,
        "error": "ValueError: of the sample run" if state == "failed" else None,
        **FURTHER,
    }
    return "zoo_job_ended", {"job": job, "result": result}
