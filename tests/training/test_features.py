"""Training on stored features ends as training on images does, and a stored feature is never of another network."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.parts import Brighten, Linear, Residual, recipe, stage, subset
from zoo.data import cache, checksums
from zoo_efficientnet import EfficientNetB0
from zoo_heads import Pooled

keras = pytest.importorskip("keras")
from zoo.training import features, trainer  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo.training.checkpoint import Checkpoint  # noqa: E402
from zoo.training.options import TrainingOptions  # noqa: E402


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "own"))
    return tmp_path / "own/features"


@dataclasses.dataclass
class Trained:
    weights: list[np.ndarray]
    history: list[dict[str, Any]]
    events: list[dict[str, Any]]


def train(
    folder: Path,
    backbone: zoo.Backbone,
    head: zoo.Head,
    stages: list[zoo.Stage],
    size: int = 32,
    reuse: bool = True,
    at_epochs: Callable[[], object] = lambda: None,
    **options: Any,
) -> Trained:
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(0)
    network = networks.assemble(backbone, head, (size, size, 3), 2)
    events: list[dict[str, Any]] = []

    def notify(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == "epoch_ended":
            at_epochs()

    history = trainer.train(
        network,
        recipe(stages, **options),
        TrainingOptions(feature_cache=reuse),
        subset(24, size=size),
        subset(12, seed=1, size=size),
        ["a", "b"],
        lambda model: None,
        Checkpoint(folder / "checkpoint", {}),
        notify,
    )
    return Trained(network.model.get_weights(), history, events)


def same(one: Trained, other: Trained, tolerance: float) -> None:
    for a, b in zip(one.history, other.history, strict=True):
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=tolerance)
        assert a["loss"] == pytest.approx(b["loss"], rel=tolerance)
    for ours, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


STAGES: dict[str, Any] = {
    "linear": (Residual(weights="none"), Linear(), [stage(epochs=4, patience=4)]),
    "block prefix": (
        Residual(weights="none"),
        Linear(),
        [stage(epochs=2), stage("block", epochs=3, unfreeze="block1")],
    ),
    "efficientnet, 20 layers": (
        EfficientNetB0(weights="none"),
        Pooled(),
        [stage(epochs=2, learning_rate=1e-3), stage("top", epochs=2, unfreeze=20, learning_rate=1e-4)],
    ),
}


SLOW = pytest.param("efficientnet, 20 layers", marks=pytest.mark.slow)


@pytest.mark.parametrize("case", ["linear", "block prefix", SLOW])
def test_with_and_without_features_a_stage_ends_with_the_same_weights(tmp_path: Path, case: str) -> None:
    """Dropout included: the rest of the network draws the same random numbers either way."""
    backbone, head, stages = STAGES[case]
    plain, stored = (train(tmp_path / str(reuse), backbone, head, stages, reuse=reuse) for reuse in (False, True))
    assert "features" in {event["event"] for event in stored.events}
    assert "features" not in {event["event"] for event in plain.events}
    same(plain, stored, 1e-3)


def test_vectors_are_trained_on_in_the_same_way_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, head, stages = STAGES["linear"]
    moved = train(tmp_path / "table", backbone, head, stages)
    monkeypatch.setattr(trainer, "MOST_VECTORS", 100)
    same(moved, train(tmp_path / "batches", backbone, head, stages), 1e-5)


def test_no_vectors_are_moved_where_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [dataclasses.replace(subset(count), pixels=np.zeros((24, 10), dtype=np.float32)) for count in (24, 12)]
    rest = networks.head_alone(residual())
    assert rest is not None
    model, moved = trainer._on_table(rest, both)
    assert model.table.shape == (36, 10) and [each.pixels.dtype for each in moved] == ["int32"] * 2
    monkeypatch.setattr(trainer, "MOST_VECTORS", 36 * 40)
    assert trainer._are_small(both)
    monkeypatch.setattr(trainer, "MOST_VECTORS", 36 * 40 - 1)
    assert not trainer._are_small(both)


def prefix_of(network: networks.Network, unfreeze: int | str = 0) -> Any:
    first = networks.unfreeze(network, stage(unfreeze=unfreeze))
    return networks.split(network, first)[0]


def residual() -> networks.Network:
    return networks.assemble(Residual(weights="none"), Linear(), (32, 32, 3), 2)


def test_the_prefix_is_as_deep_as_can_be() -> None:
    """Pooling belongs to the head, but there is nothing to train in it; dropout does otherwise in training."""
    assert prefix_of(residual()).output.shape == (None, 8)
    assert prefix_of(residual(), "block2").layers[-1].name == "block1_add"
    assert prefix_of(residual(), "block1_bn").layers[-1].name == "stem_bn"
    assert prefix_of(residual(), "all") is None
    assert prefix_of(residual(), "stem") is None  # only a rescaling comes before it


def test_nothing_is_stored_where_images_are_augmented_or_everything_trains(tmp_path: Path, own_cache: Path) -> None:
    whole = [stage("all", epochs=1, unfreeze="all")]
    train(tmp_path / "a", Residual(weights="none"), Linear(), [stage(epochs=1)], augmenter=Brighten())
    train(tmp_path / "b", Residual(weights="none"), Linear(), whole)
    assert not own_cache.exists()


class Counter:
    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))


def test_features_are_computed_once_and_shared(own_cache: Path) -> None:
    images, count = subset(100), Counter()
    network = residual()
    prefix = prefix_of(network)
    first = features.load_features(prefix, images.pixels, images.store, count)
    assert count.calls == [(64, 100), (100, 100)]
    np.testing.assert_allclose(first, prefix.predict(images.pixels, verbose=0), rtol=1e-5, atol=1e-6)
    copy = keras.models.clone_model(network.model)
    copy.set_weights(network.model.get_weights())
    again = features.load_features(
        prefix_of(dataclasses.replace(network, model=copy)), images.pixels, images.store, count
    )
    assert len(count.calls) == 2
    np.testing.assert_array_equal(first, again)
    assert len(list(own_cache.iterdir())) == 1


@pytest.mark.parametrize("change", ["weights", "cut", "images"])
def test_another_network_or_other_images_have_features_of_their_own(own_cache: Path, change: str) -> None:
    network, images = residual(), subset(10)
    features.load_features(prefix_of(network), images.pixels, images.store, Counter())
    if change == "weights":
        network.model.get_layer("stem_conv").bias.assign(np.ones(8))
    cut = prefix_of(network, "block2" if change == "cut" else 0)
    other = subset(10, seed=5) if change == "images" else images
    ours = features.load_features(cut, other.pixels, other.store, Counter())
    np.testing.assert_allclose(ours, cut.predict(other.pixels, verbose=0), rtol=1e-5, atol=1e-6)
    assert len(list(own_cache.iterdir())) == 2


def test_features_that_the_network_no_longer_computes_are_replaced(own_cache: Path) -> None:
    """As when a plug-in changes the code of a layer, which no hash of it shows."""
    images, prefix = subset(10), prefix_of(residual())
    right = np.array(features.load_features(prefix, images.pixels, images.store, Counter()))
    (file,) = own_cache.rglob("features.npy")
    np.save(file, right + 1)
    checksums.seal(file.parent)
    np.testing.assert_array_equal(features.load_features(prefix, images.pixels, images.store, Counter()), right)


def test_a_process_compares_stored_features_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, prefix, calls = subset(10), prefix_of(residual()), []
    features.load_features(prefix, images.pixels, images.store, Counter())
    run = prefix.call
    monkeypatch.setattr(prefix, "call", lambda *inputs, **options: calls.append(inputs) or run(*inputs, **options))
    for _ in range(3):
        features.load_features(prefix, images.pixels, images.store, Counter())
    assert len(calls) == 1


def test_processes_that_need_the_same_features_share_the_work(own_cache: Path) -> None:
    """Here two threads, each with a network of its own; between them they compute no image twice."""
    images = subset(500)
    networks_ = [residual() for _ in range(2)]
    networks_[1].model.set_weights(networks_[0].model.get_weights())
    prefixes = [prefix_of(network) for network in networks_]
    computed: list[tuple[int, int]] = []

    def load(number: int) -> np.ndarray:
        prefix = prefixes[number]
        original = prefix.predict_on_batch

        def slowly(batch: np.ndarray) -> Any:
            computed.append((number, len(batch)))
            time.sleep(0.1)
            return original(batch)

        prefix.predict_on_batch = slowly
        return features.load_features(prefix, images.pixels, images.store, Counter())

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(load, range(2))
    np.testing.assert_array_equal(one, other)
    assert [count for _, count in computed] == [features.BATCH] * 8  # the last one filled up
    assert {number for number, _ in computed} == {0, 1}
    assert [place.name for place in own_cache.glob("features/.*")] == []


@pytest.mark.parametrize("how", ["cut", "flipped", "emptied", "gone", "no checksums"])
def test_damaged_features_are_computed_anew(own_cache: Path, how: str) -> None:
    """Where no check of a few of them would notice."""
    images, prefix, lines = subset(100), prefix_of(residual()), list[str]()
    right = np.array(features.load_features(prefix, images.pixels, images.store, Counter()))
    (file,) = own_cache.rglob("features.npy")
    data = bytearray(file.read_bytes())
    if how == "cut":
        file.write_bytes(data[:-5])
    elif how == "flipped":
        data[-50 * right[0].nbytes] ^= 1
        file.write_bytes(data)
    elif how == "emptied":
        file.write_bytes(b"")
    else:
        (file if how == "gone" else file.with_name("checksums.json")).unlink()
    count = Counter()
    again = features.load_features(prefix, images.pixels, images.store, count, tell=lines.append)
    np.testing.assert_array_equal(again, right)
    assert count.calls[-1] == (100, 100)
    assert len(lines) == 1 and str(file.parent) in lines[0] and "damaged" in lines[0]


@pytest.mark.parametrize("case", ["linear", "block prefix"])
def test_features_are_kept_while_a_stage_trains_on_them(tmp_path: Path, case: str) -> None:
    kept: list[int] = []
    train(tmp_path / "run", *STAGES[case], at_epochs=lambda: kept.append(cache.clear("features")[1]))
    assert len(kept) >= 4
    assert all(kept)


def test_features_are_kept_while_anything_of_them_is_in_use(own_cache: Path) -> None:
    images, prefix = subset(10), prefix_of(residual())
    stored = features.load_features(prefix, images.pixels, images.store, Counter())[2:]
    assert cache.clear("features") == (0, 1)
    assert len(list(own_cache.rglob("features.npy"))) == 1
    del stored
    assert cache.clear("features")[1] == 0
    assert not own_cache.exists()


def test_what_a_killed_process_has_computed_is_kept(own_cache: Path) -> None:
    images, prefix, count = subset(200), prefix_of(residual()), Counter()

    def die(done: int, total: int) -> None:
        if done >= 128:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features.load_features(prefix, images.pixels, images.store, die)
    (second,) = own_cache.glob(".*-parts/64.npz")
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1  # killed by a power cut, say
    second.write_bytes(data)
    stored = features.load_features(prefix, images.pixels, images.store, count)
    assert count.calls[0][0] == 128
    np.testing.assert_allclose(stored, prefix.predict(images.pixels, verbose=0), rtol=1e-5, atol=1e-6)


def test_without_room_a_stage_trains_on_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    from types import SimpleNamespace

    plain = train(tmp_path / "a", Residual(weights="none"), Linear(), [stage(epochs=2)], reuse=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    short = train(tmp_path / "b", Residual(weights="none"), Linear(), [stage(epochs=2)])
    assert any("no room" in event.get("text", "") for event in short.events)
    same(plain, short, 1e-6)


def test_a_killed_stage_goes_on_from_features(tmp_path: Path) -> None:
    stages = [stage(epochs=3, optimizer="adam"), stage("top", epochs=2, unfreeze="block1")]
    whole = train(tmp_path / "a", Residual(weights="none"), Linear(), stages)

    class DieError(Exception):
        pass

    def die(event: dict[str, Any]) -> None:
        if event["event"] == "epoch_ended" and event["stage"] == "top":
            raise DieError

    (tmp_path / "b").mkdir()
    keras.utils.set_random_seed(0)
    network = networks.assemble(Residual(weights="none"), Linear(), (32, 32, 3), 2)
    with pytest.raises(DieError):
        trainer.train(
            network,
            recipe(stages),
            TrainingOptions(),
            subset(24),
            subset(12, seed=1),
            ["a", "b"],
            lambda model: None,
            Checkpoint(tmp_path / "b/checkpoint", {}),
            die,
        )
    resumed = train(tmp_path / "b", Residual(weights="none"), Linear(), stages)
    for ours, theirs in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
