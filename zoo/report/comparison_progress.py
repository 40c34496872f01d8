"""What a comparison looks like while it goes on: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from zoo.report import screen
from zoo.report.progress import duration
from zoo.report.tables import number


@dataclass
class _Running:
    """A job that runs, as far as its events have told."""

    model: str
    started: float = field(default_factory=time.monotonic)
    where: str = "loading Keras and weights"
    loss: str = ""
    share: float = 0.0  # how much of it is done, were no stage to stop early
    stage: dict[str, Any] = field(default_factory=dict)


class ComparisonProgress:
    """Shows the jobs of a comparison. Use it as a context, and call `on_event` with each event of `jobs.execute`.

    The time left is a guess: a job takes as long as the finished ones of its model, or, before there are any, as
    its running one will if every epoch and stage takes alike and none stops early; failing that, as the others.
    """

    def __init__(self, console: Console, jobs: Sequence[Any], workers: int, metric: str) -> None:
        self.console = console
        self.metric = metric
        self.workers = workers
        self._queued = [job.model for job in jobs]
        self._total = len(jobs)
        self._running: dict[str, _Running] = {}
        self._seconds: dict[str, list[float]] = {}
        self._done = self._failed = 0
        self._said: set[str] = set()  # of what jobs start from, which is the same for all folds
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=2, transient=True)

    def __enter__(self) -> ComparisonProgress:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def on_event(self, job: Any, event: dict[str, Any]) -> None:
        """Show one event; see `zoo.run.train_and_score` and `zoo.training.trainer` for what they hold."""
        handler = getattr(self, f"_{event['event']}", None)
        if handler:
            handler(job, event)

    def _say(self, text: str, style: str = "") -> None:
        screen.say(self.console, text, style)

    def _job_skipped(self, job: Any, event: dict[str, Any]) -> None:
        self._queued.remove(job.model)
        self._done += 1
        self._say(f"{job.title}: already done")

    def _job_launched(self, job: Any, event: dict[str, Any]) -> None:
        self._queued.remove(job.model)
        self._running[job.title] = _Running(job.model)

    def _job_started(self, job: Any, event: dict[str, Any]) -> None:
        self._running[job.title].where = "building"
        if event["warning"] and event["warning"] not in self._said:
            self._said.add(event["warning"])
            self._warning(job, {"text": event["warning"]})

    def _resumed(self, job: Any, event: dict[str, Any]) -> None:
        self._say(f"{job.title}: going on after {event['epochs']} epochs")

    def _warning(self, job: Any, event: dict[str, Any]) -> None:
        about = "" if "tracker" in event else f"{job.title}: "
        self._say(f"{about}warning: {event['text']}", style="magenta")

    def _stage_started(self, job: Any, event: dict[str, Any]) -> None:
        running = self._running[job.title]
        running.stage, running.share = event, (event["number"] - 1) / event["stages"]
        running.where = f"stage {event['number']}/{event['stages']} {event['stage']}, compiling"

    def _features(self, job: Any, event: dict[str, Any]) -> None:
        self._running[job.title].where = f"features, image {event['done']}/{event['total']}"

    def _epoch_ended(self, job: Any, event: dict[str, Any]) -> None:
        running = self._running[job.title]
        stage = running.stage
        running.where = (
            f"stage {stage['number']}/{stage['stages']} {event['stage']}, epoch {event['epoch']}/{event['epochs']}"
        )
        running.loss = f"{event['val_loss']:.4f}{' best' if event['best'] else ''}"
        running.share = (stage["number"] - 1 + event["epoch"] / event["epochs"]) / stage["stages"]

    def _scoring(self, job: Any, event: dict[str, Any]) -> None:
        self._running[job.title].where = "scoring"

    def _job_ended(self, job: Any, event: dict[str, Any]) -> None:
        running = self._running.pop(job.title)
        seconds = time.monotonic() - running.started
        self._seconds.setdefault(job.model, []).append(seconds)
        self._done += 1
        scores = "  ".join(
            f"{self.metric} {role} {number(score[self.metric])}" for role, score in event["metrics"].items()
        )
        self._say(f"{job.title}: {scores}  in {duration(seconds)}  ({self._counts()})")

    def _job_failed(self, job: Any, event: dict[str, Any]) -> None:
        self._running.pop(job.title, None)
        self._failed += 1
        self._say(f"{job.title} failed: {event['error']}  ({self._counts()})", style="red")

    def _counts(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        left = self._left()
        eta = f", about {duration(left)} left" if left else ""
        return f"{self._done} of {self._total} done{failed}{eta}"

    def _left(self) -> float | None:
        """About how many seconds the whole still takes; None before anything is known."""
        known = {model: sum(seconds) / len(seconds) for model, seconds in self._seconds.items()}
        now = time.monotonic()
        for running in self._running.values():
            if running.share:
                known.setdefault(running.model, (now - running.started) / running.share)
        if not known:
            return None
        usual = sum(known.values()) / len(known)
        waiting = sum(known.get(model, usual) for model in self._queued)
        going = [max(0.0, known.get(job.model, usual) - (now - job.started)) for job in self._running.values()]
        return max([(waiting + sum(going)) / self.workers, *going])

    def _table(self) -> RenderableType:
        table = Table("job", "at", "validation loss", "for", box=None, padding=(0, 2))
        for title, running in self._running.items():
            table.add_row(title, running.where, running.loss, duration(time.monotonic() - running.started))
        return Group(table, f"{self._counts()}, {len(self._running)} running, {len(self._queued)} queued")
