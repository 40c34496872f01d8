"""Run jobs on this machine, in processes among which its CPU cores and GPUs are divided.

A process takes one job after the other, as long as that changes nothing: see `zoo.run.worker`.
"""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from typing import IO, TYPE_CHECKING

from zoo.run import gpu
from zoo.run.executor import Executor, Notify
from zoo.run.warm_workers import WarmWorkers
from zoo.run.worker_process import Share, WorkerProcess, start

if TYPE_CHECKING:
    from zoo.run.job import Job
    from zoo.run.plan import Plan


class LocalExecutor(Executor):
    """Runs `workers` jobs at a time, on the GPUs in turn; there a job waits until there is memory for it.

    With `ahead` the processes are started at once, to load Keras while images are read.
    """

    def __init__(self, workers: int = 1, ahead: bool = False) -> None:
        self._workers = workers
        self._gates = [gpu.Gate(each) for each in gpu.visible()] or [gpu.Gate()]
        self._shares = self._divide(workers)
        self._warm = WarmWorkers(self._shares if ahead else [])
        self._processes: dict[int, WorkerProcess] = {}  # of each thread
        self._lock = threading.Lock()
        self._stopping = False

    def room(self) -> int:
        return self._workers

    def place(self) -> str:
        count = len(self._gates)
        used = min(count, self._workers)
        return "" if count == 1 else f"on {count} GPUs" if used == count else f"on {used} of {count} GPUs"

    def begin(self, plan: Plan, jobs: int) -> int:
        self._shares = self._divide(min(self._workers, jobs))
        return len(self._shares)

    def _divide(self, workers: int) -> list[Share]:
        """What each thread's process may use of this machine: of several GPUs the one that its gate is before."""
        several = len(self._gates) > 1
        gpus = [self._gate(number).gpu for number in range(workers)]
        return [
            Share(cores, mine.uuid if mine and several else "")
            for cores, mine in zip(share_cores(workers), gpus, strict=True)
        ]

    def _gate(self, number: int) -> gpu.Gate:
        """The threads take the GPUs in turn."""
        return self._gates[number % len(self._gates)]

    def prepare(self, number: int) -> None:
        process = self._processes.get(number)
        if process is None or process.renewing or self._gate(number).gpu:
            self._warm.prepare(self._shares[number])

    def run(self, job: Job, number: int, notify: Notify) -> int:
        gate = self._gate(number)
        gate.enter(job.model)
        try:
            notify({"event": "job_launched"})
            with job.folder.log.open("ab") as log:
                process = self._process(job, number, log)
            try:
                for event in process.events(job):
                    if event["event"] == "epoch_ended":
                        gate.watch()
                    notify(event)
                return process.status
            finally:
                if not process.ready or gate.gpu:  # one that waits would keep its memory of the GPU
                    self.release(number)
        finally:
            gate.leave(job.model)

    def _process(self, job: Job, number: int, log: IO[bytes]) -> WorkerProcess:
        if number in self._processes and not self._processes[number].suits(job):
            self.release(number)
        with self._lock:
            if number not in self._processes:
                share = self._shares[number]
                self._processes[number] = WorkerProcess(self._warm.take(share) or start(share, log))
            process = self._processes[number]
            if self._stopping:
                process.kill()
            return process

    def release(self, number: int) -> None:
        with self._lock:
            process = self._processes.pop(number, None)
        if process:
            process.end()

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            for process in self._processes.values():
                process.kill()
        self._warm.close()

    def close(self) -> None:
        self.stop()
        for number in [*self._processes]:
            self.release(number)


def share_cores(workers: int) -> list[tuple[int, ...]]:
    """The CPU cores of each worker: even shares, overlapping where there are too few; empty for all cores."""
    if workers < 2 or not hasattr(os, "sched_getaffinity"):
        return [()] * workers
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        return [(cores[number % len(cores)],) for number in range(workers)]
    edges = [round(number * len(cores) / workers) for number in range(workers + 1)]
    return [tuple(cores[start:end]) for start, end in pairwise(edges)]
