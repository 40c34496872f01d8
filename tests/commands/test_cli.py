"""The command line as its users meet it: whole runs in processes of their own, and every refusal."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Main, Zoo, write_folds
from zoo.commands import report, train
from zoo.data import cache
from zoo.run import results, train_and_score
from zoo.run.plan import make_plan
from zoo.run.request import Request

METRICS = ["loss", "accuracy", "f1", "precision", "recall", "specificity", "auc"]


@pytest.fixture
def tiny(install: Install) -> None:
    install(TINY_PLUGIN)


def run_options(folds: Path, out: Path) -> list[object]:
    return ["--data", folds, "--image-size", 32, "--out", out]


@pytest.fixture
def finished(zoo: Zoo, tiny: None, folds: Path, tmp_path: Path) -> Path:
    """The run folder of both folds of the tiny model."""
    done = zoo("run", "tiny", "--folds", "all", *run_options(folds, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def test_a_run_leaves_what_it_promises(finished: Path, folds: Path, main: Main, no_warm_workers: None) -> None:
    """One run, looked at from all sides: training it once is what takes the time."""
    run = json.loads((finished / "run.json").read_text())
    assert run["recipes"]["tiny"]["backbone"] == {"name": "tiny", "weights": "none"}
    assert run["weights"] == {"tiny": {"0": "random", "1": "random"}}
    assert run["machine"]["backend"] == os.environ.get("KERAS_BACKEND", "tensorflow")
    assert run["data"]["classes"] == ["normal", "abnormal"]

    splits = pd.read_csv(finished / "splits.csv")
    assert list(splits.columns) == ["fold", "role", "image", "path", "label", "group"]

    results = pd.read_csv(finished / "results.csv")
    expected = ["model", "fold", "weights", *(f"{m}_{role}" for role in ("validation", "test") for m in METRICS)]
    assert list(results.columns) == expected
    assert list(results["fold"]) == [0, 1]

    for fold in (0, 1):
        job = finished / "tiny" / f"fold-{fold}"
        assert json.loads((job / "status.json").read_text())["state"] == "done"
        history = pd.read_csv(job / "history.csv")
        assert list(history.columns) == [
            "stage",
            "epoch",
            "learning_rate",
            "loss",
            "accuracy",
            "val_loss",
            "val_accuracy",
            "seconds",
            "val_auc",
        ]
        seen = set(json.loads((job / "provenance.json").read_text())["images"])
        of_fold = splits[splits["fold"] == fold]
        assert seen == set(of_fold[of_fold["role"] != "test"]["image"])
        assert not seen & set(of_fold[of_fold["role"] == "test"]["image"])
        for picture in ("curves.png", "confusion.png"):
            assert cv2.imread(str(job / picture)).shape[0] > 400
        check_numbers(job, results[results["fold"] == fold].iloc[0], history)
    check_model(finished / "tiny/fold-1", folds)
    leftovers = [path for path in finished.rglob("*") if path.name.startswith(".")]
    assert leftovers == []

    before = (finished / "tiny/fold-0/best.keras").stat().st_mtime_ns
    status, output, _ = main("run", "tiny", "--folds", "all", *run_options(folds, finished))
    assert status == 0
    assert output.count("already done") == 2
    assert (finished / "tiny/fold-0/best.keras").stat().st_mtime_ns == before

    moved = shutil.move(folds, folds.parent / "moved")
    assert main("run", "tiny", "--folds", "all", *run_options(moved, finished))[0] == 0
    other = write_folds(folds.parent / "other", per_class=15)
    for data, chosen, options, says in (
        (moved, "all", ["--seed", 3], "recipes.tiny.seed was 0 and is now 3"),
        (moved, "1", [], "data.folds was [0, 1] and is now [1]"),
        (other, "all", [], "data.fingerprint was"),
    ):
        status, _, errors = main("run", "tiny", "--folds", chosen, *options, *run_options(data, finished))
        assert status == 2
        assert says in errors


def check_numbers(job: Path, row: pd.Series, history: pd.DataFrame) -> None:
    """Every metric again from predictions.csv, with scikit-learn and an explicit positive class."""
    scores = json.loads((job / "metrics.json").read_text())
    predictions = pd.read_csv(job / "predictions.csv")
    assert list(predictions.columns) == ["role", "image", "path", "label", "probability"]
    for role, part in predictions.groupby("role"):
        called = (part["probability"] >= 0.5).astype(int)
        f1 = metrics.f1_score(part["label"], called, pos_label=1, zero_division=0)
        assert scores[role]["f1"] == row[f"f1_{role}"] == pytest.approx(f1)
        assert scores[role]["auc"] == pytest.approx(metrics.roc_auc_score(part["label"], part["probability"]))
        assert scores[role]["confusion_matrix"] == metrics.confusion_matrix(part["label"], called).tolist()
        assert scores[role]["loss"] == pytest.approx(metrics.log_loss(part["label"], part["probability"]), rel=1e-4)
        assert scores[role]["threshold"] == 0.5
    assert scores["validation"]["loss"] == pytest.approx(history["val_loss"].min(), rel=1e-3)


LOAD = """
import sys, keras, cv2, numpy as np
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
images = [cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in sys.argv[2:]]
print(*model.predict(np.stack(images), verbose=0)[:, 0].tolist(), sep="\\n", file=sys.stderr)
"""


def check_model(job: Path, folds: Path) -> None:
    """best.keras with plain Keras, in a process that never heard of zoo, on the files themselves."""
    predictions = pd.read_csv(job / "predictions.csv")
    files = [str(folds / path) for path in predictions["path"]]
    plain = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", LOAD, str(job / "best.keras"), *files],
        capture_output=True,
        text=True,
        check=True,
    )
    probabilities = [float(line) for line in plain.stderr.splitlines()[-len(files) :]]
    np.testing.assert_allclose(probabilities, predictions["probability"], atol=1e-5)


def test_more_than_two_classes(inline: Zoo, tiny: None, tmp_path: Path) -> None:
    write_folds(tmp_path / "data", folds=1, classes=("none", "mild", "severe"))
    classes = "classes = ['none', 'mild', 'severe']"
    (tmp_path / "here/registry.toml").write_text(f"[data]\n{classes}")
    done = inline("run", "tiny", "--max-epochs", 2, *run_options(tmp_path / "data", tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    job = tmp_path / "run/tiny/fold-0"
    predictions = pd.read_csv(job / "predictions.csv")
    each = ["probability_none", "probability_mild", "probability_severe"]
    assert list(predictions.columns) == ["role", "image", "path", "label", "probability", *each]
    np.testing.assert_allclose(predictions[each].sum(axis=1), 1, rtol=1e-5)
    assert np.shape(json.loads((job / "metrics.json").read_text())["test"]["confusion_matrix"]) == (3, 3)
    assert "averages over the classes" in done.stdout


def test_a_job_that_diverges_is_recorded(inline: Zoo, tiny: None, folds: Path, tmp_path: Path) -> None:
    done = inline("run", "tiny-nan", *run_options(folds, tmp_path / "nan"))
    assert done.returncode == 1
    assert "the loss is" in done.stdout
    status = json.loads((tmp_path / "nan/tiny-nan/fold-0/status.json").read_text())
    assert status["state"] == "failed"
    assert "TrainingError" in status["traceback"]
    assert "Traceback" not in done.stdout + done.stderr
    assert len(pd.read_csv(tmp_path / "nan/results.csv")) == 0


def hear_ctrl_c() -> None:
    """In the new process: a suite that was started in the background ignores SIGINT, and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def long_run(tiny: None, folds: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that takes long, after its first epoch; it is ended whatever the test does."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "zoo.cli", "run", "tiny-long", *map(str, run_options(folds, tmp_path / "run"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONUNBUFFERED": "1"},
        preexec_fn=hear_ctrl_c,
    )
    assert process.stdout
    for line in process.stdout:
        if "epoch " in line and "val_loss" in line:
            break
    yield process
    process.kill()
    process.communicate()


