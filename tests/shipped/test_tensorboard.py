"""What TensorBoard reads of what the tracker wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import TINY_PLUGIN, Install
from tests.tracked import follow, planned


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TensorBoard's own reader of a folder; this is how it is told to do without TensorFlow, which takes seconds."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return lambda folder: EventAccumulator(str(folder)).Reload()


def scalars(read: Any, folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in read(folder).Scalars(tag)]


def test_curves_and_scores_of_a_job_that_was_interrupted(
    install: Install, folds: Path, tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(TINY_PLUGIN)
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "120")
    monkeypatch.setattr("zoo.run.trackers.INTERRUPTED", 60)  # it is interrupted before its library is loaded
    with planned(folds, tmp_path / "run", "tensorboard") as first:
        assert follow(first, 4, ends=False) == []
    events = tmp_path / "run/tiny/fold-0/tensorboard"
    assert scalars(read, events / "train", "epoch_loss") == [(1, 1), (2, 1 / 2), (3, pytest.approx(1 / 3)), (4, 1 / 4)]
    assert not (events / "test").exists()
    with planned(folds, tmp_path / "run", "tensorboard") as second:  # which begins an epoch earlier than that ended
        assert follow(second, 5, first=4, loss=2) == []
    train = scalars(read, events / "train", "epoch_loss")
    assert train == [(1, 1), (2, 1 / 2), (3, pytest.approx(1 / 3)), (4, 2 / 4), (5, pytest.approx(2 / 5))]
    assert [step for step, _ in scalars(read, events / "validation", "epoch_loss")] == [1, 2, 3, 4, 5]
    assert scalars(read, events / "validation", "epoch_accuracy")[-1] == (5, 0.75)
    assert [step for step, _ in scalars(read, events / "validation", "epoch_auc")] == [2, 3, 4, 5]  # none at first
    assert scalars(read, events / "train", "epoch_learning_rate")[0] == (1, 0.125)
    for role in ("validation", "test"):
        assert scalars(read, events / role, "scores/recall") == [(5, 0.25)]
        assert "scores/auc" not in read(events / role).Tags()["scalars"]
    (recipe,) = read(events / "train").Tensors("recipe/text_summary")
    text = recipe.tensor_proto.string_val[0].decode().removeprefix("```json\n").removesuffix("\n```")
    assert json.loads(text)["backbone"]["name"] == "tiny"

    with planned(folds, tmp_path / "run", "tensorboard", redo=(("tiny", 0),)) as again:
        assert not events.exists()
        assert follow(again, 2) == []
    assert [step for step, _ in scalars(read, events / "train", "epoch_loss")] == [1, 2]
