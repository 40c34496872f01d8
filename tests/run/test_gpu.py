"""The gate before a GPU, with a fake nvidia-smi that says what a file says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.run import gpu

Free = Callable[[object], None]


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Free:
    """Sets how many MiB are free."""
    amount = tmp_path / "free"
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat {amount}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return lambda value: amount.write_text(f"{value}\n") and None


def enters(gate: gpu.Gate, model: str, within: float = 3.0) -> bool:
    thread = threading.Thread(target=gate.enter, args=(model,), daemon=True)
    thread.start()
    thread.join(within)
    return not thread.is_alive()


def test_without_a_gpu_everyone_enters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.free_memory() is None
    gate = gpu.Gate()
    assert all(enters(gate, model) for model in "aab")


@pytest.mark.parametrize("said", ["", "no devices were found", "[N/A]"])
def test_a_tool_that_says_nothing_useful(free: Free, said: str) -> None:
    free(said)
    assert gpu.free_memory() is None


def test_the_first_job_of_a_model_runs_alone_and_tells_what_the_others_need(free: Free) -> None:
    free(10000)
    gate = gpu.Gate()
    assert enters(gate, "a")
    free(7000)
    gate.watch()
    assert not enters(gate, "a", within=1.5)  # still unknown; it waits
    free(10000)
    gate.leave("a")
    time.sleep(1.5)  # the one that waited is in: 3000 MiB each
    free(7000)
    assert enters(gate, "a")
    free(3500)
    assert not enters(gate, "a", within=1.5)  # 3600 with the margin
    free(4000)
    time.sleep(1.5)
    assert enters(gate, "a", within=0.5)


def test_an_unknown_model_waits_until_it_is_alone(free: Free) -> None:
    free(10000)
    gate = gpu.Gate()
    assert enters(gate, "a")
    gate.leave("a")
    assert enters(gate, "a")
    assert not enters(gate, "b", within=1.5)
    gate.leave("a")
    time.sleep(1.5)
    assert not enters(gate, "a", within=1.0)  # "b" is in, and measured alone
