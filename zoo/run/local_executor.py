"""Run jobs on this machine, each in a process of its own, with its CPU cores divided among those that run at a time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from itertools import pairwise
from types import TracebackType
from typing import IO

from zoo.run import gpu
from zoo.run.executor import Notify
from zoo.run.job import Job
from zoo.run.plan import Plan
from zoo.run.warm_workers import WarmWorkers, start


class LocalExecutor:
    """Runs `workers` jobs at a time; on a GPU a job waits until there is memory for it, whatever that says.

    With `ahead`, and one job at a time, the first process is started at once, to load Keras while images are read.
    """

    def __init__(self, workers: int = 1, ahead: bool = False) -> None:
        self._workers = workers
        self._warm = WarmWorkers(ahead and workers == 1)
        self._shares: list[tuple[int, ...]] = []
        self._gate = gpu.Gate()
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def room(self) -> int:
        return self._workers

    def begin(self, plan: Plan, jobs: int) -> int:
        self._shares = share_cores(min(self._workers, jobs))
        return len(self._shares)

    def prepare(self, number: int) -> None:
        self._warm.prepare(self._shares[number])

    def run(self, job: Job, number: int, notify: Notify) -> int:
        self._gate.enter(job.model)
        try:
            notify({"event": "job_launched"})
            with job.folder.log.open("ab") as log, self._process(self._shares[number], log) as process:
                try:
                    return self._follow(process, job, notify)
                except BaseException:
                    process.kill()
                    raise
                finally:
                    self._processes.discard(process)
        finally:
            self._gate.leave(job.model)

    def _follow(self, process: subprocess.Popen[str], job: Job, notify: Notify) -> int:
        assert process.stdin and process.stdout
        with contextlib.suppress(BrokenPipeError):  # a worker that died at once says so by its exit status
            process.stdin.write(job.to_json() + "\n")
            process.stdin.flush()
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "epoch_ended":
                self._gate.watch()
            notify(event)
        status = process.wait()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return status

    def _process(self, cores: tuple[int, ...], log: IO[bytes]) -> subprocess.Popen[str]:
        with self._lock:
            process = self._warm.take(cores) or start(cores, log)
            self._processes.add(process)
            if self._stopping:
                process.kill()
            return process

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            for process in list(self._processes):
                process.kill()
        self._warm.close()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def share_cores(workers: int) -> list[tuple[int, ...]]:
    """The CPU cores of each worker: even shares, overlapping where there are too few; empty for all cores."""
    if workers < 2 or not hasattr(os, "sched_getaffinity"):
        return [()] * workers
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        return [(cores[number % len(cores)],) for number in range(workers)]
    edges = [round(number * len(cores) / workers) for number in range(workers + 1)]
    return [tuple(cores[start:end]) for start, end in pairwise(edges)]
