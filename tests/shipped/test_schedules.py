from __future__ import annotations

import pytest

import zoo
from zoo_schedules import ThreeStage


def test_three_stages_share_what_is_not_their_own() -> None:
    decay = zoo.Decay(0.9)
    stages = ThreeStage(epochs=5, patience=2, optimizer="adam", decay=decay, top="block6").stages()
    assert [stage.name for stage in stages] == ["head", "top", "all"]
    assert [stage.unfreeze for stage in stages] == [0, "block6", "all"]
    assert [stage.batchnorm for stage in stages] == ["frozen", "frozen", "train"]
    assert {(stage.epochs, stage.patience, stage.optimizer, stage.decay) for stage in stages} == {(5, 2, "adam", decay)}


def test_a_wrong_stage_is_refused_when_the_schedule_is_made() -> None:
    with pytest.raises(ValueError, match="learning_rate must be above 0"):
        ThreeStage(learning_rates=(1e-3, 0.0, 1e-5))
