"""Which jobs may run side by side on a GPU: only those whose memory is known and free."""

from __future__ import annotations

import shutil
import subprocess
import threading

MARGIN = 1.2  # what a job may need above what another fold of its model needed


def free_memory() -> int | None:
    """Free memory of the GPU in MiB, as nvidia-smi says; None where there is none. Of several GPUs the first counts."""
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return int(done.stdout.splitlines()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


class Gate:
    """Lets jobs in to a GPU that they share; without a GPU, everyone at once.

    The first job of a model runs alone, which tells how much memory its others need: they come in while as much
    is free. Call `watch` now and then while a job runs.
    """

    def __init__(self) -> None:
        self._free_at_first = free_memory()
        self._needs: dict[str, int] = {}  # MiB, of models whose first job has ended
        self._measuring: dict[str, int] = {}  # the model that runs alone, and the most memory seen so far
        self._running = 0
        self._changed = threading.Condition()

    @property
    def guards(self) -> bool:
        """Whether there is a GPU."""
        return self._free_at_first is not None

    def enter(self, model: str) -> None:
        """Wait until a job of this model may run."""
        with self._changed:
            while not self._admits(model):
                self._changed.wait(1.0)  # memory is freed without a word
            self._running += 1
            if self._free_at_first is not None and model not in self._needs:
                self._measuring = {model: 0}

    def _admits(self, model: str) -> bool:
        if self._free_at_first is None or not self._running:
            return True
        if self._measuring or model not in self._needs:
            return False
        return (free_memory() or 0) >= MARGIN * self._needs[model]

    def watch(self) -> None:
        """Look how much memory the job that runs alone has taken."""
        with self._changed:
            for model, most in self._measuring.items():
                used = (self._free_at_first or 0) - (free_memory() or 0)
                self._measuring[model] = max(most, used)

    def leave(self, model: str) -> None:
        """A job of this model has ended."""
        with self._changed:
            self._running -= 1
            if model in self._measuring:
                self._needs[model] = self._measuring.pop(model)
            self._changed.notify_all()
