"""Marks of what a process has in use, for others to heed; the system takes them back however the process ends.

A mark is a file that its process keeps locked. One that nobody has locked is of a process that has ended.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

PATIENCE = 10.0  # seconds to wait for who makes or looks at marks, which takes milliseconds


@dataclass(frozen=True)
class Mark:
    """That this process has something in use, until `release` or its end."""

    lock: FileLock

    def release(self) -> None:
        """It is no longer in use. Does nothing the second time."""
        with contextlib.suppress(OSError):  # gone already, or Windows: whoever looks next removes it
            Path(self.lock.lock_file).unlink()
        self.lock.release()


@contextlib.contextmanager
def gate(marks: Path) -> Iterator[None]:
    """Nobody else marks anything meanwhile. Raises OSError where the folder cannot be written."""
    marks.mkdir(parents=True, exist_ok=True)
    with FileLock(marks / "gate", timeout=PATIENCE):
        yield


def mark(marks: Path, name: str) -> Mark:
    """Mark `name` as in use by this process. Where the folder cannot be written the mark says nothing."""
    made = Mark(FileLock(marks / f"{name}.{uuid.uuid4().hex}", timeout=0, thread_local=False))
    with contextlib.suppress(OSError), gate(marks):  # else who looks might take it for that of a dead process
        made.lock.acquire()
    return made


def names(marks: Path) -> set[str]:
    """What is in use by any process, to be asked within `gate`. Marks of processes that have ended are removed."""
    found = set()
    for file in marks.glob("*.*"):
        try:
            with FileLock(file, timeout=0):
                pass
        except OSError:  # somebody holds it; or it is another user's, who may
            found.add(file.name.rpartition(".")[0])
        else:
            file.unlink(missing_ok=True)
    return found
