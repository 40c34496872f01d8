"""Real runs, read back through the servers that people look at them with."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install, Zoo

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[str]:
    """A server on a free port of this machine, as long as the context lasts; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=os.environ | QUIET,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            try:
                urlopen(address, timeout=10).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, 9)
        server.wait()


@pytest.mark.slow
def test_a_comparison_in_tensorboard_and_mlflow(zoo: Zoo, install: Install, folds: Path, tmp_path: Path) -> None:
    install(TINY_PLUGIN)
    run = tmp_path / "run"
    command = ["compare", "tiny", "--data", folds, "--image-size", 32, "--out", run, "--workers", 2]
    store = ("--backend-store-uri", f"sqlite:///{tmp_path}/store.db", "--workers", "1")
    with serving(tmp_path, "mlflow", "server", *store) as address:
        environment = {"MLFLOW_TRACKING_URI": address, "ZOO_TRACKERS": "tensorboard,mlflow"}
        environment |= {"ZOO_PLUGIN_TIMEOUT": "120", **QUIET}
        for more in ([], [], ["--fresh"]):  # the second is told nothing new, the third of another run
            done = zoo(*command, *more, **environment)
            assert done.returncode == 0, done.stderr
            assert "tracker" not in done.stdout
        from mlflow import MlflowClient

        client = MlflowClient(address)
        found = client.search_runs([client.get_experiment_by_name("zoo").experiment_id])
        jobs = [other for other in found if "mlflow.parentRunId" in other.data.tags]
        assert {other.info.status for other in found} == {"FINISHED"}
        assert (len(found), len(jobs)) == (6, 4)
        assert len({job.data.tags["mlflow.parentRunId"] for job in jobs}) == 2
        job = next(job for job in jobs if job.info.run_name == "tiny, fold 1")  # the newest come first
        accuracies = [point.value for point in client.get_metric_history(job.info.run_id, "val_accuracy")]

    history = pd.read_csv(run / "tiny/fold-1/history.csv")
    results = pd.read_csv(run / "results.csv").set_index("fold").loc[1]
    assert accuracies == history["val_accuracy"].tolist()
    for role in ("validation", "test"):
        for name in ("loss", "auc", "specificity"):
            assert job.data.metrics[f"{role}_{name}"] == pytest.approx(results[f"{name}_{role}"])

    with serving(tmp_path, "tensorboard.main", "--logdir", str(run)) as address:

        def get(path: str, **query: str) -> Any:
            with urlopen(f"{address}/data/{path}?{urlencode(query)}", timeout=30) as answer:
                return json.load(answer)

        expected = {
            f"tiny/fold-{fold}/tensorboard/{role}" for fold in (0, 1) for role in ("train", "validation", "test")
        }
        for _ in range(150):
            if expected <= set(get("runs")):
                break
            time.sleep(0.2)
        assert set(get("runs")) == expected
        curve = get("plugin/scalars/scalars", run="tiny/fold-1/tensorboard/validation", tag="epoch_accuracy")
        assert [(step, value) for _, step, value in curve] == [
            (number + 1, pytest.approx(value)) for number, value in enumerate(history["val_accuracy"])
        ]
        score = get("plugin/scalars/scalars", run="tiny/fold-1/tensorboard/test", tag="scores/auc")
        assert [(step, value) for _, step, value in score] == [(len(history), pytest.approx(results["auc_test"]))]
