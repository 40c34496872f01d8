"""Run jobs on a Ray cluster, whose machines need no disk in common: each job a task that runs today's worker there."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zoo
from zoo.data import cache
from zoo.errors import ConfigError, TrainingError, one_line, shorten
from zoo.files import hash_file, read_json
from zoo.interfaces import Recipe, distribution
from zoo.plugins import discovery, registry
from zoo.run import node, provenance, transfer, versions
from zoo.run.executor import Executor, Notify
from zoo.run.job import Job
from zoo.run.plan import Plan
from zoo.run.request import weights_files
from zoo.training import backend, logs, pretrained

MOST = 200  # jobs that Ray is given at a time; each takes a thread here, which waits
LOSSES = 3  # machines in a row that a job may lose before an epoch has ended, until it is taken to be what kills them
ANSWER = 10.0  # seconds that a cluster is given to answer at all
PATIENCE = 300.0  # seconds that a piece of a file may take on its way
CHECKING = 600.0  # seconds that a machine is given to say what is installed there
# Of the environment what changes numbers or what a job may do, not what is another machine's own business.
CARRIED = ("ZOO_DEBUG", "ZOO_PLUGINS", "OMP_NUM_THREADS", "TF_", "XLA_", "JAX_", "KERAS_BACKEND")
# Packages whose versions must be alike everywhere, beside those that the parts come from and the backend.
ALIKE = ("zoo", "keras", "numpy")


@dataclass(frozen=True)
class Resources:
    """What one job asks Ray for.

    `cpus` are cores; `gpus` may be a fraction, so that several small jobs share one, and None is one where the cluster
    has any; `memory` is in gigabytes, None for whatever there is.
    """

    cpus: int = 1
    gpus: float | None = None
    memory: float | None = None

    def on(self, machines: list[dict[str, Any]]) -> Resources:
        """What is asked of a cluster of these `ray.nodes()`, with `gpus` settled."""
        has_gpus = any(each["Resources"].get("GPU") for each in machines)
        return dataclasses.replace(self, gpus=float(has_gpus) if self.gpus is None else self.gpus)

    def options(self) -> dict[str, Any]:
        """As Ray's tasks take them."""
        memory = {} if self.memory is None else {"memory": int(self.memory * 2**30)}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus or 0, **memory}

    def fit(self, machine: dict[str, Any]) -> int:
        """How many such jobs a machine of `ray.nodes()` takes at a time."""
        has = machine["Resources"]
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": (self.memory or 0) * 2**30}
        return int(min(has.get(name, 0) / amount + 1e-9 for name, amount in wanted.items() if amount))

    def __str__(self) -> str:
        parts = [f"{self.cpus} CPUs" if self.cpus > 1 else "1 CPU"]
        parts += [f"{self.gpus:g} GPU{'s' * (self.gpus != 1)}"] if self.gpus else []
        parts += [f"{self.memory:g} GB of memory"] if self.memory else []
        return ", ".join(parts)


