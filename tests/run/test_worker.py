from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install
from tests.parts import subset
from zoo.errors import LeakError, TrainingError
from zoo.run import train_and_score, worker, worker_process
from zoo.run.folder import JobFolder
from zoo.run.job import Job
from zoo.run.plan import make_plan
from zoo.run.provenance import Provenance
from zoo.run.request import Request
from zoo.run.train_and_score import predictions_table, refuse_leak
from zoo.training import archive


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "model": "tiny",
        "fold": 0,
        "repeat": 0,
        "recipe": {"seed": 0},
        "source": "registry.toml",
        "classes": ["a", "b"],
        "image_size": 32,
        "max_epochs": None,
        "images": "images",
        "run": "run",
    }
    return Job(**fields | changes)


def test_a_job_survives_the_way_to_its_process() -> None:
    sent = job(max_epochs=3)
    assert Job.from_json(sent.to_json()) == sent


def test_scoring_an_image_that_was_trained_on_is_refused() -> None:
    test = subset(4, seed=1)
    none = pd.DataFrame(columns=["first", "second"])
    assert refuse_leak(Provenance(frozenset({"0-0", "0-1"})), test.hashes, test.paths, none) == []
    seen = Provenance(frozenset({"0-0", "1-0", "1-3"}))
    with pytest.raises(LeakError, match="have seen 2 of the 4 test images:\n  1-0\n  1-3"):
        refuse_leak(seen, test.hashes, test.paths, none)
    assert refuse_leak(seen, test.hashes, test.paths, none, allowed=True) == ["1-0", "1-3"]


def test_scoring_a_known_copy_of_a_training_image_is_refused() -> None:
    copies = pd.DataFrame({"first": ["0-0", "1-2"], "second": ["1-1", "0-5"]})
    test = subset(4, seed=1)
    with pytest.raises(LeakError, match="have seen 1 of the 4 test images:\n  1-1"):
        refuse_leak(Provenance(frozenset({"0-0"})), test.hashes, test.paths, copies)


def test_probabilities_are_those_of_the_positive_class() -> None:
    two = predictions_table(subset(2), "test", np.array([[0.25], [0.75]], np.float32), ["normal", "abnormal"])
    assert two["probability"].tolist() == [0.25, 0.75]
    three = predictions_table(subset(1), "test", np.array([[0.25, 0.5, 0.25]], np.float32), ["a", "b", "c"])
    assert three.iloc[0][["probability", "probability_a", "probability_b"]].tolist() == [0.25, 0.25, 0.5]


def test_prints_go_to_the_log_and_events_alone_to_the_parent(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job fails at once, since its run folder is empty; what it says of that is one event. The log is in UTF-8,
    whatever the terminal."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with worker_process.start(worker_process.Share(), subprocess.DEVNULL) as worker:
        assert worker.stdin and worker.stdout
        worker.stdin.write(job(run=str(tmp_path), source="ä–.toml").to_json() + "\n")
        worker.stdin.flush()
        said = worker.stdout.read()
    assert worker.returncode == 1
    assert said.count("\n") == 1
    assert '"event": "job_failed"' in said
    log = job(run=str(tmp_path)).folder.log.read_text(encoding="utf-8")
    assert "Traceback" in log
    assert "ä–.toml" in log


def test_without_a_job_there_is_nothing_to_do() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "zoo.run.worker", ""], input="", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_ends_at_once_when_its_parent_is_gone(tmp_path: Any) -> None:
    """Standard input ends with the parent: here right after the job."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "zoo.run.worker"],
        input=job(run=str(tmp_path)).to_json() + "\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""


def test_a_second_job_is_as_in_a_new_process(
    install: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number and every weight; the first job has another network, with layers of the same names."""
    install(TINY_PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    def trained(run: str, models: tuple[str, ...]) -> JobFolder:
        request = Request(models=models, data=str(folds), image_size=32, max_epochs=2, out=tmp_path / run)
        with make_plan(request) as planned:
            process = worker_process.WorkerProcess(worker_process.start(worker_process.Share(), subprocess.DEVNULL))
            for each in planned.jobs:
                told = [event["event"] for event in process.events(each)]
                assert (told[-1], process.status, process.ready) == ("job_ended", 0, True)
                assert each.folder.log.exists()
            process.end()
            return planned.jobs[-1].folder

    alone, second = trained("alone", ("tiny",)), trained("second", ("scratch-cnn", "tiny"))
    for name in ("predictions.csv", "metrics.json", "provenance.json"):
        assert (alone.path / name).read_bytes() == (second.path / name).read_bytes()
    pairs = zip(archive.arrays(alone.best), archive.arrays(second.best), strict=True)
    for (name, one), (same_name, other) in pairs:
        assert name == same_name
        np.testing.assert_array_equal(one[()], other[()])


@pytest.mark.parametrize(("first", "second", "grown"), [(100, 119, False), (100, 121, True), (0, 0, True)])
def test_a_worker_that_has_grown_takes_no_other_job(
    monkeypatch: pytest.MonkeyPatch, first: int, second: int, grown: bool
) -> None:
    """0 is what a system says that doesn't tell."""
    memory = worker._Memory()
    monkeypatch.setattr(worker, "_peak", lambda: first)
    assert not memory.has_grown()
    assert memory.settle() is (first > 0)
    monkeypatch.setattr(worker, "_peak", lambda: second)
    assert (memory.has_grown(), memory.settle()) == (grown, not grown)


def test_a_damaged_checkpoint_starts_over_to_the_same_weights(
    install: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(TINY_PLUGIN)
    monkeypatch.setattr("zoo.training.callbacks.SAVE_EVERY", 0.0)
    events: list[dict[str, Any]] = []

    def work(run: str, die: bool = False) -> Any:
        def listen(event: dict[str, Any]) -> None:
            events.append(event)
            if die and event["event"] == "epoch_ended" and event["number"] == 2:
                raise KeyboardInterrupt

        wanted = Request(models=("tiny",), data=str(folds), image_size=32, max_epochs=2, out=tmp_path / run)
        with make_plan(wanted) as planned:
            planned.jobs[0].folder.set_status("running")
            try:
                train_and_score.run(planned.jobs[0], listen)
            except KeyboardInterrupt:
                return planned.jobs[0].folder
            import keras

            return keras.saving.load_model(planned.jobs[0].folder.best).get_weights()

    whole = work("whole")
    folder = work("killed", die=True)
    os.truncate(folder.checkpoint / "epoch.npz", 500)
    events.clear()
    for ours, theirs in zip(work("killed"), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    said = [event["text"] for event in events if event["event"] == "warning"]
    assert len(said) == 1 and said[0].startswith("its checkpoint is damaged (") and said[0].endswith("starting over")
    assert "resumed" not in {event["event"] for event in events}


def test_images_that_are_gone_fail_the_job_with_what_to_do(install: Install, folds: Path, tmp_path: Path) -> None:
    install(TINY_PLUGIN)
    with make_plan(Request(models=("tiny",), data=str(folds), image_size=32, out=tmp_path / "run")) as planned:
        (job,) = planned.jobs
        shutil.rmtree(job.images)
        with pytest.raises(TrainingError, match=r"\(gone\)$") as raised:
            train_and_score.run(job, print)
    assert "run the same command again" in str(raised.value)
