"""GPUs and the gate before each, with a driver that says what a test says."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from tests.conftest import TINY_PLUGIN, Install
from zoo.run import gpu, plan, scheduler
from zoo.run.local_executor import LocalExecutor
from zoo.run.request import Request

Free = Callable[..., None]
ONE = gpu.Gpu("GPU-aa11")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Free:
    """Makes a machine with GPUs of these UUIDs, of which so many MiB are free."""
    amounts: dict[str, int] = {}

    def of(uuid: str) -> SimpleNamespace:
        if uuid not in amounts:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return SimpleNamespace(free=amounts[uuid] * 2**20)

    driver = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: len(amounts),
        "nvmlDeviceGetHandleByIndex": lambda number: list(amounts)[number],
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetUUID": lambda handle: handle,
        "nvmlDeviceGetMemoryInfo": of,
    }
    for name, says in driver.items():
        monkeypatch.setattr(pynvml, name, says)
    monkeypatch.delenv(gpu.VISIBLE, raising=False)
    return lambda amount, uuid=ONE.uuid: amounts.update({uuid: amount})


def enters(gate: gpu.Gate, model: str, within: float = 3.0) -> bool:
    thread = threading.Thread(target=gate.enter, args=(model,), daemon=True)
    thread.start()
    thread.join(within)
    return not thread.is_alive()


def test_without_a_driver_there_is_no_gpu_and_everyone_enters(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)
    assert gpu.visible() == []
    gate = gpu.Gate()
    assert all(enters(gate, model) for model in "aab")


@pytest.mark.parametrize(
    ("named", "which"),
    [
        (None, "abc"),
        ("", ""),
        ("-1", ""),
        ("1", "b"),
        ("2, 0", "ca"),
        ("GPU-c", "c"),
        ("GPU-b22,GPU-a11", "ba"),
        ("0,7,1", "a"),  # CUDA heeds nothing after a name that is none
        ("GPU-x", ""),
    ],
)
def test_those_that_jobs_may_use(free: Free, monkeypatch: pytest.MonkeyPatch, named: str | None, which: str) -> None:
    for uuid in ("GPU-a11", "GPU-b22", "GPU-c33"):
        free(10, uuid)
    if named is not None:
        monkeypatch.setenv(gpu.VISIBLE, named)
    assert [each.uuid[4] for each in gpu.visible()] == [*which]


def test_a_part_of_a_gpu_goes_by_its_own_name(free: Free, monkeypatch: pytest.MonkeyPatch) -> None:
    free(10)
    monkeypatch.setenv(gpu.VISIBLE, "MIG-1234")
    assert gpu.visible() == [gpu.Gpu("MIG-1234")]
    assert gpu.Gpu("MIG-1234").free_memory() == 0  # the driver here knows of none


def test_the_first_job_of_a_model_runs_alone_and_tells_what_the_others_need(free: Free) -> None:
    free(10000)
    gate = gpu.Gate(ONE)
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
    gate = gpu.Gate(ONE)
    assert enters(gate, "a")
    gate.watch()
    gate.leave("a")
    assert enters(gate, "a")
    assert not enters(gate, "b", within=1.5)
    gate.leave("a")
    time.sleep(1.5)
    assert not enters(gate, "a", within=1.0)  # "b" is in, and measured alone


def test_a_job_that_ended_before_its_first_epoch_tells_nothing(free: Free) -> None:
    free(10000)
    gate = gpu.Gate(ONE)
    assert enters(gate, "a")
    gate.leave("a")
    assert enters(gate, "a")
    assert not enters(gate, "a", within=1.5)


@pytest.mark.parametrize(
    ("uuids", "workers", "place", "used"),
    [
        ([], 2, "", {"all"}),
        (["GPU-a11"], 2, "", {"all"}),
        (["GPU-a11", "GPU-b22"], 2, "on 2 GPUs", {"GPU-a11", "GPU-b22"}),
        (["GPU-a11", "GPU-b22"], 1, "on 1 of 2 GPUs", {"GPU-a11"}),
    ],
)
def test_each_worker_finds_a_gpu_of_its_own(
    free: Free,
    install: Install,
    folds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uuids: list[str],
    workers: int,
    place: str,
    used: set[str],
) -> None:
    install(TINY_PLUGIN)
    for uuid in uuids:
        free(10000, uuid)
    python, seen = tmp_path / "python", tmp_path / "seen"
    python.write_text(f'#!/bin/sh\necho "${{CUDA_VISIBLE_DEVICES-all}}" >> {seen}\nexit 3\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    request = Request(models=("tiny",), data=str(folds), folds=(0, 1), out=tmp_path / "run", image_size=32)
    with plan.make_plan(request) as made, LocalExecutor(workers) as executor:
        assert executor.place() == place
        assert len(scheduler.execute(made, lambda job, event: None, executor)) == 2
    assert {*seen.read_text().split()} == used