class RayExecutor(Executor):
    """Runs jobs as tasks of Ray, which places them. As a context it is connected to a cluster.

    That is the one at `address`, else the one that RAY_ADDRESS names or that runs on this machine; where there is none
    one is started here for the time being. At most `workers` jobs run at a time, None for as many as there is room for.

    Raises ConfigError if ray isn't installed or the cluster cannot be reached.
    """

    def __init__(self, address: str | None, workers: int | None, resources: Resources) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._stopping = False
        self._running: dict[int, Any] = {}
        self._ray, self._own = _connect(address)
        self._resources = resources.on(self._machines())
        self._parcels: _Parcels | None = None

    def begin(self, plan: Plan, jobs: int) -> int:
        machines = [each for each in self._machines() if self._resources.fit(each)]
        if not machines:
            raise ConfigError(f"no machine of the Ray cluster has {self._resources}; ask for less, or add machines")
        self._parcels = _Parcels(plan, self._resources, self._ray, len(machines) > 1)
        self._check(machines)
        return min(jobs, self._workers or MOST)

    def room(self) -> int:
        room = sum(map(self._resources.fit, self._machines()))
        return max(1, min(room, self._workers or room))

    def place(self) -> str:
        machines = self._machines()
        cpus, gpus = (sum(each["Resources"].get(name, 0) for each in machines) for name in ("CPU", "GPU"))
        many = f"{len(machines)} machines" if len(machines) > 1 else "1 machine"
        return f"on a Ray cluster ({many}: {Resources(int(cpus), gpus)}); each asks for {self._resources}"

    def _machines(self) -> list[dict[str, Any]]:
        """Those of the cluster, as Ray tells of them."""
        return [each for each in self._ray.nodes() if each["Alive"]]

    def _check(self, machines: list[dict[str, Any]]) -> None:
        """Refuse machines with other packages: what they would train is not the same."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        assert self._parcels
        ask = self._ray.remote(num_cpus=0, max_retries=0)(versions.differences)
        asked = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)).remote(
                self._parcels.versions
            )
            for each in machines
        ]
        faults = []
        for machine, answer in zip(machines, asked, strict=True):
            name = machine.get("NodeManagerHostname") or machine["NodeManagerAddress"]
            try:
                faults += [f"{name}: {fault}" for fault in self._ray.get(answer, timeout=CHECKING)]
            except Exception as error:  # zoo isn't there, or not this one
                faults.append(f"{name}: cannot be asked what is installed there: {_reason(error)}")
        if faults:
            raise ConfigError(
                f"machines of the Ray cluster have other packages than this one:\n{shorten(faults)}\ninstall the same "
                "there, or have Ray do it with a runtime environment (docs/clusters.md)"
            )

    def run(self, job: Job, number: int, notify: Notify) -> int:
        assert self._parcels
        losses, launched = 0, False

        def told(event: dict[str, Any]) -> None:
            nonlocal losses, launched
            if event["event"] == "job_launched":
                if launched:
                    return
                launched = True
            if event["event"] == "epoch_ended":
                losses = 0
            notify(event)

        while True:
            try:
                status = self._once(job, number, told)
            except Exception as error:
                reason = _reason(error)
                if job.folder.done:  # and all of it has come back, before its machine was lost
                    status = 0
                elif self._stopping or not self._is_loss(error):
                    raise TrainingError(reason) from error
                elif (losses := losses + 1) == LOSSES:
                    lost = f"{losses} machines were lost with it, one after the other"
                    raise TrainingError(f"{lost}: {reason}") from error
                else:
                    notify({"event": "warning", "text": f"its machine was lost ({reason}); {self._elsewhere()}"})
                    continue
            if status == 0:
                _remember(job)
            if status is not None:
                return status

    def _elsewhere(self) -> str:
        """What becomes of a job whose machine is lost."""
        if any(map(self._resources.fit, self._machines())):
            return "it goes on elsewhere"
        return f"no other one has {self._resources}, and it waits until one joins the cluster"

    def _is_loss(self, error: Exception) -> bool:
        """Whether the machine is to blame, or what Ray runs there, and not the job."""
        of = self._ray.exceptions
        losses = (of.NodeDiedError, of.WorkerCrashedError, of.ObjectLostError, of.LocalRayletDiedError)
        return isinstance(error, losses)

    def _once(self, job: Job, number: int, notify: Notify) -> int | None:
        """Run a job until it ends; None if it has to be sent again, with more."""
        assert self._parcels
        task = self._ray.remote(num_returns="streaming", max_retries=0, **self._resources.options())(on_node)
        parcel = self._parcels.pack(job)
        with self._lock:
            if self._stopping:
                raise TrainingError("interrupted")
            stream = self._running[number] = task.remote(parcel)
        folder, machine = transfer.Receiver(job), ""
        try:
            for reference in stream:
                kind, content = self._ray.get(reference)
                if kind == "at":
                    machine = content
                elif kind == "event":
                    notify(content)
                elif kind == "launched":
                    notify({"event": "job_launched"})
                elif kind == "entry":
                    name, files = content
                    # They stay where they are until another machine needs them.
                    kept = {file: [next(stream, None) for _ in range(pieces)] for file, pieces in files.items()}
                    if all(None not in pieces for pieces in kept.values()):
                        self._parcels.keep(job, name, kept, machine)
                elif kind == "missing":
                    for name in content:
                        self._parcels.bring(name)
                    return None
                elif kind == "refused":
                    raise TrainingError(content)
                elif kind == "exit":
                    return int(content)
                else:
                    folder.take(kind, content)
        except Exception as error:
            if self._is_loss(error):
                self._parcels.forget(machine)
            raise
        finally:
            with self._lock:
                self._running.pop(number, None)
        raise TrainingError("its machine has said no last word")

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            for stream in self._running.values():
                with contextlib.suppress(Exception):
                    self._ray.cancel(stream, force=True)

    def close(self) -> None:
        self.stop()
        if self._own:
            self._ray.shutdown()


def _remember(job: Job) -> None:
    """Weights that were trained elsewhere are known here as those that were trained here, whoever brings them."""
    begun = read_json(job.folder.provenance)
    provenance.remember(job.folder.best, provenance.Provenance.from_table(begun), begun["began_with"])


def on_node(parcel: node.Parcel) -> Iterator[transfer.Message]:
    """What the task of a job does, on whatever machine Ray has placed it."""
    import ray

    def fetch(piece: Any) -> bytes:
        return bytes(ray.get(piece, timeout=PATIENCE))

    yield "at", ray.get_runtime_context().get_node_id()
    yield from node.attend(parcel, fetch)


def _connect(address: str | None) -> tuple[Any, bool]:
    """Ray, connected; and whether that is ours to end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here reports to nobody
    try:
        import ray
    except ImportError:
        raise ConfigError("ray is not installed: pip install 'zoo[ray]'") from None
    if ray.is_initialized():
        return ray, False
    logging.getLogger("ray").setLevel(logging.ERROR)  # advice about its own settings, in the midst of tables
    place = address or os.environ.get("RAY_ADDRESS") or ""
    host, _, port = place.rpartition(":")
    fault, advice = f"no Ray cluster answers at {place or 'hand'}", ""
    try:
        if host and port.isdigit() and "/" not in host:  # Ray itself would go on trying for minutes
            socket.create_connection((host, int(port)), timeout=ANSWER).close()
            fault = f"the Ray cluster at {place} cannot be joined"
            advice = "; is it of another version of Ray, or does it ask for a token (RAY_AUTH_MODE=token shows it)?"
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:
        raise ConfigError(f"{fault}: {one_line(error)}{advice}") from error
    return ray, True


