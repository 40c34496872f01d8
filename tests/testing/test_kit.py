"""The conformance kit: a deliberately faulty part for each check, which it finds and explains."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

import zoo.testing
from tests import faulty_networks as networks
from tests import faulty_parts as parts
from zoo.interfaces import BACKENDS

# Faulty part: (the check that finds it, what it says, the checks that necessarily fail with it).
FAULTS: dict[type[Any], tuple[str, str, set[str]]] = {
    networks.Undocumented: ("has_docs", "Undocumented has no docstring", set()),
    networks.Untold: ("has_docs", "what depth is for: name each parameter in the docstring of Untold", set()),
    networks.NotPlain: ("has_plain_parameters", "frozenset is not JSON serializable", {"saves_and_reloads"}),
    networks.Mistyped: (
        "has_plain_parameters",
        "refuses its own parameters: .*rate: Input should be a valid number",
        {"saves_and_reloads"},
    ),
    networks.Undecorated: ("has_plain_parameters", r"decorate it with @dataclass\(frozen=True\)", set()),
    networks.OneSize: ("builds", r"cannot be built for images \(96, 96, 3\): ValueError: only 64", set()),
    networks.Misdeclared: ("builds", r"declares an output of \(None, 2, .* and gives \(1, 4, .* for 1 images", set()),
    networks.AnySize: ("builds", r"takes \(None, None, None, 3\): begin with keras.Input\(image_shape\)", set()),
    networks.Clipped: ("takes_0_to_255", r"begin the network with its normalisation.*Rescaling\(1 / 255\)", set()),
    networks.DividedByItself: ("takes_0_to_255", "a black, a white or a random image .* hold infinities", set()),
    networks.Counting: ("freezes_exactly", "counter/seen changed in a step .* though it is frozen", set()),
    networks.Stubborn: ("freezes_exactly", "unfreeze = 0.*block1_conv/kernel.* can be trained", set()),
    networks.NoGradient: ("freezes_exactly", "no gradient reaches block1_conv", set()),
    networks.WithLambda: ("saves_and_reloads", "'twice' is a Lambda.*keras.ops", set()),
    networks.Unregistered: ("saves_and_reloads", r"class 'Mine'.*register_keras_serializable\(\"tests\"\)", set()),
    networks.Forgetful: ("saves_and_reloads", r"other outputs in another process: .*get_config\(\)", set()),
    networks.AmongOthers: ("prefix_equals_whole", "depend on the other images of the batch", set()),
    networks.Unseeded: ("is_deterministic", "block1_conv/kernel differs .* the same seed", set()),
    networks.LoadsInBuild: ("is_deterministic", r"same under two seeds: build\(\) must give random weights", set()),
    networks.AlwaysDropout: (
        "is_deterministic",
        "inference twice .* `training` argument",
        {"takes_0_to_255", "saves_and_reloads", "prefix_equals_whole", "takes_weights_from_file"},
    ),
    networks.IgnoresFile: ("takes_weights_from_file", "gives other outputs: .* fill every weight", set()),
    networks.TakesAnyFile: ("takes_weights_from_file", "takes a weights file of another network", set()),
    networks.FileForgotten: (
        "takes_weights_from_file",
        r"forgotten.weights.h5 does not exist: .*the wheel holds it too",
        set(),
    ),
    networks.FileUnread: ("takes_weights_from_file", "cannot be loaded: OSError: no such format", set()),
    networks.PathFile: ("takes_weights_from_file", r"comes? as weights.pth beside a module.*Name it weights.pt", set()),
    networks.OneBackend: (
        "works_with_jax",
        "where is tf.nn.*doesn't work under the Keras backend jax",
        {"works_with_torch"},
    ),
    networks.Logits: ("gives_probabilities", r"not 0..1: end with a Dense\(1\) with a sigmoid", {"trains_alone"}),
    networks.Independent: ("gives_probabilities", r"sum to .* end with a Dense\(5\) with a softmax", set()),
    networks.Unnamed: ("names_its_layers", 'layers dropout.* were named by Keras.*name="head_dropout"', set()),
    networks.HalfTrained: ("trains_alone", "unfreeze = 0 no gradient reaches head_dense", set()),
    networks.LambdaHead: ("saves_and_reloads", "'head_twice' is a Lambda", set()),
    networks.NoisyHead: ("is_deterministic", "inference twice", {"saves_and_reloads"}),
    parts.NoStages: ("gives_stages", r"must return .* zoo.Stage, not \[\]", {"is_pure_data", "makes_optimizers"}),
    parts.Namesakes: ("gives_stages", "names two stages alike", {"is_pure_data", "makes_optimizers"}),
    parts.Drawn: ("is_pure_data", "gives something else the second time", set()),
    parts.Asking: ("is_pure_data", "imports pandas", set()),
    parts.Arrays: ("gives_stages", "float32 is not JSON serializable", {"is_pure_data", "makes_optimizers"}),
    parts.NotTyped: ("gives_stages", "epochs must be a whole number", {"is_pure_data", "makes_optimizers"}),
    parts.NoOptimizer: ("makes_optimizers", "cannot make the optimizer of stage 'head' .*momentum", set()),
    parts.Floats: (
        "keeps_shape_and_type",
        r"it makes float32 \(4, 64, 64, 3\): .* cast to uint8",
        {"takes_any_picture", "leaves_its_input_alone", "draws_from_rng_alone", "works_in_threads"},
    ),
    parts.EvenSizes: ("keeps_shape_and_type", r"of uint8 \(4, 33, 33, 3\) it makes uint8 \(4, 32, 32, 3\)", set()),
    parts.Stretches: ("takes_any_picture", "fails on an image that is 0 everywhere .*don't divide", set()),
    parts.InPlace: (
        "leaves_its_input_alone",
        r"writes into the images that it is given: work on a copy, images.copy\(\)",
        {"draws_from_rng_alone", "works_in_threads"},
    ),
    parts.OtherGenerator: ("draws_from_rng_alone", "draw every random number from `rng`", {"works_in_threads"}),
    parts.Always: ("draws_from_rng_alone", "another generator gives the same images", set()),
    parts.NotIdle: ("draws_from_rng_alone", "though changes_images = False says", set()),
    parts.SharedState: ("works_in_threads", r"threading.Lock", set()),
}
# Those that take seconds, for another process that loads Keras.
LONG = (networks.Unregistered, networks.Forgetful, networks.OneBackend)
GOOD = [networks.Good, networks.GoodHead, parts.GoodSchedule, parts.GoodAugmenter]
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")


def checks(part: Any) -> dict[str, Any]:
    """By name; none of these parts is installed."""
    return {check.name: check for check in zoo.testing.checks(part) if check.name != "is_offered"}


def in_another_process(name: str) -> bool:
    """Whether a check takes seconds for that."""
    return name == "saves_and_reloads" or (name.startswith("works_with") and name != f"works_with_{BACKEND}")


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(part, id=f"{part.name}-{fault[0]}", marks=[pytest.mark.slow] * (part in LONG))
        for part, fault in FAULTS.items()
    ],
)
def test_a_fault_is_found_and_explained(part: type[Any]) -> None:
    name, said, _ = FAULTS[part]
    with pytest.raises(AssertionError) as raised:
        checks(part)[name]()
    text = str(raised.value)
    assert re.search(said, text, re.DOTALL), text
    assert f"'{part.name}'" in text


@pytest.mark.slow
@pytest.mark.parametrize("part", [*FAULTS, *GOOD], ids=lambda part: part.name)
def test_no_other_check_fails(part: type[Any]) -> None:
    """Other backends are tried for those parts alone whose fault it is."""
    name, _, companions = FAULTS.get(part, ("", "", set()))
    elsewhere = {f"works_with_{backend}" for backend in BACKENDS if backend != BACKEND} - {name, *companions}
    failed, tried = set(), checks(part)
    for check in tried.values():
        if check.name not in elsewhere:
            try:
                check()
            except AssertionError:
                failed.add(check.name)
    assert failed == {name, *companions} & set(tried)  # of the backends those that are installed


@pytest.mark.parametrize("part", GOOD, ids=lambda part: part.name)
def test_a_good_part_passes(part: type[Any]) -> None:
    for check in checks(part).values():
        if not in_another_process(check.name):
            check()


def test_classes_of_one_name_are_kept_apart() -> None:
    """As a test file makes them that defines one in several functions."""
    from zoo.testing.networks import network
    from zoo.testing.subject import Subject

    made = [type("Good", (networks.Good,), {"between": lambda self, x: x}) for _ in range(2)]
    one, other = (network(Subject(cls(), (64, 96))) for cls in made)
    assert one is not other


def test_every_check_has_a_fault_that_it_finds() -> None:
    """Those of is_offered, imports_nothing_heavy and of trackers are in test_testing_plugins.py."""
    found = {name for name, _, _ in FAULTS.values()} | {"imports_nothing_heavy"}
    assert found >= {name for part in GOOD for name in checks(part) if not name.startswith("works_with")}
    assert any(name.startswith("works_with") for name in found)


def test_the_docs_name_every_check() -> None:
    for part in [*GOOD, networks]:  # any module will do for the checks of a tracker
        for check in zoo.testing.checks(part):
            assert re.search(rf"\b{check.function.__name__}\b", zoo.testing.__doc__ or "")
            assert check.function.__doc__
