"""What trackers are told of a session, without any training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from zoo.files import write_json
from zoo.run import plan
from zoo.run.job import Job
from zoo.run.request import Request
from zoo.run.trackers import Tracking

METRICS = ("loss", "accuracy", "f1", "precision", "recall", "specificity")


def planned(folds: Path, out: Path, *trackers: str, **options: Any) -> plan.Plan:
    """Two jobs, fold 0 and 1 of the tiny model."""
    request = Request(
        models=("tiny",), data=str(folds), folds=(0, 1), out=out, image_size=32, trackers=trackers, **options
    )
    return plan.make_plan(request)


def finish(job: Job) -> dict[str, Any]:
    """Mark a job as done; its metrics, one of which is none."""
    metrics: dict[str, Any] = {
        role: {**dict.fromkeys(METRICS, 0.25), "auc": None, "confusion": [[1, 2], [3, 4]]}
        for role in ("validation", "test")
    }
    for file in job.folder.files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    write_json(job.folder.metrics, metrics)
    job.folder.set_status("done", weights="random", warning=None, machine={})
    return metrics


def follow(planned: plan.Plan, last: int, first: int = 1, ends: bool = True, loss: float = 1.0) -> list[str]:
    """Tell the trackers of a plan that its first job trains from one epoch to another; what they got wrong.

    It is done then, or with `ends` false interrupted; one that was done before is skipped. Its losses are `loss` over
    the epoch's number.
    """
    events: SimpleQueue[tuple[Job, dict[str, Any]]] = SimpleQueue()
    with suppress(KeyboardInterrupt), Tracking(planned, events) as tracking:
        for job, event in _session(planned.jobs[0], range(first, last + 1), ends, loss):
            tracking.on_event(job, event)
    wrong = []
    while not events.empty():
        wrong.append(events.get()[1]["text"])
    return wrong


def _session(job: Job, epochs: range, ends: bool, loss: float) -> Iterator[tuple[Job, dict[str, Any]]]:
    if job.folder.done:
        yield job, {"event": "job_skipped"}
        return
    yield job, {"event": "job_launched"}
    for number in epochs:
        yield (
            job,
            {
                "event": "epoch_ended",
                "stage": "head",
                "epoch": number,
                "epochs": 10,
                "number": number,
                "learning_rate": 0.125,
                "loss": loss / number,
                "accuracy": 0.5,
                "val_loss": 2 * loss / number,
                "val_accuracy": 0.75,
                "seconds": 1.5,
                "val_auc": 0.8 if number > 1 else None,
                "best": True,
            },
        )
    if not ends:
        raise KeyboardInterrupt
    finish(job)
    yield job, {"event": "process_ended", "failed": False}
