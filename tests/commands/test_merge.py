"""zoo compare --shard and zoo merge: joined, they are what one run folder would have been."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Main, Zoo, write_folds
from tests.finished import contents, finish
from tests.venvs import TOP
from zoo.errors import ConfigError
from zoo.files import read_json
from zoo.run import plan, results
from zoo.run.folder import RunFolder
from zoo.run.request import Request

MODELS = ("scratch-cnn", "efficientnet-head")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folds(tmp_path_factory.mktemp("merge") / "data")


@pytest.fixture(scope="module")
def shards(data: Path) -> list[RunFolder]:
    """Three shards of two models on two folds with two repeats, as if they had been trained."""
    return [finish(request(data, data.parent / f"shard-{part}", shard=(part, 3))) for part in (1, 2, 3)]


def request(data: Path, out: Path, **changes: Any) -> Request:
    said = {"models": MODELS, "data": str(data), "folds": None, "image_size": 32, "repeats": 2, "out": out}
    return Request(**said | changes)


def test_shards_have_each_job_once(data: Path, tmp_path: Path) -> None:
    jobs = []
    for part in (1, 2, 3):
        with plan.make_plan(request(data, tmp_path / str(part), shard=(part, 3))) as made:
            jobs += [(job.model, job.fold, job.repeat) for job in made.jobs]
            assert len(made.jobs) in (2, 3)
            assert made.notes[-1] == f"Shard {part} of 3: {len(made.jobs)} of 8 jobs"
    assert sorted(jobs) == sorted(RunFolder.expected(RunFolder(tmp_path / "1").read()))
    with plan.make_plan(request(data, tmp_path / "12", shard=(12, 12))) as made:
        assert made.jobs == []


def test_joined_they_are_one_run(shards: list[RunFolder], data: Path, tmp_path: Path) -> None:
    done = package.merge([shard.path for shard in shards], tmp_path / "new/all")
    assert done.missing == []
    run = RunFolder(tmp_path / "new/all")
    assert [*run.path.parent.iterdir()] == [run.path]
    for shard in shards:
        for job in RunFolder.expected(shard.read()):
            if shard.job(*job).done:
                assert contents(run.job(*job).path) == contents(shard.job(*job).path)
    record = run.read()
    assert record["request"]["shard"] is None
    assert record["weights"] == {model: {"0": "random", "1": "random"} for model in MODELS}
    assert len(pd.read_csv(run.results)) == 8
    pd.testing.assert_frame_equal(results.compare(run).summary, done.summary)
    for fold in (0, 1):
        assert read_json(run.best(fold).with_suffix(".json"))["model"] in MODELS
    assert not run.check(record, RunFolder.expected(record))
    # What went on elsewhere goes on here: all is done.
    with plan.make_plan(request(data, run.path)) as made:
        assert made.resumed
        assert all(job.folder.done for job in made.jobs)


def test_missing_jobs_are_named_and_can_be_run(shards: list[RunFolder], main: Main, tmp_path: Path) -> None:
    status, output, errors = main("merge", shards[0].path, shards[2].path, "--out", "all")
    assert status == 1, errors
    assert "missing: scratch-cnn, fold 0, repeat 1" in output, errors
    assert "Run folder: all, joined from 2" in output
    done = [job for job in RunFolder.expected(shards[1].read()) if shards[1].job(*job).done]
    assert output.count("\nmissing: ") == len(done) == 3
    assert (tmp_path / "all/report.html").exists()


def test_what_cannot_be_joined(shards: list[RunFolder], data: Path, main: Main, tmp_path: Path) -> None:
    one, two, three = (shard.path for shard in shards)
    other = finish(request(data, tmp_path / "other", shard=(2, 3), max_epochs=3)).path
    fewer = finish(request(data, tmp_path / "fewer", shard=(2, 3), models=MODELS[:1])).path
    again = finish(request(data, tmp_path / "again", shard=(1, 2))).path
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    before = contents(one)
    for places, out, said in (
        ([one, other], "all", f"{one} and {other} are of different requests: max_epochs was None and is now 3"),
        ([one, fewer], "all", "recipes was ['efficientnet-head', 'scratch-cnn'] and is now ['scratch-cnn']"),
        ([one, two, again], "all", "3 jobs are done in more than one folder; leave one of these out"),
        ([one, one], "all", "3 jobs are done in more than one folder"),
        ([one, data], "all", "is no run folder: it has no run.json"),
        ([one, two], "full", "full is there already; name another with --out DIR"),
    ):
        status, _, errors = main("merge", *places, "--out", out)
        assert status == 2
        assert said in errors, errors
    changed = RunFolder(Path(shutil.copytree(three, tmp_path / "changed")))
    predictions = changed.job("scratch-cnn", 1, 0).predictions
    predictions.write_text(predictions.read_text().replace("test", "tset"))
    status, _, errors = main("merge", one, two, changed.path, "--out", "all")
    assert status == 2
    assert "1 file is not as zoo wrote it" in errors
    shutil.rmtree(changed.path / "scratch-cnn")
    shutil.rmtree(changed.path / "efficientnet-head")
    with pytest.raises(ConfigError, match="no job is done in"):
        package.merge([changed.path], tmp_path / "all")
    assert not (tmp_path / "all").exists()
    assert contents(one) == before
    for wrong, said in (("3/2", "there are shards 1 to 2"), ("0/2", "shards 1 to 2"), ("x", "is not K/N, such as 2/8")):
        status, _, errors = main("compare", *MODELS, "--data", data, "--shard", wrong)
        assert status == 2
        assert said in errors


def test_trained_in_shards(inline: Zoo, install: Install, folds: Path, tmp_path: Path) -> None:
    """The same weights and tables as in one folder."""
    install(TINY_PLUGIN)
    command = ["compare", "tiny", "--data", folds, "--image-size", 32, "--max-epochs", 1]
    whole = inline(*command, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    for part in (1, 2):
        done = inline(*command, "--out", tmp_path / f"part-{part}", "--shard", f"{part}/2")
        assert done.returncode == 0, done.stderr
        assert f"Shard {part} of 2 is over: 1 job is done." in done.stdout
        assert "zoo merge RUN… --out DIR" in done.stdout
    merged = package.merge([tmp_path / "part-1", tmp_path / "part-2"], tmp_path / "all")
    assert merged.missing == []
    for name in ("results.csv", "summary.csv", "comparison.csv", "threshold.csv", "missed.csv"):
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    for job in RunFolder.expected(RunFolder(tmp_path / "whole").read()):
        one, other = (RunFolder(tmp_path / name).job(*job).predictions for name in ("whole", "all"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_the_commands_of_the_page_run(zoo: Zoo, here: Path) -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```", (TOP / "docs/clusters.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        program, *command = shlex.split(line)
        assert program == "zoo"
        done = zoo(*command, *(["--max-epochs", "1", "--image-size", "32"] if command[0] == "compare" else []))
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert len(pd.read_csv(here / "runs/all/results.csv")) == 10
