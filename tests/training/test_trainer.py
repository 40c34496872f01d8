"""Stages, the best epoch, early stopping, learning rates, and the refusal of NaN."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import zoo
from tests.parts import Brighten, Linear, Residual, recipe, stage, subset
from zoo.errors import ConfigError

keras = pytest.importorskip("keras")
from zoo.evaluation import metrics  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo.training import trainer  # noqa: E402
from zoo.training.checkpoint import Checkpoint  # noqa: E402
from zoo.training.options import TrainingOptions  # noqa: E402


class Run:
    """A short training run on images whose class can be seen, and all that it left."""

    def __init__(self, folder: Path, stages: list[zoo.Stage], classes: int = 2, **changes: Any) -> None:
        options: dict[str, Any] = {"seed": 0} | changes
        keras.utils.set_random_seed(options["seed"])
        self.network = networks.assemble(Residual(weights="none"), Linear(), (32, 32, 3), classes)
        self.start = self.network.model.get_weights()
        self.training, self.validation = subset(24, classes), subset(12, classes, seed=1)
        if options.pop("mislabelled", False):  # the more is learnt, the higher the validation loss
            self.validation = dataclasses.replace(self.validation, labels=1 - self.validation.labels)
        self.file = folder / "best.keras"
        self.events: list[dict[str, Any]] = []
        self.die_at: tuple[str, str, int] | None = options.pop("die_at", None)
        self.classes = classes
        checkpoint = Checkpoint(folder / "checkpoint", {})
        history = trainer.train(
            self.network,
            recipe(stages, **options),
            TrainingOptions(),
            self.training,
            self.validation,
            [*"abcde"[:classes]],
            lambda model: model.save(self.file),
            checkpoint,
            self.listen,
        )
        self.history = pd.DataFrame(history)
        checkpoint.remove()

    def listen(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if (event["event"], event.get("stage"), event.get("epoch")) == self.die_at:
            raise KeyboardInterrupt

    def moved(self) -> dict[str, np.ndarray]:
        """By how much each weight has changed, statistics of batch normalisation left out."""
        weights = zip(self.network.model.weights, self.network.model.get_weights(), self.start, strict=True)
        return {weight.path: after - before for weight, after, before in weights if "moving" not in weight.path}

    def validation_loss(self, model: Any) -> float:
        outputs = trainer.predict(trainer.scorer(model), self.validation, self.classes)
        return float(metrics.score(self.validation.labels, metrics.per_class(outputs))["loss"])


def test_it_learns_and_says_how(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage(epochs=4), stage("all", epochs=6, patience=6, unfreeze="all", batchnorm="train")])
    assert list(run.history.columns) == trainer.HISTORY
    assert list(run.history["stage"]) == ["head"] * 4 + ["all"] * 6
    assert list(run.history["epoch"]) == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]
    assert run.history["loss"].iloc[-1] < 0.7 * run.history["loss"].iloc[0]
    kinds = [event["event"] for event in run.events if event["event"] not in ("step_ended", "features")]
    assert kinds == [
        "stage_started",
        *["epoch_ended"] * 4,
        "stage_ended",
        "stage_started",
        *["epoch_ended"] * 6,
        "stage_ended",
    ]


@dataclass(frozen=True)
class Failing(zoo.Augmenter):
    """Fails at the image with the largest mean, in whatever thread that comes up."""

    name = "failing"

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if images.mean() == subset(24).pixels.mean(axis=(1, 2, 3)).max():
            raise KeyError("late")
        return images


def test_an_augmenter_that_fails_during_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(zoo.TrainingError, match="augmenter 'failing' fails: KeyError: 'late'"):
        Run(tmp_path, [stage("all", epochs=2, unfreeze="all")], augmenter=Failing())


def test_the_best_epoch_is_kept_in_memory_and_in_the_file(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage("all", epochs=6, patience=6, unfreeze="all")], mislabelled=True)
    lowest = run.history["val_loss"].min()
    assert run.history["val_loss"].idxmin() < 3
    assert run.validation_loss(run.network.model) == pytest.approx(lowest, rel=1e-4)
    assert run.validation_loss(keras.saving.load_model(run.file, safe_mode=True)) == pytest.approx(lowest, rel=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_every_image_counts_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int) -> None:
    """Whatever is left over for the last batch: here two of twelve."""
    monkeypatch.setattr(trainer, "IMAGE_BATCH", 5)
    run = Run(tmp_path, [stage(epochs=1, learning_rate=1e-3)], classes=classes)
    outputs = trainer.predict(trainer.scorer(run.network.model), run.validation, classes)
    score = metrics.score(run.validation.labels, metrics.per_class(outputs))
    assert run.history["val_accuracy"][0] == pytest.approx(score["accuracy"], rel=1e-5)
    assert run.history["val_loss"][0] == pytest.approx(score["loss"], rel=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_of_an_epoch_is_that_of_the_table_however_sure_the_network(tmp_path: Path, classes: int) -> None:
    """Keras goes back to what a sigmoid was given, in one backend; predictions.csv has the float32 that it gave."""
    run = Run(tmp_path, [stage(epochs=1, learning_rate=300.0)], classes=classes, mislabelled=True)
    outputs = trainer.predict(trainer.scorer(run.network.model), run.validation, classes)
    score = metrics.score(run.validation.labels, metrics.per_class(outputs))
    assert outputs.max() > 1 - 1e-7
    assert score["loss"] > 1
    assert run.history["val_loss"][0] == pytest.approx(score["loss"], rel=1e-6)


def test_a_stage_starts_from_the_best_of_the_one_before(tmp_path: Path) -> None:
    """The second stage learns too little to see: its loss is the lowest of the first, not its last."""
    stages = [stage("all", epochs=6, patience=6, unfreeze="all"), stage("still", learning_rate=1e-12)]
    run = Run(tmp_path, stages, mislabelled=True)
    first, second = (run.history[run.history["stage"] == name]["val_loss"] for name in ("all", "still"))
    assert first.iloc[-1] > first.min() + 0.1
    np.testing.assert_allclose(second, first.min(), rtol=1e-5)


def test_a_worse_later_stage_does_not_replace_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage(epochs=3), stage("wild", learning_rate=5.0, unfreeze="all", batchnorm="train")])
    assert run.history["val_loss"].idxmin() < 3
    assert run.validation_loss(run.network.model) == pytest.approx(run.history["val_loss"].min(), rel=1e-4)


def test_early_stopping(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage(epochs=50, patience=4, learning_rate=1e-30)])
    assert len(run.history) == 5
    assert run.events[-1] == {"event": "stage_ended", "stage": "head", "epochs": 5}


@pytest.mark.parametrize("staircase", [True, False])
def test_decay(tmp_path: Path, staircase: bool) -> None:
    decay = zoo.Decay(0.5, every_epochs=2, staircase=staircase)
    run = Run(tmp_path, [stage(epochs=5, patience=5, decay=decay)])
    done = np.arange(1, 6) / 2  # epochs of decay at the end of each epoch
    expected = 0.01 * 0.5 ** (np.floor(done) if staircase else done)
    np.testing.assert_allclose(run.history["learning_rate"], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "sgd"])
def test_optimizers(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path, [stage(epochs=2, optimizer=name)])
    assert run.history["loss"].iloc[1] < run.history["loss"].iloc[0]


def test_cosine_with_warm_up(tmp_path: Path) -> None:
    """After one of six epochs of warm-up the rate is at its peak; in the end at its final share."""
    cosine = zoo.Cosine(warmup_epochs=1, final=0.1)
    run = Run(tmp_path, [stage(epochs=6, patience=6, decay=cosine)])
    progress = np.arange(6) / 5
    expected = 0.01 * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * progress)))
    np.testing.assert_allclose(run.history["learning_rate"], expected, rtol=1e-4)


def test_decay_by_steps(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage(epochs=2, decay=zoo.Decay(0.5, every_steps=1))])  # 24 images in batches of 8
    np.testing.assert_allclose(run.history["learning_rate"], [0.01 / 2**3, 0.01 / 2**6], rtol=1e-5)


def test_optimizer_parameters_arrive(tmp_path: Path) -> None:
    plain, momentum = (
        Run(tmp_path, [stage(epochs=2, optimizer=table)]).history["loss"]
        for table in ("sgd", {"name": "sgd", "momentum": 0.9, "nesterov": True})
    )
    assert plain[0] != momentum[0]


def test_a_class_weight_moves_the_probabilities(tmp_path: Path) -> None:
    low, high = (Run(tmp_path, [stage(epochs=3, class_weights={"b": weight})]) for weight in (0.05, 20.0))
    means = [trainer.predict(trainer.scorer(run.network.model), run.validation, 2).mean() for run in (low, high)]
    assert means[0] + 0.1 < means[1]


# --- averaged weights, rates by depth, losses, what chooses the epoch ----------------------------------------------


def averaging(momentum: float) -> dict[str, Any]:
    return {"name": "sgd", "use_ema": True, "ema_momentum": momentum}


def test_an_epoch_is_judged_by_its_averaged_weights_and_ends_with_them(tmp_path: Path) -> None:
    """Without memory the average is the last weights; with all of it, those after the first step of all."""
    plain, none, all_of_it, half = (
        Run(tmp_path, [stage("all", epochs=4, patience=4, unfreeze="all", optimizer=how)]).history
        for how in ("sgd", averaging(0.0), averaging(1.0), averaging(0.9))
    )
    pd.testing.assert_series_equal(none["val_loss"], plain["val_loss"])
    assert np.ptp(all_of_it["val_loss"]) < 1e-6
    assert (half["val_loss"] != plain["val_loss"]).all()
    # What is trained is not the average: the loss of training is what it was.
    pd.testing.assert_series_equal(half["loss"], plain["loss"])


def test_best_keras_has_the_averaged_weights(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage("all", epochs=4, patience=4, unfreeze="all", optimizer=averaging(0.9))])
    lowest = run.history["val_loss"].min()
    assert run.validation_loss(keras.saving.load_model(run.file)) == pytest.approx(lowest, rel=1e-5)


def test_rates_fall_with_depth(tmp_path: Path) -> None:
    """One step of SGD moves each weight by its gradient times its rate."""
    plain, deep = (
        Run(tmp_path, [stage("all", epochs=1, unfreeze="all", optimizer="sgd", layer_decay=share)], batch_size=24)
        for share in (1.0, 0.5)
    )
    known = networks.depths(plain.network)
    depth = {weight.path: known.get(id(weight), 0) for weight in plain.network.model.weights}
    steps = {path: np.abs(step).sum() for path, step in plain.moved().items() if np.abs(step).max() > 1e-5}
    for path, step in steps.items():
        assert np.abs(deep.moved()[path]).sum() / step == pytest.approx(0.5 ** depth[path], rel=0.02), path
    assert {"stem_conv/kernel", "block2_conv/kernel", "output/kernel"} <= {*steps}
    assert [depth[f"{name}/kernel"] for name in ("stem_conv", "block2_conv", "output")] == [10, 2, 0]
    assert plain.history["learning_rate"][0] == deep.history["learning_rate"][0] == pytest.approx(0.01)


@pytest.mark.parametrize("classes", [2, 3])
def test_focal_loss(tmp_path: Path, classes: int) -> None:
    """Lin et al., 2017: (1 - p)^gamma times the cross-entropy of an image whose class got p."""
    run = Run(tmp_path, [stage(epochs=1, learning_rate=1e-9, focal_gamma=2.0)], classes=classes)
    outputs = metrics.per_class(trainer.predict(trainer.scorer(run.network.model), run.training, classes))
    right = outputs[np.arange(24), run.training.labels]
    assert run.history["loss"][0] == pytest.approx((-((1 - right) ** 2) * np.log(right)).mean(), rel=1e-3)
    assert run.history["val_loss"][0] == pytest.approx(run.validation_loss(run.network.model), rel=1e-4)


def test_the_epoch_of_the_highest_auc_can_be_kept_instead(tmp_path: Path) -> None:
    stages = [stage("all", epochs=6, patience=2, unfreeze="all", batchnorm="train", learning_rate=0.03)]
    run = Run(tmp_path, stages, monitor="auc")
    history = run.history
    outputs = metrics.per_class(trainer.predict(trainer.scorer(run.network.model), run.validation, 2))
    assert metrics.auc(run.validation.labels, outputs) == pytest.approx(history["val_auc"].max())
    assert [event["best"] for event in run.events if event["event"] == "epoch_ended"] == [
        *(history["val_auc"] > history["val_auc"].cummax().shift(fill_value=-1))
    ]
    assert len(history) == min(6, history["val_auc"].idxmax() + 3)


def test_no_auc_without_an_image_of_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = {24: subset(24), 12: dataclasses.replace(subset(12), labels=np.zeros(12, int))}
    monkeypatch.setattr(f"{__name__}.subset", lambda images, *rest, **more: both[images])
    assert np.isnan(Run(tmp_path, [stage(epochs=1)]).history["val_auc"][0])
    with pytest.raises(zoo.DataError, match="no validation image is b, so that there is no AUC"):
        Run(tmp_path, [stage()], monitor="auc")


def test_test_time_flips_are_the_mean_over_both_views(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage(epochs=1)])
    compiled = trainer.scorer(run.network.model)
    swapped = dataclasses.replace(run.validation, pixels=run.validation.pixels[:, :, ::-1])
    plain, mirrored, both = (
        trainer.predict(compiled, run.validation, 2),
        trainer.predict(compiled, swapped, 2),
        trainer.predict(compiled, run.validation, 2, "flips"),
    )
    assert (plain != mirrored).any()
    np.testing.assert_allclose(both, (plain + mirrored) / 2, rtol=1e-6)


def test_label_smoothing_leaves_accuracy_and_validation_loss_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage("all", epochs=8, patience=8, unfreeze="all", batchnorm="train", label_smoothing=0.4)])
    assert run.history["accuracy"].max() > 0.9
    assert run.history["loss"].min() > 0.4  # the entropy of smoothed targets bounds it
    assert run.validation_loss(run.network.model) == pytest.approx(run.history["val_loss"].min(), rel=1e-4)


def test_three_classes(tmp_path: Path) -> None:
    run = Run(tmp_path, [stage("all", epochs=8, patience=8, unfreeze="all", batchnorm="train")], classes=3)
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]
    assert run.validation_loss(run.network.model) == pytest.approx(run.history["val_loss"].min(), rel=1e-4)


def test_a_loss_that_is_no_number_stops_with_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(zoo.TrainingError, match=r"stage 'all': the loss is (nan|inf).*learning rate below 3e\+38"):
        Run(tmp_path, [stage("all", epochs=50, learning_rate=3e38, unfreeze="all", batchnorm="train")])


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    stages = [stage("all", unfreeze="all", batchnorm="train")]
    first, second, other = (Run(tmp_path, stages, augmenter=Brighten(), seed=seed) for seed in (5, 5, 6))
    timed = ["seconds"]
    pd.testing.assert_frame_equal(first.history.drop(columns=timed), second.history.drop(columns=timed))
    for ours, theirs in zip(first.network.model.get_weights(), second.network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (other.history["loss"] != first.history["loss"]).all()


THREE = [
    stage(epochs=6, patience=1, learning_rate=0.3, optimizer={"name": "rmsprop", "momentum": 0.9}),
    stage("top", unfreeze="block1", decay=zoo.Decay(0.5)),
    stage("all", unfreeze="all", batchnorm="train", optimizer="adamw", decay=zoo.Cosine(warmup_epochs=1)),
]
AVERAGED = [
    stage(epochs=6, patience=1, learning_rate=0.3, optimizer={"name": "rmsprop", "use_ema": True, "ema_momentum": 0.5}),
    stage(
        "all",
        epochs=4,
        unfreeze="all",
        batchnorm="train",
        optimizer={"name": "adamw", "use_ema": True, "ema_momentum": 0.8},
        layer_decay=0.7,
        mixup=0.4,
        cutmix=1.0,
    ),
]


@pytest.mark.parametrize(("stages", "fewer", "more"), [(THREE, 7, 12), (AVERAGED, 5, 10)], ids=["three", "averaged"])
def test_killed_after_every_epoch_it_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: list[zoo.Stage], fewer: int, more: int
) -> None:
    """Dropout, augmentation, momentum, averages, rates, early stopping and the best weights, all to the last bit."""
    monkeypatch.setattr("zoo.training.callbacks.SAVE_EVERY", 0.0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = Run(tmp_path / "whole", stages, augmenter=Brighten(), mislabelled=True)
    epochs = list(whole.history[["stage", "epoch"]].itertuples(index=False, name=None))
    assert fewer < len(epochs) < more  # the first stage was stopped early
    for number, (stage_name, epoch) in enumerate(epochs):
        event = "step_ended" if number % 3 == 2 else "epoch_ended"
        with pytest.raises(KeyboardInterrupt):
            Run(tmp_path / "killed", stages, augmenter=Brighten(), mislabelled=True, die_at=(event, stage_name, epoch))
    resumed = Run(tmp_path / "killed", stages, augmenter=Brighten(), mislabelled=True)
    assert [event["event"] for event in resumed.events].count("epoch_ended") <= 1
    columns = [name for name in trainer.HISTORY if name != "seconds"]
    pd.testing.assert_frame_equal(resumed.history[columns], whole.history[columns], check_exact=True)
    for run in (resumed.network.model, keras.saving.load_model(resumed.file)):
        for ours, theirs in zip(run.get_weights(), whole.network.model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_epochs_that_were_not_saved_are_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the same weights: where epochs take less than a second, the first and the last of a stage are saved."""
    monkeypatch.setattr("zoo.training.callbacks.SAVE_EVERY", 1e9)
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
    stages = [stage(epochs=4), stage("all", unfreeze="all", batchnorm="train")]
    whole = Run(folders[0], stages, augmenter=Brighten())
    for epoch, saved in ((3, 1), (4, 4)):
        with pytest.raises(KeyboardInterrupt):
            Run(folders[1], stages, augmenter=Brighten(), die_at=("epoch_ended", "head", epoch))
        state = Checkpoint(folders[1] / "checkpoint", {}).load()
        assert state is not None
        assert state.epoch == saved
    resumed = Run(folders[1], stages, augmenter=Brighten())
    for ours, theirs in zip(resumed.network.model.get_weights(), whole.network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_of_another_origin_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, [stage()], die_at=("epoch_ended", "head", 2))
    assert Checkpoint(tmp_path / "checkpoint", {}).load()
    other = Checkpoint(tmp_path / "checkpoint", {"backend": "another"})
    assert other.load() is None
    assert other.fault == "begun under None, and this is another"


