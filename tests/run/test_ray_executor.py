"""Jobs on a Ray cluster of several nodes on this machine, each with a user cache and plug-ins of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import zoo
from tests.conftest import TINY_PLUGIN, Install
from zoo.errors import ConfigError
from zoo.run import provenance, ray_executor
from zoo.run.folder import JobFolder, RunFolder
from zoo.run.ray_executor import RayExecutor, Resources
from zoo.training import archive

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MEMORY = 80 * 2**20  # of each object store, in bytes


class Nodes:
    """A cluster whose head runs no jobs. Each other node has a user cache and a folder of plug-ins of its own."""

    def __init__(self, root: Path) -> None:
        from ray.cluster_utils import Cluster

        self.root = root
        head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[Any] = []

    def add(self, plugins: Path, cpus: int = 1) -> None:
        """One more node."""
        cache = self.cache(len(self.nodes))
        # Locks of cores are in the folder for temporary files: other tests run on this machine too.
        variables = {"ZOO_CACHE": str(cache), "PYTHONPATH": str(plugins), "TMPDIR": str(self.root)}
        self.nodes.append(self.cluster.add_node(num_cpus=cpus, object_store_memory=MEMORY, env_vars=variables))

    def cache(self, number: int) -> Path:
        """The user cache of a node."""
        return self.root / f"cache-{number}"

    def jobs(self) -> list[Path]:
        """The folders of jobs that run on any node."""
        return [*self.root.glob("cache-*/jobs/*")]

    def kill(self, number: int) -> None:
        """End a node as a power cut does."""
        self.cluster.remove_node(self.nodes[number], allow_graceful=False)


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    started = Nodes(tmp_path)
    yield started
    ray.shutdown()
    started.cluster.shutdown()


def compared(models: list[str], data: Path, out: Path, **options: Any) -> zoo.Comparison:
    return zoo.compare(models, data=data, out=out, image_size=32, **options)


def assert_same(one: RunFolder, other: RunFolder, model: str, folds: int = 2) -> None:
    """Every number and every weight of these jobs, bit for bit."""
    for fold in range(folds):
        ours, theirs = one.job(model, fold), other.job(model, fold)
        assert ours.predictions.read_bytes() == theirs.predictions.read_bytes()
        assert ours.metrics.read_bytes() == theirs.metrics.read_bytes()
        timeless = [pd.read_csv(job.history).drop(columns="seconds") for job in (ours, theirs)]
        pd.testing.assert_frame_equal(*timeless, check_exact=True)
        for (name, mine), (_, its) in zip(archive.arrays(ours.best), archive.arrays(theirs.best), strict=True):
            np.testing.assert_array_equal(mine[()], its[()], err_msg=name)


THREE = (
    TINY_PLUGIN
    + """

EACH = [
    {"name": name, "epochs": 12, "patience": 12, "learning_rate": 0.01, "unfreeze": unfreeze, "batchnorm": "train"}
    for name, unfreeze in (("head", 0), ("top", "block1"), ("all", "all"))
]


@dataclass(frozen=True)
class Slow(zoo.Augmenter):
    name = "slow"

    def augment(self, images, rng):
        import time

        time.sleep(0.02)
        return images


@zoo.hookimpl
def zoo_augmenters():
    return [Slow]


@zoo.hookimpl
def zoo_models():
    schedule = {"name": "stages", "each": EACH}
    slow = {"backbone": "tiny", "schedule": schedule, "batch_size": 8, "augmenter": "slow"}
    return {"slow": slow, "three": {"backbone": "tiny", "schedule": {"name": "stages", "each": EACH}, "batch_size": 8}}
