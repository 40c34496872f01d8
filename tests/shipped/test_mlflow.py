"""What MLflow's own client reads of what the tracker wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY_PLUGIN, Install
from tests.tracked import METRICS, follow, planned

# In a process in which this is found: write down what it connects to or asks the name of.
SPY = """
import os, sys

def spy(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["SPY"], "a") as file:
            file.write(f"{event} {arguments}\\n")

sys.addaudithook(spy)
with open(os.environ["SPY"], "a") as file:
    file.write("watched\\n")
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The MLflow runs in a new folder that is the current one: a function that gives all of them by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "120")
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    from mlflow import MlflowClient

    def runs(name: str) -> list[Any]:
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        experiment = client.get_experiment_by_name("zoo")
        found = client.search_runs([experiment.experiment_id], order_by=["start_time"])
        for run in found:
            run.losses = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "val_loss")]
        return [run for run in found if run.info.run_name == name]

    return runs


def test_a_run_with_its_jobs_through_a_resume(
    install: Install, folds: Path, tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(TINY_PLUGIN)
    (tmp_path / "site/sitecustomize.py").write_text(SPY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("SPY", str(tmp_path / "spy"))
    for variable in ("PYTEST_CURRENT_TEST", "CI", "GITHUB_ACTIONS"):  # where MLflow would keep to itself anyway
        monkeypatch.delenv(variable, raising=False)

    monkeypatch.setattr("zoo.run.trackers.INTERRUPTED", 60)  # MLflow starts slowly, and is interrupted at once
    with planned(folds, tmp_path / "run", "mlflow") as first:
        assert follow(first, 2, ends=False) == []
    (whole,), (job,) = runs("run"), runs("tiny, fold 0")
    assert whole.info.status == job.info.status == "KILLED"
    assert job.losses == [(1, 2), (2, 1)]

    with planned(folds, tmp_path / "run", "mlflow") as second:
        assert follow(second, 4, first=3) == []
    (whole,), (job,) = runs("run"), runs("tiny, fold 0")
    assert whole.info.status == job.info.status == "FINISHED"
    assert job.losses == [(1, 2), (2, 1), (3, pytest.approx(2 / 3)), (4, 1 / 2)]
    assert whole.data.tags["zoo.path"] == str(tmp_path / "run")
    assert whole.data.params["data.classes"] == '["normal", "abnormal"]'
    assert job.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert job.data.tags["zoo.folder"] == str(tmp_path / "run/tiny/fold-0")
    assert {"model": "tiny", "fold": "0", "seed": "0", "backbone.name": "tiny", "schedule.patience": "2"}.items() <= (
        job.data.params.items()
    )
    scores = {f"{role}_{name}": 0.25 for role in ("validation", "test") for name in METRICS}
    assert {name: value for name, value in job.data.metrics.items() if name in scores} == scores
    assert not {"test_auc", "test_confusion"} & job.data.metrics.keys()

    # A job that starts over is another, in the same run.
    with planned(folds, tmp_path / "run", "mlflow", redo=(("tiny", 0),)) as third:
        assert follow(third, 1) == []
    assert [len(job.losses) for job in runs("tiny, fold 0")] == [4, 1]
    assert len(runs("run")) == 1

    assert set((tmp_path / "spy").read_text().splitlines()) == {"watched"}


@pytest.mark.parametrize(("library", "extra"), [("mlflow", "mlflow"), ("tensorboardX", "tensorboard")])
def test_without_the_library_one_line_names_what_to_install(
    install: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, extra: str
) -> None:
    install(TINY_PLUGIN)
    (tmp_path / "site" / f"{library}.py").write_text("raise ModuleNotFoundError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with planned(folds, tmp_path / "run", extra) as going:
        (wrong,) = follow(going, 2)
    assert f"pip install 'zoo[{extra}]'" in wrong
