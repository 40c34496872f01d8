"""What several test files need: a cache of their own, folders of images, and plug-ins installed for a moment."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.venvs import TOP, Venv, build
from zoo import cli
from zoo.report import plots
from zoo.run import local_executor, worker
from zoo.run.job import Job
from zoo.run.warm_workers import WarmWorkers
from zoo.training import logs

ROLES = {"train": "train", "validation": "test", "test": "valid"}

# A backbone that compiles in a moment, a schedule of one stage, and models made of them.
TINY_PLUGIN = '''
from dataclasses import dataclass

import zoo


@dataclass(frozen=True)
class Tiny(zoo.Backbone):
    """A few convolutions."""

    name = "tiny"
    weights: str = "none"

    def build(self, image_shape):
        import keras

        inputs = keras.Input(image_shape)
        x = keras.layers.Rescaling(1 / 127.5, -1, name="rescale")(inputs)
        for number, width in enumerate((8, 16)):
            x = keras.layers.Conv2D(width, 3, strides=2, name=f"block{number}_conv")(x)
            x = keras.layers.BatchNormalization(name=f"block{number}_bn")(x)
            x = keras.layers.ReLU(name=f"block{number}_relu")(x)
            x = keras.layers.Dropout(0.1, name=f"block{number}_dropout")(x)
        return keras.Model(inputs, x)


@dataclass(frozen=True)
class TwoStage(zoo.Schedule):
    """The head, then everything."""

    name = "two-stage"
    epochs: int = 3
    patience: int = 2
    learning_rate: float = 0.01

    def stages(self):
        return [
            zoo.Stage("head", self.epochs, self.patience, self.learning_rate),
            zoo.Stage("all", self.epochs, self.patience, self.learning_rate, unfreeze="all", batchnorm="train"),
        ]


@dataclass(frozen=True)
class Diverging(zoo.Schedule):
    """A learning rate that no network survives."""

    name = "diverging"

    def stages(self):
        return [zoo.Stage("all", 50, 50, 3e38, unfreeze="all", batchnorm="train")]


@zoo.hookimpl
def zoo_backbones():
    return [Tiny]


@zoo.hookimpl
def zoo_schedules():
    return [TwoStage, Diverging]


LONG = {"name": "two-stage", "epochs": 5000, "patience": 5000}


@zoo.hookimpl
def zoo_models():
    return {
        "tiny": {"backbone": "tiny", "schedule": "two-stage", "batch_size": 8},
        "tiny-long": {"backbone": "tiny", "schedule": LONG, "batch_size": 8},
        "tiny-nan": {"backbone": "tiny", "schedule": "diverging", "batch_size": 8},
    }
'''


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user cache that begins empty, for this process and those it starts; Keras' own as well."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "zoo"))
        patch.setenv("KERAS_HOME", str(folder / "keras"))
        yield folder


def disc(rng: np.random.Generator, positive: bool, size: int) -> np.ndarray:
    """A noisy image with a bright disc, larger where it is positive: what a few convolutions learn at once."""
    image = rng.integers(0, 80, (size, size, 3)).astype(np.uint8)
    centre = rng.integers(size // 3, 2 * size // 3, 2).tolist()
    cv2.circle(image, centre, size // 3 if positive else size // 8, (220, 200, 180), -1)
    return image


def write_folds(
    root: Path, folds: int = 2, per_class: int = 10, classes: Sequence[str] = ("normal", "abnormal"), size: int = 32
) -> Path:
    """Distinct images in the study's layout; parts rotate over the roles from fold to fold."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(classes):
        for number in range(per_class):
            image = disc(rng, label > 0, size)
            for fold in range(folds):
                part = (number + fold) % 5
                role = {0: "valid", 1: "test"}.get(part, "train")
                path = root / f"Fold{fold}" / role / name / f"{name} {number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
    return root


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    """Two folds of 2 x 10 images."""
    return write_folds(tmp_path / "data")


Install = Callable[..., EntryPoint]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a plug-in: a module and the metadata that declares it, in a folder of its own.

    Calling it gives the entry point; `tmp_path / "site"` on PYTHONPATH makes all of them visible to a process.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(code: str, distribution: str = "zoo-tiny", name: str = "tiny", module: str | None = None) -> EntryPoint:
        module = module or f"{distribution}_{name}".replace("-", "_")
        (site / f"{module}.py").write_text(code)
        monkeypatch.delitem(sys.modules, module, raising=False)
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[zoo]\n{name} = {module}\n" if file.tell() == 0 else f"{name} = {module}\n")
        found = {d.name: d for d in distributions(path=[str(site)])}[distribution]
        return next(point for point in found.entry_points if point.name == name)

    return install


