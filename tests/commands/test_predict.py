"""zoo predict: what is printed, written and refused; the numbers are those of zoo.load."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import zoo as package
from tests.conftest import Main, Zoo, write_folds
from tests.finished import two_networks
from zoo.run.folder import RunFolder
from zoo.training import logs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folds(tmp_path_factory.mktemp("predict") / "data")


@pytest.fixture(scope="module")
def run(data: Path) -> RunFolder:
    return two_networks(data, data.parent / "run")


def test_a_table_for_people(main: Main, run: RunFolder, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data / "Fold0/valid"
    status, output, errors = main("predict", run.path, folder, "none.png", "--threshold", "0.3")
    assert status == 1  # for the one that is not there
    assert "zoo: none.png: cannot be read: No such file" in errors
    loaded = package.load(run.path, threshold=0.3)
    table = loaded.predict(folder)
    assert f"Images of {folder}" in "".join(output.split("\n")[:2])
    for row in table.to_dict("records"):
        (line,) = (line for line in output.splitlines() if f"│ {Path(row['path']).relative_to(folder)} " in line)
        cells = [cell.strip() for cell in line.split("│")[2:-1]]
        numbers = [f"{row[name]:.3f}" for name in ("probability", "calibrated", "spread")]
        assert cells == [row["decision"], *numbers, "1/2"]
    called = (table["decision"] == "abnormal").sum()
    assert (
        f"scratch-cnn, mean of 2 networks: {called} of 4 images are called abnormal, by a probability of 0.3 or more\n"
        in output
    )
    assert "SEEN: networks were trained or selected on 4 of these images" in output
    monkeypatch.setenv("COLUMNS", "80")
    _, output, _ = main("predict", run.path, folder)
    table_lines = [line for line in output.splitlines() if "│" in line]
    assert len(table_lines) >= 4
    assert all(len(line) <= 80 for line in table_lines)


def test_tables_for_programs(main: Main, run: RunFolder, data: Path, tmp_path: Path) -> None:
    folder = data / "Fold0/valid"
    loaded = package.load(run.path)
    wanted = loaded.predict([folder, "none.png"])
    status, output, errors = main("predict", run.path, folder, "none.png", "--format", "csv")
    assert status == 1
    piped = pd.read_csv(io.StringIO(output))
    pd.testing.assert_frame_equal(
        piped[["path", "image"]].iloc[:4], wanted[["path", "image"]].iloc[:4], check_dtype=False
    )
    np.testing.assert_allclose(piped["probability"], wanted["probability"], atol=1e-6)
    assert "called abnormal" in errors
    status, output, errors = main("predict", run.path, folder, "none.png", "--format", "json")
    said = json.loads(output)
    assert said["members"] == ["fold 0", "fold 1"]
    assert said["classes"] == ["normal", "abnormal"]
    assert said["operating_point"] == {"sensitivity": 0.95}
    assert said["threshold"] == pytest.approx(loaded.threshold)
    assert said["notes"] == loaded.notes
    assert [list(image) for image in said["images"]] == [[*wanted.columns]] * 5
    assert said["images"][4]["probability"] is None
    assert "No such file" in said["images"][4]["fault"]
    for name in ("new/p.csv", "p.json"):
        status, output, errors = main("predict", run.path, folder, "--out", name)
        assert status == 0, errors
        assert f"Table: {name}" in output
        assert "│" not in output
    written = pd.read_csv(tmp_path / "new/p.csv")
    assert written["path"].tolist() == wanted["path"].tolist()[:4]
    assert len(json.loads((tmp_path / "p.json").read_text())["images"]) == 4
    status, _, errors = main("predict", run.path, folder, "--out", "p.txt")
    assert status == 2
    assert "must end in .csv or .json" in errors


def test_pictures_of_what_was_looked_at(main: Main, run: RunFolder, data: Path, tmp_path: Path) -> None:
    folder = data / "Fold0/valid/abnormal"
    status, output, errors = main("predict", run.path, folder, tmp_path / "none.png", "--explain", "why")
    assert status == 1, errors
    assert "Pictures: why" in output
    assert [path.name for path in sorted((tmp_path / "why").iterdir())] == [
        f"00{number}-{file.name}" for number, file in enumerate(sorted(folder.iterdir()), 1)
    ]
    status, output, _ = main("explain", run.path, folder, "--folds", "1", "--out", "two")
    assert status == 0
    assert len(list((tmp_path / "two").iterdir())) == 2


def test_wrong_requests_cost_no_time(main: Main, run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for wrong, said in (
        ((run.path, "empty"), "holds no image files"),
        ((run.path, "x.png", "--model", "scratch"), "unknown model 'scratch'"),
        ((run.path, "x.png", "--folds", "9"), "fold"),
        (("none", "x.png"), "none: no such file"),
        ((run.path, "x.png", "--explain", "file/x"), "cannot be written"),
        ((run.path, "x.png", "--out", "file/x.csv"), "cannot be written"),
        ((run.path, "x.png", "--sensitivity", "0.9", "--threshold", "0.2"), "exclude each other"),
        ((run.path, "x.png", "--tta", "turns"), "turns"),
        ((run.path,), "Missing argument"),
    ):
        status, output, errors = main("predict", *wrong)
        assert status == 2, wrong
        assert said in errors, wrong
        assert output == ""


def test_it_runs_as_a_process(zoo: Zoo, run: RunFolder, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the table is on standard output, and nothing of TensorFlow's on standard error."""
    for name in logs.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    done = zoo("predict", run.path, data / "Fold0/valid", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(io.StringIO(done.stdout))) == 4
    lines = done.stderr.splitlines()
    assert lines[0].startswith("scratch-cnn, mean of 2 networks: ")
    assert all(line.startswith(("SEEN: ", "note: ")) for line in lines[1:]), done.stderr