def workers(run: Path) -> list[int]:
    """Processes that have this run's log open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_text()
            log = (process / "fd/2").readlink()
        except OSError:
            continue
        if "zoo.run.worker" in arguments and str(log).startswith(str(run)):
            found.append(int(process.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


@needs_proc
def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(
    long_run: subprocess.Popen[str], main: Main, no_warm_workers: None, folds: Path, tmp_path: Path
) -> None:
    long_run.send_signal(signal.SIGINT)
    _, errors = long_run.communicate(timeout=60)
    assert long_run.returncode == 1
    assert "interrupted" in errors
    assert "Traceback" not in errors
    run = tmp_path / "run"
    assert workers(run) == []
    assert json.loads((run / "tiny-long/fold-0/status.json").read_text())["error"] == "interrupted"
    json.loads((run / "run.json").read_text())
    # The folder is valid: a shorter request is refused for what changed, not for what was left behind.
    status, _, errors = main("run", "tiny-long", "--max-epochs", 1, *run_options(folds, run))
    assert status == 2
    assert "max_epochs was None and is now 1" in errors


@needs_proc
def test_a_worker_ends_when_its_parent_is_killed(long_run: subprocess.Popen[str], tmp_path: Path) -> None:
    assert len(workers(tmp_path / "run")) == 1
    long_run.kill()
    deadline = time.monotonic() + 60
    while workers(tmp_path / "run") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert workers(tmp_path / "run") == []


@needs_proc
def test_a_worker_that_is_killed_is_a_failed_job(long_run: subprocess.Popen[str], tmp_path: Path) -> None:
    (process,) = workers(tmp_path / "run")
    os.kill(process, signal.SIGKILL)
    output, _ = long_run.communicate(timeout=60)
    assert long_run.returncode == 1
    assert "killed by SIGKILL (out of memory?)" in output
    status = json.loads((tmp_path / "run/tiny-long/fold-0/status.json").read_text())
    assert status["state"] == "failed"


def test_a_weights_file_that_does_not_fit_is_a_wrong_request(
    inline: Zoo, tiny: None, folds: Path, tmp_path: Path
) -> None:
    (tmp_path / "junk.weights.h5").write_text("junk")
    done = inline("run", "tiny", "--weights", tmp_path / "junk.weights.h5", *run_options(folds, tmp_path / "run"))
    assert done.returncode == 2
    assert "does not fit backbone 'tiny'" in done.stdout


def spoil(folds: Path, how: str) -> None:
    train = folds / "Fold0/train/normal"
    if how == "broken":
        for image in list(train.iterdir())[:3]:
            image.write_bytes(b"broken")
    elif how == "empty class":
        shutil.rmtree(train)
        train.mkdir()
    elif how == "missing role":
        shutil.rmtree(folds / "Fold0/valid")
    elif how == "leak":
        image = next(train.iterdir())
        shutil.copy(image, folds / "Fold0/valid/normal/another name.png")


REFUSALS = {
    "broken": ([], "3 images cannot be used"),
    "empty class": ([], "Fold0/train/normal holds no image"),
    "missing role": ([], "Fold0/valid/normal is missing"),
    "leak": ([], "1 picture in more than one role"),
    "no such fold": (["--folds", "0,9"], "has no fold 9; it has folds 0, 1"),
    "no such model": (["--folds", "0"], "unknown model 'tinny'; did you mean 'tiny'?"),
    "odd folds": (["--folds", "one"], "neither all, first nor numbers"),
    "no epochs": (["--max-epochs", "0"], "must be a whole number from 1 to 100,000, not '0'"),
    "tiny images": (["--image-size", "8"], "must be a number of pixels from 32 to 4,096"),
    "no weights file": (["--weights", "nowhere.h5"], "weights file nowhere.h5 does not exist"),
    "odd option": (["--epochs", "3"], "No such option"),
    "out is a file": (["--out", "registry.toml"], "cannot be written"),
    "registry": (["--registry", "wrong.toml"], "batch_size: Input should be a valid integer"),
}


@pytest.mark.parametrize(("case", "options", "says"), [(k, *v) for k, v in REFUSALS.items()], ids=REFUSALS.keys())
def test_a_wrong_request_is_one_clear_message_and_trains_nothing(
    main: Main, no_warm_workers: None, tiny: None, folds: Path, tmp_path: Path, case: str, options: list[str], says: str
) -> None:
    spoil(folds, case)
    (tmp_path / "registry.toml").write_text("")
    (tmp_path / "wrong.toml").write_text("[defaults]\nbatch_size = 'many'")
    model = "tinny" if case == "no such model" else "tiny"
    status, output, errors = main("run", model, *run_options(folds, tmp_path / "run"), *options)
    assert status == 2
    assert says in errors
    assert "Traceback" not in output + errors
    assert not (tmp_path / "run").exists()


def test_debug_shows_the_traceback(main: Main, no_warm_workers: None) -> None:
    status, _, errors = main("run", "nothing", "--debug")
    assert status == 2
    assert "Traceback" in errors
    assert "unknown model 'nothing'" in errors


def test_list_shows_models_and_parts(main: Main, tiny: None) -> None:
    rows = json.loads(main("list", "--json")[1])
    by_name = {row["name"]: row for row in rows}
    assert by_name["efficientnet-staged"] == {
        "name": "efficientnet-staged",
        "backbone": "efficientnet-b0",
        "head": "pooled",
        "schedule": "three-stage",
        "augmenter": "none",
        "from": "registry.toml",
    }
    assert by_name["tiny"]["from"] == "zoo-tiny"
    assert "efficientnet-staged" in main("list")[1]
    assert "EfficientNetB0 without its top" in main("list", "backbones", "--wide")[1]


def test_a_broken_plugin_is_one_line_and_the_rest_works(main: Main, tiny: None, install: Install) -> None:
    install("import nothing_like_it", "broken", "bad")
    for command in (["list"], ["plugins", "list"]):
        status, output, errors = main(*command)
        assert status == 0
        assert "tiny" in output
        assert [line for line in errors.splitlines() if line] == [
            "warning: plug-in bad (broken 1.0) left out: ModuleNotFoundError: No module named 'nothing_like_it'"
        ]


def test_data_show_writes_pictures(main: Main, folds: Path, tmp_path: Path) -> None:
    status, output, errors = main("data", "show", "--data", folds, "--image-size", 32, "--out", tmp_path / "pictures")
    assert status == 0, errors
    assert "Images of 32 x 32 x 3 uint8" in output
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["fold-0-test.png", "fold-0-train.png", "fold-0-validation.png"]


NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")


CLASS_WEIGHTS = """
[models.weighted]
backbone = "tiny"
schedule = { name = "three-stage", class_weights = { abnormall = 2.0 } }
"""


def test_class_weights_name_classes(main: Main, no_warm_workers: None, tiny: None, folds: Path, tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_text(CLASS_WEIGHTS)
    status, _, errors = main("run", "weighted", *run_options(folds, tmp_path / "run"))
    assert status == 2
    assert "class_weights: unknown class 'abnormall'; did you mean 'abnormal'?" in errors


@pytest.mark.slow
def test_the_main_job(zoo: Zoo, tmp_path: Path) -> None:
    """EfficientNetB0 on the demo, small and short, where no weights can be downloaded."""
    options = ["--image-size", 32, "--max-epochs", 1, "--out", tmp_path / "run"]
    done = zoo("run", "efficientnet-staged", *options, **NO_NETWORK)
    assert done.returncode == 0, done.stderr
    for text in (
        "Demo: ",
        "at most 1 epochs a stage",
        "92%",
        "backend tensorflow",
        "precision float32",
        "weights efficientnet-lite0",
        "training from the weights of efficientnet-lite0",
        "stage 3/3 all",
    ):
        assert text in done.stdout
    history = pd.read_csv(tmp_path / "run/efficientnet-staged/fold-0/history.csv")
    assert list(history["stage"]) == ["head", "top", "all"]
    assert pd.read_csv(tmp_path / "run/results.csv")["weights"].tolist() == ["efficientnet-lite0"]


def test_the_cache_is_filled_reused_and_cleared(
    main: Main, tiny: None, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the same head on the same frozen network, and once without the cache: the same predictions."""
    registry = tmp_path / "registry.toml"
    registry.write_text(
        "[models.head]\nbackbone = 'tiny'\nschedule = { name = 'three-stage', count = 1, epochs = 2, patience = 2 }"
    )
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "own"))
    predictions = []
    for number, cached in enumerate((True, True, False)):
        run = tmp_path / f"run{number}"
        options: dict[str, Any] = {"image_size": 32, "registry": registry, "feature_cache": cached}
        with make_plan(Request(models=("head",), data=str(folds), out=run, **options)) as planned:
            planned.jobs[0].folder.set_status("running")
            train_and_score.run(planned.jobs[0], lambda event: None)
        predictions.append(pd.read_csv(run / "head/fold-0/predictions.csv")["probability"])
    pd.testing.assert_series_equal(predictions[0], predictions[1], check_exact=True)
    pd.testing.assert_series_equal(predictions[0], predictions[2], rtol=1e-4)
    assert len(list((tmp_path / "own/features").iterdir())) == 1
    info = main("cache", "info")[1]
    assert "features" in info
    assert "at most 20 GB of each kind" in info
    assert main("cache", "clear", "featurs")[0] == 2
    mark = cache.use(next((tmp_path / "own/features").iterdir()))
    assert "kept 1 entry that a run at work uses" in main("cache", "clear", "features")[1]
    mark.release()


