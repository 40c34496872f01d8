"""zoo export: foreign runtimes say what plain Keras says of the same pictures, and where they don't nothing is left."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from ai_edge_litert.interpreter import Interpreter
from sklearn import metrics

import zoo
from tests.conftest import Main, write_folds
from tests.finished import two_networks
from tests.venvs import Venv
from zoo.errors import ConfigError, DataError, WeightsError
from zoo.files import hash_file, read_json
from zoo.inference import export, foreign, standalone
from zoo.plugins import discovery, registry
from zoo.run.folder import RunFolder
from zoo.training import model, model_file

SIZE = 32
FORMATS = ("onnx", "litert", "savedmodel")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folds(tmp_path_factory.mktemp("export") / "data", per_class=20)


@pytest.fixture(scope="module")
def run(data: Path) -> RunFolder:
    return two_networks(data, data.parent / "run")


def asked(file: Path, images: np.ndarray) -> np.ndarray:
    """What the runtime of a file says of float32 images, asked as its own manual does."""
    if file.suffix == ".onnx":
        return np.asarray(onnxruntime.InferenceSession(file).run(None, {"images": images})[0])
    if file.suffix == ".tflite":
        interpreter = Interpreter(str(file))
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    code = "import sys, numpy as np, tensorflow as tf; l = tf.saved_model.load(sys.argv[1]); "
    code += "np.save(sys.argv[3], l.serve(np.load(sys.argv[2])).numpy())"
    paths = [file.parent / f"{name}.npy" for name in ("images", "said")]
    np.save(paths[0], images)
    subprocess.run([sys.executable, "-c", code, file, *paths], check=True, capture_output=True)
    return np.asarray(np.load(paths[1]))


def plain(files: list[Path], images: np.ndarray, flips: bool = False) -> np.ndarray:
    """The mean over networks, and over mirror images if `flips`, by Keras alone."""
    networks = [keras.saving.load_model(file, compile=False) for file in files]
    views = [images, images[:, :, ::-1]] if flips else [images]
    return np.asarray(np.mean([each.predict(view, verbose=0) for each in networks for view in views], axis=0))


def broken(monkeypatch: pytest.MonkeyPatch, form: str, **changes: Any) -> None:
    """Have a format do something else."""
    monkeypatch.setitem(foreign.FORMATS, form, dataclasses.replace(foreign.FORMATS[form], **changes))


def noise(images: int = 40, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (images, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("form", FORMATS)
def test_a_runtime_says_what_keras_says(run: RunFolder, main: Main, form: str, tmp_path: Path) -> None:
    status, output, errors = main("export", run.path, "--format", form, "--threshold", "0.3", "--out", "new/net")
    assert status == 0, errors
    assert "scratch-cnn, mean of 2 networks, under " in output
    folder = tmp_path / "new/net"
    about = read_json(folder / "about.json")
    assert sorted(path.name for path in folder.iterdir()) == sorted(["about.json", "predict.py", about["file"]])
    assert [*folder.parent.iterdir()] == [folder]
    expected = plain([run.job("scratch-cnn", fold).best for fold in range(2)], noise())
    assert expected.std() > 0.02  # else alike would be equal
    np.testing.assert_allclose(asked(folder / about["file"], noise()), expected, atol=1e-5)
    np.testing.assert_allclose(asked(folder / about["file"], noise()[:1]), expected[:1], atol=1e-5)  # any number
    assert (about["model"], about["classes"], about["image_size"]) == ("scratch-cnn", ["normal", "abnormal"], SIZE)
    assert (about["threshold"], about["operating_point"]) == (0.3, {"threshold": 0.3})
    assert about["output"] == {"shape": [None, 1], "dtype": "float32", "values": "probability of abnormal"}
    assert [each["sha256"] for each in about["networks"]] == [hash_file(run.job("scratch-cnn", k).best) for k in (0, 1)]
    (told,) = about["compared"]["files"]
    assert told["difference"] <= 1e-5
    assert f"│ {told['difference']:.2g} " in output
    assert about["compared"]["images"] == export.OF_DEMO
    if form != "savedmodel":
        assert about["sha256"] == {about["file"]: hash_file(folder / about["file"])}
    if form == "onnx":
        session = onnxruntime.InferenceSession(folder / about["file"])
        assert [(each.name, each.type) for each in session.get_inputs()] == [("images", "tensor(float)")]
        said = session.get_modelmeta().custom_metadata_map
        assert {name: json.loads(text) for name, text in said.items()} == {
            name: about[name] for name in foreign.DESCRIBED
        }


@pytest.mark.parametrize("form", ["onnx", "litert"])
def test_a_smaller_file_has_its_auc_beside(run: RunFolder, data: Path, form: str, tmp_path: Path) -> None:
    loaded = zoo.load(run.path)
    done = loaded.export(tmp_path / "net", form, data=data / "Fold0/valid", quantize=True)
    full, small = done.files.to_dict("records")
    assert small["mb"] < 0.5 * full["mb"]
    before = loaded.predict(data / "Fold0/valid")
    truth = before["path"].str.contains("abnormal")
    images = np.stack([standalone.read(path, SIZE) for path in before["path"]])
    for row in (full, small):
        said = asked(tmp_path / "net" / row["file"], images)[:, 0]
        assert row["auc"] == pytest.approx(metrics.roc_auc_score(truth, said), abs=1e-6)
        assert row["auc_before"] == pytest.approx(metrics.roc_auc_score(truth, before["probability"]), abs=1e-6)
        assert row["difference"] == pytest.approx(np.abs(said - before["probability"]).max(), abs=1e-6)
        called = np.where(said >= loaded.threshold, "abnormal", "normal")
        assert row["decisions"] == (called != before["decision"]).sum()
    assert full["difference"] < 1e-5 < small["difference"]
    assert any("SEEN: networks were trained or selected on" in note for note in done.notes)
    assert read_json(done.folder / "about.json")["compared"]["files"][1]["file"] == small["file"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "litert"])
def test_predict_py_runs_without_zoo(run: RunFolder, data: Path, form: str, tmp_path: Path) -> None:
    zoo.load(run.path).export(tmp_path / "net", form)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    files = [*sorted((data / "Fold0/valid").rglob("*.png")), bad]
    venv = Venv.make(tmp_path / "venv")
    assert venv.run("-c", "import zoo.errors").returncode == 1
    done = venv.run(tmp_path / "net/predict.py", *files)
    assert done.returncode == 0, done.stderr
    assert f"{bad} is no picture" in done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    expected = zoo.load(run.path).predict(files[:-1])
    assert [row[:2] for row in rows] == expected[["path", "decision"]].to_numpy().tolist()
    np.testing.assert_allclose([float(row[2]) for row in rows], expected["probability"], atol=2e-6)


def test_more_than_two_classes(tmp_path: Path) -> None:
    classes = ("none", "mild", "severe")
    data = write_folds(tmp_path / "data", classes=classes)
    run = two_networks(data, tmp_path / "run", classes=classes)
    loaded = zoo.load(run.path)
    done = loaded.export(tmp_path / "net", "litert", data=data / "Fold0/valid")
    about = read_json(tmp_path / "net/about.json")
    assert about["output"]["values"] == "probabilities of none, mild, severe"
    assert about["threshold"] is None
    assert done.files["difference"][0] < 1e-5
    expected = plain([run.job("scratch-cnn", fold).best for fold in range(2)], noise())
    np.testing.assert_allclose(asked(tmp_path / "net" / about["file"], noise()), expected, atol=1e-5)
    file = next((data / "Fold0/valid/mild").iterdir())
    said = subprocess.run([sys.executable, tmp_path / "net/predict.py", file], capture_output=True, text=True)
    row = loaded.predict(file).iloc[0]
    assert said.stdout.split("\t")[1] == row["decision"], said.stderr
    picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB).astype(np.float32)
    probability = asked(tmp_path / "net" / about["file"], picture[None]).max()
    assert float(said.stdout.split("\t")[2]) == pytest.approx(probability, abs=1e-6)  # it prints six digits
    assert row["probability"] == pytest.approx(probability, abs=1e-5)


def test_what_says_something_else_is_not_written(
    run: RunFolder, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, real = zoo.load(run.path), standalone.load
    for change, said in ((2e-4, "differ by up to 0.0002, more than 0.0001"), (float("nan"), "differ by up to nan")):
        monkeypatch.setattr(standalone, "load", lambda file, by=change: lambda images: real(file)(images) + by)
        with pytest.raises(WeightsError, match=said):
            loaded.export(tmp_path / "new/net", "savedmodel")
        assert [*(tmp_path / "new").iterdir()] == []

    def fail(*arguments: Any) -> None:
        raise RuntimeError("no such op: Strange")

    broken(monkeypatch, "savedmodel", write=fail)
    with pytest.raises(WeightsError, match="cannot be written as savedmodel: RuntimeError: no such op: Strange"):
        loaded.export(tmp_path / "new/net", "savedmodel")
    assert [*(tmp_path / "new").iterdir()] == []
    monkeypatch.undo()
    monkeypatch.setattr(standalone, "load", fail)
    with pytest.raises(WeightsError, match="cannot be written as savedmodel: RuntimeError: no such op: Strange"):
        loaded.export(tmp_path / "new/net", "savedmodel")
    assert [*(tmp_path / "new").iterdir()] == []
    monkeypatch.undo()
    broken(monkeypatch, "litert", quantize=fail)
    with pytest.raises(WeightsError, match="cannot be quantised as litert: RuntimeError: no such op: Strange"):
        loaded.export(tmp_path / "new/net", "litert", data=data / "Fold0/valid", quantize=True)
    assert [*(tmp_path / "new").iterdir()] == []


def test_what_cannot_be_asked_for_is_refused_first(
    run: RunFolder, main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    monkeypatch.setattr("zoo.commands.export.opened", None)  # no network is loaded for these
    for words, said in (
        (["--format", "savedmodel", "--quantize", "--data", "x"], "a savedmodel is not quantised; onnx and litert are"),
        (["--format", "litert", "--quantize"], "name labelled images to see how much, --data DIR"),
        (["--format", "litert", "--out", "full"], "full is there already; name another with --out DIR"),
        (["--format", "litert", "--out", "full/notes.txt/new"], "is no folder to write to"),
        (["--format", "tflite"], "Invalid value for '--format'"),
    ):
        status, _, errors = main("export", run.path, *words)
        assert status == 2
        assert said in errors, errors
    broken(monkeypatch, "onnx", modules=("nothing_of_the_kind",))
    assert main("export", run.path, "--format", "onnx")[2] == (
        "zoo: to write onnx, nothing-of-the-kind must be installed: pip install 'zoo[onnx]'\n"
    )
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "and this is jax: set KERAS_BACKEND=tensorflow" in main("export", run.path, "--format", "litert")[2]


def test_images_to_compare_on(run: RunFolder, data: Path, tmp_path: Path) -> None:
    loaded = zoo.load(run.path)
    with pytest.raises(ConfigError, match="unknown format"):
        loaded.export(tmp_path / "net", "tflite")
    table = pd.DataFrame({"path": ["lost.png"], "label": ["normal"]})
    with pytest.raises(DataError):
        loaded.export(tmp_path / "net", "savedmodel", data=table)
    (tmp_path / "bad/normal").mkdir(parents=True)
    (tmp_path / "bad/abnormal").mkdir()
    for name in ("normal/1.png", "abnormal/2.png"):
        (tmp_path / "bad" / name).write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of these images can be read"):
        loaded.export(tmp_path / "net", "savedmodel", data=tmp_path / "bad")
    assert not (tmp_path / "net").exists()
    source = next((data / "Fold0/valid/normal").iterdir())
    (tmp_path / "bad/normal/3.png").write_bytes(source.read_bytes())
    (tmp_path / "net").mkdir()  # an empty one is taken
    done = loaded.export(tmp_path / "net", "savedmodel", data=tmp_path / "bad")
    assert done.images == 1
    (told,) = (note for note in done.notes if note.startswith("2 of 3 images cannot be read and are left out:\n  "))
    assert "abnormal/2.png: not an image" in told
    assert np.isnan(done.files["auc"][0])  # of one class alone


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "litert"])
def test_efficientnet_with_mirror_images(form: str, tmp_path: Path) -> None:
    """Its Normalization has constants that Keras' own ONNX export makes into inputs."""
    (tmp_path / "registry.toml").write_text(
        '[models.mirrored]\nbackbone = "efficientnet-b0"\nhead = "pooled"\nschedule = "three-stage"\ntta = "flips"\n'
    )
    recipe = registry.load_registry(tmp_path / "registry.toml", discovery.discover()).recipe("mirrored")
    backbone = dataclasses.replace(recipe.backbone, weights="none")
    network = model.assemble(backbone, recipe.head, (SIZE, SIZE, 3), 2).model
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:  # nearly the statistics of images: with those of new layers what is seen vanishes on the way
        layer.trainable, layer.momentum = True, 0.1
    network(noise(), training=True)
    network.save(tmp_path / "model.keras")
    model_file.write_about(tmp_path / "model.keras", model_file.About.of(recipe, ["normal", "abnormal"], SIZE))
    done = zoo.load(tmp_path / "model.keras").export(tmp_path / "net", form)
    assert read_json(tmp_path / "net/about.json")["mirrored"]
    assert done.files["difference"][0] < 1e-5
    expected = plain([tmp_path / "model.keras"], noise(), flips=True)
    assert np.abs(expected - plain([tmp_path / "model.keras"], noise())).max() > 1e-3  # mirror images count
    np.testing.assert_allclose(asked(tmp_path / "net" / foreign.FORMATS[form].file, noise()), expected, atol=1e-5)
