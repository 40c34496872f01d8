"""A network of torch as a backbone: what Keras cannot see of it is frozen, kept and put back as well.

Runs under KERAS_BACKEND=torch alone; tests/shipped/test_wrapped_backbones.py starts it so.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo as package
from tests.conftest import Install
from tests.parts import Linear, recipe, stage, subset
from tests.wrapping import RECIPES

if os.environ.get("KERAS_BACKEND") != "torch":
    pytest.skip("the backend is another", allow_module_level=True)
torch = pytest.importorskip("torch")
import keras  # noqa: E402

from zoo.plugins import discovery  # noqa: E402
from zoo.training import batchnorm, trainer  # noqa: E402
from zoo.training import model as networks  # noqa: E402
from zoo.training.checkpoint import Checkpoint  # noqa: E402
from zoo.training.options import TrainingOptions  # noqa: E402

CODE = RECIPES["torchnet"]


@pytest.fixture
def network(install: Install) -> networks.Network:
    return assembled(install, CODE)


def assembled(install: Install, code: str, **fields: Any) -> networks.Network:
    found = discovery.discover([install(code, "zoo-torchnet", "torchnet", f"torchnet_{abs(hash(code))}")])
    backbone = found.get("backbone", "torchnet").value(**{"weights": "none"} | fields)
    keras.utils.set_random_seed(0)
    return networks.assemble(backbone, Linear(), (32, 32, 3), 2)


def norms(network: networks.Network) -> dict[str, Any]:
    return {
        f"{layer.name} {number}": module
        for layer in network.model.layers
        for number, module in enumerate(batchnorm.torch_modules(layer))
    }


def statistics(network: networks.Network) -> dict[str, np.ndarray]:
    return {name: module.running_mean.numpy().copy() for name, module in norms(network).items()}


def parameters(network: networks.Network) -> dict[str, np.ndarray]:
    return {name: module.weight.detach().numpy().copy() for name, module in norms(network).items()}


def kernels(network: networks.Network) -> dict[str, np.ndarray]:
    return {
        f"{layer.name} {number}": values(weight)
        for layer in network.model.layers
        if not network.is_head(layer)
        for number, weight in enumerate(layer.weights)
        if len(weight.shape) == 4
    }


def values(tensor: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(tensor))


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    return {name.split()[0] for name in before if not np.array_equal(before[name], after[name])}


def train(
    network: networks.Network, folder: Path, *stages: package.Stage, reuse: bool = True, **options: Any
) -> dict[str, float]:
    """Losses of the last epoch after training these stages."""
    arguments: dict[str, Any] = {"notify": lambda event: None, "save_best": lambda model: None} | options
    history = trainer.train(
        network,
        recipe(stages),
        TrainingOptions(feature_cache=reuse),
        subset(24),
        subset(12, seed=1),
        ["a", "b"],
        checkpoint=Checkpoint(folder, {}),
        **arguments,
    )
    return {name: value for name, value in history[-1].items() if "loss" in name}


FREEZES: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {  # stage; who trains, and whose statistics move
    "head": ({}, set(), set()),
    "prefix": ({"unfreeze": "layer2"}, {"layer2"}, set()),
    "prefix and batchnorm": ({"unfreeze": "layer2", "batchnorm": "train"}, {"layer2"}, {"layer2"}),
    "count": ({"unfreeze": 5, "batchnorm": "train"}, {"layer1", "layer2"}, {"layer1", "layer2"}),
    "all": ({"unfreeze": "all"}, {"stem", "layer1", "layer2"}, set()),
    "all and batchnorm": ({"unfreeze": "all", "batchnorm": "train"}, *[{"stem", "layer1", "layer2"}] * 2),
}


@pytest.mark.parametrize("reuse", [True, False], ids=["features", "images"])
@pytest.mark.parametrize(("wanted", "trains", "moves"), FREEZES.values(), ids=FREEZES)
def test_a_stage_freezes_what_it_says(
    network: networks.Network, tmp_path: Path, wanted: dict[str, Any], trains: set[str], moves: set[str], reuse: bool
) -> None:
    batchnorm.fit(network.model, subset(24), 0)
    network = dataclasses.replace(network, weights="file")  # its statistics are those of its images already
    before, scales, weights = statistics(network), parameters(network), kernels(network)
    train(network, tmp_path / "checkpoint", stage(**wanted, epochs=1), reuse=reuse)
    assert changed(weights, kernels(network)) == trains
    assert changed(before, statistics(network)) == moves
    assert changed(scales, parameters(network)) == (trains if moves else set())


def test_frozen_layers_are_in_inference_mode_however_they_are_called(network: networks.Network) -> None:
    images = subset(8).pixels
    inference = values(network.model(images, training=False))
    networks.unfreeze(network, stage(unfreeze="all"))
    np.testing.assert_allclose(values(network.model(images, training=True)), inference, rtol=1e-5)
    networks.unfreeze(network, stage(unfreeze="all", batchnorm="train"))
    assert np.abs(values(network.model(images, training=True)) - inference).max() > 1e-4


def test_random_networks_get_the_statistics_of_the_images(network: networks.Network) -> None:
    training = subset(24)
    batchnorm.fit(network.model, training, 0)
    convolution, norm = network.model.get_layer("stem").wrapped.module[:2]
    with torch.no_grad():
        features = convolution(torch.tensor(training.pixels).permute(0, 3, 1, 2).float() / 127.5 - 1)
    np.testing.assert_allclose(norm.running_mean, features.mean((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(norm.running_var, features.var((0, 2, 3)), rtol=1e-4)
    assert norm.momentum == 0.1


STAGES = [
    stage(epochs=2),
    stage("top", epochs=2, unfreeze="layer2", batchnorm="train"),
    stage("all", epochs=2, unfreeze="all", batchnorm="train"),
]


@pytest.mark.parametrize("die_at", [("top", 1), ("all", 1)], ids=str)
def test_killed_it_ends_as_if_it_had_not_been(install: Install, tmp_path: Path, die_at: tuple[str, int]) -> None:
    def die(event: dict[str, Any]) -> None:
        if event["event"] == "epoch_ended" and (event["stage"], event["epoch"]) == die_at:
            raise KeyboardInterrupt

    whole = assembled(install, CODE)
    losses = train(whole, tmp_path / "whole", *STAGES)
    with pytest.raises(KeyboardInterrupt):
        train(assembled(install, CODE), tmp_path / "killed", *STAGES, notify=die)
    resumed = assembled(install, CODE)
    assert train(resumed, tmp_path / "killed", *STAGES) == losses
    for state in (kernels, statistics, parameters):
        assert changed(state(whole), state(resumed)) == set()


def test_the_best_epoch_has_its_own_statistics(install: Install, tmp_path: Path) -> None:
    """Put back after later epochs have moved them: what is saved scores as the best epoch did."""
    network = assembled(install, CODE)
    lowest: list[float] = []

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "epoch_ended":
            lowest.append(event["val_loss"])

    wild = stage("wild", epochs=3, learning_rate=0.3, unfreeze="all", batchnorm="train")
    train(network, tmp_path / "checkpoint", stage(epochs=2), wild, notify=listen)
    assert np.argmin(lowest) < 2
    outputs = trainer.predict(trainer.scorer(network.model), subset(12, seed=1), 2)[:, 0]
    loss = -np.mean(np.log(np.where(subset(12, seed=1).labels == 1, outputs, 1 - outputs)))
    assert loss == pytest.approx(min(lowest), rel=1e-4)


def test_it_is_saved_and_read_in_safe_mode_by_a_process_that_has_not_built_it(
    network: networks.Network, tmp_path: Path
) -> None:
    batchnorm.fit(network.model, subset(24), 0)
    file, images = tmp_path / "best.keras", subset(4).pixels
    network.model.save(file)
    loaded = keras.saving.load_model(file, safe_mode=True)
    np.testing.assert_allclose(values(loaded(images, training=False)), values(network.model(images, training=False)))


def test_a_file_of_torch(install: Install, tmp_path: Path) -> None:
    """As it would come from elsewhere: the state of the whole network under the names of its children."""
    file = tmp_path / "net.pt"
    donor = assembled(install, CODE)
    batchnorm.fit(donor.model, subset(24), 0)
    modules = {name: donor.model.get_layer(name).wrapped.module for name in ("stem", "layer1", "layer2")}
    torch.save(torch.nn.ModuleDict(modules).state_dict(), file)
    network = assembled(install, CODE, weights=str(file))
    assert network.weights.startswith("file net.pt sha256 ")
    assert changed(statistics(donor), statistics(network)) == set()
    torch.save({**torch.load(file, weights_only=True), "fc.weight": torch.ones(2, 3)}, file)  # with its classifier
    assert changed(statistics(donor), statistics(assembled(install, CODE, weights=str(file)))) == set()
    torch.save({}, file)
    with pytest.raises(package.WeightsError, match=r"net\.pt does not fit backbone 'torchnet'"):
        assembled(install, CODE, weights=str(file))
    with pytest.raises(package.WeightsError, match="brings no ImageNet weights"):
        assembled(install, CODE, weights="imagenet")


def test_statistics_that_keras_does_not_know_of_are_refused(install: Install) -> None:
    (line,) = (line for line in CODE.splitlines(keepends=True) if "self.statistics" in line)
    with pytest.raises(package.PluginError, match=r"'torchnet' .*running_mean.*docs/wrapping.md"):
        assembled(install, CODE.replace(line, ""))


def test_other_image_sizes(install: Install) -> None:
    backbone = discovery.discover([install(CODE, "zoo-torchnet", "torchnet")]).get("backbone", "torchnet").value()
    for size in ((48, 40), (33, 64)):
        model = backbone.build((*size, 3))
        assert values(model(np.zeros((2, *size, 3)))).shape[1:] == model.output_shape[1:]
