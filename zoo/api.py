"""What the command line does, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from zoo import comparison, jobs, plan
from zoo.comparison import Comparison
from zoo.evaluation.metrics import check_metric


def compare(
    models: Sequence[str] = (),
    *,
    data: str | Path | None = None,
    folds: Literal["all"] | Sequence[int] = "all",
    out: str | Path | None = None,
    workers: int = 1,
    metric: str = "auc",
    rope: float = 0.01,
    listen: jobs.Listen | None = None,
    **options: Any,
) -> Comparison:
    """Train every model on every fold, or go on with a run folder, and compare them: `zoo compare`.

    `models` are names, none for all that are registered; `data` a folder of folds, None for what the registry
    says; `out` the run folder. `options` are the other fields of `zoo.plan.Request`: weights, seed, max_epochs,
    image_size, registry, repeats, fresh, redo, feature_cache. `listen` is called with each job and event. Jobs that
    fail stand in the `missing` of what it returns.

    Raises ZooError for a request that cannot be met.
    """
    check_metric(metric)
    request = plan.Request(
        models=tuple(models), data=None if data is None else str(data),
        folds=None if folds == "all" else tuple(folds), out=None if out is None else Path(out), **options,
    )  # fmt: skip
    with plan.make_plan(request) as planned:
        jobs.execute(planned, listen or (lambda job, event: None), workers)
        done = comparison.compare(planned.run, metric=metric, rope=rope)
        done.write(planned.run.path)
        comparison.write_best(done)
    return done