"""
)


@pytest.fixture(autouse=True)
def of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed serves the jobs that run here."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


Train = Callable[[str], zoo.Comparison]


@pytest.fixture
def here(install: Install, folds: Path, tmp_path: Path) -> Train:
    """Trains one of the models on this machine."""
    install(THREE)
    return lambda model: compared([model], folds, tmp_path / "run-here", workers=2)


def on(nodes: Nodes) -> dict[str, Any]:
    return {"executor": "ray", "ray_address": nodes.cluster.address}


def test_the_same_as_here_to_the_last_bit(here: Train, folds: Path, tmp_path: Path, nodes: Nodes) -> None:
    """On two nodes, of which neither has the images."""
    for _ in range(2):
        nodes.add(tmp_path / "site")
    heard: list[tuple[str, str]] = []

    def listen(job: Any, event: dict[str, Any]) -> None:
        heard.append((job.title, event["event"]))

    there = compared(["three"], folds, tmp_path / "there", listen=listen, **on(nodes))
    known_there = [recognised(there.run.job("three", fold)) for fold in (0, 1)]
    local = here("three")
    assert (local.missing, there.missing) == ([], [])
    assert_same(local.run, there.run, "three")
    assert local.summary.equals(there.summary)
    for fold in (0, 1):
        job = there.run.job("three", fold)
        assert not job.checkpoint.exists()
        assert {file.name for file in job.path.iterdir()} == {
            file.name for file in local.run.job("three", fold).path.iterdir()
        }
        of_job = [event for title, event in heard if title == f"three, fold {fold}"]
        assert (of_job[0], of_job.count("job_launched"), of_job[-1]) == ("job_launched", 1, "job_ended")
        assert known_there[fold] == recognised(local.run.job("three", fold)) != provenance.Provenance()
    for number in (0, 1):
        assert [*nodes.cache(number).glob("images/*/pixels.npy")]
        assert not [*nodes.cache(number).glob("jobs/*")]


def test_a_node_lost_in_each_of_three_stages(here: Train, folds: Path, tmp_path: Path, nodes: Nodes) -> None:
    for _ in range(4):
        nodes.add(tmp_path / "site")
    killed: list[str] = []
    left = [0, 1, 2, 3]
    said: list[str] = []

    def listen(job: Any, event: dict[str, Any]) -> None:
        if event["event"] == "epoch_ended" and event["epoch"] == 4 and event["stage"] not in killed:
            killed.append(event["stage"])
            (number,) = [number for number in left if [*nodes.cache(number).glob("jobs/*")]]
            nodes.kill(number)
            left.remove(number)
        if event["event"] in ("warning", "resumed"):
            said.append(event.get("text", "resumed").partition(" (")[0])

    there = compared(["slow"], folds, tmp_path / "there", folds="0", listen=listen, **on(nodes))
    assert there.missing == []
    assert killed == ["head", "top", "all"]
    assert said == ["its machine was lost", "resumed"] * 3
    assert_same(here("slow").run, there.run, "slow", folds=1)


def test_a_driver_that_is_killed(here: Train, folds: Path, tmp_path: Path, nodes: Nodes) -> None:
    """The jobs end with it, and the same command goes on, here or there."""
    nodes.add(tmp_path / "site", cpus=2)
    options = ["compare", "slow", "--data", folds, "--image-size", "32", "--out", tmp_path / "there"]
    ray_options = ["--executor", "ray", "--ray-address", nodes.cluster.address]
    command = [sys.executable, "-P", "-m", "zoo.cli", *map(str, [*options, *ray_options])]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    run = RunFolder(tmp_path / "there")
    wait_for(lambda: all((run.job("slow", fold).checkpoint / "epoch.npz").exists() for fold in (0, 1)))
    driver.kill()
    driver.communicate()
    wait_for(lambda: not running(tmp_path))
    resumed: list[str] = []

    def listen(job: Any, event: dict[str, Any]) -> None:
        if event["event"] == "resumed":
            resumed.append(job.title)

    there = compared(["slow"], folds, tmp_path / "there", workers=2, listen=listen)
    assert sorted(resumed) == ["slow, fold 0", "slow, fold 1"]
    assert_same(here("slow").run, there.run, "slow")


def test_ctrl_c(install: Install, folds: Path, tmp_path: Path, nodes: Nodes) -> None:
    install(TINY_PLUGIN)
    nodes.add(tmp_path / "site")

    def listen(job: Any, event: dict[str, Any]) -> None:
        if event["event"] == "epoch_ended":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compared(["tiny-long"], folds, tmp_path / "run", listen=listen, **on(nodes))
    run = RunFolder(tmp_path / "run")
    assert run.job("tiny-long", 0).status()["error"] == "interrupted"
    wait_for(lambda: not running(tmp_path))


def test_a_node_with_other_packages(install: Install, folds: Path, tmp_path: Path, nodes: Nodes) -> None:
    install(TINY_PLUGIN)
    older = tmp_path / "older/zoo_tiny-0.9.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-tiny\nVersion: 0.9\n")
    nodes.add(tmp_path / "site")
    nodes.add(tmp_path / "nothing")
    nodes.add(tmp_path / "older")
    with pytest.raises(ConfigError) as caught:
        compared(["tiny"], folds, tmp_path / "run", **on(nodes))
    assert "zoo-tiny 1.0 is missing" in str(caught.value)
    assert "zoo-tiny is 0.9 instead of 1.0" in str(caught.value)
    assert not (tmp_path / "run/tiny").exists()


def test_more_than_any_machine_has(install: Install, folds: Path, tmp_path: Path, nodes: Nodes) -> None:
    install(TINY_PLUGIN)
    nodes.add(tmp_path / "site")
    with pytest.raises(ConfigError, match="no machine of the Ray cluster has 3 CPUs, 2 GB of memory; ask for less"):
        compared(["tiny"], folds, tmp_path / "run", cpus_per_job=3, memory_per_job=2, **on(nodes))


def test_what_is_said_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = [{"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}, {"Alive": True, "Resources": {"CPU": 8.0}}]
    known = SimpleNamespace(nodes=lambda: machines)
    monkeypatch.setattr(ray_executor, "_connect", lambda address: (known, False))
    executor = RayExecutor(None, None, Resources(cpus=2, gpus=0.5))
    assert executor.room() == 2
    assert executor.place() == "on a Ray cluster (2 machines: 12 CPUs, 1 GPU); each asks for 2 CPUs, 0.5 GPUs"
    assert executor._elsewhere() == "it goes on elsewhere"
    machines[0]["Alive"] = False
    assert executor._elsewhere() == "no other one has 2 CPUs, 0.5 GPUs, and it waits until one joins the cluster"


def test_weights_travel(
    install: Install, folds: Path, tmp_path: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model file that training starts from lies on this machine alone, and what it has seen is heeded there."""
    install(TINY_PLUGIN)
    nodes.add(tmp_path / "site", cpus=os.cpu_count() or 1)
    first = compared(["tiny"], folds, tmp_path / "first", folds="0", seed=3)
    start = first.run.job("tiny", 0).best
    options = {"start_from": start, "allow_leak": True, "folds": "0"}
    here = compared(["tiny"], folds, tmp_path / "a", **options)
    begin = RayExecutor.begin

    def hide(executor: RayExecutor, *about: Any) -> int:
        jobs = begin(executor, *about)
        start.rename(tmp_path / "elsewhere")
        return jobs

    monkeypatch.setattr(RayExecutor, "begin", hide)
    there = compared(["tiny"], folds, tmp_path / "b", cpus_per_job=os.cpu_count(), **options, **on(nodes))
    assert_same(here.run, there.run, "tiny", folds=1)
    assert there.run.job("tiny", 0).provenance.read_text() == here.run.job("tiny", 0).provenance.read_text()
    assert [*nodes.cache(0).glob("weights/*/best.keras")]


def recognised(job: JobFolder) -> provenance.Provenance | None:
    """What this machine's user cache knows of the weights of a job."""
    arrays = [item[()] for name, item in archive.arrays(job.best) if not name.startswith("optimizer")]
    return provenance.recognise(arrays)[0]


def running(place: Path) -> list[str]:
    """The workers that train below a folder, by the log that they write to."""
    logs = [link for each in Path("/proc").glob("[0-9]*/fd/2") if (link := target(each)).startswith(str(place))]
    return [log for log in logs if log.endswith("job.log")]


def target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Return when something has become so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
