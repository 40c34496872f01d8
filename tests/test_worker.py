from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.parts import subset
from zoo.errors import LeakError
from zoo.provenance import Provenance
from zoo.worker import Job, predictions_table, refuse_leak


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "model": "tiny", "fold": 0, "repeat": 0, "recipe": {"seed": 0},
        "source": "registry.toml", "classes": ["a", "b"],
        "image_size": 32, "max_epochs": None, "images": "images", "run": "run",
    }  # fmt: skip
    return Job(**fields | changes)


def test_a_job_survives_the_way_to_its_process() -> None:
    sent = job(max_epochs=3)
    assert Job.from_json(sent.to_json()) == sent


def test_scoring_an_image_that_was_trained_on_is_refused() -> None:
    test = subset(4, seed=1)
    none = pd.DataFrame(columns=["first", "second"])
    assert refuse_leak(Provenance(frozenset({"0-0", "0-1"})), test, none) == []
    seen = Provenance(frozenset({"0-0", "1-0", "1-3"}))
    with pytest.raises(LeakError, match="have seen 2 of the 4 test images:\n  1-0\n  1-3"):
        refuse_leak(seen, test, none)
    assert refuse_leak(seen, test, none, allowed=True) == ["1-0", "1-3"]


def test_scoring_a_known_copy_of_a_training_image_is_refused() -> None:
    copies = pd.DataFrame({"first": ["0-0", "1-2"], "second": ["1-1", "0-5"]})
    with pytest.raises(LeakError, match="have seen 1 of the 4 test images:\n  1-1"):
        refuse_leak(Provenance(frozenset({"0-0"})), subset(4, seed=1), copies)


def test_probabilities_are_those_of_the_positive_class() -> None:
    two = predictions_table(subset(2), "test", np.array([[0.25], [0.75]], np.float32), ["normal", "abnormal"])
    assert two["probability"].tolist() == [0.25, 0.75]
    three = predictions_table(subset(1), "test", np.array([[0.25, 0.5, 0.25]], np.float32), ["a", "b", "c"])
    assert three.iloc[0][["probability", "probability_a", "probability_b"]].tolist() == [0.25, 0.25, 0.5]


def test_prints_go_to_the_log_and_events_alone_to_the_parent(tmp_path: Any) -> None:
    """The job fails at once, since its run folder is empty; what it says of that is one event."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "zoo.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as worker:  # fmt: skip
        assert worker.stdin and worker.stdout
        worker.stdin.write(job(run=str(tmp_path)).to_json() + "\n")
        worker.stdin.flush()
        said = worker.stdout.read()
    assert worker.returncode == 1
    assert said.count("\n") == 1
    assert '"event": "job_failed"' in said
    assert "Traceback" in job(run=str(tmp_path)).folder.log.read_text()


def test_without_a_job_there_is_nothing_to_do() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "zoo.worker", ""], input="", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_ends_at_once_when_its_parent_is_gone(tmp_path: Any) -> None:
    """Standard input ends with the parent: here right after the job."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "zoo.worker"],
        input=job(run=str(tmp_path)).to_json() + "\n", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
