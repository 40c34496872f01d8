"""A network that a process has assembled is taken again by a job that begins with the same one."""

from __future__ import annotations

import random
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.parts import Linear, Residual, stage

keras = pytest.importorskip("keras")
from zoo.training import heatmap, kept, precision  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo.training.checkpoint import values  # noqa: E402

SHAPE = (32, 32, 3)


@pytest.fixture(autouse=True)
def _no_network_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_last", None)


@dataclass(frozen=True)
class Dropping(zoo.Head):
    """Draws random numbers in training, and has a layer that no stage trains."""

    name = "dropping"
    rate: float = 0.5

    def build(self, features: Any, classes: int) -> Any:
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
        dropped = keras.layers.Dropout(self.rate, name="drop")(pooled)
        scaled = keras.layers.Dense(dropped.shape[-1], name="scale", trainable=False)(dropped)
        return keras.layers.Dense(1, activation="sigmoid", name="output")(scaled)


def assemble(head: zoo.Head | None = None, **other: Any) -> networks.Network:
    wanted = {"image_shape": SHAPE, "classes": 2, "seed": 7} | other
    backbone = Residual(weights=wanted.pop("weights", "none"))
    return kept.assemble(backbone, head or Dropping(), **wanted)


def in_a_new_process(head: zoo.Head) -> networks.Network:
    keras.utils.set_random_seed(7)
    return networks.assemble(Residual(weights="none"), head, SHAPE, 2)


def trains(network: networks.Network) -> list[bool]:
    return [each.trainable for each in [*network.model.layers, *network.model.variables]]


def test_it_is_as_a_new_process_assembles_it() -> None:
    new = in_a_new_process(Dropping())
    first = assemble()
    for array, other in zip(values(new.model.variables), values(first.model.variables), strict=True):
        np.testing.assert_array_equal(array, other)
    assert trains(new) == trains(first)


def test_taken_again_it_is_as_it_was_before_it_was_trained() -> None:
    first = assemble()
    before, trained = values(first.model.variables), trains(first)
    networks.unfreeze(first, stage(unfreeze=0))
    first.model.get_layer("scale").trainable = True
    for variable in first.model.variables:
        variable.assign(variable + 1)
    again = assemble()
    assert again.model is first.model
    for array, other in zip(before, values(again.model.variables), strict=True):
        np.testing.assert_array_equal(array, other)
    assert trains(again) == trained
    assert not again.model.get_layer("scale").trainable


def test_random_numbers_go_on_alike_whether_it_was_built_or_kept() -> None:
    drawn = []
    for _ in range(2):
        assemble()
        drawn.append([random.random(), np.random.rand(), float(np.asarray(keras.random.normal(())))])
        keras.utils.set_random_seed(3)
    assert drawn[0] == drawn[1]


OTHERS: dict[str, dict[str, Any]] = {
    "seed": {"seed": 8},
    "size": {"image_shape": (48, 48, 3)},
    "classes": {"head": Linear(), "classes": 3},
    "head": {"head": Linear()},
    "parameter": {"head": Dropping(rate=0.25)},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_whatever_begins_otherwise_gets_a_network_of_its_own(other: dict[str, Any]) -> None:
    first = assemble()
    assert assemble(**other).model is not first.model


def test_another_precision_is_another_network() -> None:
    first = assemble()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert assemble().model is not first.model
    finally:
        keras.config.set_dtype_policy(before)
    assert precision.in_full(first.model) is first.model


def test_weights_are_read_again_when_their_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "own.weights.h5"
    source = Residual(weights="none").build(SHAPE)
    source.save_weights(file)
    first = assemble(weights=str(file))
    assert assemble(weights=str(file)).model is first.model
    for weight in source.weights:
        weight.assign(weight + 1)
    source.save_weights(file)
    changed = assemble(weights=str(file))
    name = source.weights[0].path
    held = next(weight for weight in changed.model.weights if weight.path == name)
    np.testing.assert_array_equal(np.asarray(held), np.asarray(source.weights[0]))


def test_weights_auto_come_to_what_the_next_job_is_told() -> None:
    first = assemble(weights="auto")
    assert first.weights == "random"
    assert first.warning
    again = assemble(weights="none")
    assert again.model is first.model
    assert again.warning is None


def test_a_file_that_is_gone_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(zoo.WeightsError, match="does not exist"):
        assemble(weights=str(tmp_path / "gone.weights.h5"))


def test_the_one_before_takes_no_memory_beside_it() -> None:
    first = assemble()
    heat = heatmap.heat_maps(first.model, np.zeros((1, *SHAPE), dtype=np.uint8), np.array([1]))
    assert heat.shape[0] == 1
    gone = weakref.ref(first.model)
    del first
    assemble(seed=8)
    assert gone() is None
