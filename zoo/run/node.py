"""A job on another machine: what it needs is laid out there, today's worker runs it, and what it writes goes back.

Knows nothing of the engine that brought it here. What is large travels in pieces, which `fetch` opens; images, features
and weights lie in the user cache of the machine, under names that follow from their content, so that one copy serves
all of its jobs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from zoo.data import cache, checksums
from zoo.files import DRAFT, hash_file
from zoo.run import versions
from zoo.run.folder import JobFolder, RunFolder
from zoo.run.job import Job
from zoo.run.worker_process import Share, WorkerProcess, start

PIECE = 64 * 2**20  # bytes
SPENT = 0.1  # of the time at most goes into bringing back what an epoch has changed
IDLE = 60.0  # seconds that a worker waits for the next job
TRIES = 20  # at reading a folder while nothing in it changes

# Opens a piece.
Fetch = Callable[[Any], bytes]
# The files of a folder, each in pieces.
Contents = dict[str, list[Any]]


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


# What a node says of a job, in this order in time:
#   "missing", [names]     these entries aren't here; bring them. Nothing else follows
#   "refused", text        why it cannot run here; nothing else follows
#   "launched", None       its process is started
#   "event", event         what the worker says
#   "log", bytes           the next part of job.log
#   "file", (name, bytes, last)   the next part of a file of the job's folder
#   "gone", [names]        files that were there and are no longer
#   "entry", (name, {file: pieces})   a new folder of the user cache; its pieces follow, file by file, as bare bytes
#   "exit", status         the worker's exit status
Message = Any


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
        changes, features = _Changes(folder.path), _News("features")
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
    _write(job.folder.path, parcel.job_files, fetch)
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
        _write(folder, contents, fetch)

    target = cache.folder(name)
    size = PIECE * sum(map(len, contents.values()))
    try:
        with FileLock(_locks() / f"{name.replace('/', '-')}.lock"):  # jobs that begin at once need one copy
            cache.make_once(target, fill, size)
    except Exception:
        if must:
            raise


def _write(folder: Path, contents: Mapping[str, Sequence[Any]], fetch: Fetch) -> None:
    for name, pieces in contents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as opened:
            for piece in pieces:
                opened.write(fetch(piece))


def read(file: Path) -> Iterator[bytes]:
    """A file in `count` pieces."""
    with file.open("rb") as opened:
        for _ in range(count(file)):
            yield opened.read(PIECE)


def count(file: Path) -> int:
    """In how many pieces a file travels, at least one."""
    return max(1, -(-file.stat().st_size // PIECE))


def files_of(entry: Path) -> dict[str, Path]:
    """The files of a folder of the user cache, by their names there, which `cache.make_once` seals anew elsewhere."""
    below = {file.relative_to(entry).as_posix(): file for file in sorted(entry.rglob("*")) if file.is_file()}
    return {name: file for name, file in below.items() if name != checksums.NAME}


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


class _Changes:
    """What has changed in the folder of a job since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = self._listed()
        self._logged = 0
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time to bring back what an epoch has changed: short epochs don't wait for it each time."""
        return time.monotonic() >= self._next

    def messages(self) -> Iterator[Message]:
        """Files of one moment: a checkpoint is several that belong together, and status.json tells of all others."""
        begun = time.monotonic()
        with (self._folder / "job.log").open("rb") as log:
            log.seek(self._logged)
            added = log.read()
        self._logged += len(added)
        if added:
            yield "log", added
        listed, read = self._snapshot()
        for name in sorted(read, key=lambda name: (name == "status.json", name.endswith("epoch.npz"), name)):
            content = read[name]
            for at in range(0, len(content) or 1, PIECE):
                yield "file", (name, content[at : at + PIECE], at + PIECE >= len(content))
        if gone := sorted(self._known.keys() - listed.keys()):
            yield "gone", gone
        self._known = listed
        self._next = time.monotonic() + (time.monotonic() - begun) / SPENT

    def _snapshot(self) -> tuple[dict[str, tuple[int, int]], dict[str, bytes]]:
        for _ in range(TRIES):
            listed = self._listed()
            try:
                changed = [name for name, state in listed.items() if self._known.get(name) != state]
                read = {name: (self._folder / name).read_bytes() for name in changed}
            except FileNotFoundError:
                continue
            if self._listed() == listed:
                return listed, read
        return self._known, {}  # next time, then

    def _listed(self) -> dict[str, tuple[int, int]]:
        """Each file, but for the log and drafts, with what tells that it was written again."""
        found = {}
        for file in self._folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if file.is_file() and not file.name.startswith(DRAFT) and file.name != "job.log":
                    status = file.stat()
                    found[file.relative_to(self._folder).as_posix()] = (status.st_mtime_ns, status.st_size)
        return found


class _News:
    """What is new in one kind of the user cache since the job began."""

    def __init__(self, kind: str) -> None:
        self._kind = cache.folder(kind)
        self._known = self._listed()

    def messages(self) -> Iterator[Message]:
        for name in sorted(self._listed() - self._known):
            self._known.add(name)
            mark = cache.use(self._kind / name)
            files = files_of(self._kind / name)  # none, if another process has deleted it
            yield "entry", (f"{self._kind.name}/{name}", {each: count(file) for each, file in files.items()})
            for file in files.values():
                yield from read(file)
            mark.release()

    def _listed(self) -> set[str]:
        return {entry.name for entry in self._kind.glob("[!.]*")}
