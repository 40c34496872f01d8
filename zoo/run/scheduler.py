"""Run the jobs of a plan, each in a process of its own, and gather what they found."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import IO, Any

from zoo.errors import ended, one_line
from zoo.run import gpu, results
from zoo.run.job import Job
from zoo.run.plan import Plan
from zoo.run.stalls import StallWatch
from zoo.run.trackers import Tracking
from zoo.run.warm_workers import WarmWorkers, start

# Receives the events of a job as the worker sends them, always in the thread that called `execute`.
Listen = Callable[[Job, dict[str, Any]], None]
PATIENCE = 1.0  # seconds to wait for news before looking whether any job has been silent for too long


def execute(plan: Plan, listen: Listen, workers: int, warm: WarmWorkers) -> list[Job]:
    """Run every job that isn't done yet, `workers` at a time with the CPU cores divided among them; those that failed.

    `warm` may hold workers that have been started already. On a GPU a job waits until there is memory for it,
    whatever `workers` says.
    results.csv and run.json are brought up to date after each job. On KeyboardInterrupt the running jobs are
    ended and marked as failed before the exception goes on. The trackers of the plan are told of everything.
    """
    waiting: SimpleQueue[Job] = SimpleQueue()
    crew = _Crew(waiting, warm)
    left = 0
    failed = []
    stalls = StallWatch(plan)
    with Tracking(plan, crew.events) as tracking:
        for job in plan.jobs:
            if job.folder.done:
                crew.learn(job, job.folder.status())
                event = {"event": "job_skipped", "metrics": job.folder.scores()}
                tracking.on_event(job, event)
                listen(job, event)
            else:
                waiting.put(job)
                left += 1
        results.write_results(plan.run)
        crew.start(share_cores(min(workers, left)))
        try:
            while left:
                for quiet, text in stalls.overdue():
                    listen(quiet, {"event": "warning", "text": text})
                try:
                    job, event = crew.events.get(timeout=PATIENCE)
                except Empty:
                    continue
                stalls.on_event(job, event)
                if event["event"] == "process_ended":
                    left -= 1
                    if event["failed"]:
                        failed.append(job)
                    with contextlib.suppress(OSError):  # a full disk, of which whoever writes them in the end tells
                        results.write_results(plan.run)
                else:
                    listen(job, event)
                tracking.on_event(job, event)
        finally:
            crew.stop()
    while not crew.events.empty():  # what trackers got wrong in the end
        listen(*crew.events.get())
    return failed


def share_cores(workers: int) -> list[tuple[int, ...]]:
    """The CPU cores of each worker: even shares, overlapping where there are too few; empty for all cores."""
    if workers < 2 or not hasattr(os, "sched_getaffinity"):
        return [()] * workers
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        return [(cores[number % len(cores)],) for number in range(workers)]
    edges = [round(number * len(cores) / workers) for number in range(workers + 1)]
    return [tuple(cores[start:end]) for start, end in pairwise(edges)]


class _Crew:
    """Threads that each take a job after the other and attend to its process."""

    def __init__(self, waiting: SimpleQueue[Job], warm: WarmWorkers) -> None:
        self.waiting = waiting
        self._warm = warm
        self.events: SimpleQueue[tuple[Job, dict[str, Any]]] = SimpleQueue()
        self._processes: set[subprocess.Popen[str]] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._gate = gpu.Gate()
        self._starts: dict[str, dict[str, str | None]] = {}

    def learn(self, job: Job, news: dict[str, Any]) -> None:
        """What a job has started from is what those of its model to come start from."""
        weights = str(news["weights"]).partition(",")[0]
        self._starts.setdefault(job.model, {"weights": weights, "warning": news["warning"]})

    def start(self, shares: list[tuple[int, ...]]) -> None:
        """Begin, one thread a share of the cores."""
        self._threads = [threading.Thread(target=self._attend, args=(cores,), daemon=True) for cores in shares]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the processes that still run, and wait until their jobs are marked as failed."""
        with self._lock:
            self._stopping = True
            for process in list(self._processes):
                process.kill()
        for thread in self._threads:
            thread.join()
        self._warm.close()

    def _attend(self, cores: tuple[int, ...]) -> None:
        while not self._stopping:
            try:
                job = self.waiting.get_nowait()
            except Empty:
                return
            self._gate.enter(job.model)
            failed = True
            try:
                failed = not self._run(job, cores)
            except Exception as error:  # a full disk, say: the parent's own trouble with one job
                self._fail(job, one_line(error))
            self._gate.leave(job.model)
            self.events.put((job, {"event": "process_ended", "failed": failed}))

    def _run(self, job: Job, cores: tuple[int, ...]) -> bool:
        """Run one job in an interpreter of its own and pass its events on; whether it is done.

        While it trains, the interpreter for the next job is started.
        """
        job.folder.path.mkdir(parents=True, exist_ok=True)
        self.events.put((job, {"event": "job_launched"}))
        told = False
        with job.folder.log.open("ab") as log, self._process(cores, log) as process:
            assert process.stdin and process.stdout
            with contextlib.suppress(BrokenPipeError):  # a worker that died at once says so by its exit status
                told_job = dataclasses.replace(job, start=self._starts.get(job.model))
                process.stdin.write(told_job.to_json() + "\n")
                process.stdin.flush()
            try:
                for line in process.stdout:
                    event = json.loads(line)
                    told = told or event["event"] == "job_failed"
                    if event["event"] == "job_started":
                        self.learn(job, event)
                    if event["event"] == "epoch_ended":
                        self._gate.watch()
                        if not self.waiting.empty():
                            self._warm.prepare(cores)
                    self.events.put((job, event))
            except BaseException:
                process.kill()
                raise
            code = process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        self._processes.discard(process)
        if self._stopping and code:
            job.folder.set_status("failed", error="interrupted", refused=False)
        elif not told and (code or not job.folder.done):
            memory = " (out of memory?)" if code == -signal.SIGKILL else ""
            how = ended(code) if code else "ended before the job was done"
            self._fail(job, f"the worker process {how}{memory}{job.suspects('')}")
        return job.folder.done

    def _process(self, cores: tuple[int, ...], log: IO[bytes]) -> subprocess.Popen[str]:
        with self._lock:
            process = self._warm.take(cores) or start(cores, log)
            self._processes.add(process)
            if self._stopping:
                process.kill()
            return process

    def _fail(self, job: Job, error: str) -> None:
        with contextlib.suppress(OSError):
            job.folder.set_status("failed", error=error, refused=False)
        self.events.put((job, {"event": "job_failed", "error": f"{error}; see {job.folder.log}", "refused": False}))
