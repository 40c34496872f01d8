"""Run the jobs of a plan, several at a time, and gather what they found."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from zoo.errors import ended, one_line
from zoo.run import results
from zoo.run.executor import Executor
from zoo.run.job import Job
from zoo.run.plan import Plan
from zoo.run.stalls import StallWatch
from zoo.run.trackers import Tracking

# Receives the events of a job as the worker sends them, always in the thread that called `execute`.
Listen = Callable[[Job, dict[str, Any]], None]
PATIENCE = 1.0  # seconds to wait for news before looking whether any job has been silent for too long


def execute(plan: Plan, listen: Listen, executor: Executor) -> list[Job]:
    """Run every job that isn't done yet; those that failed.

    results.csv and run.json are brought up to date after each job. On KeyboardInterrupt the running jobs are
    ended and marked as failed before the exception goes on. The trackers of the plan are told of everything.

    Raises ConfigError where the executor cannot run them.
    """
    waiting: SimpleQueue[Job] = SimpleQueue()
    crew = _Crew(waiting, executor)
    done = {job.title for job in plan.jobs if job.folder.done}
    left = len(plan.jobs) - len(done)
    failed = []
    stalls = StallWatch(plan)
    threads = executor.begin(plan, left) if left else 0
    with Tracking(plan, crew.events) as tracking:
        for job in plan.jobs:
            if job.title in done:
                crew.learn(job, job.folder.status())
                event = {"event": "job_skipped", "metrics": job.folder.scores()}
                tracking.on_event(job, event)
                listen(job, event)
            else:
                waiting.put(job)
        results.write_results(plan.run)
        crew.start(threads)
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


class _Crew:
    """Threads that each take a job after the other and attend to it."""

    def __init__(self, waiting: SimpleQueue[Job], executor: Executor) -> None:
        self.waiting = waiting
        self.events: SimpleQueue[tuple[Job, dict[str, Any]]] = SimpleQueue()
        self._executor = executor
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._starts: dict[str, dict[str, str | None]] = {}
        self._finding: set[str] = set()  # models of which one job is finding out what they start from
        self._found = threading.Condition()

    def learn(self, job: Job, news: dict[str, Any]) -> None:
        """What a job has started from is what those of its model to come start from."""
        weights = str(news["weights"]).partition(",")[0]
        with self._found:
            self._starts.setdefault(job.model, {"weights": weights, "warning": news["warning"]})
            self._found.notify_all()

    def start(self, threads: int) -> None:
        """Begin, with so many threads."""
        self._threads = [threading.Thread(target=self._attend, args=(each,), daemon=True) for each in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the jobs that still run, and wait until they are marked as failed."""
        with self._found:
            self._stopping = True
            self._found.notify_all()
        self._executor.stop()
        for thread in self._threads:
            thread.join()

    def _attend(self, number: int) -> None:
        while not self._stopping:
            try:
                job = self.waiting.get_nowait()
            except Empty:
                self._executor.release(number)
                return
            failed = True
            try:
                failed = not self._run(job, number)
            except Exception as error:  # a full disk, say: the parent's own trouble with one job
                if self._stopping:
                    self._mark(job, "interrupted")
                else:
                    self._fail(job, one_line(error))
            with self._found:
                self._finding.discard(job.model)
                self._found.notify_all()
            self.events.put((job, {"event": "process_ended", "failed": failed}))

    def _run(self, job: Job, number: int) -> bool:
        """Run one job and pass its events on; whether it is done. While it trains, the next one is made ready for."""
        told_job = self._told(job, number)
        if self._stopping:
            return False
        job.folder.path.mkdir(parents=True, exist_ok=True)
        told = False

        def notify(event: dict[str, Any]) -> None:
            nonlocal told
            told = told or event["event"] == "job_failed"
            if event["event"] == "job_started":
                self.learn(job, event)
            if event["event"] == "epoch_ended" and not self.waiting.empty():
                self._executor.prepare(number)
            self.events.put((job, event))

        code = self._executor.run(told_job, number, notify)
        if self._stopping and code:
            self._mark(job, "interrupted")
        elif not told and (code or not job.folder.done):
            memory = " (out of memory?)" if code == -signal.SIGKILL else ""
            how = ended(code) if code else "ended before the job was done"
            self._fail(job, f"the worker process {how}{memory}{job.suspects('')}")
        return job.folder.done

    def _told(self, job: Job, number: int) -> Job:
        """The job with what those of its model start from. The first one finds that out, and the others wait for it:
        all folds start alike, and a download that is refused is tried once."""
        if job.start_from or job.recipe["backbone"].get("weights") != "auto":
            return job
        with self._found:
            while not self._stopping and job.model in self._finding and job.model not in self._starts:
                self._executor.prepare(number)
                self._found.wait()
            self._finding.add(job.model)
            return dataclasses.replace(job, start=self._starts.get(job.model))

    def _mark(self, job: Job, error: str) -> None:
        with contextlib.suppress(OSError):
            job.folder.set_status("failed", error=error, refused=False)

    def _fail(self, job: Job, error: str) -> None:
        self._mark(job, error)
        self.events.put((job, {"event": "job_failed", "error": f"{error}; see {job.folder.log}", "refused": False}))
