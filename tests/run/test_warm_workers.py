"""Workers that wait for a job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zoo.run.warm_workers import WarmWorkers


@pytest.fixture(autouse=True)
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that writes down for which cores it was started and, once it has one, its job."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nread job\necho $4 $job\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def answer(process: subprocess.Popen[str] | None) -> str:
    assert process
    return process.communicate("work\n")[0]


def test_one_for_each_share_of_the_cores() -> None:
    with WarmWorkers() as warm:
        for cores in ((0, 1), (2,), (2,)):
            warm.prepare(cores)
        assert warm.take(()) is None
        assert [answer(warm.take(cores)) for cores in ((2,), (0, 1))] == ["2 work\n", "0,1 work\n"]
        assert warm.take((2,)) is None


def test_one_that_died_is_not_handed_out() -> None:
    with WarmWorkers(ahead=True) as warm:
        process = warm._waiting[()]
        process.kill()
        process.wait()
        assert warm.take(()) is None
        warm.prepare()
        assert answer(warm.take(())) == "work\n"


def test_leaving_ends_those_that_wait_and_starts_no_more() -> None:
    with WarmWorkers(ahead=True) as warm:
        process = warm._waiting[()]
        assert process.poll() is None
    assert process.returncode is not None
    warm.prepare()
    assert warm.take(()) is None


def test_one_that_cannot_be_started_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with WarmWorkers(ahead=True) as warm:
        assert warm.take(()) is None
