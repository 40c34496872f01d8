"""Whether a run folder can go on, and from what."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install, Zoo
from zoo.files import hash_code
from zoo.run.resume import other_origins

BREAKS = """
import os
from dataclasses import dataclass
import zoo

calls = []


@dataclass(frozen=True)
class Breaks(zoo.Augmenter):
    name = "breaks"

    def augment(self, images, rng):
        calls.append(1)
        if len(calls) > int(os.environ.get("BREAK_AFTER", 10000)):
            raise RuntimeError("enough")
        return images


@zoo.hookimpl
def zoo_augmenters():
    return [Breaks]


@zoo.hookimpl
def zoo_models():
    schedule = {"name": "two-stage", "epochs": 5, "patience": 5}
    return {"breaks": {"backbone": "tiny", "augmenter": "breaks", "schedule": schedule, "batch_size": 8}}
"""


def test_weights_of_other_code_are_not_gone_on_with(
    install: Install, inline: Zoo, zoo: Zoo, folds: Path, tmp_path: Path
) -> None:
    """A plug-in that was edited after the interrupt, its version as before."""
    install(TINY_PLUGIN)
    install(BREAKS, "zoo-breaks", "breaks")
    command = ["run", "breaks", "--data", folds, "--image-size", 32, "--out", tmp_path / "run"]
    broken = inline(*command, BREAK_AFTER="30")
    assert broken.returncode == 1
    assert "RuntimeError: enough" in broken.stdout
    job = tmp_path / "run/breaks/fold-0"
    assert (job / "checkpoint/epoch.npz").exists()
    module = tmp_path / "site/zoo_tiny_tiny.py"
    module.write_text(module.read_text().replace("layers.ReLU", "layers.ELU"))
    done = zoo(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "backbone 'tiny' is of zoo-tiny 1.0, whose code was another when breaks was begun" in " ".join(
        done.stdout.split()
    )
    assert "begun with other code of the backbone and the schedule: starting over" in " ".join(done.stdout.split())
    history = pd.read_csv(job / "history.csv")
    loss = json.loads((job / "metrics.json").read_text())["validation"]["loss"]
    assert loss == pytest.approx(history["val_loss"].min(), abs=0.05)


def test_the_code_of_a_module_is_that_of_its_package_or_of_the_files_named_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "zoo_single.py").write_text("a = 1")
    (tmp_path / "zoo_package").mkdir()
    for name in ("__init__", "inner"):
        (tmp_path / f"zoo_package/{name}.py").write_text("b = 1")
    for module in ("zoo_single", "zoo_package.inner"):
        importlib.import_module(module)

    def hashes() -> list[str]:
        return [hash_code("zoo_single"), hash_code("zoo_package.inner")]

    first = hashes()
    assert len({*first, ""}) == 3
    (tmp_path / "other.py").write_text("")
    assert hashes() == first
    (tmp_path / "zoo_single_layers.py").write_text("")
    (tmp_path / "zoo_package/__init__.py").write_text("b = 2")
    assert not set(first) & set(hashes())
    (tmp_path / "zoo_single.py").unlink()
    assert hash_code("zoo_nowhere") == hash_code("sys") == ""


def test_what_comes_from_elsewhere_is_said_once() -> None:
    before = {
        "origins": {"m": {"backbone": "zoo-a 1.0", "head": "zoo 0.1"}},
        "code": {"m": {"backbone": "1", "head": "2"}},
    }
    here = {
        "recipes": {name: {"backbone": {"name": "b"}, "head": {"name": "h"}} for name in ("m", "new")},
        "origins": {name: {"backbone": "zoo-a 1.0", "head": "zoo 0.1"} for name in ("m", "new")},
        "code": {name: {"backbone": "1", "head": "2"} for name in ("m", "new")},
    }
    assert other_origins(before, here) == []
    assert other_origins({"origins": before["origins"]}, here) == []  # begun before code was written down
    here["code"]["m"]["head"] = "3"
    here["origins"]["m"]["backbone"] = "zoo-a 1.1"
    version, code = other_origins(before, here)
    assert version == "backbone 'b' was of zoo-a 1.0 when m was begun in this run folder, and is of zoo-a 1.1 here"
    assert code.startswith("head 'h' is of zoo 0.1, whose code was another when m was begun in this run folder: ")
