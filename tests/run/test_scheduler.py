"""The parent's side of a job: what it makes of a worker that says little or dies."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY_PLUGIN, Install
from zoo.run import local_executor, plan, scheduler, stalls
from zoo.run.local_executor import LocalExecutor
from zoo.run.request import Request


@pytest.fixture
def planned(install: Install, folds: Path, tmp_path: Path) -> plan.Plan:
    install(TINY_PLUGIN)
    return plan.make_plan(Request(models=("tiny",), data=str(folds), folds=(0, 1), out=tmp_path / "run", image_size=32))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("exit 3", "ended with status 3"),
        ("exit 0", "ended before the job was done"),
        ("kill -9 $$", "killed by SIGKILL (out of memory?)"),
    ],
)
def test_a_worker_that_dies_without_a_word(
    planned: plan.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    worker = tmp_path / "python"
    worker.write_text(f"#!/bin/sh\n{code}\n")
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    heard: list[dict[str, Any]] = []
    failed = scheduler.execute(planned, lambda job, event: heard.append(event), LocalExecutor())
    assert [job.fold for job in failed] == [0, 1]
    assert [event["event"] for event in heard] == ["job_launched", "job_failed"] * 2
    assert (
        f"{says}; with backbone 'tiny' (from zoo-tiny 1.0), schedule 'two-stage' (from zoo-tiny 1.0)"
        in heard[1]["error"]
    )
    assert planned.run.job("tiny", 0).status()["state"] == "failed"
    assert planned.run.results.read_text().startswith("model,fold,weights,loss_validation")


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3, 6}, raising=False)
    assert local_executor.share_cores(1) == [()]
    assert local_executor.share_cores(2) == [(0, 1), (2, 3, 6)]
    assert local_executor.share_cores(5) == [(0,), (1,), (2,), (3,), (6,)]
    assert local_executor.share_cores(7) == [(0,), (1,), (2,), (3,), (6,), (0,), (1,)]


def test_a_job_that_hangs_is_spoken_of(planned: plan.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not ended, since it may only be slow: here it is."""
    worker = tmp_path / "python"
    worker.write_text(
        "#!/bin/sh\nread job\n"
        """echo '{"event": "step_ended", "stage": "all", "epoch": 2, "step": 3, "loss": 1}'; sleep 2\n"""
    )
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    monkeypatch.setattr(stalls, "LIMIT", 0.3)
    monkeypatch.setattr(scheduler, "PATIENCE", 0.1)
    heard: list[tuple[int, dict[str, Any]]] = []
    scheduler.execute(planned, lambda job, event: heard.append((job.fold, event)), LocalExecutor())
    for fold in (0, 1):
        said = [event["text"] for number, event in heard if number == fold and event["event"] == "warning"]
        assert 1 < len(said) < 10
        assert all("last: step ended (stage all, epoch 2, step 3)" in text for text in said)
        assert all("augmenter 'none' (from zoo " in text for text in said)


WORKER = """#!/bin/sh
echo "started $$" >> {log}
{then}
read job || exit 0
echo '{{"event": "renewing"}}'
echo '{{"event": "epoch_ended"}}'
while [ "$(wc -l < {log})" -lt 2 ]; do sleep 0.1; done
sleep 0.5
echo "ended $$" >> {log}
"""


def lives(planned: plan.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str = "") -> list[str]:
    """What each worker did, in order of time; "" for the first, "'" for the next and so on."""
    worker, log = tmp_path / "python", tmp_path / "lives"
    worker.write_text(WORKER.format(log=log, then=then))
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    scheduler.execute(planned, lambda job, event: None, LocalExecutor())
    done = [line.split() for line in log.read_text().splitlines()]
    order = list(dict.fromkeys(number for _, number in done))
    return [f"{verb} {order.index(number) + 1}" for verb, number in done]


def test_the_next_worker_starts_while_one_trains_that_takes_no_other_job(
    planned: plan.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lives(planned, tmp_path, monkeypatch) == ["started 1", "started 2", "ended 1", "ended 2"]


def test_a_worker_that_dies_waiting_costs_no_job(
    planned: plan.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one does, and so the first must outlive it by a moment."""
    then = f'[ "$(grep -c started {tmp_path / "lives"})" != 2 ] || exit 9'
    seen = lives(planned, tmp_path, monkeypatch, then)
    assert seen == ["started 1", "started 2", "ended 1", "started 3", "ended 3"]


def test_a_worker_takes_one_job_after_the_other(
    planned: plan.Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that says it is ready, if the next job's parts are of the packages that it has loaded."""
    python, log = tmp_path / "python", tmp_path / "lives"
    ready = """echo '{"event": "ready"}'"""
    python.write_text(f"#!/bin/sh\nwhile read job; do echo $$ >> {log}; {ready}; done\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    one, other = planned.jobs
    other = dataclasses.replace(other, origins={**other.origins, "head": "another 1.0"})
    for jobs, processes in (([one, one, one], 1), ([one, other, other, one], 3)):
        log.write_text("")
        with LocalExecutor() as executor:
            executor.begin(planned, len(jobs))
            for job in jobs:
                job.folder.path.mkdir(parents=True, exist_ok=True)
                assert executor.run(job, 0, lambda event: None) == 0
        numbers = log.read_text().split()
        assert (len(numbers), len({*numbers})) == (len(jobs), processes)
        assert not any(Path("/proc", number).exists() for number in numbers)


PICKY = TINY_PLUGIN.replace(
    'name = "tiny"\n    weights: str = "none"',
    """name = "tiny"
    starts = ("imagenet", "a-like-one")
    weights: str = "auto"

    def load_weights(self, model, source):
        with open("TRIED", "a") as file:
            file.write(source + "\\n")
        if source == "imagenet":
            raise OSError("no network")""",
)


def test_all_folds_start_alike_and_a_download_is_tried_once(
    install: Install, folds: Path, tmp_path: Path, no_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.training import kept

    tried = tmp_path / "tried"
    install(PICKY.replace("TRIED", str(tried)))
    request = Request(models=("tiny",), data=str(folds), folds=None, out=tmp_path / "run", image_size=32, max_epochs=1)
    for redo in ((), (("tiny", 1),)):  # a later session heeds what was done before
        monkeypatch.setattr(kept, "_last", None)  # as it is another process; both folds of the first are in one
        with plan.make_plan(dataclasses.replace(request, redo=redo)) as made:
            assert scheduler.execute(made, lambda job, event: None, LocalExecutor()) == []
    assert tried.read_text().split() == ["imagenet", *["a-like-one"] * 2]
    statuses = [made.run.job("tiny", fold, 0).status() for fold in (0, 1)]
    assert {status["weights"] for status in statuses} == {"a-like-one"}
    said = "no ImageNet weights for backbone 'tiny' (from zoo-tiny 1.0), training from the weights of a-like-one: no"
    assert all(status["warning"].startswith(said) for status in statuses)
