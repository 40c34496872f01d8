"""report.html of an evaluation: what its tables say, and a slider that counts as scikit-learn does."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import zoo
from tests.conftest import disc, write_folds
from tests.finished import two_networks
from tests.report.test_run_page import browser, drawn, explorer, in_browser
from zoo.data.decoding import read_image
from zoo.data.images import resize
from zoo.evaluation import missed
from zoo.inference import predictor
from zoo.inference.evaluation import Evaluation
from zoo.inference.predictor import Predictor
from zoo.report import evaluation_page, explained

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Two networks on 40 images of other patients, of two sources."""
    folder, rng = tmp_path_factory.mktemp("page"), np.random.default_rng(3)
    data = write_folds(folder / "data")
    run = two_networks(data, folder / "run")
    (folder / "elsewhere").mkdir()
    rows = []
    for number in range(40):
        cv2.imwrite(str(folder / f"elsewhere/{number}.png"), disc(rng, number % 4 == 0, 40))
        label = "abnormal" if number % 3 == 0 else "normal"
        rows.append((f"{number}.png", label, f"p{number // 2}", ("north", HOSTILE)[number % 2]))
    (folder / "elsewhere/5.png").write_bytes(b"no picture")
    table = folder / "elsewhere/table.csv"
    pd.DataFrame(rows, columns=["path", "label", "group", "source"]).to_csv(table, index=False)
    return zoo.load(run.path).evaluate(table)


@pytest.fixture(scope="module")
def loaded(done: Evaluation) -> Predictor:
    return predictor.ready(done.ensemble)


@pytest.fixture(scope="module")
def file(done: Evaluation, loaded: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "report.html"
    maps = explained.of_worst(loaded, done, lambda step, number, total: None)
    evaluation_page.write(done, path, maps=maps)
    return path


def test_heat_maps_are_those_of_the_networks(done: Evaluation, loaded: Predictor, file: Path) -> None:
    told = explorer(file.read_text("utf-8"))
    (model,) = told["models"]
    ill = int((done.scored["label"] == 1).sum())
    assert len(model["maps"]) == ill + missed.SHOWN == 34  # of each class as many as are shown of it
    for place, heat in list(model["maps"].items())[:5]:
        pixels = resize(read_image(done.root / told["images"][int(place)]["path"]).pixels, 32)
        (expected,) = loaded.heat_maps(pixels[None], np.array([1]))
        np.testing.assert_allclose(np.array(heat) / 100, expected / np.abs(expected).max(), atol=0.006)


def test_it_says_what_the_tables_say(done: Evaluation, file: Path) -> None:
    text = file.read_text("utf-8")
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).replace("\N{NO-BREAK SPACE}", " ").split())
    for row in done.scores.to_dict("records"):
        assert f"{row['value']:.3f} {row['low']:.3f} to {row['high']:.3f}" in plain
    for row in done.thresholds.to_dict("records"):
        assert f"{row['missed']} of {row['positives']}" in plain
        assert f"{row['alarms']} of {row['negatives']}" in plain
    for row in done.calibration.to_dict("records"):
        assert f"{row['brier']:.3f}" in plain
    assert "39 different pictures of 39 files; 20 patients or other groups." in plain
    assert "Left out, as they cannot be used: 5.png" in plain
    assert "No network has seen any of these images" in plain
    assert HOSTILE not in text
    assert str(done.root) not in text
    assert "What was trained on what" not in text
    assert not re.search(r'href="#(training|guidelines)"', text)
    for name in re.findall(r'href="#(\w+)"', text):
        assert f'id="{name}"' in text
    assert len(explorer(text)["thumbnails"]) == 39
    assert explorer(evaluation_page.html(done, with_images=False))["thumbnails"] == []


@in_browser
@pytest.mark.parametrize("width", [400, 1400])
def test_its_slider_counts_as_scikit_learn_does(done: Evaluation, file: Path, width: int) -> None:
    truth = (done.scored["label"] == 1).to_numpy()
    chances = done.scored["probability"].to_numpy()
    with browser(file.as_uri(), width) as (opened, wrong):
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        for threshold in (None, float(np.median(chances))):
            if threshold is not None:
                opened.fill("#exact", repr(threshold))
            called = chances >= (done.ensemble.threshold if threshold is None else threshold)
            ((tn, fp), (fn, tp)) = metrics.confusion_matrix(truth, called)
            drawn(opened)
            shown = {name: opened.inner_text(f"#{name}") for name in ("tn", "fp", "fn", "tp")}
            assert shown == {"tn": str(tn), "fp": str(fp), "fn": str(fn), "tp": str(tp)}
        assert opened.is_visible("#colours")
        opened.check("#heat")
        assert opened.locator(".gallery canvas").first.is_visible()
        assert wrong == []
