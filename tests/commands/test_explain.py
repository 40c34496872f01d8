"""zoo explain, and the heat maps that come with a run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install, Main, Zoo, write_folds
from tests.finished import finish
from zoo.run import heatmaps
from zoo.run.request import Request


@pytest.fixture
def tiny(install: Install) -> None:
    install(TINY_PLUGIN)


def test_a_run_writes_what_its_network_looked_at(
    inline: Zoo, main: Main, tiny: None, folds: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = inline("compare", "tiny", "--data", folds, "--out", run, "--image-size", 32, "--max-epochs", 1)
    assert done.returncode == 0, done.stderr
    job = run / "tiny/fold-0"
    table, test = pd.read_csv(job / "heatmaps.csv"), pd.read_csv(job / "predictions.csv").query("role == 'test'")
    assert list(table.columns) == heatmaps.COLUMNS
    assert set(table["image"]) == set(test["image"])  # four, of which each may be among the worst
    assert set(table["class"]) == {"abnormal"}
    assert (table.groupby("image").size() == 49).all()
    assert table["change"].abs().sum() > 0
    assert len(heatmaps.read([job / "heatmaps.csv"])) == 4

    file = job / "best.keras"
    images = sorted((folds / "Fold0/valid/abnormal").iterdir())
    asked = ["--class", "normal", "--out", tmp_path / "e"]
    status, output, errors = main("explain", file, folds / "Fold0/valid/abnormal", tmp_path / "no.png", *asked)
    assert status == 1  # of three pictures one is not there
    assert f"zoo: {tmp_path / 'no.png'}: cannot be read: No such file" in errors
    assert f"001-{images[0].name}" in output
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == [
        f"00{number}-{image.name}" for number, image in enumerate(images, 1)
    ]
    told = test.set_index("path")["probability"]
    for image in images:
        assert f"{1 - told[str(image.relative_to(folds))]:.3f}" in output

    status, _, errors = main("explain", file, images[0], "--class", "norml")
    assert status == 2
    assert "unknown class 'norml'" in errors
    (tmp_path / "empty").mkdir()
    status, _, errors = main("explain", file, tmp_path / "empty")
    assert status == 2
    assert "holds no image files" in errors
    status, _, errors = main("explain", images[0], images[0])
    assert status == 2


def test_missed_images_are_shown_with_what_was_looked_at(main: Main, tiny: None, folds: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    finish(Request(models=("tiny",), data=str(folds), folds=None, out=run, image_size=32))
    sizes = []
    for changes in ([], [1.0, -0.5, 0.25, 0.0], ["x", 1, 2, 3]):  # none, a map of two by two parts, a damaged one
        for fold in range(2):
            job = run / f"tiny/fold-{fold}"
            images = pd.read_csv(job / "predictions.csv").query("role == 'test'")["image"]
            parts = zip((0, 0, 1, 1), (0, 1, 0, 1), changes, strict=False)
            rows = [(image, "", "abnormal", *part) for part in parts for image in images]
            pd.DataFrame(rows, columns=heatmaps.COLUMNS).to_csv(job / "heatmaps.csv", index=False)
        assert len(heatmaps.read([run / "tiny/fold-0/heatmaps.csv", run / "none.csv"])) == 4 * (0.25 in changes)
        status, output, errors = main("report", run)
        assert status == 0, errors
        assert "cannot be drawn" not in output
        sizes.append(cv2.imread(str(run / "pictures/alarm-tiny.png")).shape)
    assert sizes[0] == sizes[2] != sizes[1]


def test_more_classes_are_asked_about_what_they_are_called(inline: Zoo, tiny: None, tmp_path: Path) -> None:
    classes = ("none", "mild", "severe")
    write_folds(tmp_path / "data", folds=1, per_class=5, classes=classes)
    (tmp_path / "here/registry.toml").write_text(f"[data]\nclasses = {list(classes)}")
    run = tmp_path / "run"
    done = inline("run", "tiny", "--data", tmp_path / "data", "--out", run, "--image-size", 32, "--max-epochs", 1)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(run / "tiny/fold-0/heatmaps.csv")
    test = pd.read_csv(run / "tiny/fold-0/predictions.csv").query("role == 'test'").set_index("image")
    called = test[[f"probability_{name}" for name in classes]].to_numpy().argmax(axis=1)
    wrong = test[called != test["label"]].index
    assert set(table["image"]) == set(wrong)
    named = pd.Series(np.array(classes)[called], index=test.index)
    assert (table["class"] == table["image"].map(named)).all()
