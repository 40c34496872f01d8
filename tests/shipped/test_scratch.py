from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.parts import recipe
from zoo.data import demo, images
from zoo.data.splits import Subset
from zoo_heads import Pooled
from zoo_scratch import ScratchCNN

keras = pytest.importorskip("keras")
from zoo.evaluation import metrics  # noqa: E402
from zoo.interfaces import Stage  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo.training import trainer  # noqa: E402
from zoo.training.checkpoint import Checkpoint  # noqa: E402
from zoo.training.options import TrainingOptions  # noqa: E402


@pytest.mark.parametrize(("fields", "channels", "size"), [({}, 192, 4), ({"width": 8, "depth": 2}, 16, 16)], ids=str)
def test_width_and_depth(fields: dict[str, int], channels: int, size: int) -> None:
    assert ScratchCNN(**fields).build((64, 64, 3)).output_shape == (None, size, size, channels)


def test_it_is_small_enough_for_a_cpu() -> None:
    assert ScratchCNN().build((224, 224, 3)).count_params() < 1_000_000


@pytest.mark.parametrize("field", ["width", "depth", "convolutions"])
def test_parameters_are_checked(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at least 1"):
        ScratchCNN(**{field: 0})


@pytest.mark.slow
def test_it_learns_the_demo_from_nothing(tmp_path: Path) -> None:
    """On images of its own, so that the result doesn't rest on 41 of them: trained on 600, tested on 400."""
    table = demo.plan_images(images=1000, seed=5)
    pixels = np.stack([images.resize(demo.draw(r, seed), 64) for seed, r in enumerate(table["cup_to_disc"], 1000)])
    labels, names = table["label"].to_numpy(), tuple(table["file"])
    parts = [
        Subset(pixels, np.arange(*ends), labels[slice(*ends)], names[slice(*ends)], names[slice(*ends)], "demo 5")
        for ends in ((0, 500), (500, 600), (600, 1000))
    ]
    keras.utils.set_random_seed(0)
    network = networks.assemble(ScratchCNN(), Pooled(), (64, 64, 3), 2)
    stage = Stage("all", 12, 12, 1e-3, unfreeze="all", batchnorm="train")
    trainer.train(
        network,
        recipe([stage], batch_size=16),
        TrainingOptions(),
        *parts[:2],
        ["normal", "abnormal"],
        lambda model: None,
        Checkpoint(tmp_path / "checkpoint", {}),
        lambda event: None,
    )
    outputs = trainer.predict(trainer.scorer(network.model), parts[2], 2)
    assert metrics.score(parts[2].labels, metrics.per_class(outputs))["auc"] > 0.75