@pytest.fixture
def without_tensorflow(tmp_path: Path) -> dict[str, str]:
    """Environment of a process in which TensorFlow cannot be imported and JAX is the backend."""
    blocked = tmp_path / "site/tensorflow"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('TensorFlow is blocked')")
    return {"KERAS_BACKEND": "jax"}


def test_the_same_code_under_jax(
    zoo: Zoo, tiny: None, without_tensorflow: dict[str, str], folds: Path, tmp_path: Path
) -> None:
    head = "{ name = 'head', epochs = 1, patience = 1, learning_rate = 0.01 }"
    everything = (
        "{ name = 'all', epochs = 1, patience = 1, learning_rate = 0.01, unfreeze = 'all', batchnorm = 'train', "
        "optimizer = { name = 'sgd', use_ema = true } }"
    )
    (tmp_path / "here/registry.toml").write_text(
        f"[models.whole]\nbackbone = 'tiny'\nschedule = {{ name = 'stages', each = [{head}, {everything}] }}"
    )
    done = zoo("run", "whole", *run_options(folds, tmp_path / "run"), **without_tensorflow)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "backend jax" in done.stdout
    assert json.loads((tmp_path / "run/run.json").read_text())["machine"]["backend"] == "jax"
    assert pd.read_csv(tmp_path / "run/whole/fold-0/heatmaps.csv")["change"].abs().max() > 0


