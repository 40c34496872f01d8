"""zoo.load: what an ensemble says is what its networks say under plain Keras, whatever the pictures are."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

import zoo
from tests.conftest import write_folds
from tests.finished import two_networks
from zoo.data import known_copies
from zoo.data.images import hash_image
from zoo.errors import ConfigError, DataError, WeightsError
from zoo.evaluation.config import EvaluationConfig, OperatingPoint
from zoo.files import read_json
from zoo.inference import predictor as predictors
from zoo.inference.predictor import BATCH, Predictor
from zoo.run import results
from zoo.run.folder import RunFolder
from zoo.training import model_file

SIZE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of 2 x 40 images, larger than the networks take."""
    return write_folds(tmp_path_factory.mktemp("predict") / "data", per_class=40, size=48)


@pytest.fixture(scope="module")
def run(data: Path) -> RunFolder:
    """Networks of two folds, with random weights, and a sensitivity to aim at."""
    return two_networks(data, data.parent / "run", operating_point=OperatingPoint(sensitivity=0.8))


@pytest.fixture(scope="module")
def loaded(run: RunFolder) -> Predictor:
    return zoo.load(run.path)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that nobody has seen, more than a batch of them, in two folders."""
    folder, rng = tmp_path_factory.mktemp("new"), np.random.default_rng(7)
    for number in range(BATCH + 5):
        file = folder / f"ward {number % 2}" / f"{number:03d}.png"
        file.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(file), rng.integers(0, 255, (40 + number, 50, 3)).astype(np.uint8))
    return folder


def plain(file: Path, images: list[Path], flips: bool = False) -> np.ndarray:
    """Probabilities (n,) of the positive class, by Keras and OpenCV alone."""
    network = keras.saving.load_model(file, compile=False)
    pixels = [cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB) for image in images]
    batch = np.stack([cv2.resize(each, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for each in pixels])
    views = [batch, batch[:, :, ::-1]] if flips else [batch]
    return np.asarray(np.mean([network.predict(view, verbose=0) for view in views], axis=0)[:, 0], dtype=np.float64)


def test_bytes_are_read_as_files(loaded: Predictor, new: Path) -> None:
    files = sorted(new.glob("ward 0/*"))[:3]
    told = loaded.predict([*(file.read_bytes() for file in files), b"no picture"])
    assert told["path"].tolist() == ["0", "1", "2", "3"]
    assert "not an image" in told["fault"][3]
    pd.testing.assert_frame_equal(told[:3].drop(columns="path"), loaded.predict(files).drop(columns="path"))
    assert loaded.predict(files[0].read_bytes())["image"].tolist() == told["image"].tolist()[:1]


def test_an_ensemble_is_the_mean_of_its_networks(run: RunFolder, loaded: Predictor, new: Path) -> None:
    table = loaded.predict(new)
    files = sorted(new.glob("ward 0/*")) + sorted(new.glob("ward 1/*"))
    assert table["path"].tolist() == [str(file) for file in files]
    members = [plain(run.job("scratch-cnn", fold).best, files) for fold in range(2)]
    np.testing.assert_allclose(table["probability"], np.mean(members, axis=0), atol=1e-6)
    np.testing.assert_allclose(table["spread"], np.std(members, axis=0, ddof=1), atol=1e-6)
    assert table["spread"].min() > 0
    chosen = pd.read_csv(run.path / "threshold.csv").query("point == 'sensitivity 0.8' and fold == 'all'")
    assert loaded.threshold == pytest.approx(chosen["threshold"].item())
    assert (table["decision"] == np.where(table["probability"] >= loaded.threshold, "abnormal", "normal")).all()
    odds = [np.log(each / (1 - each)) for each in members]
    scalings = [read_json(run.job("scratch-cnn", fold).path / "calibration.json") for fold in range(2)]
    scaled = [
        1 / (1 + np.exp(-scaling["intercept"] - scaling["slope"] * each))
        for scaling, each in zip(scalings, odds, strict=True)
    ]
    np.testing.assert_allclose(table["calibrated"], np.mean(scaled, axis=0), atol=1e-5)
    assert (table["seen"] == 0).all()
    assert (table["fault"] == "").all()
    assert table["image"].tolist()[0] == hash_image(cv2.cvtColor(cv2.imread(str(files[0])), cv2.COLOR_BGR2RGB))


def test_one_fold_says_of_its_test_images_what_the_run_says(run: RunFolder, data: Path) -> None:
    told = pd.read_csv(run.job("scratch-cnn", 1).predictions).query("role == 'test'")
    table = zoo.load(run.path, folds=1).predict([data / path for path in told["path"]])
    assert table["image"].tolist() == told["image"].tolist()
    np.testing.assert_allclose(table["probability"], told["probability"], atol=1e-6)
    assert (table["seen"] == 0).all()
    assert table["spread"].isna().all()


def test_what_networks_have_seen_is_counted(run: RunFolder, loaded: Predictor, data: Path) -> None:
    table = loaded.predict(data / "Fold0").drop_duplicates("image")
    seen = [{*read_json(run.job("scratch-cnn", fold).provenance)["images"]} for fold in range(2)]
    assert table["seen"].tolist() == [sum(image in each for each in seen) for image in table["image"]]
    assert set(table["seen"]) == {1, 2}


def test_a_copy_that_an_audit_knows_counts_as_seen(run: RunFolder, new: Path, loaded: Predictor) -> None:
    file = new / "ward 0/000.png"
    own = loaded.predict(file)["image"].item()
    known = read_json(run.job("scratch-cnn", 0).provenance)["images"][0]
    both = int(known in read_json(run.job("scratch-cnn", 1).provenance)["images"])
    pairs = pd.DataFrame([(known, own, 0.9, "flipped")], columns=known_copies.NEAR_COLUMNS)
    known_copies.remember([known, own], pairs)
    assert loaded.predict(file)["seen"].item() == 1 + both
    known_copies.remember([known, own], pairs[:0])


def test_arrays_are_pictures_too(loaded: Predictor, new: Path) -> None:
    files = sorted(new.glob("*/*"))[:3]
    pixels = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files]
    from_files, from_arrays = loaded.predict(files), loaded.predict(pixels)
    assert from_arrays["path"].tolist() == ["0", "1", "2"]
    pd.testing.assert_frame_equal(from_files.drop(columns="path"), from_arrays.drop(columns="path"))
    stack = np.zeros((2, 20, 30, 3), np.uint8)
    assert len(loaded.predict(stack)) == 2
    assert len(loaded.predict(stack[0])) == 1
    assert len(loaded.predict([])) == 0
    assert loaded.predict([])["probability"].dtype == float
    for wrong in (stack.astype(float), stack[..., 0], stack[:, :0]):
        with pytest.raises(DataError, match="not uint8 RGB"):
            loaded.predict([*wrong])
    for wrong in (3, [3]):
        with pytest.raises(ConfigError, match="paths, bytes or uint8 arrays, not int"):
            loaded.predict(wrong)


def test_mirror_images_are_averaged_where_asked_for(run: RunFolder, loaded: Predictor, new: Path) -> None:
    files = sorted(new.glob("*/*"))
    members = [plain(run.job("scratch-cnn", fold).best, files, flips=True) for fold in range(2)]
    np.testing.assert_allclose(loaded.predict(files, tta="flips")["probability"], np.mean(members, axis=0), atol=1e-6)
    once = loaded.predict(files)["probability"]
    assert not np.allclose(once, np.mean(members, axis=0), atol=1e-6)
    # A model that was trained for mirror images has them unless told otherwise.
    ensemble = loaded.ensemble
    abouts = [
        dataclasses.replace(each.about, recipe={**each.about.recipe, "tta": "flips"}) for each in ensemble.members
    ]
    flipping = [dataclasses.replace(each, about=about) for each, about in zip(ensemble.members, abouts, strict=True)]
    trained = Predictor(dataclasses.replace(ensemble, members=tuple(flipping)), loaded.networks, loaded.seen)
    np.testing.assert_allclose(trained.predict(files)["probability"], np.mean(members, axis=0), atol=1e-6)
    np.testing.assert_allclose(trained.predict(files, tta="none")["probability"], once, atol=1e-6)
    with pytest.raises(ConfigError, match="unknown tta 'flip'"):
        loaded.predict(files, tta="flip")


def test_files_that_cannot_be_used_cost_the_others_nothing(loaded: Predictor, new: Path, tmp_path: Path) -> None:
    good = sorted(new.glob("*/*"))
    hostile = {
        "empty.png": b"",
        "text.png": b"no picture at all",
        "half.png": good[0].read_bytes()[:200],
        "half.jpg": cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()[:30],
        "huge.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (2**31 - 1).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0",
        "zip.tif": b"PK\x03\x04" + bytes(100),
    }
    for name, content in hostile.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    bad = [*(tmp_path / name for name in hostile), tmp_path / "pipe.png", tmp_path / "none.png", "null\0.png"]
    mixed = [good[0], *bad[:4], *good[1:], *bad[4:]]
    table = loaded.predict(mixed)
    faulty = table[table["fault"] != ""]
    assert faulty["path"].tolist() == [str(file) for file in bad]
    assert faulty["probability"].isna().all()
    assert (faulty["decision"] == "").all()
    assert "empty file" in faulty["fault"].tolist()[0]
    whole = table[table["fault"] == ""].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, loaded.predict(good), rtol=1e-5)
    with pytest.raises(DataError, match="holds no image files"):
        loaded.predict(tmp_path / "folder.png")


def test_what_is_odd_in_a_file_is_told(loaded: Predictor, tmp_path: Path) -> None:
    dark = np.full((40, 40, 3), 300, np.uint16)
    dark[:20] = 900
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    (note,) = loaded.predict(tmp_path / "dark.png").attrs["notes"]
    assert "values 300..900" in note


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx", ".parquet"])
def test_tables_list_images(loaded: Predictor, new: Path, ending: str, tmp_path: Path) -> None:
    files = sorted(new.glob("*/*"))[:3]
    listed = pd.DataFrame({"eye": ["l", "r", "l", "r"], "path": [*(str(file) for file in files), "lost.png"]})
    table = tmp_path / f"list{ending}"
    write = {".csv": listed.to_csv, ".tsv": listed.to_csv, ".xlsx": listed.to_excel, ".parquet": listed.to_parquet}
    write[ending](table, index=False)
    said = loaded.predict(table)
    assert said["path"].tolist() == [*(str(file) for file in files), str(tmp_path / "lost.png")]
    assert (said["fault"] != "").tolist() == [False, False, False, True]
    listed.rename(columns={"path": "file"}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DataError, match="has no column path; its columns: eye, file"):
        loaded.predict(tmp_path / "other.csv")


def test_hidden_files_are_passed_over(loaded: Predictor, new: Path, tmp_path: Path) -> None:
    image = next(new.glob("*/*")).read_bytes()
    for name in (".hidden.png", ".cache/a.png", "b/c/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(image)
    assert loaded.predict(tmp_path)["path"].tolist() == [str(tmp_path / "b/c/d.png")]


def test_progress_is_told(run: RunFolder, new: Path) -> None:
    told: list[tuple[str, int, int]] = []
    loaded = zoo.load(run.path, listen=lambda *step: told.append(step))
    loaded.predict(new, listen=lambda *step: told.append(step))
    assert told == [("loading networks", number, 2) for number in range(3)] + [
        ("predicting", BATCH, BATCH + 5),
        ("predicting", BATCH + 5, BATCH + 5),
    ]


def test_the_point_may_be_another(run: RunFolder) -> None:
    done = results.compare(run)
    for point in ({"sensitivity": 0.6}, {"threshold": 0.3}, {"cost": {"missed": 10, "false_alarm": 1}}):
        table = done.at(**point).thresholds
        chosen = table[(table["point"] == str(done.at(**point).point)) & (table["fold"] == "all")]
        assert zoo.load(run.path, **point).threshold == pytest.approx(chosen["threshold"].item())
    with pytest.raises(ConfigError, match="operating point"):
        zoo.load(run.path, sensitivty=0.9)


def test_a_model_file_alone(run: RunFolder, new: Path, tmp_path: Path) -> None:
    file = run.job("scratch-cnn", 0).best
    alone = zoo.load(file)
    assert alone.threshold == 0.5
    assert "holds no operating point" in alone.notes[0]
    np.testing.assert_allclose(
        alone.predict(new)["probability"], zoo.load(run.path, folds="0").predict(new)["probability"], atol=1e-6
    )
    assert zoo.load(file, threshold=0.2).threshold == 0.2
    assert zoo.load(file, threshold=0.2).notes == []
    with pytest.raises(ConfigError, match=r"no validation images to choose sensitivity 0\.9"):
        zoo.load(file, sensitivity=0.9)
    with pytest.raises(ConfigError, match="is no run folder"):
        zoo.load(file, model="scratch-cnn")

    foreign = tmp_path / "foreign.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(foreign)
    with pytest.raises(ConfigError, match="does not say which classes"):
        zoo.load(foreign)
    (tmp_path / "text.keras").write_text("no model")
    for name in ("text.keras", "none.keras"):
        with pytest.raises(WeightsError):
            zoo.load(tmp_path / name)
    with pytest.raises(ConfigError, match="is no run folder"):
        zoo.load(tmp_path)


def test_runs_that_cannot_answer_are_refused(data: Path, tmp_path: Path) -> None:
    run = two_networks(data, tmp_path / "run", folds=(0,), models=("scratch-cnn", "efficientnet-head"))
    with pytest.raises(ConfigError, match="--model scratch-cnn or --model efficientnet-head"):
        zoo.load(run.path)
    with pytest.raises(ConfigError, match="unknown model 'scratch'"):
        zoo.load(run.path, model="scratch")
    with pytest.raises(ConfigError, match="fold"):
        zoo.load(run.path, model="scratch-cnn", folds=7)
    job = run.job("scratch-cnn", 0)
    job.best.write_bytes(job.best.read_bytes() + b"more")
    with pytest.raises(ConfigError, match=r"1 file is not as zoo wrote it"):
        zoo.load(run.path, model="scratch-cnn")
    job.remove()
    with pytest.raises(ConfigError, match="no fold of scratch-cnn is done"):
        zoo.load(run.path, model="scratch-cnn")
    assert zoo.load(run.path, model="efficientnet-head").ensemble.model == "efficientnet-head"


def test_more_classes_have_a_probability_each(tmp_path: Path) -> None:
    classes = ("none", "mild", "severe")
    data = write_folds(tmp_path / "data", per_class=5, classes=classes)
    run = two_networks(data, tmp_path / "run", classes=classes)
    loaded = zoo.load(run.path)
    assert loaded.threshold is None
    table = loaded.predict(data / "Fold0/test")
    each = table[[f"probability_{name}" for name in classes]].to_numpy()
    np.testing.assert_allclose(each.sum(axis=1), 1)
    assert table["decision"].tolist() == [classes[number] for number in each.argmax(axis=1)]
    np.testing.assert_allclose(table["probability"], each.max(axis=1))
    assert table["calibrated"].isna().all()
    for place in (run.path, run.job("scratch-cnn", 0).best):
        with pytest.raises(ConfigError, match="for two classes, not 3"):
            zoo.load(place, threshold=0.3)


def test_what_weights_have_seen_may_be_unknown(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a list of images, on a machine that has not trained it."""
    network = keras.saving.load_model(run.job("scratch-cnn", 0).best, compile=False)
    about = model_file.read_about(run.job("scratch-cnn", 0).best)
    assert about
    network.save(tmp_path / "bare.keras")
    model_file.write_about(tmp_path / "bare.keras", about)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "elsewhere"))
    assert "cannot be told which images these weights have seen" in zoo.load(tmp_path / "bare.keras").notes[-1]


def test_no_more_than_wanted_is_decoded_ahead(new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path] = []
    read = predictors.reading.read_image
    monkeypatch.setattr(predictors.reading, "read_image", lambda file: (decoded.append(file), read(file))[1])
    coming = predictors.reading.read(sorted(new.glob("*/*")), SIZE, ahead=4)
    for number in range(1, 6):
        next(coming)
        assert len(decoded) <= number + 4
    coming.close()


def test_evaluation_config_is_the_runs(run: RunFolder) -> None:
    assert run.read()["evaluation"] == EvaluationConfig(operating_point=OperatingPoint(sensitivity=0.8)).table()
