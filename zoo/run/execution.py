"""Where jobs run, and how many at a time: what the user asks for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from zoo import limits
from zoo.errors import ConfigError, unknown
from zoo.run.executor import Executor
from zoo.run.local_executor import LocalExecutor

Kind = Literal["local", "ray"]
KINDS: tuple[Kind, ...] = get_args(Kind)


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
        if self.executor not in KINDS:
            raise ConfigError(unknown("executor", self.executor, list(KINDS)))
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
            return LocalExecutor(self.workers or 1, ahead=True)
        from zoo.run.ray_executor import RayExecutor, Resources

        resources = Resources(self.cpus_per_job or 1, self.gpus_per_job, self.memory_per_job)
        return RayExecutor(self.ray_address, self.workers, resources)
