"""How a job gets a process, its images and its folder: the one place where it matters on which machine it runs."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from zoo.run.job import Job
from zoo.run.plan import Plan

# Receives the events of one job, in the thread that runs it.
Notify = Callable[[dict[str, Any]], None]


class Executor(Protocol):
    """Runs jobs, several at a time, each in a process of its own. Leaving its context ends what still runs."""

    def room(self) -> int:
        """How many jobs run at a time, as far as is known."""

    def begin(self, plan: Plan, jobs: int) -> int:
        """Make ready to run so many jobs of a plan; how many threads may call `run` at a time, numbered from 0.

        Raises ConfigError where they cannot be run.
        """

    def prepare(self, number: int) -> None:
        """Thread `number` will have a job soon."""

    def run(self, job: Job, number: int, notify: Notify) -> int:
        """Run a job in thread `number`, and pass its events on, "job_launched" first; the exit status of its process.

        Then the job's folder is as the process has left it. What is raised instead tells why there is no status.
        """

    def stop(self) -> None:
        """End all that runs, so that every `run` returns or raises soon."""

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