# Options that the processes which train must heed set these; within a test they are put back.
SET_BY_OPTIONS = {"ZOO_DEBUG": "0", "ZOO_PLUGINS": ""}

Zoo = Callable[..., "subprocess.CompletedProcess[str]"]
Served = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The empty folder that the user stands in."""
    here = tmp_path / "here"
    here.mkdir()
    return here


@pytest.fixture
def zoo(here: Path, tmp_path: Path) -> Zoo:
    """Run the command line as a user does, in an empty folder, with whatever `install` installed."""

    def zoo(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "zoo.cli", *map(str, arguments)],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=500,
            env={**os.environ, "COLUMNS": "160", "PYTHONPATH": str(tmp_path / "site"), **environment},
        )

    return zoo


@pytest.fixture
def served(here: Path, tmp_path: Path) -> Served:
    """Run zoo serve as a user does, who ends it by Ctrl-C when the block ends; gives the address that it tells."""

    @contextmanager
    def served(*arguments: object) -> Iterator[str]:
        environment = {name: value for name, value in os.environ.items() if name not in logs.VARIABLES}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "zoo.cli", "serve", *map(str, arguments), "--port", "0"],
            cwd=here,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": str(tmp_path / "site")},
        )
        assert process.stdout
        told = process.stdout.readline()
        address = told.partition(" ")[0]
        try:
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=30)
        assert (told, process.returncode, out, errors) == (f"{address} (Ctrl-C ends it)\n", 0, "", "")

    return served


ONE_AT_A_TIME = threading.Lock()


class InlineWorker:
    """What the scheduler needs of a worker process, in this one."""

    def __init__(self, cores: tuple[int, ...], log: object) -> None:
        self.stdin = io.StringIO()
        self.stdout = self._events()
        self.code = 0

    def _events(self) -> Iterator[str]:
        events: list[dict[str, Any]] = []
        with ONE_AT_A_TIME:
            self.code = worker.attend(Job.from_json(self.stdin.getvalue()), events.append)
        yield from map(json.dumps, events)

    def wait(self) -> int:
        return self.code

    def kill(self) -> None: ...

    def __enter__(self) -> InlineWorker:
        return self

    def __exit__(self, *exception: object) -> None: ...


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch, no_warm_workers: None) -> None:
    """Jobs run in this process, one after the other, so that nobody loads Keras again.

    For tests of what a run leaves and says, rather than of processes.
    """
    monkeypatch.setattr(local_executor, "start", InlineWorker)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch, no_processes: None, here: Path, capsys: pytest.CaptureFixture[str]) -> Zoo:
    """As `zoo`, but the command and its jobs run in this process, and pictures are empty files.

    To draw them takes longer than to train what tests train; tests of pictures and the processes of `zoo` do.
    """

    def save(figure: object, path: Path, dpi: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    monkeypatch.setattr(plots, "save", save)

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.chdir(here)
            for name, value in {"COLUMNS": "160", **SET_BY_OPTIONS, **environment}.items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["zoo", *map(str, arguments)])
            capsys.readouterr()
            status = cli.main()
            return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run


Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Main:
    """The command line within this process, which saves seconds: status, output and errors."""
    for name, value in {"COLUMNS": "160", **SET_BY_OPTIONS}.items():
        monkeypatch.setenv(name, value)

    def main(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["zoo", *map(str, arguments)])
        return cli.main(), *capsys.readouterr()

    return main


@pytest.fixture
def no_warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started before there is a job: for requests that come to none."""
    monkeypatch.setattr(WarmWorkers, "prepare", lambda self, share: None)


@pytest.fixture(scope="session")
def zoo_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build(TOP, tmp_path_factory.mktemp("zoo-wheel"))


@pytest.fixture
def venv(tmp_path: Path, zoo_wheel: Path) -> Venv:
    """A fresh virtual environment with the wheel installed, which takes seconds: for tests marked slow."""
    venv = Venv.make(tmp_path / "venv")
    venv.install(zoo_wheel)
    return venv
