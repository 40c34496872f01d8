"""What travels between the machine where a run is planned and one where a job is run: messages, and files in pieces.

A job's machine sends what the job has changed, and what is new in its user cache; `Receiver` writes the former where
the run is. Knows nothing of the engine that carries it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.data import cache, checksums
from zoo.files import DRAFT, delete, replacing
from zoo.run.job import Job

PIECE = 64 * 2**20  # bytes
SPENT = 0.1  # of the time at most goes into bringing back what an epoch has changed
TRIES = 20  # at reading a folder while nothing in it changes

# Opens a piece.
Fetch = Callable[[Any], bytes]
# The files of a folder, each in pieces.
Contents = dict[str, list[Any]]

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


def write(folder: Path, contents: Mapping[str, Sequence[Any]], fetch: Fetch) -> None:
    """Files from their pieces, below a folder."""
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


def size(contents: Contents) -> int:
    """How many bytes a folder takes, at most."""
    return PIECE * sum(map(len, contents.values()))


def files_of(entry: Path) -> dict[str, Path]:
    """The files of a folder of the user cache, by their names there, which `cache.make_once` seals anew elsewhere."""
    below = {file.relative_to(entry).as_posix(): file for file in sorted(entry.rglob("*")) if file.is_file()}
    return {name: file for name, file in below.items() if name != checksums.NAME}


class Changes:
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


class News:
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


class Receiver:
    """Writes what comes back of a job into its folder, each file as a whole."""

    def __init__(self, job: Job) -> None:
        self._folder = job.folder
        self._parts: dict[str, list[bytes]] = {}

    def take(self, kind: str, content: Any) -> None:
        """One message of what the job has changed."""
        if kind == "log":
            with self._folder.log.open("ab") as log:
                log.write(content)
        elif kind == "file":
            name, part, last = content
            self._parts.setdefault(name, []).append(part)
            if last:
                file = self._folder.path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with replacing(file) as draft:
                    draft.write_bytes(b"".join(self._parts.pop(name)))
        elif kind == "gone":
            for name in content:
                (self._folder.path / name).unlink(missing_ok=True)
            if self._folder.checkpoint.is_dir() and not any(self._folder.checkpoint.iterdir()):
                delete(self._folder.checkpoint)
