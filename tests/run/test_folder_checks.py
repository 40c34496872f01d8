"""Run folders that were damaged or meddled with, and what --fresh deletes of one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pydantic
import pytest

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Main
from tests.finished import contents, finish
from zoo.errors import ConfigError
from zoo.evaluation.config import OperatingPoint
from zoo.files import read_record, write_json, write_record
from zoo.report import run_page, run_pictures
from zoo.run import plan
from zoo.run.folder import JobFolder, RunFolder
from zoo.run.provenance import Provenance
from zoo.run.request import Request
from zoo.run.results import compare, write_best
from zoo.run.warm_workers import WarmWorkers

Change = Callable[[Path], object]
JOB = "tiny/fold-0"


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs a run folder leaves a copy to the others."""
    return tmp_path_factory.mktemp("once") / "run"


@pytest.fixture
def run(once: Path, install: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both folds of the tiny model, done; commands draw nothing and start no process."""
    install(TINY_PLUGIN)
    monkeypatch.setattr(run_pictures, "draw", lambda job, title, classes: None)
    monkeypatch.setattr(run_pictures, "draw_comparison", lambda done, out: None)
    monkeypatch.setattr(run_page, "write", lambda done, file, with_images=True: None)
    monkeypatch.setattr(WarmWorkers, "prepare", lambda self, share: None)
    if not once.exists():
        finish(Request(models=("tiny",), data=str(folds), folds=None, out=once, image_size=32))
    return Path(shutil.copytree(once, tmp_path / "run"))


def go_on(folds: Path, run: Path) -> list[object]:
    return ["run", "tiny", "--data", folds, "--image-size", 32, "--folds", "all", "--out", run]


def test_a_run_folder_that_nobody_touched(run: Path, folds: Path, main: Main) -> None:
    before = contents(run)
    assert main("report", run)[0] == 0
    status, output, errors = main(*go_on(folds, run))
    assert status == 0, errors
    assert output.count("already done") == 2
    assert contents(run) == before


def test_a_report_of_the_first_fold(run: Path, main: Main) -> None:
    status, output, errors = main("report", run, "--folds", "first", "--out", run.parent / "other")
    assert status == 0, output + errors
    assert pd.read_csv(run.parent / "other/results.csv")["fold"].tolist() == [0]


def edited(name: str, old: str, new: str) -> Change:
    def change(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return change


def flipped(name: str) -> Change:
    def change(run: Path) -> None:
        data = bytearray((run / name).read_bytes())
        data[len(data) // 2] ^= 1
        (run / name).write_bytes(data)

    return change


def replaced(name: str, data: bytes) -> Change:
    return lambda run: (run / name).write_bytes(data)


def a_folder(name: str) -> Change:
    def change(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return change


def a_file(name: str) -> Change:
    def change(run: Path) -> None:
        shutil.rmtree(run / name, ignore_errors=True)
        (run / name).write_text("")

    return change


def swapped(one: str, other: str) -> Change:
    def change(run: Path) -> None:
        (run / one).rename(run / "aside")
        (run / other).rename(run / one)
        (run / "aside").rename(run / other)

    return change


REDO = "run's own command with --redo tiny:0"
DAMAGE: dict[str, tuple[Change, str]] = {
    "a label of the splits": (
        edited("splits.csv", ",normal,", ",abnormal,"),
        "splits.csv has been changed since zoo wrote it",
    ),
    "a role of the splits": (edited("splits.csv", "train", "test"), "splits.csv has been changed since zoo wrote it"),
    "splits emptied": (replaced("splits.csv", b""), "splits.csv has been changed since zoo wrote it"),
    "splits a folder": (a_folder("splits.csv"), "splits.csv is a folder, and zoo would write there"),
    "results a folder": (a_folder("results.csv"), "results.csv is a folder, and zoo would write there"),
    "best a file": (a_file("best"), "best is a file, and zoo would write there"),
    "the model's folder a file": (a_file("tiny"), "tiny is a file, and zoo would write there"),
    "the job's folder a file": (a_file(JOB), f"{REDO}\n  {JOB}"),
    "a label predicted": (edited(f"{JOB}/predictions.csv", ",0,", ",1,"), f"{REDO}\n  {JOB}/predictions.csv"),
    "a probability": (edited(f"{JOB}/predictions.csv", ",0.", ",1."), f"{REDO}\n  {JOB}/predictions.csv"),
    "predictions not text": (replaced(f"{JOB}/predictions.csv", b"\xff\x00"), f"{REDO}\n  {JOB}/predictions.csv"),
    "a metric": (edited(f"{JOB}/metrics.json", '"f1": 0.', '"f1": 1.'), f"{REDO}\n  {JOB}/metrics.json"),
    "metrics cut off": (replaced(f"{JOB}/metrics.json", b'{"test": {'), f"{REDO}\n  {JOB}/metrics.json"),
    "a byte of the history": (flipped(f"{JOB}/history.csv"), f"{REDO}\n  {JOB}/history.csv"),
    "a byte of the model": (flipped(f"{JOB}/best.keras"), f"{REDO}\n  {JOB}/best.keras"),
    "the model a folder": (a_folder(f"{JOB}/best.keras"), f"{REDO}\n  {JOB}/best.keras"),
    "the status": (edited(f"{JOB}/status.json", "random", "imagenet"), f"{REDO}\n  {JOB}/status.json"),
    "the status a list": (replaced(f"{JOB}/status.json", b"[]"), f"{REDO}\n  {JOB}/status.json"),
    "the status nested": (replaced(f"{JOB}/status.json", b"[" * 100_000), f"{REDO}\n  {JOB}/status.json"),
    "the folds swapped": (swapped(JOB, "tiny/fold-1"), f"{REDO} --redo tiny:1\n  {JOB}/status.json"),
    "run.json emptied": (replaced("run.json", b""), "run.json is not the JSON that zoo wrote"),
    "run.json of another kind": (replaced("run.json", b"{}"), "run.json is not what zoo wrote: "),
    "the classes swapped": (edited("run.json", '"normal"', '"other"'), "run.json has been changed since zoo wrote it"),
    "run.json a folder": (a_folder("run.json"), "run.json "),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_before_anything_is_computed_from_it(damage: str, run: Path, folds: Path, main: Main) -> None:
    change, says = DAMAGE[damage]
    change(run)
    before = contents(run)
    for command in (["report", run], go_on(folds, run)):
        status, output, errors = main(*command)
        assert status == 2, output + errors
        assert says in errors
        assert "unexpected" not in errors
        assert "Metrics" not in output
    assert contents(run) == before


@pytest.mark.parametrize("name", ["best.keras", "history.csv", "predictions.csv", "metrics.json", "provenance.json"])
def test_a_job_whose_files_are_missing_is_not_done(name: str, run: Path, folds: Path, main: Main) -> None:
    (run / JOB / name).unlink()
    assert not JobFolder(run / JOB).done
    status, output, errors = main("report", run)
    assert status == 0, errors
    assert f"missing: tiny, fold 0: {name} missing" in output
    assert pd.read_csv(run / "results.csv")["fold"].tolist() == [1]
    with plan.make_plan(Request(models=("tiny",), data=str(folds), folds=None, out=run, image_size=32)) as made:
        assert f"tiny, fold 0: {name} missing; it is trained again" in made.notes
        assert [job.fold for job in made.jobs if not job.folder.done] == [0]


def test_splits_that_are_missing_come_back(run: Path, folds: Path, main: Main) -> None:
    before = contents(run)
    (run / "splits.csv").unlink()
    status, _, errors = main("report", run)
    assert status == 2
    assert "splits.csv is missing; the run's own command writes it anew" in errors
    assert main(*go_on(folds, run))[0] == 0
    assert contents(run) == before


def test_jobs_without_run_json_are_of_nobody_knows_what(run: Path, folds: Path, main: Main) -> None:
    (run / "run.json").unlink()
    status, _, errors = main(*go_on(folds, run))
    assert status == 2
    assert "has no run.json, but tiny/fold-0, which it would tell of; put it back" in errors


def test_redo_mends(run: Path, folds: Path) -> None:
    (run / JOB / "status.json").write_text("{")
    request = Request(models=("tiny",), data=str(folds), folds=None, out=run, image_size=32, redo=(("tiny", 0),))
    with plan.make_plan(request) as made:
        assert [job.folder.done for job in made.jobs] == [False, True]
    assert not (run / JOB).exists()


def test_predictions_of_another_run_are_refused(run: Path, main: Main) -> None:
    """Whole and as zoo wrote them, but of other images: hashes alone would not tell."""
    job = JobFolder(run / JOB)
    table = pd.read_csv(job.predictions)
    table.assign(image=table["image"].str[::-1]).to_csv(job.predictions, index=False)
    job.set_status("done", weights="random", warning=None, machine={})
    status, _, errors = main("report", run)
    assert status == 2
    assert "predictions.csv holds other images, roles or labels than splits.csv of its run" in errors


def test_a_run_folder_of_an_earlier_version(run: Path, folds: Path, main: Main) -> None:
    """Without hashes nothing can be told, and nothing is lost."""
    record = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", {key: record[key] for key in record if key not in ("sha256", "files", "trackers")})
    for fold in (0, 1):
        status = {"state": "done", "weights": "random", "warning": None, "machine": {}}
        write_json(run / f"tiny/fold-{fold}/status.json", status)
    for command in (["report", run], go_on(folds, run)):
        status, output, errors = main(*command)
        assert status == 0, errors
        assert "is of an earlier version of zoo: whether its files were changed cannot be told" in output


# What --fresh deletes.


def own(run: Path, folds: Path) -> dict[str, str]:
    """Files of the user's in and around a run folder."""
    files = {
        "run/notes.txt": "notes",
        "run/pictures/holiday.png": "beach",
        "run/best/of.txt": "music",
        "run/trackers/miles.log": "run",
        "run/tiny/paper.tex": "draft",
        "run/tiny/fold-ideas/a.txt": "ideas",
        "victim/fold-0/thesis.tex": "thesis",
    }
    for name, text in files.items():
        (run.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (run.parent / name).write_text(text)
    return files


def test_fresh_deletes_what_zoo_made_and_nothing_else(run: Path, folds: Path, tmp_path: Path) -> None:
    files = own(run, folds)
    for name in (
        "pictures/roc.png",
        "pictures/auc-test.svg",
        "pictures/threshold-tiny.png",
        "tiny/curves.png",
        "tiny/roc.svg",
    ):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("a picture")
    RunFolder(run).clear()
    left = {name for name in contents(tmp_path) if name.startswith(("run/", "victim/"))}
    assert left == {*files, "run/lock"}
    assert all((tmp_path / name).read_text() == text for name, text in files.items())


def test_fresh_in_a_folder_that_is_no_run(run: Path, folds: Path, main: Main, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in ("pictures/roc.png", "best/fold-0.keras", "trackers/a.log", "tiny/fold-0/status.json"):
        (photos / name).parent.mkdir(parents=True)
        (photos / name).write_text("mine")
    before = contents(photos)
    status, _, errors = main(*go_on(folds, photos), "--fresh")
    assert status == 2
    assert "photos has no run.json, so nothing in it is zoo's to delete (it holds best, pictures, tiny, …)" in errors
    assert contents(photos).items() >= before.items()
    assert main(*go_on(folds, tmp_path / "new"), "--fresh", "--max-epochs", 0)[0] == 2  # no epochs: a usage error


def test_fresh_follows_no_name_out_of_the_folder(run: Path, folds: Path, main: Main, tmp_path: Path) -> None:
    files = own(run, folds)
    record = read_record(run / "run.json", pydantic.TypeAdapter(dict))
    record["recipes"]["../victim"] = record["recipes"]["tiny"]
    write_record(run / "run.json", record)
    before = contents(tmp_path)
    status, _, errors = main(*go_on(folds, run), "--fresh")
    assert status == 2
    assert "a model is called '../victim'" in errors
    assert {name: data for name, data in contents(tmp_path).items() if name in files} == {
        name: before[name] for name in files
    }


def test_fresh_follows_no_link_out_of_the_folder(run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (run / "tiny").rename(elsewhere)
    (run / "tiny").symlink_to(elsewhere)
    (run / "pictures").symlink_to(elsewhere / "fold-0")
    before = contents(elsewhere)
    RunFolder(run).clear()
    assert contents(elsewhere) == before
    assert not (run / "tiny").exists()


def test_an_empty_path_is_not_the_working_folder(run: Path, folds: Path, main: Main) -> None:
    for option in ("--out", "--splits", "--start-from", "--registry"):
        status, _, errors = main(*go_on(folds, run), option, "")
        assert status == 2
        assert "empty; name a file or folder" in errors
    status, _, errors = main("run", "tiny", "--data", "", "--out", run.parent / "other")
    assert status == 2
    assert "data is empty; name a folder or a manifest" in errors
    for wrong in ({"out": ""}, {"splits": ""}, {"registry": ""}, {"data": ""}):
        with pytest.raises(ConfigError, match="is empty"):
            package.compare(["tiny"], **wrong)  # type: ignore[arg-type]


def test_the_best_of_a_fold_that_finds_no_class_but_one_is_kept_with_a_word(run: Path, main: Main) -> None:
    status, output, errors = main("report", run, "--threshold", 0.9999, "--out", run.parent / "strict")
    assert status == 0, errors
    said = "tiny calls every validation image normal at threshold 0.9999 in folds 0, 1: it finds no other class there"
    assert said in " ".join(output.split())
    done = compare(RunFolder(run), point=OperatingPoint(threshold=0.9999))
    write_best(done)
    best = json.loads((run / "best/fold-0.json").read_text())
    assert best["warning"] == "calls every validation image normal at threshold 0.9999"
    write_best(compare(RunFolder(run)))
    assert "warning" not in json.loads((run / "best/fold-0.json").read_text())


def test_what_the_choice_by_validation_is_worth(run: Path, folds: Path, main: Main) -> None:
    assert set(compare(RunFolder(run)).summary["model"]) == {"tiny"}
    finish(Request(models=("tiny", "tiny-long"), data=str(folds), folds=None, out=run.parent / "two", image_size=32))
    done = compare(RunFolder(run.parent / "two"))
    rows = done.summary.query("role == 'test' and metric == 'auc'").set_index("model")
    best = [json.loads((run.parent / f"two/best/fold-{fold}.json").read_text())["model"] for fold in (0, 1)]
    scores = [
        done.results.query("model == @name and fold == @fold")["auc_test"].item() for fold, name in enumerate(best)
    ]
    assert rows.loc["(best by validation)", "mean"] == pytest.approx(sum(scores) / 2)
    status, output, _ = main("report", run.parent / "two")
    assert status == 0
    assert "(best by" in output


def test_what_weights_have_seen_marks_every_table(run: Path, folds: Path, main: Main) -> None:
    """By their provenance alone: no column says so."""
    images = pd.read_csv(run / "splits.csv").query("fold == 0 and role == 'test'")["image"]
    for seen, mark in (
        (Provenance(frozenset(images[:3])), "LEAKED"),
        (Provenance(unknown=("a.h5",)), "origin unknown"),
    ):
        other = run.parent / mark
        finish(Request(models=("tiny", "tiny-long"), data=str(folds), folds=None, out=other, image_size=32), seen)
        status, output, errors = main("report", other)
        assert status == 0, errors
        assert output.count(f"({mark}") >= 4
        column, value = ("leaked", 3) if mark == "LEAKED" else ("origin_unknown", 1)
        assert pd.read_csv(other / "results.csv").query("fold == 0")[column].tolist() == [value, value]
        summary = pd.read_csv(other / "summary.csv").groupby("model")[column].max()
        assert summary.to_dict() == {"tiny": value, "tiny-long": value, "(best by validation)": value}
        assert pd.read_csv(other / "comparison.csv")[column].tolist() == [2 * value if mark == "LEAKED" else 1]
        for table in ("threshold", "missed", "calibration"):
            assert set(pd.read_csv(other / f"{table}.csv")[column]) == {value}
        assert json.loads((other / "best/fold-0.json").read_text())[column] == value
        words = compare(RunFolder(other)).words[0]
        assert words.startswith("LEAKED") if mark == "LEAKED" else "cannot be told whether their weights" in words
