"""Where jobs run: what the user asks for, and what an executor is, who gives a job its process, images and folder.

Nothing else knows on which machine a job runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, get_args

from zoo import limits
from zoo.errors import ConfigError, unknown

if TYPE_CHECKING:
    from zoo.run.job import Job
    from zoo.run.plan import Plan

# Receives the events of one job, in the thread that runs it.
Notify = Callable[[dict[str, Any]], None]


class Executor(ABC):
    """Runs jobs, several at a time, each in another process than this. Leaving its context closes it."""

    @abstractmethod
    def room(self) -> int:
        """How many jobs run at a time, as far as is known."""

    def place(self) -> str:
        """Where jobs run, as "on 2 of 4 GPUs"; "" where that goes without saying."""
        return ""

    @abstractmethod
    def begin(self, plan: Plan, jobs: int) -> int:
        """Make ready to run so many jobs of a plan; how many threads may call `run` at a time, numbered from 0.

        Raises ConfigError where they cannot be run.
        """

    @abstractmethod
    def run(self, job: Job, number: int, notify: Notify) -> int:
        """Run a job in thread `number`, and pass its events on, "job_launched" first; the exit status of its process.

        Then the job's folder is as the process has left it. What is raised instead tells why there is no status.
        """

    @abstractmethod
    def stop(self) -> None:
        """End all that runs, so that every `run` returns or raises soon."""

    @abstractmethod
    def close(self) -> None:
        """End all that runs or waits."""

    def prepare(self, number: int) -> None:  # noqa: B027  # whoever has something to prepare does
        """Thread `number` will have a job soon."""

    def release(self, number: int) -> None:  # noqa: B027
        """Thread `number` will have no more jobs."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Kind = Literal["local", "ray"]
EXECUTORS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Jobs run on this machine ("local"), or on the machines of a Ray cluster ("ray").

    `workers` is how many at a time; None is one on this machine, and as many as there is room for on Ray. What follows
    is for Ray alone: `ray_address` names the cluster, None the one of RAY_ADDRESS or of this machine, where there is
    none one that is started for the time being; a job asks for so many CPU cores (None: one), GPUs (a fraction lets
    several share one; None: one where the cluster has any) and gigabytes of memory (None: whatever there is).

    Raises ConfigError for a number out of its limits, or what is for another executor.
    """

    executor: Kind = "local"
    workers: int | None = None
    ray_address: str | None = None
    cpus_per_job: int | None = None
    gpus_per_job: float | None = None
    memory_per_job: float | None = None

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise ConfigError(unknown("executor", self.executor, list(EXECUTORS)))
        numbers = {
            "workers": limits.WORKERS,
            "cpus_per_job": limits.CPUS,
            "gpus_per_job": limits.GPUS,
            "memory_per_job": limits.MEMORY,
        }
        for name, limit in numbers.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, limit.check(name, value))
        for field in fields(self)[2:] if self.executor == "local" else ():
            if getattr(self, field.name) is not None:
                raise ConfigError(f'{field.name} is for executor "ray"')

    def open(self) -> Executor:
        """The executor, ready to be told of jobs, as a context. Raises ConfigError where there is none to be had."""
        if self.executor == "local":
            from zoo.run.local_executor import LocalExecutor

            return LocalExecutor(self.workers or 1, ahead=True)
        from zoo.run.ray_executor import RayExecutor, Resources

        resources = Resources(self.cpus_per_job or 1, self.gpus_per_job, self.memory_per_job)
        return RayExecutor(self.ray_address, self.workers, resources)
