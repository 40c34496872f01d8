"""What a Ray cluster costs and gives: seconds that it adds to a job, and how well 190 jobs fill 1 to 64 machines.

    python benchmarks/cluster.py                # needs pip install 'zoo[ray]'; ten minutes on two CPU cores
    python benchmarks/cluster.py --jobs 4 --epochs 2

First the same jobs, a small network on the demo's folds, run on this machine and on a Ray cluster of one machine that
is started for it, one at a time with all cores, in turn, and as often as --rounds says; both user caches begin empty.
Printed: seconds a job of each, and the ratio. Both are given their first job beforehand, so that what is told is what
each further job costs.

Then a schedule is simulated: 19 models on ten folds, whose lengths spread as models' do (log-normal, each model's folds
by a tenth of that), handed out as zoo hands them to Ray: in order, the next one where a machine falls free, each with
the overhead measured. Printed for each number of machines: the makespan against the ideal, which is the larger of the
sum of lengths over the machines and the longest job.
"""

from __future__ import annotations

import argparse
import heapq
import os
import tempfile
import time
from pathlib import Path

import numpy as np

import zoo

MACHINES = (1, 2, 4, 8, 16, 32, 64)
MODELS, FOLDS = 19, 10
REGISTRY = """
[models.small]
backbone = "scratch-cnn"
batch_size = 32
schedule.name = "stages"
schedule.each = [{ name = "all", epochs = EPOCHS, patience = EPOCHS, learning_rate = 1e-3, unfreeze = "all" }]
"""


def seconds_a_job(place: Path, registry: Path, jobs: int, executor: str, **options: object) -> float:
    """How long each job takes after the first one."""
    os.environ["ZOO_CACHE"] = str(place / "cache")
    ended: list[float] = []

    def listen(job: object, event: dict[str, object]) -> None:
        if event["event"] == "job_ended":
            ended.append(time.perf_counter())

    folds = f"0-{jobs}"
    done = zoo.compare(
        ["small"], folds=folds, out=place / "run", registry=registry, executor=executor, listen=listen, **options
    )
    assert not done.missing, done.missing
    return (ended[-1] - ended[0]) / jobs


def makespan(lengths: np.ndarray, machines: int, overhead: float) -> float:
    """When the last job ends, if each goes to the machine that is free first."""
    free = [0.0] * machines
    for length in lengths:
        heapq.heappush(free, heapq.heappop(free) + length + overhead)
    return max(free)


def simulated(overhead: float, minutes: float, draws: int = 200) -> dict[int, tuple[float, float]]:
    """For each number of machines the median makespan in hours, and the median of it over the ideal."""
    rng = np.random.default_rng(0)
    found = {}
    for machines in MACHINES:
        pairs = []
        for _ in range(draws):
            models = rng.lognormal(np.log(minutes * 60), 1.0, MODELS)
            lengths = (models[:, None] * rng.lognormal(0, 0.1, (MODELS, FOLDS))).ravel()
            took = makespan(lengths, machines, overhead)
            pairs.append((took / 3600, took / max(lengths.sum() / machines, lengths.max())))
        hours, ratio = np.median(pairs, axis=0)
        found[machines] = (float(hours), float(ratio))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=6, help="after the first one")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the median job that is simulated")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found: dict[str, list[float]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as folder:
        registry = Path(folder, "registry.toml")
        registry.write_text(REGISTRY.replace("EPOCHS", str(arguments.epochs)), encoding="utf-8")
        for number in range(arguments.rounds):
            for executor in found:
                place = Path(folder, f"{executor}-{number}")
                options = {"workers": 1, "cpus_per_job": cores} if executor == "ray" else {}
                found[executor].append(seconds_a_job(place, registry, arguments.jobs, executor, **options))
                print(f"{executor}: {found[executor][-1]:.2f} seconds a job", flush=True)
    local, ray = (float(np.median(seconds)) for seconds in found.values())
    print(f"median: {local:.2f} here, {ray:.2f} on Ray: {ray - local:+.2f} seconds a job, {ray / local:.2f} times")
    overhead = max(ray - local, 0.0)
    print(f"{MODELS * FOLDS} jobs, the median one of {arguments.minutes:g} minutes, {overhead:.1f} seconds on top:")
    for machines, (hours, ratio) in simulated(overhead, arguments.minutes).items():
        print(f"  {machines:3d} machines: {hours:6.1f} hours, {ratio:.2f} of the ideal")


if __name__ == "__main__":
    main()
