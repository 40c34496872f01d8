"""The conformance kit: what a part must do for all of zoo to work with it, as tests that need one line.

    import zoo.testing
    from zoo_retina import Retina

    test_retina = zoo.testing.conformance(Retina())

pytest then runs every check, each under an id such as `test_retina[retina-saves_and_reloads]`. The package must be
installed, such as by `pip install -e .`. No check needs a network, and none loads ImageNet weights.

Every part

- `is_offered`: an installed plug-in offers this very class under its name, and no other claims that.
- `has_docs`: the class has a docstring, and each parameter stands in it or has a comment.
- `imports_nothing_heavy`: importing its module in a fresh process loads no keras, pandas or the like, prints nothing
  and changes nothing.
- `has_plain_parameters`: registry.toml can hold its parameters, and makes an equal part of them.

A backbone (tried with a plain head, at two image sizes, for 2 and for 5 classes)

- `builds`: a functional model with one input and one output, whose shape is what it declares; any number of images.
- `takes_0_to_255`: uint8 and float images in 0..255; black, white and noise give finite features, and pictures that
  differ above 1 are told apart.
- `freezes_exactly`: with unfreeze = 0, a number, a layer's name and "all", batchnorm frozen or not, exactly the
  declared weights train. A step of training leaves all others as they are, bit by bit, and reaches the first layer
  that is not frozen.
- `saves_and_reloads`: a saved model loads in safe mode in a fresh process, and gives the same outputs.
- `prefix_equals_whole`: frozen layers and then the rest give what the whole gives, and an image's features do not
  depend on the others of its batch.
- `is_deterministic`: the same seed gives the same weights, another seed others, inference twice the same outputs.
- `takes_weights_from_file`: a weights file fills every weight, one of another network is refused; the one that comes
  with the plug-in is there, and can be installed without harm.
- `works_with_tensorflow`, `works_with_jax`, `works_with_torch` (works_with): in a process under this backend it builds,
  runs and trains for a step; of those that are installed and that it is for, see below.

A head (tried on a plain backbone): `saves_and_reloads`, `is_deterministic`, `works_with` as above, and

- `gives_probabilities`: (n, 1) in 0..1 for two classes, (n, 5) whose rows sum to 1 for five.
- `names_its_layers`: its layers have names that Keras didn't make up, so that no backbone has the same.
- `trains_alone`: with unfreeze = 0 exactly its weights train.

A schedule

- `gives_stages`: one or more zoo.Stage with names of their own and fields of the right types.
- `is_pure_data`: stages() loads nothing and gives the same each time.
- `makes_optimizers`: Keras can make the optimizer and learning rate of each stage.

An augmenter

- `keeps_shape_and_type`: uint8 (n, size, size, 3) both ways, for one image and several, odd sizes too.
- `takes_any_picture`: black, white and grey images go through without an error or a warning.
- `leaves_its_input_alone`: it writes nothing into the images that it is given.
- `draws_from_rng_alone`: the same generator gives the same images whatever the global random state, another one
  others; with changes_images = False they stay as they are.
- `works_in_threads`: two threads at once get the same as one after the other.

A tracker, given as its module: `is_offered`, `has_docs` and `imports_nothing_heavy` of the module, and

- `has_hooks`: one or more lifecycle hooks, decorated plain functions with arguments that the hook has.
- `takes_a_run`: two sessions of a sample run, in which jobs are done, fail, are skipped or interrupted, go through
  without an error.

A part that works under some backends of Keras alone declares them: `backends = ("torch",)`. Its tests must then run
under one of them: `KERAS_BACKEND=torch pytest`, or `os.environ["KERAS_BACKEND"] = "torch"` at the top of
tests/conftest.py. zoo refuses it under another.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError, one_line
from zoo.interfaces import Part

if TYPE_CHECKING:
    from zoo.testing.subject import Check

__all__ = ["checks", "conformance"]

SIZES = (64, 96)


def conformance(*parts: Part | type[Part] | ModuleType, image_sizes: tuple[int, int] = SIZES) -> Callable[..., None]:
    """A pytest test of these parts, one case a part and check. Give it a name that begins with `test_`.

    A part is an instance of a backbone, head, schedule or augmenter, or the class, for its defaults, or the module of a
    tracker. `image_sizes` are the two sizes in pixels that it is tried at; choose larger ones for a backbone that takes
    no smaller images.
    """
    import pytest

    found = [check for part in parts for check in checks(part, image_sizes)]

    @pytest.mark.parametrize("check", found, ids=[check.__name__ for check in found])
    def test_conformance(check: Check) -> None:
        __tracebackhide__ = True
        try:
            check()
        except AssertionError as error:
            if error.__cause__ is not None:  # an error of the part, of which its author wants to see where
                raise
            pytest.fail(str(error), pytrace=False)

    return test_conformance


def checks(part: Part | type[Part] | ModuleType, image_sizes: tuple[int, int] = SIZES) -> list[Check]:
    """The checks of a part, for use without pytest.

    Each has a `name`, is called without arguments, and raises AssertionError if the part doesn't pass, with a message
    that says what is wrong and what to do. Raises ConfigError for something that is no part.
    """
    from zoo.testing import augmenter, backbone, every, head, keras_parts, schedule, tracker
    from zoo.testing.subject import Check, Subject

    if isinstance(part, ModuleType):
        return [Check(Subject(part, image_sizes), function) for function in tracker.CHECKS]
    subject = Subject(_made(part), image_sizes)
    by_kind: dict[str, Any] = {
        "backbone": backbone.CHECKS,
        "head": head.CHECKS,
        "schedule": schedule.CHECKS,
        "augmenter": augmenter.CHECKS,
    }
    found = [Check(subject, function) for function in (*every.CHECKS, *by_kind[subject.kind])]
    if subject.kind in ("backbone", "head"):
        found += [Check(subject, keras_parts.works_with, (backend,)) for backend in subject.backends]
    return found


def _made(part: Any) -> Any:
    """The part itself, of a class one with its defaults."""
    if inspect.isclass(part) and issubclass(part, Part):
        try:
            part = part()
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"{part.__name__} cannot be made without parameters ({one_line(error)}): mend that, or give an "
                f"instance, zoo.testing.conformance({part.__name__}(…))"
            ) from error
    if not isinstance(part, Part):
        raise ConfigError(
            f"{part!r} is no part: give an instance or a class of zoo.Backbone, zoo.Head, zoo.Schedule or "
            "zoo.Augmenter, or the module of a tracker"
        )
    if not isinstance(getattr(part, "name", None), str):
        raise ConfigError(f"{type(part).__name__} has no name: give it a class variable `name`")
    return part
