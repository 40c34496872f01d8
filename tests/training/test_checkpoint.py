"""A state comes back as it was saved, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")
from zoo.training.checkpoint import Checkpoint, State


def state(number: int) -> State:
    rng = np.random.default_rng(number)
    weights = [rng.normal(size=(50, 4)), rng.normal(size=4)]
    changed = [weights[0] + 1, weights[1]]
    row = {"stage": "head", "epoch": 1, "val_loss": 0.5}
    return State(
        stage=1,
        epoch=0,
        weights=weights,
        others=[np.arange(2)],
        stage_best=weights,
        best=changed,
        optimizer=[rng.normal(size=(50, 4))],
        history=[row],
    )


def saved(folder: Path, number: int = 0) -> Checkpoint:
    checkpoint = Checkpoint(folder, {"device": "cpu", "classes": ("a", "b")})
    checkpoint.begin_stage(state(number))
    checkpoint.save(state(number))
    return checkpoint


def same(one: State | None, other: State) -> bool:
    assert one is not None
    arrays = ("weights", "others", "stage_best", "best", "optimizer")
    pairs = [(getattr(one, name), getattr(other, name)) for name in arrays]
    alike = all(np.array_equal(a, b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True))
    return alike and (one.stage, one.epoch, one.history) == (other.stage, other.epoch, other.history)


def test_a_state_comes_back(tmp_path: Path) -> None:
    saved(tmp_path / "checkpoint")
    checkpoint = Checkpoint(tmp_path / "checkpoint", {"device": "cpu", "classes": ("a", "b")})
    assert same(checkpoint.load(), state(0))
    assert checkpoint.fault == ""
    assert Checkpoint(tmp_path / "nowhere", {}).load() is None


ORIGIN = {"device": "cpu", "backend": "tensorflow", "keras": "3.15.0", "precision": "float32", "seen": "a1"}
ORIGIN |= {"parts": {"head": "zoo 1", "backbone": "zoo 1"}, "code": {"head": "11", "backbone": "22"}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"device": "gpu"}, "on cpu, and this is gpu"),
        ({"backend": "jax", "keras": "3.16.0"}, "under tensorflow, and this is jax"),
        ({"keras": "3.16.0"}, "with Keras 3.15.0, and this is Keras 3.16.0"),
        ({"precision": "mixed_float16"}, "in float32, and this is mixed_float16"),
        ({"parts": {"head": "zoo 1", "backbone": "zoo 2"}}, "with another version of the backbone"),
        ({"code": {"head": "33", "backbone": "44"}}, "with other code of the head and the backbone"),
        ({"seen": "b2"}, "with weights that have seen other images"),
        ({"recipe": {}}, "differently"),
    ],
)
def test_why_a_state_is_not_taken(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    Checkpoint(tmp_path / "checkpoint", ORIGIN).begin_stage(state(0))
    checkpoint = Checkpoint(tmp_path / "checkpoint", {**ORIGIN, **change})
    assert (checkpoint.load(), checkpoint.fault) == (None, f"begun {says}")


def flip(file: Path) -> None:
    """A byte in the midst of the largest array."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def altered(file: Path, **arrays: Any) -> None:
    with np.load(file) as opened:
        np.savez(file, **{**opened, **arrays})  # type: ignore[arg-type]


def about(folder: Path, **changes: Any) -> str:
    with np.load(folder / "epoch.npz") as opened:
        return json.dumps({**json.loads(str(opened["about"])), **changes})


def of_another(folder: Path) -> None:
    saved(folder.with_name("other"), number=1)
    shutil.copy(folder.with_name("other") / "stage-1.npz", folder / "stage-1.npz")


def into_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "epoch cut": lambda folder: os.truncate(folder / "epoch.npz", 1000),
    "epoch flipped": lambda folder: flip(folder / "epoch.npz"),
    "epoch emptied": lambda folder: os.truncate(folder / "epoch.npz", 0),
    "epoch gone": lambda folder: (folder / "epoch.npz").unlink(),
    "epoch no zip": lambda folder: (folder / "epoch.npz").write_bytes(b"text" * 100),
    "epoch one array": lambda folder: np.save((folder / "epoch.npz").open("wb"), np.zeros(3)),
    "epoch a folder": lambda folder: ((folder / "epoch.npz").unlink(), (folder / "epoch.npz").mkdir()),
    "stage cut": lambda folder: os.truncate(folder / "stage-1.npz", 1000),
    "stage flipped": lambda folder: flip(folder / "stage-1.npz"),
    "stage gone": lambda folder: (folder / "stage-1.npz").unlink(),
    "stage of another job": of_another,
    "other shapes": lambda folder: altered(folder / "epoch.npz", **{"best-0": np.zeros((3, 3))}),
    "other shapes in the stage": lambda folder: altered(folder / "stage-1.npz", **{"base-0": np.zeros((3, 3))}),
    "an array more": lambda folder: altered(folder / "epoch.npz", extra=np.zeros(3)),
    "no JSON": lambda folder: altered(folder / "epoch.npz", about=np.array("{")),
    "JSON of another kind": lambda folder: altered(folder / "epoch.npz", about=np.array("[1]")),
    "JSON nested deep": lambda folder: altered(folder / "epoch.npz", about=np.array("[" * 100_000)),
    "JSON with more": lambda folder: altered(folder / "epoch.npz", about=np.array(about(folder, more=1))),
    "another stage": lambda folder: altered(folder / "epoch.npz", about=np.array(about(folder, stage=7))),
    "a file for the folder": into_file,
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_state_is_not_taken(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "checkpoint"
    checkpoint = saved(folder)
    DAMAGE[how](folder)
    assert checkpoint.load() is None
    assert checkpoint.fault.startswith("its checkpoint is damaged (")
    checkpoint.remove()
    assert checkpoint.load() is None and checkpoint.fault == ""
    saved(folder)
    assert same(checkpoint.load(), state(0))