@pytest.mark.slow
def test_the_main_job_under_jax(zoo: Zoo, without_tensorflow: dict[str, str], tmp_path: Path) -> None:
    options = ["--image-size", 32, "--max-epochs", 1, "--weights", "none", "--out", tmp_path / "run"]
    done = zoo("run", "efficientnet-staged", *options, **without_tensorflow)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_command_ends_whatever_a_plugin_has_left_behind(zoo: Zoo, install: Install) -> None:
    install(
        "import atexit, os, threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,), daemon=False).start()\n"
        "atexit.register(os._exit, 7)\n"
        "atexit.register(print, 'bye')\n" + TINY_PLUGIN
    )
    done = zoo("list", "--json")
    assert done.returncode == 0
    assert "tiny" in [row["name"] for row in json.loads(done.stdout)]
    assert zoo("show", "nobody-has-this").returncode == 2


@pytest.mark.parametrize(
    "command", [["list"], ["list", "--json"], ["plugins", "list"], ["cache", "info"]], ids=" ".join
)
def test_nothing_is_said_to_a_reader_who_has_left(command: list[str], tmp_path: Path) -> None:
    """As of `zoo list | head -1`."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "zoo.cli", *command], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_what_is_not_said_means_the_same_in_python() -> None:
    for command, function in ((train.compare, package.compare), (report.report, results.compare)):
        options = {option.name: option.default for option in command.params}
        said = inspect.signature(function).parameters
        for name in ("workers", "executor", "metric", "rope", "threshold"):
            if name in options and name in said:
                assert options[name] == said[name].default, name
