"""Parts that are loaded without a fault and misbehave in use: named in one line, with their distribution."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Main, Zoo
from tests.parts import Linear
from zoo.plugins import discovery
from zoo.training import batches
from zoo.training import model as networks

BACKBONE = '''
from dataclasses import dataclass
import zoo

@dataclass(frozen=True)
class Bad(zoo.Backbone):
    """Bad."""
    name = "bad"
    weights: str = "none"

    def build(self, image_shape):
        import keras
        inputs = keras.Input(image_shape)
        x = keras.layers.Conv2D(4, 3, name="block1_conv")(inputs)
        model = keras.Model(inputs, x)
{body}
        return model

@zoo.hookimpl
def zoo_backbones():
    return [Bad]
'''
BUILDS = {
    "subclassed model": (
        "class Own(keras.Model):\n    def call(self, x): return x\nmodel = Own()",
        "must build a functional keras.Model",
    ),
    "two inputs": (
        "other = keras.Input(image_shape)\nmodel = keras.Model([inputs, other], x + 0)",
        "one input and output",
    ),
    "two outputs": ("model = keras.Model(inputs, [x, x])", "with one input and output"),
    "no number": (
        "model.set_weights([w * float('nan') for w in model.get_weights()])",
        "begins with weights that are no numbers: block1_conv/kernel",
    ),
    "policy": ("keras.config.set_dtype_policy('mixed_bfloat16')", "changes keras.config.dtype_policy"),
    "floatx": ("keras.config.set_floatx('float64')", "changes keras.config.floatx"),
    "floatx, and fails": ("keras.config.set_floatx('float64')\nraise ValueError('no')", "cannot be built .*: no"),
    "exits": ("raise SystemExit(0)", "cannot be built for images .*SystemExit: 0"),
    "a layer that cannot be made anew": (
        "class Own(keras.layers.Layer):\n"
        "    def __init__(self, size): super().__init__(); self.size = size\n"
        "    def call(self, x): return x\n"
        "model = keras.Sequential([inputs, keras.Sequential([keras.Input(image_shape), Own(3)])])",
        "cannot be made anew from its configuration",
    ),
}


def assembled(install: Install, body: str) -> networks.Network:
    code = BACKBONE.format(body=textwrap.indent(body, " " * 8))
    found = discovery.discover([install(code, "zoo-bad", "bad", f"bad_{abs(hash(body))}")])
    assert found.problems == []
    return networks.assemble(found.get("backbone", "bad").value(), Linear(), (32, 32, 3), 2)


@pytest.mark.parametrize(("body", "says"), BUILDS.values(), ids=BUILDS)
def test_a_backbone_that_builds_what_it_should_not(install: Install, body: str, says: str) -> None:
    before = keras.Model.fit, keras.config.dtype_policy().name, keras.config.floatx()
    with pytest.raises(package.PluginError, match=rf"backbone 'bad' \(from zoo-bad 1.0\) .*({says})") as caught:
        assembled(install, body)
    assert "\n" not in str(caught.value)
    assert (keras.Model.fit, keras.config.dtype_policy().name, keras.config.floatx()) == before


def test_the_one_without_a_fault_is_assembled(install: Install) -> None:
    assert assembled(install, "").model.output_shape == (None, 1)


AUGMENTS: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "float": (lambda images: images / 255, r"returns float64 \(1, 8, 8, 3\)"),
    "smaller": (lambda images: images[:, ::2], r"returns uint8 \(1, 4, 8, 3\)"),
    "one image": (lambda images: images[0], r"returns uint8 \(8, 8, 3\)"),
    "a list": (list, "returns list"),
    "writes into stored images": (lambda images: np.copyto(images, 0), "fails: ValueError: .*read-only"),
    "exits": (lambda images: exec("raise SystemExit"), "fails: SystemExit"),
}


@pytest.mark.parametrize(("change", "says"), AUGMENTS.values(), ids=AUGMENTS)
def test_an_augmenter_that_returns_what_it_should_not(change: Callable[[np.ndarray], Any], says: str) -> None:
    class Bad(package.Augmenter):
        name = "bad"
        __zoo_origin__ = "zoo-bad 1.0"

        def augment(self, images: np.ndarray, rng: np.random.Generator) -> Any:
            return change(images)

    stored = np.zeros((8, 8, 3), np.uint8)
    stored.setflags(write=False)  # as the memory-mapped images are
    with pytest.raises(package.PluginError, match=rf"augmenter 'bad' \(from zoo-bad 1.0\) {says}"):
        batches.augmented(Bad(), stored, (0,))


# Each is the rest of a module that offers a model "bad" or a part; what is said of it where.
LISTED = {
    "generator of stages": (
        '@dataclass(frozen=True)\nclass S(zoo.Schedule):\n    name = "bad"\n'
        '    def stages(self):\n        yield zoo.Stage("a", 1, 1, 0.1)\n        raise KeyError("late")\n'
        "@zoo.hookimpl\ndef zoo_schedules(): return [S]\n"
        '@zoo.hookimpl\ndef zoo_models(): return {"bad": {"backbone": "tiny", "schedule": "bad"}}',
        "schedule 'bad' (from zoo-bad 1.0) gives no stages: KeyError: 'late'",
    ),
    "table that is no data": (
        "@zoo.hookimpl\ndef zoo_models(): return {'bad': {'backbone': 'tiny', 'seed': print}}",
        "plug-in bad (zoo-bad 1.0) left out: zoo_models: bad: not what registry.toml could hold",
    ),
}


@pytest.mark.parametrize(("code", "says"), LISTED.values(), ids=LISTED)
def test_models_are_listed_beside_it(install: Install, main: Main, tmp_path: Path, code: str, says: str) -> None:
    install(f"from dataclasses import dataclass\nimport zoo\n{code}", "zoo-bad", "bad", f"bad_{abs(hash(code))}")
    install(TINY_PLUGIN)
    status, output, warnings = main("list", "--json")
    assert status == 0
    rows = {row["name"]: row for row in json.loads(output)}
    assert rows["tiny"]["backbone"] == "tiny"
    assert says in (rows["bad"]["problem"] if "bad" in rows else warnings)
    assert "Traceback" not in warnings
    for kind in ("backbones", "heads", "schedules", "augmenters"):
        assert main("list", kind)[0] == 0


LOUD = """
from dataclasses import dataclass
import os, sys
import keras
import zoo

