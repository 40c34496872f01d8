"""Checks of a schedule."""

from __future__ import annotations

from zoo.errors import one_line
from zoo.plugins import registry
from zoo.testing import elsewhere
from zoo.testing.subject import Subject

STEPS = 10  # an epoch


def gives_stages(subject: Subject) -> None:
    """stages() returns one or more zoo.Stage, each with a name of its own and every field of its type."""
    registry.checked_stages(subject.part)


def is_pure_data(subject: Subject) -> None:
    """stages() loads no keras and the like and gives the same every time."""
    told = elsewhere.call(subject, "stages")
    if told["heavy"]:
        raise subject.wrong(
            f"stages() imports {', '.join(told['heavy'])}: it describes training and is asked before anything is "
            "trained; name the optimizer, and let zoo make it"
        )
    if not told["same"]:
        raise subject.wrong(
            "stages() gives something else the second time: draw or count nothing there, so that a resumed job goes on "
            "with the same stages"
        )


def makes_optimizers(subject: Subject) -> None:
    """Keras makes each stage's optimizer, with a finite learning rate above 0 or falling to 0."""
    import numpy as np

    from zoo.training.optimizer import learning_rate, optimizer

    for stage in registry.checked_stages(subject.part):
        try:
            optimizer(stage, STEPS)
            rate = learning_rate(stage, STEPS)
            rates = [float(np.asarray(rate(step))) if callable(rate) else rate for step in range(0, 100)]
        except Exception as error:
            raise subject.wrong(
                f"Keras cannot make the optimizer of stage {stage.name!r} ({one_line(error)}): mend `optimizer`, "
                "`learning_rate` or `decay` of this stage"
            ) from error
        if not np.isfinite(rates).all() or min(rates) < 0 or max(rates) == 0:
            raise subject.wrong(f"stage {stage.name!r} has learning rates {min(rates)}..{max(rates)}: mend its `decay`")


CHECKS = (gives_stages, is_pure_data, makes_optimizers)
