"""Under which backend Keras will run, and parts that are for another: refused before anything starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY_PLUGIN, Install, Zoo
from zoo import PluginError
from zoo.run import plan
from zoo.run.request import Request
from zoo.training import backend

HERE = os.environ.get("KERAS_BACKEND", "tensorflow")
OTHER = "torch" if HERE != "torch" else "tensorflow"
# A plug-in that brings a model for another backend.
ELSEWHERE = (
    TINY_PLUGIN.replace('name = "tiny"\n', f'name = "elsewhere"\n    backends = ("{OTHER}",)\n').partition(
        "@zoo.hookimpl\ndef zoo_schedules"
    )[0]
    + '@zoo.hookimpl\ndef zoo_models():\n    return {"elsewhere": {"backbone": "elsewhere"}}\n'
)
REFUSED = (
    f"backbone 'elsewhere' (from zoo-elsewhere 1.0) works under Keras' backend {OTHER} only, and this is {HERE}: "
    f"set KERAS_BACKEND={OTHER}"
)
CONFIGS = {
    "nothing": (None, "", "tensorflow"),
    "keras.json": ('{"backend": "jax"}', "", "jax"),
    "the variable wins": ('{"backend": "jax"}', "torch", "torch"),
    "no JSON": ("{", "", "tensorflow"),
    "no table": ("[]", "", "tensorflow"),
    "says nothing of it": ("{}", "", "tensorflow"),
}


@pytest.mark.parametrize(("config", "variable", "expected"), CONFIGS.values(), ids=CONFIGS)
def test_what_keras_will_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None, variable: str, expected: str
) -> None:
    for home in ({"KERAS_HOME": str(tmp_path / ".keras")}, {"HOME": str(tmp_path)}):
        monkeypatch.delenv("KERAS_HOME", raising=False)
        monkeypatch.setenv("KERAS_BACKEND", variable)
        for name, value in home.items():
            monkeypatch.setenv(name, value)
        (tmp_path / ".keras").mkdir(exist_ok=True)
        if config is not None:
            (tmp_path / ".keras/keras.json").write_text(config)
        assert backend.chosen() == expected


def test_keras_chooses_the_same(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    code = (
        "from zoo.training import backend; told = backend.chosen(); import keras; print(told, keras.backend.backend())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**environment, "KERAS_HOME": str(tmp_path)}
    )
    assert done.stdout.split() == ["jax", "jax"], done.stderr


@pytest.fixture
def both(install: Install) -> None:
    install(TINY_PLUGIN)
    install(ELSEWHERE, "zoo-elsewhere", "elsewhere")


def test_a_named_model_for_another_backend_is_refused(both: None, folds: Path, tmp_path: Path) -> None:
    """Even if another that is named could be trained: nothing is written."""
    request = Request(models=("tiny", "elsewhere"), data=str(folds), image_size=32, out=tmp_path / "run")
    with pytest.raises(PluginError) as raised:
        plan.make_plan(request)
    assert str(raised.value) == REFUSED
    assert not (tmp_path / "run").exists()


def test_among_all_models_it_is_left_out(both: None, folds: Path, tmp_path: Path) -> None:
    request = Request(data=str(folds), image_size=32, out=tmp_path / "run", weights="none")
    with plan.make_plan(request) as planned:
        assert f"model elsewhere left out: {REFUSED}" in planned.notes
        models = {job.model for job in planned.jobs}
    assert "tiny" in models
    assert "elsewhere" not in models


def test_the_variable_counts_for_processes_to_come(
    both: None, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this process has loaded: jobs run in others."""
    monkeypatch.setenv("KERAS_BACKEND", OTHER)
    request = Request(models=("elsewhere",), data=str(folds), image_size=32, out=tmp_path / "run")
    with plan.make_plan(request) as planned:
        assert planned.jobs


SHOW = """
import sys
from zoo import cli
sys.argv = ["zoo", "show", "elsewhere"]
status = cli.main()
print(status, "keras" in sys.modules)
"""


def test_it_is_not_shown_and_keras_not_loaded(both: None, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", SHOW],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.stdout.split() == ["2", "False"], done.stderr
    assert REFUSED in " ".join(done.stderr.split())


def test_it_is_not_run(both: None, zoo: Zoo, folds: Path, tmp_path: Path) -> None:
    done = zoo("run", "elsewhere", "--data", folds, "--image-size", 32, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert REFUSED in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()
