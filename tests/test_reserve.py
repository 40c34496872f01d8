"""Workers that wait for a job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zoo.run.reserve import Reserve


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
    with Reserve() as reserve:
        for cores in ((0, 1), (2,), (2,)):
            reserve.prepare(cores)
        assert reserve.take(()) is None
        assert [answer(reserve.take(cores)) for cores in ((2,), (0, 1))] == ["2 work\n", "0,1 work\n"]
        assert reserve.take((2,)) is None


def test_one_that_died_is_not_handed_out() -> None:
    with Reserve(ahead=True) as reserve:
        process = reserve._waiting[()]
        process.kill()
        process.wait()
        assert reserve.take(()) is None
        reserve.prepare()
        assert answer(reserve.take(())) == "work\n"


def test_leaving_ends_those_that_wait_and_starts_no_more() -> None:
    with Reserve(ahead=True) as reserve:
        process = reserve._waiting[()]
        assert process.poll() is None
    assert process.returncode is not None
    reserve.prepare()
    assert reserve.take(()) is None


def test_one_that_cannot_be_started_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with Reserve(ahead=True) as reserve:
        assert reserve.take(()) is None
