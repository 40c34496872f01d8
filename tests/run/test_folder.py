from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from zoo.errors import ConfigError
from zoo.files import read_csv, read_json, write_csv, write_json, write_text
from zoo.interfaces import model_name_fault
from zoo.run.folder import JobFolder, RunFolder


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def power_cut(descriptor: int) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError, match="power cut"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_nan_is_null_in_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"auc": float("nan"), "rows": [1.5, float("inf")]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"auc": None, "rows": [1.5, None]}


def test_probabilities_survive_a_csv_to_the_last_bit(tmp_path: Path) -> None:
    table = pd.DataFrame({"probability": [1 / 3, 0.1, 1e-17]})
    write_csv(tmp_path / "a.csv", table)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert [float(line) for line in lines[1:]] == table["probability"].tolist()


def test_text_survives_a_csv_whatever_it_looks_like(tmp_path: Path) -> None:
    texts = ["NA", "None", "null", "nan", "007", "1e5", "True", ""]
    table = pd.DataFrame({"stage": texts, "group": texts, "loss": [0.5, *[None] * 7], "label": range(8)})
    write_csv(tmp_path / "a.csv", table)
    read = read_csv(tmp_path / "a.csv")
    assert read["stage"].tolist() == read["group"].tolist() == texts
    assert read["loss"].notna().tolist() == [True, *[False] * 7]
    write_csv(tmp_path / "b.csv", table[["stage"]][4:5])
    assert read_csv(tmp_path / "b.csv")["stage"].tolist() == ["007"]


def test_a_spoilt_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ConfigError, match=r"run\.json is not the JSON"):
        read_json(tmp_path / "run.json")


def test_status_goes_from_nothing_to_done(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "model" / "fold-0")
    assert job.status() == {}
    job.set_status("running")
    assert not job.done
    for file in job.files:
        file.write_text(file.name)
    job.set_status("done", weights="random", machine={})
    assert job.done
    status = job.status()
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in status["files"]}
    assert status == {"state": "done", "job": "model/fold-0", "weights": "random", "machine": {}, "files": hashes}
    job.best.unlink()
    assert not job.done


def test_no_model_is_named_like_something_else_in_a_run_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    own = [value for name in vars(RunFolder) if isinstance(value := getattr(run, name, None), Path)]
    assert run.summary in own
    own += [run.best(0).parent, run.tracker_log("a").parent, tmp_path / "lock", tmp_path / "pictures"]
    for path in own:
        assert model_name_fault(path.relative_to(tmp_path).name) is not None
    assert model_name_fault("summary") is None


def test_a_run_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"run folder .* cannot be written"):
        RunFolder(tmp_path / "file").create()
