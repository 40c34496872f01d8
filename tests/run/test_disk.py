"""What cannot be written is told in one sentence with its path, wherever it was to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY_PLUGIN, Install, Main
from tests.finished import finish
from tests.run.test_worker import job
from zoo.errors import of_system
from zoo.files import replacing, write_text
from zoo.run import results, worker_process
from zoo.run.plan import make_plan
from zoo.run.request import Request

FULL = Path("/dev/full")  # a disk without room: whatever is written to it
needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="Linux has such a device")


@pytest.fixture
def run(install: Install, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run; pictures are none of what is tested here."""
    install(TINY_PLUGIN)
    monkeypatch.setattr("zoo.report.run_pictures.draw_comparison", lambda done, out: None)
    return finish(Request(models=("tiny",), data=str(folds), out=tmp_path / "run", image_size=32)).path


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """What is no folder, and cannot become one."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere/folder")
    return ["file", "file/below", "broken", "broken/below", os.devnull]


COMMANDS = [
    ("report", "run", "--out"),
    ("data", "show", "--out"),
    ("data", "audit", "--no-near-duplicates", "--out"),
    ("show", "tiny", "--pictures"),
    ("data", "demo"),
    ("plugins", "new", "nice", "--out"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_folder(main: Main, run: Path, places: list[str], command: tuple[str, ...]) -> None:
    for place in places:
        status, _, errors = main(*command, place)
        assert (status, errors.count("\n")) == (2, 1), errors
        assert errors.startswith(f"zoo: {place} ")
        assert "name a" in errors


def test_a_split_file_takes_the_place_of_no_device(main: Main, places: list[str]) -> None:
    for place in ("file/below", "broken/below"):
        status, _, errors = main("data", "split", "--out", place)
        assert status == 2
        assert "is no folder to write to; name another with --out FILE" in errors
    status, _, errors = main("data", "split", "--force", "--out", os.devnull)
    assert (status, errors) == (2, f"zoo: {os.devnull} is no file; name another with --out FILE\n")
    with pytest.raises(OSError, match="not a file"):
        write_text(Path(os.devnull), "")
    assert Path(os.devnull).is_char_device()


def test_a_read_only_run_folder(main: Main, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path != run)
    status, output, errors = main("report", run)
    assert (status, output) == (2, "")
    assert errors == f"zoo: {run} cannot be written: {run} is no folder to write to; name another with --out DIR\n"
    assert main("report", run, "--out", run.parent / "elsewhere")[0] == 0
    assert main("report", run, "--threshold", 0.3)[0] == 0


@needs_full
def test_no_room_for_tables(main: Main, run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / f"out/.draft-{os.getpid()}-results.csv").symlink_to(FULL)
    status, _, errors = main("report", run, "--out", "out")
    assert status == 2
    assert errors == "zoo: out/results.csv: No space left on device; free some room, or name another place\n"
    assert not list((tmp_path / "out").iterdir())


@needs_full
def test_no_room_for_a_plan(main: Main, folds: Path, tmp_path: Path, install: Install, no_warm_workers: None) -> None:
    install(TINY_PLUGIN)
    (tmp_path / "run").mkdir()
    (tmp_path / f"run/.draft-{os.getpid()}-splits.csv").symlink_to(FULL)
    status, _, errors = main("run", "tiny", "--data", folds, "--image-size", 32, "--out", "run")
    assert status == 2
    assert f"{tmp_path}/run/splits.csv: No space left" in errors or "run/splits.csv: No space left" in errors


@needs_full
def test_no_room_for_what_is_printed() -> None:
    with FULL.open("w") as full:
        done = subprocess.run([sys.executable, "-m", "zoo.cli", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode
    assert done.stderr.count("\n") == 1
    assert "standard output or a file: No space left on device" in done.stderr


@needs_full
def test_no_room_for_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for its status: it says why it failed all the same."""
    monkeypatch.setenv("KERAS_BACKEND", "none")  # nothing to load
    folder = job(run=str(tmp_path)).folder
    folder.path.mkdir(parents=True)
    with worker_process.start(worker_process.Share(), subprocess.DEVNULL) as worker:
        (folder.path / f".draft-{worker.pid}-status.json").symlink_to(FULL)
        assert worker.stdin and worker.stdout
        worker.stdin.write(job(run=str(tmp_path)).to_json() + "\n")
        worker.stdin.flush()
        said = worker.stdout.read()
    event = json.loads(said)
    assert (event["event"], event["refused"]) == ("job_failed", False)
    assert event["error"].startswith("OSError: [Errno 28] No space left on device: ")
    assert f"{folder.path}/status.json" in event["error"]


@pytest.mark.parametrize("command", [["run", "tiny"], ["compare", "tiny", "--workers", "1"]], ids=" ".join)
def test_tables_without_room_are_told_and_cost_no_job(
    main: Main, run: Path, folds: Path, no_warm_workers: None, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    def no_room(self: results.Comparison, folder: Path) -> None:
        raise OSError(28, os.strerror(28), str(folder / "results.csv"))

    monkeypatch.setattr(results.Comparison, "write", no_room)
    status, output, errors = main(*command, "--folds", 0, "--data", folds, "--image-size", 32, "--out", run)
    assert (status, errors) == (1, "")
    assert f"tables cannot be written: {run}/results.csv: No space left on device; free some room" in output
    assert f"then zoo report {run}" in output


def test_a_report_waits_for_the_run_that_writes_the_same_tables(main: Main, run: Path, folds: Path) -> None:
    with make_plan(Request(models=("tiny",), data=str(folds), out=run, image_size=32)):
        status, output, errors = main("report", run)
        assert (status, output) == (2, "")
        assert "another zoo process is at work in" in errors
        assert main("report", run, "--out", run.parent / "elsewhere")[0] == 0
    assert main("report", run)[0] == 0


def test_an_error_of_the_system_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    assert of_system(FileNotFoundError(2, "No such file", "a")) == "a: No such file"
    assert of_system(OSError(30, "Read-only", "a", None, "b")) == "b: Read-only; name another place to write to"
    assert of_system(OSError("odd")) == "standard output or a file: OSError: odd"
    with pytest.raises(PermissionError) as caught, replacing(tmp_path / "name") as draft:
        raise PermissionError(13, "denied", str(draft))
    assert caught.value.filename == str(tmp_path / "name")


def test_two_processes_may_write_one_file(tmp_path: Path) -> None:
    """Each its own draft: none loses it to the other, and the file is that of one of them, whole."""
    program = """
import sys
from pathlib import Path
from zoo.files import write_text
for number in range(300):
    write_text(Path(sys.argv[1]), sys.argv[2] * 100_000)
"""
    path = tmp_path / "table.csv"
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), letter]) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert path.read_text() in ("a" * 100_000, "b" * 100_000)
    assert [*tmp_path.iterdir()] == [path]


def test_drafts_of_killed_processes_go(tmp_path: Path) -> None:
    left, young = tmp_path / ".draft-1-a[b].csv", tmp_path / ".draft-2-a[b].csv"
    for draft in (left, young):
        draft.write_text("")
    os.utime(left, (0, 0))
    write_text(tmp_path / "a[b].csv", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".draft-2-a[b].csv", "a[b].csv"]
