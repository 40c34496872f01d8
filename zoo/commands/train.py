"""zoo run and zoo compare: train models on folds and score them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from zoo import limits
from zoo.commands.data_options import OF_DATA, again, data_options, size_option, splits_option
from zoo.commands.options import (
    Command,
    Number,
    all_of,
    console,
    folds_option,
    given,
    metric_option,
    pair,
    point_options,
    rope_option,
    say,
    training_options,
    wide_option,
)
from zoo.errors import UnwrittenError, one_line
from zoo.run.executor import EXECUTORS, Execution, Executor

if TYPE_CHECKING:
    from zoo.api import Executed
    from zoo.report.comparison_progress import ComparisonProgress
    from zoo.report.progress import JobProgress
    from zoo.report.screen import Screen
    from zoo.run.job import Job
    from zoo.run.plan import Plan


def _shard(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """ "2/8" to (2, 8)."""
    return None if value is None else pair(value, "/", limits.FOLD, "K/N, such as 2/8")


execution_options = all_of(
    click.option(
        "--workers",
        type=Number(limits.WORKERS),
        default=None,
        help="Jobs at a time; default 1, with --executor ray as many as there is room for.",
    ),
    click.option(
        "--executor",
        type=click.Choice(EXECUTORS),
        default="local",
        show_default=True,
        help="Where jobs run: on this machine, or on a Ray cluster, of which the options below tell.",
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="The cluster; default $RAY_ADDRESS, else the one of this machine, else one started for this run.",
    ),
    click.option("--cpus-per-job", type=Number(limits.CPUS), help="Cores that a job asks for; default 1."),
    click.option(
        "--gpus-per-job",
        type=Number(limits.GPUS),
        help="GPUs that a job asks for, such as 0.5; default 1 where the cluster has any.",
    ),
    click.option("--memory-per-job", type=Number(limits.MEMORY), help="Gigabytes that a job asks for."),
)

KINDS = ("model", "fold", "repeat")


@click.command(cls=Command)
@click.argument("model")
@data_options(splits_option, folds_option("first"), size_option)
@training_options
@point_options
@wide_option
def run(model: str, wide: bool, **options: Any) -> None:
    """Train MODEL on the first fold, or on the folds given, and score it."""
    screen = console(wide)

    def progress(plan: Plan, executor: Executor) -> JobProgress:
        from zoo.report.progress import JobProgress

        return JobProgress(screen, list(plan.data.classes), several=len(plan.jobs) > 1)

    run = _execute(screen, (model,), options, progress, Execution())
    from zoo.commands.report import share
    from zoo.data import demo
    from zoo.report import tables, words
    from zoo.report.screen import tell

    done = run.comparison
    if len(done.results) > 1:
        screen.show(tables.results(done.results), tables.results(done.results, wide=False))
    if model in set(done.results["model"]):
        screen.print(tables.intervals(done, model))
        best_accuracy = demo.BEST_ACCURACY if run.plan.is_demo else None
        for sentence in [*words.of_run(done, model, best_accuracy), *words.at_point(done, model)]:
            tell(screen, sentence, style="bold")
        say(screen, "Next:")
        data_again = again({name: options[name] for name in OF_DATA})
        for step in words.next_steps(done, model, data_again):
            say(screen, f"  {step}")
        share(screen, done, run.plan.run.path / "report.html")
    _end(screen, run)


@click.command(cls=Command)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@data_options(splits_option, folds_option("all"), size_option)
@training_options
@point_options
@execution_options
@click.option(
    "--repeats", type=Number(limits.REPEATS), default=1, show_default=True, help="Runs of each fold, with other seeds."
)
@click.option(
    "--shard",
    metavar="K/N",
    callback=_shard,
    help="Run the K-th of N equal parts of the jobs, each part in a folder of its own; zoo merge joins them.",
)
@metric_option
@rope_option
@wide_option
def compare(models: tuple[str, ...], metric: str, rope: float, wide: bool, **options: Any) -> None:
    """Train every MODEL on every fold, and say which is better. All registered models unless some are named."""
    screen = console(wide)

    def progress(plan: Plan, executor: Executor) -> ComparisonProgress:
        from zoo.report.comparison_progress import ComparisonProgress

        counts = [len({getattr(job, field) for job in plan.jobs}) for field in KINDS]
        kinds = [f"{count} {kind}{'s' * (count > 1)}" for count, kind in zip(counts, KINDS, strict=True) if count > 1]
        many = f"{len(plan.jobs)} job{'s' * (len(plan.jobs) != 1)}"
        at_a_time = executor.room()
        how = f"{at_a_time} at a time {executor.place()}".rstrip()
        say(screen, f"{' x '.join(kinds) or '1 model, 1 fold'}: {many}, {how}")
        return ComparisonProgress(screen, plan.jobs, at_a_time, metric)

    execution = Execution(**{field.name: options.pop(field.name) for field in fields(Execution)})
    run = _execute(screen, models, options, progress, execution, metric=metric, rope=rope)
    if options["shard"]:
        part, parts = options["shard"]
        done = len(run.plan.jobs) - len(run.failed)
        say(screen, f"Shard {part} of {parts} is over: {done} job{'s are' if done != 1 else ' is'} done.")
        say(screen, "Next, once all shards are there: zoo merge RUN… --out DIR")
    else:
        from zoo.commands.report import publish

        publish(screen, run.comparison, run.plan.run.path)
    _end(screen, run)


def _execute(
    screen: Screen,
    models: tuple[str, ...],
    options: dict[str, Any],
    progress: Callable[[Plan, Executor], JobProgress | ComparisonProgress],
    execution: Execution,
    **how: Any,
) -> Executed:
    """Do what the options ask for, and show how it goes: first what was planned, then the jobs by `progress`."""
    with execution.open() as executor, ExitStack() as decoding, ExitStack() as stack:
        # While a worker loads Keras.
        from zoo import api
        from zoo.report.progress import DecodingProgress
        from zoo.report.run_pictures import drawn
        from zoo.run.request import Request

        request = Request(models=models, registry=given("registry"), **options)
        shown: JobProgress | ComparisonProgress

        def planned(plan: Plan, executor: Executor) -> None:
            nonlocal shown
            decoding.close()
            _show_plan(screen, plan, request.splits)
            shown = progress(plan, executor)
            stack.enter_context(shown)

        def listen(job: Job, event: dict[str, Any]) -> None:
            shown.on_event(job, event)
            if event["event"] == "job_ended" or (event["event"] == "job_skipped" and not drawn(job.folder)):
                _draw(job, shown)

        try:
            decoded = decoding.enter_context(DecodingProgress(screen))
            return api.execute(request, executor, decoded=decoded, planned=planned, listen=listen, **how)
        except UnwrittenError as error:
            stack.close()
            say(screen, str(error), style="red")
            click.get_current_context().exit(1)


def _show_plan(screen: Screen, plan: Plan, split_file: object) -> None:
    """What was found, before anything is trained."""
    from zoo.data.splits import class_counts
    from zoo.report import tables

    for note in plan.notes:
        say(screen, note)
    data = plan.data
    test = f", test data {data.test_root}" if data.test_root else ""
    say(screen, f"Data {data.root}{test}" + (f", folds of {split_file}" if split_file is not None else ""))
    screen.print(tables.class_counts(class_counts(plan.splits, data.classes), data.image_size))


def _draw(job: Job, shown: JobProgress | ComparisonProgress) -> None:
    """The pictures of a job that is done, unless they are there; without them the run goes on."""
    from zoo.report.run_pictures import draw

    try:
        draw(job.folder, job.title, job.classes, job.recipe["monitor"])
    except Exception as error:
        shown.on_event(job, {"event": "warning", "text": f"its pictures cannot be drawn: {one_line(error)}"})


def _end(screen: Screen, run: Executed) -> None:
    """Say where everything is. Status 2 if every job was refused before it trained anything, 1 if some failed."""
    say(screen, f"Run folder: {run.plan.run.path}")
    if run.failed:
        refused = all(job.folder.status().get("refused") for job in run.failed)
        click.get_current_context().exit(2 if refused and len(run.failed) == len(run.plan.jobs) else 1)
