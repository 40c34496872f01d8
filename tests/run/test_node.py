"""A job on another machine, without the engine that brings it there: what is laid out, and what comes back."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.run.test_worker import job
from zoo.data import cache
from zoo.errors import ConfigError
from zoo.run import node, transfer, versions
from zoo.run.executor import Execution
from zoo.run.node import Parcel
from zoo.run.transfer import Receiver

IMAGES = "images/0123-32"

# A worker that writes into the folder of its job: a checkpoint after an epoch, and what is left in the end.
WORKER = """#!/bin/sh
read job
cd {cache}/jobs/*/run/tiny/fold-0
cat checkpoint/epoch.npz ../../splits.csv ../../../../../images/0123-32/pixels.npy > seen
echo "$ZOO_PLUGINS $OMP_NUM_THREADS" >> seen
echo printed >> job.log
echo two > checkpoint/epoch.npz; echo base > checkpoint/stage-1.npz; echo x > .draft-1-x
echo '{{"event": "epoch_ended"}}'
sleep 0.5
echo more >> job.log
rm -r checkpoint; echo last > best.keras; : > empty.csv; echo done > status.json
echo '{{"event": "job_ended"}}'
exit {status}
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of cores that no test beside this one holds."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setattr(node, "_locks", lambda: folder)


@pytest.fixture
def of_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user cache of the other machine, whose workers do as WORKER says; nobody asks for packages."""
    folder = tmp_path / "node"
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(versions, "differences", lambda expected: [])
    node._differences.cache_clear()
    python = tmp_path / "python"
    python.write_text(WORKER.format(cache=folder, status=3))
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return folder


def parcel(run: Path, **changes: Any) -> Parcel:
    fields: dict[str, Any] = {
        "job": job(run=str(run), images=f"/elsewhere/{IMAGES}"),
        "versions": {},
        "run_files": {"splits.csv": b"splits\n"},
        "job_files": {"checkpoint/epoch.npz": [b"o", b"ne\n"]},
        "entries": {IMAGES: {"pixels.npy": [b"pix", b"els\n"]}},
        "needed": (IMAGES,),
        "weights": {},
        "cores": 1,
        "environment": {"ZOO_PLUGINS": "a", "OMP_NUM_THREADS": None},
    }
    return Parcel(**fields | changes)


def attend(sent: Parcel) -> list[node.Message]:
    return list(node.attend(sent, lambda piece: bytes(piece)))


def test_what_a_job_writes_comes_back(of_node: Path, tmp_path: Path) -> None:
    sent = parcel(tmp_path / "run")
    sent.job.folder.path.mkdir(parents=True)
    receiver, told, moments = Receiver(sent.job), [], []
    for kind, content in node.attend(sent, lambda piece: bytes(piece)):
        told.append(kind)
        receiver.take(kind, content)
        if kind == "event":
            files = {file.relative_to(sent.job.folder.path).as_posix() for file in sent.job.folder.path.rglob("*")}
            moments.append((content["event"], files))
    assert told[0] == "launched"
    assert (kind, content) == ("exit", 3)
    assert moments == [
        ("epoch_ended", {"job.log", "seen", "checkpoint", "checkpoint/epoch.npz", "checkpoint/stage-1.npz"}),
        ("job_ended", {"job.log", "seen", "best.keras", "empty.csv", "status.json"}),
    ]
    folder = sent.job.folder
    assert (folder.path / "seen").read_text() == "one\nsplits\npixels\na \n"
    assert (folder.log.read_text(), folder.best.read_text()) == ("printed\nmore\n", "last\n")
    assert (folder.path / "empty.csv").read_bytes() == b""
    assert not [*(of_node / "jobs").glob("*")]


def test_files_come_in_an_order_that_is_whole_at_any_moment(of_node: Path, tmp_path: Path) -> None:
    names = [content[0] for kind, content in attend(parcel(tmp_path / "run")) if kind == "file"]
    assert names == ["checkpoint/stage-1.npz", "seen", "checkpoint/epoch.npz", "best.keras", "empty.csv", "status.json"]


def test_large_files_travel_in_pieces(of_node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PIECE", 2)
    parts = [content for kind, content in attend(parcel(tmp_path / "run")) if kind == "file"]
    assert [part for part in parts if part[0] == "best.keras"] == [
        ("best.keras", b"la", False),
        ("best.keras", b"st", False),
        ("best.keras", b"\n", True),
    ]
    assert ("empty.csv", b"", True) in parts


def test_what_is_missing_is_asked_for_once_a_machine(of_node: Path, tmp_path: Path) -> None:
    assert attend(parcel(tmp_path / "run", entries={})) == [("missing", [IMAGES])]
    assert attend(parcel(tmp_path / "run"))[0][0] == "launched"
    assert attend(parcel(tmp_path / "run", entries={}))[0][0] == "launched"


def test_features_travel_on_and_those_that_cannot_be_had_are_no_error(of_node: Path, tmp_path: Path) -> None:
    makes = (
        f"mkdir {of_node}/features; mkdir {of_node}/features/ab; echo x > {of_node}/features/ab/features.npy\nread job"
    )
    python = Path(sys.executable)
    python.write_text(python.read_text().replace("read job", makes, 1))
    told = attend(parcel(tmp_path / "run", shares=True))
    place = told.index(("entry", ("features/ab", {"features.npy": 1})))
    assert told[place + 1] == b"x\n"

    def fetch(piece: Any) -> bytes:
        if piece == b"lost":
            raise OSError("its machine is gone")
        return bytes(piece)

    entries = {"features/cd": {"features.npy": [b"lost"]}, "features/ef": {"features.npy": [b"y"]}}
    python.write_text(WORKER.format(cache=of_node, status=0))
    told = list(node.attend(parcel(tmp_path / "run", entries=entries), fetch))
    assert told[-1] == ("exit", 0)
    assert sorted(entry.name for entry in (of_node / "features").glob("[!.]*")) == ["ab", "ef"]


def test_weights_are_taken_where_they_lie_if_they_are_the_same(of_node: Path, tmp_path: Path) -> None:
    there = tmp_path / "shared.h5"
    there.write_bytes(b"same")
    digest = "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5"
    assert node._weights(str(there), digest, [b"same"], bytes) == there
    there.write_bytes(b"other")
    brought = node._weights(str(there), digest, [b"same"], bytes)
    assert brought == cache.folder("weights", digest[:32], "shared.h5")
    assert brought.read_bytes() == b"same"


def test_the_next_job_here_gets_the_same_worker(of_node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same cores, if it asks for as many; after a while it is ended."""
    log = tmp_path / "lives"
    ready = """echo '{"event": "ready"}'"""
    Path(sys.executable).write_text(f"#!/bin/sh\nwhile read job; do echo $$ $4 >> {log}; {ready}; done\n")
    monkeypatch.setattr(node, "IDLE", 1.0)
    sent = parcel(tmp_path / "run", keeps=True)
    for each in (
        sent,
        sent,
        parcel(tmp_path / "run", keeps=True, environment={}),
        parcel(tmp_path / "run", keeps=False),
    ):
        assert attend(each)[-1] == ("exit", 0)
    lives = [line.split() for line in log.read_text().splitlines()]
    assert [lives.index(life) for life in lives] == [0, 0, 2, 3]
    with node.take_cores(1, [int(lives[0][1])]) as free:
        assert free  # none is held while nothing runs
    attend(sent)
    ((timer, idle),) = node._idle.items()
    timer.join(30)
    assert not node._idle
    assert idle.process._process.returncode is not None


def test_other_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a process that is started as workers are."""
    found = versions.here(["numpy", "zoo-nowhere"])
    assert found["zoo-nowhere"] == ""
    assert versions.differences(found) == []
    assert versions.differences({**found, "numpy": "1.0", "zoo-nowhere": "2.0"}) == [
        f"numpy is {found['numpy']} instead of 1.0",
        "zoo-nowhere 2.0 is missing",
    ]
    node._differences.cache_clear()
    told = attend(parcel(tmp_path / "run", versions={"zoo-nowhere": "2.0"}))
    assert told == [("refused", "other packages than where the run was planned: zoo-nowhere 2.0 is missing")]


def test_jobs_at_the_same_time_have_other_cores() -> None:
    cores = {*os.sched_getaffinity(0)}
    with node.take_cores(1) as one, node.take_cores(1) as other, node.take_cores(len(cores)) as many:
        assert len(one) == 1 and {*one} <= cores
        assert (len(other) == 1 and other != one) or len(cores) < 2
        assert many == ()
    with node.take_cores(len(cores)) as all_of_them:
        assert {*all_of_them} == cores


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ray_address": "head:6379"}, 'ray_address is for executor "ray"'),
        ({"cpus_per_job": 2}, 'cpus_per_job is for executor "ray"'),
        ({"executor": "slurm"}, "unknown executor 'slurm'; known: local, ray"),
        ({"executor": "ray", "cpus_per_job": 0}, "cpus_per_job must be a whole number from 1 to 1,024, not 0"),
        ({"executor": "ray", "gpus_per_job": -1}, "gpus_per_job must be a number of GPUs from 0 to 64, not -1"),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Execution(**options)
    assert str(caught.value) == says


def test_a_cluster_that_is_not_there() -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match=rf"^no Ray cluster answers at 127\.0\.0\.1:{port}: ConnectionRefusedError"):
        Execution(executor="ray", ray_address=f"127.0.0.1:{port}").open()


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"^ray is not installed: pip install 'zoo\[ray\]'$"):
        Execution(executor="ray").open()
