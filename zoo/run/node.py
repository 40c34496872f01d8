"""A job on another machine: what it needs is laid out there, today's worker runs it, and what it writes goes back.

Knows nothing of the engine that brought it here. What is large travels in pieces, which `fetch` opens, see
zoo.run.transfer; images, features and weights lie in the user cache of the machine, under names that follow from their
content, so that one copy serves all of its jobs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import tempfile
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from zoo.data import cache
from zoo.files import hash_file
from zoo.run import versions
from zoo.run.folder import JobFolder, RunFolder
from zoo.run.job import Job
from zoo.run.transfer import Changes, Contents, Fetch, Message, News, size, write
from zoo.run.worker_process import Share, WorkerProcess, start

IDLE = 60.0  # seconds that a worker waits for the next job


@dataclass(frozen=True)
class Parcel:
    """What a job takes along.

    `versions` are the packages that it must find, as zoo.run.versions has them. `run_files` are files of the run
    folder, `job_files` of the job's own. `entries` are folders of the user cache, as "images/KEY", of which those in
    `needed` must be there. `weights` are files that training starts from, by the path that they have where the run was
    planned, with their sha256. `cores` is how many CPU cores the job may use. It `shares` the features that it computes
    where other machines may need them, and `keeps` its process for the next job. `environment` is what that process
    finds in the environment; None is taken out.
    """

    job: Job
    versions: dict[str, str]
    run_files: dict[str, bytes]
    job_files: Contents
    entries: dict[str, Contents]
    needed: tuple[str, ...]
    weights: dict[str, tuple[str, list[Any]]]
    cores: int
    shares: bool = False
    keeps: bool = False
    environment: dict[str, str | None] = field(default_factory=dict)


def attend(parcel: Parcel, fetch: Fetch) -> Iterator[Message]:
    """Run a job here; what is to be said of it."""
    if wrong := _differences(tuple(parcel.versions.items())):
        yield "refused", f"other packages than where the run was planned: {', '.join(wrong)}"
        return
    with ExitStack() as stack:
        for name in parcel.entries.keys() | parcel.needed:
            mark = cache.use(cache.folder(name))
            stack.callback(mark.release)
        for name, contents in parcel.entries.items():
            _lay(name, contents, fetch, must=name in parcel.needed)
        if missing := [name for name in parcel.needed if not cache.folder(name).is_dir()]:
            yield "missing", missing
            return
        place = stack.enter_context(_place())
        job, folder = _lay_job(parcel, place, fetch)
        changes, features = Changes(folder.path), News("features")
        log = stack.enter_context(folder.log.open("ab"))
        process = stack.enter_context(_worker(parcel, log))
        yield "launched", None
        for event in process.events(job):
            if event["event"] == "epoch_ended" and changes.due():
                yield from changes.messages()
                yield from features.messages() if parcel.shares else ()
            elif event["event"] in ("job_ended", "job_failed"):  # who hears of it looks into the folder
                yield from changes.messages()
            yield "event", event
        yield from changes.messages()
        yield from features.messages() if parcel.shares else ()
        yield "exit", process.status


@dataclass(frozen=True)
class _Idle:
    """A worker that takes another job, on the same cores; after a while it is ended."""

    process: WorkerProcess
    cores: tuple[int, ...]
    environment: dict[str, str | None]

    def suits(self, parcel: Parcel) -> bool:
        same = (len(self.cores), self.environment) == (parcel.cores, parcel.environment)
        return same and self.process.suits(parcel.job)


_idle: dict[threading.Timer, _Idle] = {}  # of this process, which runs one job at a time: one at most


@contextmanager
def _worker(parcel: Parcel, log: IO[bytes]) -> Iterator[WorkerProcess]:
    """A worker for the job: the one that the last job here has left, if it suits."""
    with ExitStack() as locks:
        process, cores = None, tuple[int, ...]()
        for timer in [*_idle]:
            timer.cancel()
            if idle := _idle.pop(timer, None):
                if idle.suits(parcel) and locks.enter_context(take_cores(parcel.cores, idle.cores)):
                    process, cores = idle.process, idle.cores
                else:
                    idle.process.end()
        if process is None:
            cores = locks.enter_context(take_cores(parcel.cores))
            process = WorkerProcess(start(Share(cores), log, parcel.environment))
        try:
            yield process
        finally:
            if process.ready and parcel.keeps and cores:
                timer = threading.Timer(IDLE, lambda: _end_idle(timer))
                timer.daemon = True
                _idle[timer] = _Idle(process, cores, parcel.environment)
                timer.start()
            else:
                process.end()


def _end_idle(timer: threading.Timer) -> None:
    if idle := _idle.pop(timer, None):
        idle.process.end()


@functools.cache
def _differences(expected: tuple[tuple[str, str], ...]) -> list[str]:
    return versions.differences(dict(expected))


@contextmanager
def _place() -> Iterator[Path]:
    """A folder for one job; those of jobs that were killed are deleted."""
    kind = cache.folder("jobs")
    place = kind / uuid.uuid4().hex
    mark = cache.use(place)
    try:
        place.mkdir(parents=True)
        cache.trim(kind, 0)
        yield place
    finally:
        mark.release()
        with contextlib.suppress(OSError):
            cache.remove(place)


def _lay_job(parcel: Parcel, place: Path, fetch: Fetch) -> tuple[Job, JobFolder]:
    """The job as it is here, and its folder with what was brought."""
    run = RunFolder(place / "run")
    job = dataclasses.replace(
        parcel.job,
        run=str(run.path),
        images=str(cache.folder("images", Path(parcel.job.images).name)),
        files={path: str(_weights(path, digest, pieces, fetch)) for path, (digest, pieces) in parcel.weights.items()},
    )
    job.folder.path.mkdir(parents=True)
    for name, content in parcel.run_files.items():
        (run.path / name).write_bytes(content)
    write(job.folder.path, parcel.job_files, fetch)
    return job, job.folder


def _weights(path: str, digest: str, pieces: Sequence[Any], fetch: Fetch) -> Path:
    """Where a file that training starts from lies here: at the same place, if machines share it, else in the cache."""
    file = Path(path)
    with contextlib.suppress(OSError):
        if hash_file(file) == digest:
            return file
    name = f"weights/{digest[:32]}"
    _lay(name, {file.name: list(pieces)}, fetch, must=True)
    return cache.folder(name) / file.name


def _lay(name: str, contents: Contents, fetch: Fetch, must: bool) -> None:
    """Put a folder into the user cache unless it is there; one that cannot be had is an error only if it `must`."""

    def fill(folder: Path) -> None:
        write(folder, contents, fetch)

    target = cache.folder(name)
    try:
        with FileLock(_locks() / f"{name.replace('/', '-')}.lock"):  # jobs that begin at once need one copy
            cache.make_once(target, fill, size(contents))
    except Exception:
        if must:
            raise


def _locks() -> Path:
    """A folder for locks that hold on this machine alone, wherever its user cache is."""
    user = hashlib.sha256(str(Path.home()).encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir(), f"zoo-{user}")
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def take_cores(count: int, of: Collection[int] | None = None) -> Iterator[tuple[int, ...]]:
    """So many CPU cores (`of` these) that no other job of a node on this machine has; () where there aren't so many."""
    if of is None:
        of = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    with ExitStack() as locks:
        taken: list[int] = []
        for core in sorted(of):
            if len(taken) < count:
                with contextlib.suppress(Timeout):
                    locks.enter_context(FileLock(_locks() / f"core-{core}.lock", timeout=0))
                    taken.append(core)
        if len(taken) < count:
            locks.close()
            taken = []
        yield tuple(taken)
