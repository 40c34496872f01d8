"""zoo run and zoo compare: train models on folds and score them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from zoo import limits
from zoo.commands.data_options import OF_DATA, again, data_options, size_option, splits_option
from zoo.commands.options import (
    Command,
    Number,
    console,
    folds_option,
    given,
    metric_option,
    rope_option,
    say,
    training_options,
    wide_option,
)  # fmt: skip
from zoo.errors import of_system, one_line

if TYPE_CHECKING:
    from zoo.data.config import DataConfig
    from zoo.report.comparison_progress import ComparisonProgress
    from zoo.report.progress import JobProgress
    from zoo.report.screen import Screen
    from zoo.run.job import Job
    from zoo.run.plan import Plan
    from zoo.run.request import Request

KINDS = ("model", "fold", "repeat")


@click.command(cls=Command)
@click.argument("model")
@data_options(splits_option, folds_option("first"), size_option)
@training_options
@wide_option
def run(model: str, wide: bool, **options: Any) -> None:
    """Train MODEL on the first fold, or on the folds given, and score it."""
    from zoo.data import demo
    from zoo.report import tables, words
    from zoo.report.progress import JobProgress
    from zoo.report.screen import tell
    from zoo.run import results, scheduler
    from zoo.run.request import Request
    from zoo.run.reserve import Reserve

    screen = console(wide)
    request = Request(models=(model,), registry=given("registry"), **options)
    with Reserve(ahead=True) as reserve, _planned(screen, request) as planned:
        data = planned.data
        with JobProgress(screen, list(data.classes), several=len(planned.jobs) > 1) as shown:

            def listen(job: Job, event: dict[str, Any]) -> None:
                shown.on_event(job, event)
                if event["event"] in ("job_ended", "job_skipped"):
                    _draw(job, data, shown)

            failed = scheduler.execute(planned, listen, reserve=reserve)
        done = results.compare(planned.run)
        with _kept(screen, planned):
            done.write(planned.run.path)
            results.write_best(done)
        if len(done.results) > 1:
            screen.show(tables.results(done.results), tables.results(done.results, wide=False))
        if model in set(done.results["model"]):
            screen.print(tables.intervals(done, model))
            for sentence in words.of_run(done, model, demo.BEST_ACCURACY if planned.is_demo else None):
                tell(screen, sentence, style="bold")
            say(screen, "Next:")
            data_again = again({name: options[name] for name in OF_DATA})
            for step in words.next_steps(done, model, data_again):
                say(screen, f"  {step}")
        _end(screen, planned, failed)


@click.command(cls=Command)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@data_options(splits_option, folds_option("all"), size_option)
@training_options
@click.option("--workers", type=Number(limits.WORKERS), default=1, show_default=True, help="Jobs at a time.")
@click.option(
    "--repeats", type=Number(limits.REPEATS), default=1, show_default=True, help="Runs of each fold, with other seeds."
)
@metric_option
@rope_option
@wide_option
def compare(models: tuple[str, ...], workers: int, metric: str, rope: float, wide: bool, **options: Any) -> None:
    """Train every MODEL on every fold, and say which is better. All registered models unless some are named."""
    from zoo.commands.report import publish
    from zoo.evaluation.metrics import check_metric
    from zoo.report.comparison_progress import ComparisonProgress
    from zoo.run import results, scheduler
    from zoo.run.request import Request
    from zoo.run.reserve import Reserve

    check_metric(metric)
    screen = console(wide)
    request = Request(models=models, registry=given("registry"), **options)
    with Reserve(ahead=workers == 1) as reserve, _planned(screen, request) as planned:
        data = planned.data
        counts = [len({getattr(job, field) for job in planned.jobs}) for field in KINDS]
        kinds = [f"{count} {kind}{'s' * (count > 1)}" for count, kind in zip(counts, KINDS, strict=True) if count > 1]
        say(screen, f"{' x '.join(kinds) or '1 model, 1 fold'}: {len(planned.jobs)} jobs, {workers} at a time")
        with ComparisonProgress(screen, planned.jobs, workers, metric) as shown:

            def listen(job: Job, event: dict[str, Any]) -> None:
                shown.on_event(job, event)
                if event["event"] == "job_ended":
                    _draw(job, data, shown)

            failed = scheduler.execute(planned, listen, workers, reserve)
        done = results.compare(planned.run, metric=metric, rope=rope)
        with _kept(screen, planned):
            publish(screen, done, planned.run.path)
            results.write_best(done)
        _end(screen, planned, failed)


def _planned(screen: Screen, request: Request) -> Plan:
    """The plan of a request, after saying what was found."""
    from zoo.data.splits import class_counts
    from zoo.report import tables
    from zoo.report.progress import DecodingProgress
    from zoo.run import plan

    with DecodingProgress(screen) as progress:
        planned = plan.make_plan(request, progress)
    for note in planned.notes:
        say(screen, note)
    data = planned.data
    test = f", test data {data.test_root}" if data.test_root else ""
    say(screen, f"Data {data.root}{test}" + (f", folds of {request.splits}" if request.splits is not None else ""))
    screen.print(tables.class_counts(class_counts(planned.splits, data.classes), data.image_size))
    return planned


def _draw(job: Job, data: DataConfig, shown: JobProgress | ComparisonProgress) -> None:
    """The pictures of a job that is done; without them the run goes on."""
    from zoo.report.run_pictures import draw

    try:
        draw(job.folder, job.title, data.classes)
    except Exception as error:
        shown.on_event(job, {"event": "warning", "text": f"its pictures cannot be drawn: {one_line(error)}"})


@contextmanager
def _kept(screen: Screen, planned: Plan) -> Iterator[None]:
    """Within, tables of jobs that are over are written; where that cannot be, say how to have them, and end with 1."""
    try:
        yield
    except OSError as error:
        again = shlex.join(["zoo", "report", str(planned.run.path)])
        say(screen, f"tables cannot be written: {of_system(error)}; then {again}", style="red")
        click.get_current_context().exit(1)


def _end(screen: Screen, planned: Plan, failed: list[Job]) -> None:
    """Say where everything is. Status 2 if every job was refused before it trained anything, 1 if some failed."""
    say(screen, f"Run folder: {planned.run.path}")
    if failed:
        refused = all(job.folder.status().get("refused") for job in failed)
        click.get_current_context().exit(2 if refused and len(failed) == len(planned.jobs) else 1)
