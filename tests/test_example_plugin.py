"""A plug-in of somebody else, from its wheel to the day it is uninstalled, where nothing but wheels is installed."""

from __future__ import annotations

import json
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import write_folds
from tests.venvs import TOP, Venv, build

EXAMPLE = Path(__file__).parent / "example_plugin"


def test_it_is_what_it_claims_to_be() -> None:
    code = (EXAMPLE / "zoo_patches.py").read_text(encoding="utf-8")
    assert len([line for line in code.splitlines() if line.strip()]) < 50
    core = "".join(file.read_text(encoding="utf-8") for file in (TOP / "zoo").rglob("*.py"))
    assert "mixer" not in core.lower()


@pytest.mark.slow
def test_the_sdist_holds_it(tmp_path: Path) -> None:
    with tarfile.open(build(TOP, tmp_path, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"tests/example_plugin/{file.name}" for file in EXAMPLE.iterdir() if file.is_file()} <= names


@pytest.fixture
def installed(venv: Venv, tmp_path: Path) -> Venv:
    venv.install(build(EXAMPLE, tmp_path / "wheel"))
    return venv


def weights(venv: Venv, file: Path) -> list[np.ndarray]:
    """The weights in a model file, as the environment loads it."""
    code = (
        "import sys, zoo, numpy\nmodel = zoo.load_model(sys.argv[1])\nnumpy.savez(sys.argv[2], *model.get_weights())\n"
    )
    done = venv.run("-c", code, file, file.with_suffix(".npz"))
    assert done.returncode == 0, done.stderr
    with np.load(file.with_suffix(".npz")) as arrays:
        return [arrays[name] for name in arrays.files]


def kill_when(reached: Path, process: subprocess.Popen[str]) -> None:
    """Kill a process without warning as soon as a file is there."""
    deadline = time.monotonic() + 400
    with process:
        while not reached.exists():
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline, f"{reached} was never written"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)


@pytest.mark.slow
def test_from_the_wheel_to_the_day_it_is_uninstalled(installed: Venv, tmp_path: Path) -> None:
    venv = installed
    where = venv.run("-c", "import zoo, zoo_patches; print(zoo.__file__, zoo_patches.__file__)").stdout.split()
    assert [Path(file).is_relative_to(venv.site) for file in where] == [True, True]

    listed = json.loads(venv.zoo("plugins", "list", "--json").stdout)
    assert len({plugin["name"] for plugin in listed}) == len(listed) > 5
    assert all(Path(plugin["path"]).is_relative_to(venv.site) for plugin in listed)
    doctor = venv.zoo("plugins", "doctor")
    assert doctor.returncode == 0, doctor.stdout
    models = {row["name"]: row for row in json.loads(venv.zoo("list", "--json").stdout)}
    assert models["patches"]["backbone"] == "patches"
    assert models["patches"]["from"] == "zoo-patches"

    # It takes part in a comparison, and a kill in the midst of it changes nothing.
    data = write_folds(tmp_path / "data", folds=2)
    common = ["--data", data, "--image-size", 32, "--max-epochs", 2, "--weights", "none"]
    compare = ["compare", "patches", "scratch-cnn", "--folds", "0,1", *common]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = venv.zoo(*compare, "--out", whole)
    assert done.returncode == 0, done.stdout + done.stderr
    job = killed / "patches/fold-1"
    kill_when(job / "checkpoint/stage-1.npz", venv.popen(*compare, "--out", killed))
    assert not (job / "metrics.json").exists()
    resumed = venv.zoo(*compare, "--out", killed)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "patches, fold 1: going on after 2 epochs" in resumed.stdout
    for fold in (0, 1):
        files = [run / f"patches/fold-{fold}/best.keras" for run in (whole, killed)]
        for one, other in zip(*(weights(venv, file) for file in files), strict=True):
            np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(*(pd.read_csv(run / "results.csv") for run in (whole, killed)), check_exact=True)
    assert json.loads((whole / "run.json").read_text())["origins"]["patches"]["backbone"] == "zoo-patches 1.0"

    for model in ("patches", "scratch-cnn"):
        bundled = venv.zoo("bundle", whole, "--model", model, "--out", tmp_path / f"{model}.zoo")
        assert bundled.returncode == 0, bundled.stderr

    # Whoever has its model file and not the plug-in is told what to install, whatever they do with it.
    venv.uninstall("zoo-patches")
    best = whole / "patches/fold-0/best.keras"
    lost = "backbone 'patches' was brought by zoo-patches 1.0, which is not installed: pip install zoo-patches"
    loaded = venv.run("-c", "import sys, zoo; zoo.load_model(sys.argv[1])", best)
    assert loaded.returncode != 0
    assert loaded.stderr.splitlines()[-1].startswith("zoo.errors.WeightsError: ")
    assert "nobody here has its zoo-patches>MixerBlock" in loaded.stderr
    assert lost in loaded.stderr
    one_fold = ["--folds", 0, *common[:-2]]
    for command in (
        ["run", "patches", *one_fold, "--out", whole],
        ["run", "patches", *one_fold, "--start-from", best],
        ["run", "scratch-cnn", *one_fold, "--start-from", best],
        ["run", "scratch-cnn", *one_fold, "--weights", best],
        ["predict", tmp_path / "patches.zoo", data / "Fold0/test"],
    ):
        refused = venv.zoo(*command)
        assert refused.returncode == 2, command
        assert lost in refused.stdout + refused.stderr, command

    # What it has done stays, and the others go on.
    predicted = venv.zoo("predict", tmp_path / "scratch-cnn.zoo", data / "Fold0/test")
    assert predicted.returncode == 0, predicted.stderr
    report = venv.zoo("report", whole)
    assert report.returncode == 0, report.stderr
    assert "patches" in report.stdout
    assert "patches" not in [row["name"] for row in json.loads(venv.zoo("list", "--json").stdout)]
    again = venv.zoo("compare", "scratch-cnn", "--folds", "0,1", *common, "--out", whole, "--redo", "scratch-cnn:1")
    assert again.returncode == 0, again.stdout + again.stderr
    assert set(pd.read_csv(whole / "results.csv")["model"]) == {"patches", "scratch-cnn"}