if "zoo.run.worker" in " ".join(sys.orig_argv):
    keras.config.set_floatx("float16")


@dataclass(frozen=True)
class Leaves(zoo.Augmenter):
    name = "leaves"

    def augment(self, images, rng):
        os._exit(0)


@dataclass(frozen=True)
class Logits(zoo.Head):
    name = "logits"

    def build(self, features, classes):
        x = keras.layers.GlobalAveragePooling2D(name="logits_pool")(features)
        return keras.layers.Dense(1, name="logits_output")(x)


@zoo.hookimpl
def zoo_augmenters():
    return [Leaves]


@zoo.hookimpl
def zoo_heads():
    return [Logits]


@zoo.hookimpl
def zoo_models():
    return {
        "leaves": {"backbone": "tiny", "augmenter": "leaves", "schedule": "two-stage"},
        "logits": {"backbone": "tiny", "head": "logits", "schedule": "two-stage"},
    }
"""


@pytest.mark.slow
def test_a_job_is_done_only_if_its_worker_says_so_and_no_other_plugin_has_a_say(
    install: Install, zoo: Zoo, folds: Path, tmp_path: Path
) -> None:
    """One part ends the process as if all were well, one gives no probabilities; and their plug-in changes Keras."""
    install(TINY_PLUGIN)
    command = ["--data", folds, "--folds", 0, "--image-size", 32, "--max-epochs", 1, "--out"]
    alone = zoo("run", "tiny", *command, tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    install(LOUD, "zoo-loud", "loud")
    done = zoo("compare", "leaves", "logits", "tiny", *command, tmp_path / "beside")
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "leaves, fold 0 failed: the worker process ended before the job was done; with backbone 'tiny'" in said
    assert "augmenter 'leaves' (from zoo-loud 1.0)" in said
    assert "logits, fold 0 failed: head 'logits' (from zoo-loud 1.0) gives outputs from -" in said
    assert "no probabilities: end it with a sigmoid" in said
    states = [json.loads((tmp_path / f"beside/{name}/fold-0/status.json").read_text()) for name in ("leaves", "logits")]
    assert [state["state"] for state in states] == ["failed", "failed"]
    predictions = [(tmp_path / f"{run}/tiny/fold-0/predictions.csv").read_text() for run in ("alone", "beside")]
    assert predictions[0] == predictions[1]
