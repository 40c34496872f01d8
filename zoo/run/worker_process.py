"""A worker as its parent sees it: a process that is given jobs, one after the other, and tells how they go."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from zoo.encoding import OF_LOGS
from zoo.training import logs

if TYPE_CHECKING:
    from zoo.run.job import Job

# Libraries that reserve a whole GPU at once would leave nothing to the job beside.
ENVIRONMENT = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

VISIBLE = "CUDA_VISIBLE_DEVICES"  # the GPUs that a process may use, by number or UUID


@dataclass(frozen=True)
class Share:
    """What a worker may use of its machine: CPU cores, () for all, and the GPU of this UUID, "" for all."""

    cores: tuple[int, ...] = ()
    gpu: str = ""


def start(share: Share, log: IO[bytes] | int, changes: Mapping[str, str | None] | None = None) -> subprocess.Popen[str]:
    """A worker, see `zoo.run.worker`, on a share of this machine; `log` takes what it prints until it has a job.

    `changes` are made to the environment that it gets; None takes a variable out.
    """
    environment = {**ENVIRONMENT, **logs.environment(logs.ERRORS), **OF_LOGS, **(changes or {})}
    if share.gpu:
        environment[VISIBLE] = share.gpu
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "zoo.run.worker", ",".join(map(str, share.cores))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={name: value for name, value in environment.items() if value is not None},
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the workers in order
    )


class WorkerProcess:
    """A worker that was started, and what is known of it.

    `ready` says whether it has done its last job and takes another, `renewing` that it will not, as it knows already.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.ready = self.renewing = False
        self.status = 0
        self._process = process
        self._origins: set[str] = set()

    def suits(self, job: Job) -> bool:
        """Whether it takes this job: one with parts of other packages than those that it has loaded gets a new one."""
        return self.ready and self._origins == {*job.origins.values()}

    def events(self, job: Job) -> Iterator[dict[str, Any]]:
        """Run a job; what the worker says of it. Then `status` is 0 if it is done, else how the process ended."""
        process, self.ready, self._origins = self._process, False, {*job.origins.values()}
        assert process.stdin and process.stdout
        with contextlib.suppress(BrokenPipeError):  # one that died at once says so by its exit status
            process.stdin.write(job.to_json() + "\n")
            process.stdin.flush()
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "ready":
                self.ready, self.status = True, 0
                return
            if event["event"] == "renewing":
                self.renewing = True
            else:
                yield event
        self.status = process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def end(self) -> None:
        """End it, unless it has ended, and wait until it is gone."""
        self.kill()
        with contextlib.suppress(BrokenPipeError), self._process:
            pass
