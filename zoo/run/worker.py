"""A process that runs jobs, one after the other, each as if the process were new.

`python -m zoo.run.worker [CORES]` loads what every job needs, reads jobs from standard input, each a line of JSON, and
writes events, one JSON object a line, to standard output; whatever else is printed goes to the job's log. After a job
that is done it says "ready" and takes another one, unless more memory is in use than after its first job: then it ends,
as it says beforehand ("renewing"). It ends too when a job has failed, and when standard input does: then the parent has
been killed, or has no job left. CORES are the CPU cores to use, as in 0,1.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from zoo.errors import TrainingError, ZooError, one_line
from zoo.run.job import Job
from zoo.run.train_and_score import run

if TYPE_CHECKING:
    from zoo.training.callbacks import Notify


def main(cores: str = "") -> int:
    """Run the jobs on standard input, if any come. 0 when they are done, 1 when one failed."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # prints of libraries and plug-ins are no events

    def notify(event: dict[str, Any]) -> None:
        try:
            print(json.dumps(event), file=events)
        except BrokenPipeError:
            os._exit(1)  # nobody listens any more: the parent was killed

    if cores:  # before Keras is loaded: its backends count the cores they may use
        os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    with contextlib.suppress(Exception):  # the job will fail in the same way, and say so
        importlib.import_module("zoo.training.trainer")
    gc.freeze()  # what libraries have made stays: to look through it after each job takes half a second
    jobs, memory = _Jobs(), _Memory()
    while line := jobs.take():
        job = Job.from_json(line)
        with contextlib.suppress(OSError):  # a full disk, which fails the job in a moment, and that is told
            job.folder.path.mkdir(parents=True, exist_ok=True)
            with job.folder.log.open("ab") as log:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                    os.dup2(log.fileno(), stream.fileno())
        faulthandler.enable()

        def told(event: dict[str, Any]) -> None:
            notify(event)
            if event["event"] == "epoch_ended" and memory.has_grown():
                notify({"event": "renewing"})

        if attend(job, told):
            return 1
        _forget()
        if not memory.settle():
            return 0
        jobs.done()
        notify({"event": "ready"})
    return 0


class _Jobs:
    """The lines of standard input. When it ends while there is a job this process ends at once."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._open = 0  # jobs that came and aren't done
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self._open += 1
            self._lines.put(line)
        if self._open:
            os._exit(1)
        self._lines.put("")

    def take(self) -> str:
        """The next one, "" if there is none."""
        return self._lines.get()

    def done(self) -> None:
        """The one that was taken is done."""
        self._open -= 1


class _Memory:
    """Whether this process takes more memory than its first job did: whatever a library keeps adds up."""

    GROWTH = 1.2

    def __init__(self) -> None:
        self._first: int | None = None

    def has_grown(self) -> bool:
        """Whether it takes a fifth more. Nobody knows where the system doesn't tell: then it has."""
        return self._first is not None and (not self._first or _peak() > self.GROWTH * self._first)

    def settle(self) -> bool:
        """Take note that a job is over; whether there may be another one."""
        if self._first is None:
            self._first = _peak()
        return not self.has_grown()


def _peak() -> int:
    """The most memory that this process has had, in whatever unit; 0 where the system doesn't tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _forget() -> None:
    """What Keras keeps of the networks of a job: the next one finds names and random generators as in a new process."""
    import keras

    keras.utils.clear_session()
    gc.collect()


def attend(job: Job, notify: Notify) -> int:
    """Run a job, and write down how it ended. 0 when done, 1 when it failed, of which `notify` is told."""
    folder = job.folder
    try:
        folder.set_status("running")
        run(job, notify)
        return 0
    except BaseException as error:  # a part may call sys.exit, and the job isn't done then; Ctrl-C goes to the parent
        # Wrong from the start, rather than gone wrong in training: nothing was trained.
        refused = isinstance(error, ZooError) and not isinstance(error, TrainingError)
        text = str(error) if isinstance(error, ZooError) else one_line(error)
        text += "" if refused else job.suspects(text)
        trace = traceback.format_exc()
        with contextlib.suppress(OSError):  # a full disk takes neither, and is what the event tells
            folder.set_status("failed", error=text, refused=refused, traceback=trace)
        with contextlib.suppress(OSError), folder.log.open("a", encoding="utf-8") as log:
            print(trace, file=log)
        notify({"event": "job_failed", "error": text, "refused": refused})
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
