"""Tell trackers how a run goes, each in a process of its own (zoo.run.tracker_process): none harms the training.

What they are told waits in queues, so that a slow one holds up nobody. They are waited for when the run has ended, as
long as they get on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from zoo.encoding import OF_LOGS
from zoo.errors import ended, line
from zoo.files import read_csv
from zoo.plugins import isolation
from zoo.plugins.discovery import Plugin
from zoo.run.folder import RunFolder
from zoo.run.job import Job
from zoo.run.plan import Plan

LONGEST = 100_000  # characters of an answer
LOG = 100_000_000  # bytes that a tracker may print in a run
GLANCE = 0.2  # seconds between two looks at how many they are
INTERRUPTED = 5.0  # seconds that trackers get after Ctrl-C


class Tracking:
    """The trackers of a plan. Use it as a context around its jobs, and call `on_event` with each event of theirs.

    What goes wrong with a tracker is put into `events` as a warning of a job.
    """

    def __init__(self, plan: Plan, events: SimpleQueue[tuple[Job, dict[str, Any]]]) -> None:
        self._plan = plan
        self._events = events
        self._trackers: list[_Tracker] = []
        self._running: dict[str, Job] = {}
        self._failed: list[str] = []
        self._started = time.monotonic()

    def __enter__(self) -> Tracking:
        if self._plan.trackers:
            run = describe_run(self._plan)
            self._trackers = [
                _Tracker(plugin, run, self._plan.run.tracker_log(plugin.name), self._warn)
                for plugin in self._plan.trackers
            ]
            self._tell(self._plan.jobs[0], "zoo_run_started")
        return self

    def on_event(self, job: Job, event: dict[str, Any]) -> None:
        """Tell the trackers of an event, if it is one for them."""
        if not self._trackers:
            return
        match event["event"]:
            case "job_launched":
                self._running[job.title] = job
            case "epoch_ended":
                epoch = {key: value for key, value in event.items() if key != "event"}
                self._tell(job, "zoo_epoch_ended", job=describe_job(job), epoch=epoch)
            case "job_skipped":
                self._job_ended(job, "skipped")
            case "process_ended":
                self._running.pop(job.title, None)
                self._job_ended(job, "failed" if event["failed"] else "done")

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if not self._trackers:
            return
        try:
            for job in self._running.values():
                self._job_ended(job, "done" if job.folder.done else "interrupted")
            result = {
                "state": "interrupted" if kind else "failed" if self._failed else "done",
                "done": [job.title for job in self._plan.jobs if job.folder.done],
                "failed": self._failed,
                "results": _results(self._plan.run),
                "seconds": round(time.monotonic() - self._started, 3),
            }
            self._tell(self._plan.jobs[-1], "zoo_run_ended", result=result)
            since, limit = time.monotonic(), isolation.timeout()
            for tracker in self._trackers:
                tracker.finish(since, min(limit, INTERRUPTED) if kind else limit, hurry=kind is not None)
        finally:
            for tracker in self._trackers:
                tracker.kill()

    def _job_ended(self, job: Job, state: str) -> None:
        status = job.folder.status()
        if state == "failed":
            self._failed.append(job.title)
        result = {
            "state": state,
            "metrics": job.folder.scores() if job.folder.done else None,
            "weights": status.get("weights"),
            "error": status.get("error"),
        }
        self._tell(job, "zoo_job_ended", job=describe_job(job), result=result)

    def _tell(self, about: Job, hook: str, **arguments: Any) -> None:
        for tracker in self._trackers:
            tracker.tell(about, hook, **arguments)

    def _warn(self, job: Job | None, tracker: str, text: str) -> None:
        self._events.put((job or self._plan.jobs[-1], {"event": "warning", "text": text, "tracker": tracker}))


def describe_run(plan: Plan) -> dict[str, Any]:
    """The `run` of the hooks, see `zoo.hookspecs`."""
    written = plan.run.read()
    path = plan.run.path.absolute()
    return {
        "path": str(path),
        "name": path.name,
        "started": written["started"],
        "resumed": plan.resumed,
        "models": list(dict.fromkeys(job.model for job in plan.jobs)),
        "folds": list(dict.fromkeys(job.fold for job in plan.jobs)),
        "repeats": 1 + max(job.repeat for job in plan.jobs),
        "jobs": [describe_job(job) for job in plan.jobs],
        **{key: written[key] for key in ("recipes", "data", "versions", "request")},
    }


def describe_job(job: Job) -> dict[str, Any]:
    """The `job` of the hooks, see `zoo.hookspecs`."""
    return {
        "model": job.model,
        "fold": job.fold,
        "repeat": job.repeat,
        "title": job.title,
        "folder": str(job.folder.path),
        "seed": job.recipe["seed"],
    }


def _results(run: RunFolder) -> list[dict[str, Any]]:
    """The rows of results.csv, with None for empty cells."""
    if not run.results.exists():
        return []
    table = read_csv(run.results).astype(object)
    return [dict(zip(table.columns, row, strict=True)) for row in table.where(table.notna(), None).to_numpy().tolist()]


class _Tracker:
    """One tracker, its process, and the threads that write to it and take its answers.

    `warn` is called, in any thread, with the job that it was told of or None, its name, and what went wrong.
    """

    def __init__(
        self, plugin: Plugin, run: dict[str, Any], log: Path, warn: Callable[[Job | None, str, str], None]
    ) -> None:
        self._plugin = plugin
        self._log = log
        self._warn = warn
        self._told: SimpleQueue[str | None] = SimpleQueue()
        self._unanswered: deque[tuple[Job, str]] = deque()
        self._answered = threading.Condition()
        self._last_answer = 0.0
        self._failures: set[str] = set()
        self._closing = False
        self._over = False
        self._most = 0  # bytes of the log
        try:
            self._process = self._start()
        except OSError as error:
            self._over = True
            self._say(None, f"cannot be started: {error}")
            return
        self._told.put(json.dumps({"name": plugin.name, "distribution": plugin.distribution, "run": run}))
        for work in (self._write, self._read, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def _start(self) -> subprocess.Popen[str]:
        self._log.parent.mkdir(exist_ok=True)
        with self._log.open("ab") as log:
            self._most = log.tell() + LOG
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "zoo.run.tracker_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                errors="replace",
                env={**os.environ, **OF_LOGS},
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then tells the tracker
            )

    def tell(self, about: Job, hook: str, **arguments: Any) -> None:
        """Have a hook called, some time."""
        with self._answered:
            if not self._over:
                self._unanswered.append((about, hook))
                self._told.put(json.dumps({"hook": hook, **arguments}))

    def finish(self, since: float, limit: float, hurry: bool) -> None:
        """Wait until all is told, and end the process.

        It is given up when there was no answer for `limit` seconds, or in a `hurry` so many seconds after `since`.
        """
        with self._answered:
            while self._unanswered and not self._over:
                deadline = limit + (since if hurry else max(since, self._last_answer))
                if not self._answered.wait(deadline - time.monotonic()):
                    break
            self._told.put(None)
            if self._over:
                return
            self._closing = True
            late = bool(self._unanswered)
        if not late:
            try:
                self._process.wait(limit)
            except subprocess.TimeoutExpired:
                late = True
        if late:
            self._say(None, f"has not finished after {limit:g} s, and is given up")

    def kill(self) -> None:
        """End the process, and those that it has started, if it still runs."""
        if not self._over:
            self._closing = True
            self._told.put(None)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel, on a dead network disk, say
                self._process.wait(INTERRUPTED)

    def _write(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # it has ended
            while (message := self._told.get()) is not None:
                self._process.stdin.write(message + "\n")
                self._process.stdin.flush()
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as answers:
            # The plug-in may write there, even a line without an end.
            for answer in iter(partial(answers.readline, LONGEST), ""):
                with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
                    self._take(json.loads(answer)["error"])
        code = self._process.wait()
        with self._answered:
            if not self._closing:
                self._say(None, f"{ended(code)}, and is told nothing more")
            self._over = True
            self._answered.notify_all()

    def _watch(self) -> None:
        """Give up a tracker that would fill the disk."""
        while not self._over:
            time.sleep(GLANCE)
            with contextlib.suppress(OSError):  # the log has been deleted
                if self._log.stat().st_size > self._most and not self._over:
                    self._say(None, f"has printed more than {LOG / 1e6:g} MB, and is given up")
                    self.kill()
                    return

    def _take(self, error: str | None) -> None:
        """What the first hook unanswered has raised, if anything; said once of a hook, and once of an error."""
        error = line(str(error)) if error else None
        with self._answered:
            job, hook = self._unanswered[0]
            if error and not {hook, error} & self._failures:
                self._failures |= {hook, error}
                self._say(job, f"fails in {hook}: {error}")
            self._unanswered.popleft()
            self._last_answer = time.monotonic()
            self._answered.notify_all()

    def _say(self, job: Job | None, what: str) -> None:
        title = f"tracker {self._plugin.name!r} (from {self._plugin.origin})"
        self._warn(job, self._plugin.name, f"{line(title)} {line(what, 600)}; see {self._log}")
