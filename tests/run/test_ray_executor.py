"""Jobs on a Ray cluster of several nodes on this machine, each with a user cache and plug-ins of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import zoo
from tests.conftest import TINY_PLUGIN, Install
from zoo.run.folder import RunFolder
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
        variables = {"ZOO_CACHE": str(self.cache(len(self.nodes))), "PYTHONPATH": str(plugins)}
        self.nodes.append(self.cluster.add_node(num_cpus=cpus, object_store_memory=MEMORY, env_vars=variables))

    def cache(self, number: int) -> Path:
        """The user cache of a node."""
        return self.root / f"cache-{number}"

    def kill(self, number: int) -> None:
        """End a node as a power cut does."""
        self.cluster.remove_node(self.nodes[number], allow_graceful=False)


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))  # for jobs on this machine
    started = Nodes(tmp_path)
    yield started
    ray.shutdown()
    started.cluster.shutdown()


def compared(models: list[str], folds: Path, out: Path, **options: Any) -> zoo.Comparison:
    return zoo.compare(models, data=folds, out=out, image_size=32, **options)


def assert_same(one: RunFolder, other: RunFolder, models: list[str], folds: int = 2) -> None:
    """Every number and every weight of these jobs, bit for bit."""
    for model in models:
        for fold in range(folds):
            ours, theirs = one.job(model, fold), other.job(model, fold)
            assert ours.predictions.read_bytes() == theirs.predictions.read_bytes()
            assert ours.metrics.read_bytes() == theirs.metrics.read_bytes()
            timeless = [pd.read_csv(job.history).drop(columns="seconds") for job in (ours, theirs)]
            pd.testing.assert_frame_equal(*timeless, check_exact=True)
            for (name, mine), (_, its) in zip(archive.arrays(ours.best), archive.arrays(theirs.best), strict=True):
                np.testing.assert_array_equal(mine[()], its[()], err_msg=name)


def test_the_same_as_here_to_the_last_bit(install: Install, folds: Path, tmp_path: Path, nodes: Nodes) -> None:
    install(TINY_PLUGIN)
    for _ in range(2):
        nodes.add(tmp_path / "site")
    models = ["tiny"]
    here = compared(models, folds, tmp_path / "here", workers=2)
    heard: list[tuple[str, str]] = []
    there = compared(
        models,
        folds,
        tmp_path / "there",
        executor="ray",
        ray_address=nodes.cluster.address,
        listen=lambda job, event: heard.append((job.title, event["event"])),
    )
    assert (here.missing, there.missing) == ([], [])
    assert_same(here.run, there.run, models)
    assert here.summary.equals(there.summary)
