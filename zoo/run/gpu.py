"""The GPUs of this machine, and which jobs may share one: only those whose memory is known and free."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from itertools import takewhile

import pynvml

from zoo.run.worker_process import VISIBLE

MARGIN = 1.2  # what a job may need above what another fold of its model needed


@dataclass(frozen=True)
class Gpu:
    """A GPU, by the UUID that CUDA_VISIBLE_DEVICES takes too: numbers may mean another one there than here."""

    uuid: str

    def free_memory(self) -> int:
        """In MiB; 0 where the driver doesn't say."""
        try:
            return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByUUID(self.uuid)).free) // 2**20
        except pynvml.NVMLError:
            return 0


def visible() -> list[Gpu]:
    """The GPUs that jobs may use: all, or those that CUDA_VISIBLE_DEVICES names, as CUDA reads it."""
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        uuids = [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    except pynvml.NVMLError:  # no driver, most of the time
        return []
    if VISIBLE not in os.environ:
        return [Gpu(uuid) for uuid in uuids]
    named = [_meant(name.strip(), uuids) for name in os.environ[VISIBLE].split(",")]
    return [Gpu(uuid) for uuid in takewhile(bool, named)]  # CUDA heeds nothing after a name that is none


def _meant(name: str, uuids: list[str]) -> str:
    """The UUID that a number, or the beginning of a UUID, stands for; "" for none."""
    if name.startswith("MIG-"):  # a part of a GPU, which isn't counted among them
        return name
    if name.isdigit():
        return uuids[int(name)] if int(name) < len(uuids) else ""
    return next((uuid for uuid in uuids if name and uuid.startswith(name)), "")


class Gate:
    """Lets jobs in to a GPU that they share; without a GPU, everyone at once.

    The first job of a model runs alone, which tells how much memory its others need: they come in while as much
    is free. Call `watch` now and then while a job runs.
    """

    def __init__(self, gpu: Gpu | None = None) -> None:
        self.gpu = gpu
        self._free_at_first = gpu.free_memory() if gpu else 0
        self._needs: dict[str, int] = {}  # MiB, of models whose first job has ended
        self._measuring: dict[str, int | None] = {}  # the model that runs alone, and the most memory seen so far
        self._running = 0
        self._changed = threading.Condition()

    def enter(self, model: str) -> None:
        """Wait until a job of this model may run."""
        with self._changed:
            while not self._admits(model):
                self._changed.wait(1.0)  # memory is freed without a word
            self._running += 1
            if self.gpu and model not in self._needs:
                self._measuring = {model: None}

    def _admits(self, model: str) -> bool:
        if not self.gpu or not self._running:
            return True
        if self._measuring or model not in self._needs:
            return False
        return self.gpu.free_memory() >= MARGIN * self._needs[model]

    def watch(self) -> None:
        """Look how much memory the job that runs alone has taken."""
        with self._changed:
            for model, most in self._measuring.items():
                assert self.gpu
                self._measuring[model] = max(most or 0, self._free_at_first - self.gpu.free_memory())

    def leave(self, model: str) -> None:
        """A job of this model has ended."""
        with self._changed:
            self._running -= 1
            if (most := self._measuring.pop(model, None)) is not None:  # else it has ended too soon to tell
                self._needs[model] = most
            self._changed.notify_all()