def test_a_checkpoint_holds_only_what_a_stage_changes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, [stage(optimizer="sgd")], die_at=("epoch_ended", "head", 1))
    sizes = {file.name: file.stat().st_size for file in (tmp_path / "checkpoint").iterdir()}
    with np.load(tmp_path / "checkpoint/epoch.npz") as file:
        weights = [name for name in file.files if name.startswith("weights")]
    assert len(weights) == 2, sizes  # the kernel and the bias of the head


def test_capped_epochs() -> None:
    stages = [stage(epochs=200), stage("short", epochs=2)]
    assert [s.epochs for s in trainer.stages_of(recipe(stages), TrainingOptions(max_epochs=5))] == [5, 2]
    assert [*trainer.stages_of(recipe(stages), TrainingOptions())] == stages


def test_raised_learning_rates() -> None:
    stages = [stage(learning_rate=1e-3), stage("slow", learning_rate=1e-5)]
    raised = trainer.stages_of(recipe(stages), TrainingOptions(min_learning_rate=1e-4))
    assert [s.learning_rate for s in raised] == [1e-3, 1e-4]
    assert raised[1] == dataclasses.replace(stages[1], learning_rate=1e-4)
    for rate in (-1e-3, float("inf"), True):
        with pytest.raises(ConfigError, match=r"^min_learning_rate must be a finite number of 0 or more"):
            TrainingOptions(min_learning_rate=rate)