def _reason(error: Exception) -> str:
    """The first sentence of what Ray says, which goes on for a page."""
    cause = getattr(error, "cause", None) or error
    return one_line(cause).partition(". ")[0]


class _Parcels:
    """What jobs of a plan take along. What is large is handed to Ray once, and lies wherever it was needed."""

    def __init__(self, plan: Plan, resources: Resources, ray: Any, shares: bool) -> None:
        self._ray = ray
        self._plan = plan
        self._resources = resources
        self._shares = shares
        self._lock = threading.Lock()
        self._brought: dict[str, transfer.Contents] = {}
        self._features: dict[str, dict[str, tuple[str, transfer.Contents]]] = {}  # of each backbone, with where it lies
        run = plan.run
        self._run_files = {file.name: file.read_bytes() for file in (run.splits, run.duplicates) if file.exists()}
        found = discovery.discover()
        self._code: dict[str, dict[str, str]] = {}
        self._weights: dict[str, dict[str, tuple[str, list[Any]]]] = {}
        by_sum: dict[str, list[Any]] = {}
        for model, job in {job.model: job for job in plan.jobs}.items():
            recipe = registry.build_recipe(model, job.recipe, found, job.source)
            self._code[model] = recipe.code
            self._weights[model] = {}
            for key, file in _files_to_start_from(recipe, job).items():
                digest = hash_file(file)
                if digest not in by_sum:
                    by_sum[digest] = self._pieces(file)
                self._weights[model][key] = digest, by_sum[digest]
        parts = {distribution(origin) for job in plan.jobs for origin in job.origins.values()}
        named = sorted({*ALIKE, *parts, backend.chosen()} - {""})
        self.versions = {**versions.here(named), "zoo": zoo.__version__}
        self._environment = {"OMP_NUM_THREADS": None} | {  # which Ray sets
            name: value for name, value in logs.environment(logs.ERRORS).items() if name.startswith(CARRIED)
        }
        self._environment["KERAS_BACKEND"] = backend.chosen()

    def _pieces(self, file: Path) -> list[Any]:
        return [self._ray.put(piece) for piece in transfer.read(file)]

    def pack(self, job: Job) -> node.Parcel:
        """A job with all that it needs, as far as machines are known to lack it."""
        images = f"images/{self._plan.store.name}"
        job = dataclasses.replace(job, code=self._code[job.model])
        begun = [job.folder.provenance, *job.folder.checkpoint.glob("[!.]*")]
        files = {each.relative_to(job.folder.path).as_posix(): self._pieces(each) for each in begun if each.is_file()}
        with self._lock:
            computed = self._features.get(_backbone(job), {})
            entries = {**self._brought, **{name: contents for name, (_, contents) in computed.items()}}
        return node.Parcel(
            job=job,
            versions=self.versions,
            run_files=self._run_files,
            job_files=files,
            entries=entries,
            needed=(images,),
            weights=self._weights[job.model],
            cores=self._resources.cpus,
            shares=self._shares,
            keeps=not self._resources.gpus,  # one that waits would keep its memory of the GPU
            environment=self._environment,
        )

    def bring(self, name: str) -> None:
        """From now on jobs take this folder of the user cache along."""
        with self._lock:
            if name not in self._brought:
                folder = cache.folder(name)
                self._brought[name] = {each: self._pieces(file) for each, file in transfer.files_of(folder).items()}

    def keep(self, job: Job, name: str, contents: transfer.Contents, machine: str) -> None:
        """Other jobs with this backbone may need what this one has computed, and what lies on that machine."""
        with self._lock:
            self._features.setdefault(_backbone(job), {}).setdefault(name, (machine, contents))

    def forget(self, machine: str) -> None:
        """What lies on a machine is lost with it."""
        with self._lock:
            for backbone, computed in self._features.items():
                kept = {name: entry for name, entry in computed.items() if entry[0] != machine}
                self._features[backbone] = kept


def _files_to_start_from(recipe: Recipe, job: Job) -> dict[str, Path]:
    """The files on this machine that weights of a job come from, by what the job asks for them by."""
    named = weights_files([recipe], job.start_from)
    if named or recipe.backbone.weights == "none":
        return {file: Path(file) for file in named}
    files = [source.file for source in pretrained.starts(recipe.backbone)]
    return {pretrained.key(file.name): file.path for file in files if file.url and file.path.is_file()}


def _backbone(job: Job) -> str:
    return repr(sorted(job.recipe["backbone"].items(), key=str))
