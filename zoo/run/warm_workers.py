"""Workers that are started before there is a job for them: loading Keras takes seconds."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType

from zoo.run.worker_process import Share, start


class WarmWorkers:
    """Workers that wait for a job, at most one for each share of the machine. Leaving its context ends them.

    Those of the shares `ahead` are started at once, to load Keras while images are read.
    """

    def __init__(self, ahead: Sequence[Share] = ()) -> None:
        self._waiting: dict[Share, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._closed = False
        for share in ahead:
            self.prepare(share)

    def prepare(self, share: Share) -> None:
        """Start a worker for this share unless one waits. What goes wrong with it shows when a job needs one."""
        with self._lock, contextlib.suppress(OSError):
            if not self._closed and share not in self._waiting:
                self._waiting[share] = start(share, subprocess.DEVNULL)

    def take(self, share: Share) -> subprocess.Popen[str] | None:
        """The worker that waits, if there is one and it still lives."""
        with self._lock:
            process = self._waiting.pop(share, None)
        if process and process.poll() is not None:
            process.communicate()
            return None
        return process

    def close(self) -> None:
        """End those that wait, for good."""
        with self._lock:
            self._closed = True
            for process in self._waiting.values():
                process.kill()
                process.communicate()
            self._waiting.clear()

    def __enter__(self) -> WarmWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
