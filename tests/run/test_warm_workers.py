"""Workers that wait for a job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zoo.run.warm_workers import WarmWorkers
from zoo.run.worker_process import Share

ALL = Share()


@pytest.fixture(autouse=True)
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that writes down for which cores and GPU it was started and, once it has one, its job."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nread job\necho $4 $CUDA_VISIBLE_DEVICES $job\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def answer(process: subprocess.Popen[str] | None) -> str:
    assert process
    return process.communicate("work\n")[0]


def test_one_for_each_share_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    one, other = Share((0, 1)), Share((2,), "GPU-b")
    with WarmWorkers() as warm:
        for share in (one, other, other):
            warm.prepare(share)
        assert warm.take(ALL) is None
        assert [answer(warm.take(share)) for share in (other, one)] == ["2 GPU-b work\n", "0,1 work\n"]
        assert warm.take(other) is None


def test_one_that_died_is_not_handed_out() -> None:
    with WarmWorkers(ahead=[ALL]) as warm:
        process = warm._waiting[ALL]
        process.kill()
        process.wait()
        assert warm.take(ALL) is None
        warm.prepare(ALL)
        assert answer(warm.take(ALL)) == "work\n"


def test_leaving_ends_those_that_wait_and_starts_no_more() -> None:
    with WarmWorkers(ahead=[ALL]) as warm:
        process = warm._waiting[ALL]
        assert process.poll() is None
    assert process.returncode is not None
    warm.prepare(ALL)
    assert warm.take(ALL) is None


def test_one_that_cannot_be_started_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with WarmWorkers(ahead=[ALL]) as warm:
        assert warm.take(ALL) is None
