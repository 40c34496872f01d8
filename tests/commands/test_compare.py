"""Whole comparisons as users run them: tables, one bad model, kills, locks, repeats, and Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Main, Zoo, write_folds
from zoo.report import plots, tables

SAVE = plots.save

# Three stages with all that must survive a kill, at a pace at which a test can hit each of them.
SLOW = """
import time
from dataclasses import dataclass

import numpy as np

import zoo


@dataclass(frozen=True)
class Slow(zoo.Augmenter):
    '''Noise, after a while.'''

    name = "slow"
    seconds: float = 0.03

    def augment(self, images, rng):
        time.sleep(self.seconds)
        return np.clip(images + rng.integers(0, 60, images.shape), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Explodes(zoo.Augmenter):
    '''Raises at the sight of one image, which is a training image in some folds only.'''

    name = "explodes"
    mean: float = -1.0

    def augment(self, images, rng):
        if abs(float(images.mean()) - self.mean) < 1e-6:
            raise RuntimeError("this image explodes")
        return images


@zoo.hookimpl
def zoo_augmenters():
    return [Slow, Explodes]


STAGES = {"name": "three-stage", "epochs": 4, "patience": 3, "top": "block1", "decay": {"rate": 0.9},
          "learning_rates": [0.01, 0.01, 0.01], "optimizer": {"name": "rmsprop", "momentum": 0.9}}


@zoo.hookimpl
def zoo_models():
    return {"tiny-staged": {"backbone": "tiny", "augmenter": "slow", "schedule": STAGES, "batch_size": 5}}
"""


@pytest.fixture
def parts(install: Install) -> None:
    install(TINY_PLUGIN)
    install(SLOW, "zoo-slow", "slow")


def options(folds: Path, out: Path) -> list[object]:
    return ["--data", folds, "--image-size", 32, "--out", out]


def same_weights(one: Path, other: Path) -> bool:
    import keras

    ours, theirs = (keras.saving.load_model(path).get_weights() for path in (one, other))
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def kill_in_stage(stage: str, command: list[object], tmp_path: Path) -> None:
    """Run the command, and kill it without warning after the first epoch of a stage that it runs."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "zoo.cli", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout
        reached = False
        for line in process.stdout:
            reached = reached or line.strip().startswith(f"stage {stage}")
            if reached and "val_loss" in line:
                process.send_signal(signal.SIGKILL)
                return
    pytest.fail(f"stage {stage} was never reached")


@pytest.mark.slow
def test_killed_in_each_stage_it_ends_as_if_it_had_not_been(parts: None, folds: Path, zoo: Zoo, tmp_path: Path) -> None:
    """Real processes, killed with SIGKILL; weights, history and predictions to the last bit."""
    whole = zoo("run", "tiny-staged", *options(folds, tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    command = ["run", "tiny-staged", *options(folds, tmp_path / "killed")]
    for stage in ("1/3", "2/3", "3/3"):
        kill_in_stage(stage, command, tmp_path)
        assert not (tmp_path / "killed/results.csv").exists() or len(pd.read_csv(tmp_path / "killed/results.csv")) == 0
    done = zoo(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "going on after" in done.stdout
    one, other = (tmp_path / name / "tiny-staged/fold-0" for name in ("whole", "killed"))
    histories = [pd.read_csv(job / "history.csv").drop(columns="seconds") for job in (one, other)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert list(histories[0]["stage"].unique()) == ["head", "top", "all"]
    assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
    assert same_weights(one / "best.keras", other / "best.keras")
    assert not (other / "checkpoint").exists()


REGISTRY = """
[models.tiny-wide]
backbone = "tiny"
schedule = "two-stage"
batch_size = 8
head = {{ name = "dense", units = [16] }}

[models.explodes]
backbone = "tiny"
schedule = "two-stage"
augmenter = {{ name = "explodes", mean = {mean} }}

[models.nonsense]
backbone = "no such thing"
"""


def explosive(folds: Path) -> float:
    """The mean of an image that fold 1 trains on and fold 0 does not."""
    import cv2

    return float(cv2.imread(str(folds / "Fold0/test/abnormal/abnormal 6.png")).mean())


def test_a_comparison_from_all_sides(
    parts: None,
    folds: Path,
    inline: Zoo,
    main: Main,
    no_warm_workers: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Two jobs at a time; a model that explodes in one of two folds; then one more model, a redo and a report."""
    (tmp_path / "here/registry.toml").write_text(REGISTRY.format(mean=explosive(folds)))
    run = tmp_path / "run"
    command = ["compare", "tiny", "explodes", *options(folds, run)]
    done = inline(*command, "--workers", 2)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 models x 2 folds: 4 jobs, 2 at a time" in done.stdout
    assert (
        "explodes, fold 1 failed: augmenter 'explodes' (from zoo-slow 1.0) fails: RuntimeError: this image"
        in done.stdout
    )
    assert "3 of 4 done, 1 failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "RuntimeError" in json.loads((run / "explodes/fold-1/status.json").read_text())["traceback"]
    results = pd.read_csv(run / "results.csv")
    assert sorted(zip(results["model"], results["fold"], strict=True)) == [("explodes", 0), ("tiny", 0), ("tiny", 1)]
    pairs = pd.read_csv(run / "comparison.csv")
    assert pairs["folds"].tolist() == [1]
    assert "missing: explodes, fold 1: augmenter 'explodes'" in done.stdout

    before = (run / "tiny/fold-0/best.keras").stat().st_mtime_ns
    done = inline("compare", "tiny", "tiny-wide", *options(folds, run), "--redo", "tiny:1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny, fold 0: already done" in done.stdout
    assert "tiny, fold 1: auc validation" in done.stdout
    assert (run / "tiny/fold-0/best.keras").stat().st_mtime_ns == before
    results = pd.read_csv(run / "results.csv")
    assert set(results["model"]) == {"tiny", "tiny-wide", "explodes"}
    summary = pd.read_csv(run / "summary.csv")
    assert list(summary.columns) == ["model", "role", "metric", "folds", "mean", "sd", "low", "high"]
    check_best(run, results)
    assert list(run.rglob(".*")) == []

    monkeypatch.setattr(plots, "save", SAVE)  # what `inline` leaves out
    check_report(run, main, tmp_path)
    for picture in ("auc-test", "auc-validation", "confusion-test", "confusion-validation", "roc", "verdicts"):
        for ending in ("png", "svg"):
            assert (run / f"pictures/{picture}.{ending}").stat().st_size > 1000
    assert (run / "tiny/curves.svg").stat().st_size > 1000
    assert (run / "tiny-wide/roc.png").stat().st_size > 1000
    assert (run / "report.html").stat().st_size > 10_000
    (tmp_path / "registry.toml").write_text(REGISTRY.format(mean=explosive(folds)))
    status, _, errors = main(*command, "--max-epochs", 1)
    assert status == 2
    assert "max_epochs was None and is now 1" in errors


def check_best(run: Path, results: pd.DataFrame) -> None:
    for fold, jobs in results.groupby("fold"):
        best = json.loads((run / f"best/fold-{fold}.json").read_text())
        assert best["validation"] == jobs["auc_validation"].max()
        assert best["model"] in set(jobs["model"][jobs["auc_validation"] == best["validation"]])
        assert (run / best["path"]).read_bytes() == (run / f"best/fold-{fold}.keras").read_bytes()


def check_report(run: Path, main: Main, tmp_path: Path) -> None:
    """The same tables from the predictions alone; other choices leave the run alone."""
    tables = {name: (run / name).read_bytes() for name in ("results.csv", "summary.csv", "comparison.csv")}
    for name in tables:
        (run / name).unlink()
    status, _, errors = main("report", run)
    assert status == 0, errors
    assert {name: (run / name).read_bytes() for name in tables} == tables
    status, output, errors = main(
        "report", run, "--models", "tiny", "--threshold", 0.2, "--metric", "recall", "--out", tmp_path / "other"
    )
    assert status == 0, errors
    assert "threshold 0.2" in output
    other = pd.read_csv(tmp_path / "other/results.csv")
    assert set(other["model"]) == {"tiny"}
    assert {name: (run / name).read_bytes() for name in tables} == tables
    assert "Nothing was written" in main("report", run, "--folds", 1)[1]
    for wrong, says in (
        (["--models", "tinny"], "unknown model 'tinny'; did you mean 'tiny'?"),
        (["--folds", "7"], "has no fold 7"),
        (["--metric", "f2"], "unknown metric 'f2'"),
    ):
        status, _, errors = main("report", run, *wrong)
        assert status == 2
        assert says in errors
    assert "is no run folder" in main("report", tmp_path)[2]


def test_two_processes_in_one_run_folder(
    parts: None, folds: Path, main: Main, no_warm_workers: None, tmp_path: Path
) -> None:
    """The second is refused, whether it trains or reports; once the first is killed, the folder is free."""
    (tmp_path / "registry.toml").write_text("")
    command = ["run", "tiny-long", *options(folds, tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "zoo.cli", *map(str, command)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONUNBUFFERED": "1"},
    ) as first:
        assert first.stdout
        next(line for line in first.stdout if "val_loss" in line)
        for second in (command, ["report", tmp_path / "run"]):
            status, _, errors = main(*second)
            assert status == 2
            assert "another zoo process is at work in" in errors
        first.kill()
    status, output, errors = main("report", tmp_path / "run")
    assert status == 0, errors
    assert "missing: tiny-long, fold 0" in output


def test_from_python_with_repeats(parts: None, no_processes: None, tmp_path: Path) -> None:
    data = write_folds(tmp_path / "data", folds=2)
    done = package.compare(
        ["tiny"], data=data, folds=[0], out=tmp_path / "run", image_size=32, max_epochs=1, repeats=2, workers=2
    )
    assert isinstance(done, package.Comparison)
    assert done.results[["model", "fold", "repeat"]].to_numpy().tolist() == [["tiny", 0, 0], ["tiny", 0, 1]]
    assert {"sd_folds", "sd_seeds"} <= set(done.summary.columns)
    assert len(done.comparison) == 0
    assert set(done.predictions["role"]) == {"validation", "test"}
    assert done.missing == []
    first, second = (tmp_path / "run/tiny" / name for name in ("fold-0", "fold-0-repeat-1"))
    assert (first / "predictions.csv").read_text() != (second / "predictions.csv").read_text()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run/results.csv"), done.results)
    (said,) = tables.spread(done)
    assert said.startswith("tiny: auc on test varies by – between folds and by 0.")
    with pytest.raises(package.ConfigError, match="unknown model"):
        package.compare(["tinny"], data=data)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--redo", "tiny"], "'tiny' is not MODEL:FOLD"),
        (["--redo", "tiny:7"], "redo tiny:7: this request has no such job"),
        (["--metric", "f2"], "unknown metric 'f2'; known: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_requests(
    parts: None, folds: Path, main: Main, no_warm_workers: None, tmp_path: Path, wrong: list[str], says: str
) -> None:
    status, _, errors = main("compare", "tiny", *options(folds, tmp_path / "run"), *wrong)
    assert status == 2
    assert says in errors
    assert not (tmp_path / "run").exists()
