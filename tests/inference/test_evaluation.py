"""Predictor.evaluate and zoo evaluate: what scikit-learn says of predictions.csv, at thresholds from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import zoo
from tests.conftest import Main, disc, write_folds
from tests.finished import two_networks
from zoo.data import known_copies
from zoo.errors import ConfigError, DataError, LeakError
from zoo.evaluation.config import OperatingPoint
from zoo.inference.predictor import Predictor
from zoo.run.folder import RunFolder

SIZE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folds(tmp_path_factory.mktemp("evaluate") / "data", per_class=20)


@pytest.fixture(scope="module")
def run(data: Path) -> RunFolder:
    return two_networks(data, data.parent / "run", operating_point=OperatingPoint(sensitivity=0.7))


@pytest.fixture(scope="module")
def loaded(run: RunFolder) -> Predictor:
    return zoo.load(run.path)


def table(folder: Path, images: int = 60) -> Path:
    """Images that nobody has seen, two of each patient, from two hospitals, by men and women."""
    rng, rows = np.random.default_rng(11), []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        name = f"{number}.png"
        cv2.imwrite(str(folder / name), disc(rng, number % 4 == 0, 40))
        label = "abnormal" if number % 3 == 0 else "normal"
        rows.append((name, label, f"p{number // 2}", ("north", "south")[number % 2], ("f", "m")[number // 3 % 2]))
    pd.DataFrame(rows, columns=["path", "label", "patient", "source", "sex"]).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def test_scores_are_those_of_scikit_learn(loaded: Predictor, tmp_path: Path) -> None:
    done = loaded.evaluate(table(tmp_path / "new"))
    told = done.predictions
    truth, chances = (told["label"] == "abnormal").astype(int), told["probability"]
    called = (chances >= loaded.threshold).astype(int)
    scores = done.scores.set_index("metric")
    for name, value in {
        "auc": metrics.roc_auc_score(truth, chances),
        "recall": metrics.recall_score(truth, called),
        "specificity": metrics.recall_score(1 - truth, 1 - called),
        "precision": metrics.precision_score(truth, called, zero_division=0),
        "f1": metrics.f1_score(truth, called),
        "accuracy": metrics.accuracy_score(truth, called),
        "loss": metrics.log_loss(truth, chances.clip(1e-7, 1 - 1e-7)),
    }.items():
        row = scores.loc[name]
        assert row["value"] == pytest.approx(value, abs=1e-6), name
        assert row["low"] <= row["value"] <= row["high"], name
    assert (told["decision"] == np.where(called, "abnormal", "normal")).all()
    aimed = done.thresholds[done.thresholds["point"] == "sensitivity 0.7"].iloc[0]
    assert aimed["threshold"] == pytest.approx(loaded.threshold)
    assert aimed["missed"] == ((truth == 1) & (called == 0)).sum()
    assert aimed["alarms"] == ((truth == 0) & (called == 1)).sum()
    assert len(done.missed) == (truth != called).sum()
    assert done.calibration["brier"].tolist() == pytest.approx(
        [metrics.brier_score_loss(truth, chances), metrics.brier_score_loss(truth, told["calibrated"])]
    )
    assert (told["group"] != "").all()
    assert not [note for note in done.notes if "no groups" in note]


def test_intervals_are_by_patient(loaded: Predictor, tmp_path: Path) -> None:
    """Two files of one patient that show nearly the same tell less than two of two patients."""
    file = table(tmp_path / "new", 30)
    rows = pd.read_csv(file)
    twins = []
    for name in rows["path"]:
        pixels = cv2.imread(str(file.parent / name))
        pixels[0, 0] = 255 - pixels[0, 0]
        cv2.imwrite(str(file.parent / f"twin-{name}"), pixels)
        twins.append(f"twin-{name}")
    rows = rows.assign(patient=[f"p{number}" for number in range(len(rows))])
    both = pd.concat([rows, rows.assign(path=twins)])
    widths = []
    for patients in (both["patient"], [f"q{number}" for number in range(len(both))]):
        both.assign(patient=patients).to_csv(file, index=False)
        auc = loaded.evaluate(file).scores.set_index("metric").loc["auc"]
        widths.append(auc["high"] - auc["low"])
    assert widths[0] > 1.2 * widths[1]


def test_labels_move_no_threshold_and_no_probability(loaded: Predictor, tmp_path: Path) -> None:
    file = table(tmp_path / "new")
    before = loaded.evaluate(file)
    rows = pd.read_csv(file)
    rows["label"] = rows["label"].sample(frac=1, random_state=0).to_numpy()
    rows.to_csv(file, index=False)
    after = loaded.evaluate(file)
    assert (before.predictions["label"] != after.predictions["label"]).any()
    unmoved = ["path", "decision", "probability", "calibrated"]
    pd.testing.assert_frame_equal(before.predictions[unmoved], after.predictions[unmoved])
    assert before.thresholds["threshold"].tolist() == after.thresholds["threshold"].tolist()


def test_each_source_or_other_column_has_a_row(loaded: Predictor, tmp_path: Path) -> None:
    file = table(tmp_path / "new")
    rows = pd.read_csv(file)
    for by, column in ((None, "source"), ("sex", "sex")):
        done = loaded.evaluate(file, by=by)
        told = done.predictions.merge(rows[["path", "sex"]], on="path")
        assert done.by_source["source"].tolist() == sorted(rows[column].unique())
        for row in done.by_source.to_dict("records"):
            part = told[told[column] == row["source"]]
            truth = part["label"] == "abnormal"
            assert row["images"] == len(part)
            assert row["auc"] == pytest.approx(metrics.roc_auc_score(truth, part["probability"]))
            assert row["recall"] == pytest.approx((part["decision"][truth] == "abnormal").mean())
    with pytest.raises(DataError, match="no column age"):
        loaded.evaluate(file, by="age")
    rows.assign(eye="").to_csv(file, index=False)
    assert "no image has anything in column eye: there are no rows by it" in loaded.evaluate(file, by="eye").notes
    rows.loc[:4, "source"] = ""
    rows.to_csv(file, index=False)
    assert "5 images have no source, and are in no row by source" in loaded.evaluate(file).notes


def test_images_that_networks_have_seen_are_refused_or_marked(
    loaded: Predictor, data: Path, tmp_path: Path, main: Main, run: RunFolder
) -> None:
    folder = data / "Fold0/valid"
    with pytest.raises(LeakError, match="trained or selected on 8 of 8 images"):
        loaded.evaluate(folder)
    done = loaded.evaluate(folder, allow_leak=True)
    assert done.title == "scratch-cnn (LEAKED)"
    assert (done.predictions["seen"] == 1).all()
    alone = zoo.load(run.path, folds=0).evaluate(folder)  # its test images
    told = pd.read_csv(run.job("scratch-cnn", 0).predictions).query("role == 'test'").set_index("image")
    answers = alone.predictions.set_index("image")["probability"]
    np.testing.assert_allclose(answers, told.loc[answers.index, "probability"], atol=1e-6)
    status, _, errors = main("evaluate", run.path, "--data", folder, "--out", tmp_path / "e")
    assert status == 2
    assert "--allow-leak" in errors
    assert not (tmp_path / "e").exists()
    status, output, errors = main("evaluate", run.path, "--data", folder, "--out", tmp_path / "e", "--allow-leak")
    assert status == 0, errors
    assert "scratch-cnn (LEAKED), mean of 2 networks, on 8 images of" in output
    assert json.loads((tmp_path / "e/evaluation.json").read_text())["leaked"] == 8


def test_the_command_tells_and_writes_the_same(main: Main, run: RunFolder, loaded: Predictor, tmp_path: Path) -> None:
    file = table(tmp_path / "new")
    (tmp_path / "new/7.png").write_bytes(b"no picture")
    done = loaded.evaluate(file)
    status, output, errors = main("evaluate", run.path, "--data", file, "--out", "e", "--prevalence", "0.1")
    assert status == 1
    assert "zoo: 7.png: " in errors
    assert "1 of 60 images cannot be used" in output
    scores = pd.read_csv(tmp_path / "e/scores.csv")
    pd.testing.assert_frame_equal(scores, done.scores, atol=1e-6)
    for row in done.scores.to_dict("records"):
        assert f"{row['value']:.3f}" in output
    assert len(pd.read_csv(tmp_path / "e/predictions.csv")) == 59
    assert pd.read_csv(tmp_path / "e/threshold.csv")["prevalence"].tolist() == [0.1, 0.1]
    assert pd.read_csv(tmp_path / "e/by_source.csv")["source"].tolist() == ["north", "south"]
    about = json.loads((tmp_path / "e/evaluation.json").read_text())
    assert about["images"] == 59
    assert [*about["refused"]] == ["7.png"]
    assert about["operating_point"] == {"sensitivity": 0.7}
    aimed = done.thresholds[done.thresholds["point"] == "sensitivity 0.7"].iloc[0]
    words = " ".join(output.split())
    assert f"misses {aimed['missed']} of {aimed['positives']} abnormal test images" in words


def test_data_of_other_kinds_are_refused(loaded: Predictor, data: Path, tmp_path: Path) -> None:
    file = table(tmp_path / "new")
    for wrong, options in ((tmp_path / "none", {}), (tmp_path, {})):
        with pytest.raises((DataError, ConfigError)):
            loaded.evaluate(wrong, **options)
    with pytest.raises(ConfigError, match="go with a table"):
        loaded.evaluate(data / "Fold0/valid", by="sex")
    rows = pd.read_csv(file)
    rows.assign(label="ill").to_csv(file, index=False)
    with pytest.raises((DataError, ConfigError), match="ill"):
        loaded.evaluate(file)
    rows.assign(label=rows["label"].map({"normal": "0", "abnormal": "2"})).to_csv(file, index=False)
    done = loaded.evaluate(file, labels={"0": "normal", "1": "abnormal", "2": "abnormal"})
    assert done.predictions["label"].value_counts().to_dict() == {"normal": 40, "abnormal": 20}
    for name in rows["path"]:
        (tmp_path / "new" / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of 60 images can be used"):
        loaded.evaluate(file, labels={"0": "normal", "2": "abnormal"})


def test_changed_copies_are_known_to_whom_has_looked(loaded: Predictor, run: RunFolder, tmp_path: Path) -> None:
    file = table(tmp_path / "new")
    done = loaded.evaluate(file)
    assert any("nobody has looked for changed copies" in note for note in done.notes)
    every = [*done.predictions["image"], *loaded.seen[0].images, *loaded.seen[1].images]
    pairs = pd.DataFrame(columns=known_copies.NEAR_COLUMNS)
    known_copies.remember(every, pairs)
    assert not any("nobody has looked" in note for note in loaded.evaluate(file).notes)
    pairs.loc[0] = [next(iter(loaded.seen[0].images)), done.predictions["image"][0], 0.9, "flipped"]
    known_copies.remember(every, pairs)
    with pytest.raises(LeakError, match="1 of 60 images"):
        loaded.evaluate(file)
    known_copies.remember(every, pairs[:0])  # other tests have the same images


def test_one_class_alone_tells_what_it_can(loaded: Predictor, main: Main, run: RunFolder, tmp_path: Path) -> None:
    file = table(tmp_path / "new")
    rows = pd.read_csv(file)
    rows[rows["label"] == "abnormal"].to_csv(file, index=False)
    done = loaded.evaluate(file)
    scores = done.scores.set_index("metric")["value"]
    assert np.isnan(scores["auc"])
    assert np.isnan(scores["specificity"])
    assert scores["recall"] == (done.predictions["decision"] == "abnormal").mean()
    status, output, errors = main("evaluate", run.path, "--data", file, "--out", "e")
    assert status == 0, errors
    words = " ".join(output.split())
    assert "on 20 images of t.csv: 0 normal, 20 abnormal. The AUC is not known: the images lack a class." in words
    assert "alarms are right" not in words
    assert "there are no alarms" not in words


def test_a_picture_counts_once(loaded: Predictor, tmp_path: Path) -> None:
    file = table(tmp_path / "new", 12)
    rows = pd.read_csv(file)
    (tmp_path / "new/copy.png").write_bytes((tmp_path / "new/0.png").read_bytes())
    copied = pd.concat([rows, rows.iloc[:1].assign(path="copy.png")])
    copied.to_csv(file, index=False)
    done = loaded.evaluate(file)
    assert "13 files show 12 different pictures: each counts once" in done.notes
    assert len(done.predictions) == 13
    assert done.thresholds["positives"].tolist() == [4, 4]
    copied.iloc[-1, 1] = "normal"
    copied.to_csv(file, index=False)
    with pytest.raises(DataError, match="two labels"):
        loaded.evaluate(file)


def test_more_classes(tmp_path: Path, main: Main) -> None:
    classes = ("none", "mild", "severe")
    data = write_folds(tmp_path / "data", folds=1, per_class=5, classes=classes)
    run = two_networks(data, tmp_path / "run", classes=classes)
    done = zoo.load(run.path).evaluate(data / "Fold0/valid")
    each = done.predictions[[f"probability_{name}" for name in classes]].to_numpy()
    truth = [classes.index(name) for name in done.predictions["label"]]
    assert done.scores.set_index("metric").loc["accuracy", "value"] == np.mean(each.argmax(axis=1) == truth)
    status, output, errors = main("evaluate", run.path, "--data", data / "Fold0/valid", "--out", "e")
    assert status == 0, errors
    assert "1 none, 1 mild, 1 severe" in output
    assert not (tmp_path / "e/threshold.csv").exists()
