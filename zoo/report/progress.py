"""What a run looks like while it goes on: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from zoo.report import screen, tables

EVERY = 20  # seconds between two lines of progress where there is no terminal


def duration(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class StepProgress:
    """Shows how far each step is, and about how long it will take: a bar on a terminal, a line now and then elsewhere.

    As a context it gives the function to call with (step, done, total).
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._clock = clock
        self._began: dict[str, float] = {}
        self._said = 0.0

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._bar.start()
        return self._update

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def _update(self, step: str, done: int, total: int) -> None:
        now = self._clock()
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, total=total)
            self._began[step] = self._said = now
        self._bar.update(self._tasks[step], completed=done)
        if self._bar.disable and now - self._said >= EVERY and 0 < done < total:
            self._said = now
            left = (now - self._began[step]) / done * (total - done)
            screen.say(self._bar.console, f"{step}: {done:,} of {total:,}, about {duration(left)} left")


class DecodingProgress:
    """Shows how far the decoding of images is. As a context it gives the function to call with (done, total)."""

    def __init__(self, console: Console) -> None:
        self._steps = StepProgress(console)

    def __enter__(self) -> Callable[[int, int], None]:
        return partial(self._steps.__enter__(), "decoding images")

    def __exit__(self, *exception: object) -> None:
        self._steps.__exit__(*exception)


class JobProgress:
    """Prints the events of jobs. Use it as a context, and call `on_event` with each event of `jobs.execute`.

    The time left is that of the stage at hand at most: its remaining epochs at the pace of those already run,
    without the first, in which the network is compiled. Early stopping may end the stage sooner, and what later
    stages will cost an epoch isn't known before they run, so no estimate is made of them.
    """

    def __init__(self, console: Console, classes: list[str], several: bool) -> None:
        self.console = console
        self.classes = classes
        self.several = several
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._began = 0.0
        self._stage: dict[str, Any] = {}
        self._seconds: list[float] = []

    def __enter__(self) -> JobProgress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def on_event(self, job: Any, event: dict[str, Any]) -> None:
        """Show one event; see `zoo.run.train_and_score` and `zoo.training.trainer` for what they hold."""
        getattr(self, f"_{event['event']}")(job, event)

    def _say(self, text: str, style: str = "") -> None:
        screen.say(self.console, text, style)

    def _job_launched(self, job: Any, event: dict[str, Any]) -> None:
        self._say(f"\n{job.title}", style="bold")
        self._task = self._bar.add_task("  loading Keras and weights", total=None, detail="")

    def _job_started(self, job: Any, event: dict[str, Any]) -> None:
        self._clear()
        machine = event["machine"]
        self._say(
            f"  device {machine['device']} · backend {machine['backend']} (Keras {machine['keras']}) · "
            f"precision {machine['precision']} · weights {event['weights']}"
        )
        if event["warning"]:
            self._warning(job, {"text": event["warning"]})

    def _resumed(self, job: Any, event: dict[str, Any]) -> None:
        self._say(f"  going on after {event['epochs']} epochs")

    def _warning(self, job: Any, event: dict[str, Any]) -> None:
        self._say(f"  warning: {event['text']}", style="magenta")

    def _stage_started(self, job: Any, event: dict[str, Any]) -> None:
        self._stage, self._seconds, self._began = event, [], time.monotonic()
        self._say(
            f"  stage {event['number']}/{event['stages']} {event['stage']}: at most {event['epochs']} epochs of "
            f"{event['steps']} steps; {event['trainable']:,} parameters train, {event['frozen']:,} stay"
        )
        self._clear()
        self._task = self._bar.add_task(
            f"  stage {event['number']}/{event['stages']} {event['stage']}",
            total=event["epochs"] * event["steps"],
            detail="compiling",
        )

    def _features(self, job: Any, event: dict[str, Any]) -> None:
        left = (time.monotonic() - self._began) / max(event["done"], 1) * (event["total"] - event["done"])
        if self._task is not None:
            of_all = f"{event['done']}/{event['total']}, about {duration(left)} left"
            self._bar.update(self._task, detail=f"frozen layers, once for each image: {of_all}")

    def _step_ended(self, job: Any, event: dict[str, Any]) -> None:
        if self._task is not None:
            done = (event["epoch"] - 1) * self._stage["steps"] + event["step"]
            detail = (
                f"epoch {event['epoch']}/{self._stage['epochs']} step {event['step']}/{self._stage['steps']} "
                f"loss {event['loss']:.4f}{self._left(event['epoch'] - 1)}"
            )
            self._bar.update(self._task, completed=done, detail=detail)

    def _epoch_ended(self, job: Any, event: dict[str, Any]) -> None:
        self._seconds.append(event["seconds"])
        auc = "–" if event["val_auc"] is None else f"{event['val_auc']:.4f}"
        losses = f"loss {event['loss']:.4f}  val_loss {event['val_loss']:.4f}"
        self._say(
            f"    epoch {event['epoch']:>3}/{event['epochs']}  {losses}  val_accuracy {event['val_accuracy']:.4f}  "
            f"val_auc {auc}  lr {event['learning_rate']:.1e}  {event['seconds']:.1f} s"
            f"{self._left(event['epoch'])}{'  best so far' if event['best'] else ''}"
        )

    def _left(self, epochs_done: int) -> str:
        """At most how long the stage still takes; empty before that can be known."""
        pace = self._seconds[1:]
        left = self._stage["epochs"] - epochs_done
        return f"  stage ETA ≤ {duration(left * sum(pace) / len(pace))}" if pace and left else ""

    def _stage_ended(self, job: Any, event: dict[str, Any]) -> None:
        if event["epochs"] < self._stage["epochs"]:
            self._say(f"    stopped early after {event['epochs']} epochs")

    def _scoring(self, job: Any, event: dict[str, Any]) -> None:
        self._clear()
        self._say("  training has ended: the best epoch is scored once on validation and test")

    def _job_ended(self, job: Any, event: dict[str, Any]) -> None:
        self._clear()
        self._scores(event)

    def _job_skipped(self, job: Any, event: dict[str, Any]) -> None:
        self._say(f"\n{job.title}: already done", style="bold")
        if not self.several:
            self._scores(event)

    def _scores(self, event: dict[str, Any]) -> None:
        """Of a single job the metrics follow, with their intervals."""
        table = tables.scores if self.several else tables.confusions
        self.console.print(table(event["metrics"], self.classes))

    def _job_failed(self, job: Any, event: dict[str, Any]) -> None:
        self._clear()
        self._say(f"{job.title} failed: {event['error']}", style="red")

    def _clear(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
