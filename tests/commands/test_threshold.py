"""The operating point from end to end: what is asked for, where it is written down, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install, Main, write_folds
from tests.finished import contents, finish
from zoo.errors import ConfigError
from zoo.evaluation import calibration, operating_point
from zoo.evaluation.config import OperatingPoint
from zoo.run import plan, results
from zoo.run.folder import RunFolder
from zoo.run.request import Request


@pytest.fixture
def tiny(install: Install) -> None:
    install(TINY_PLUGIN)


def request(data: Path, run: Path, **changes: Any) -> Request:
    return Request(**{"models": ("tiny",), "data": str(data), "folds": None, "out": run, "image_size": 32} | changes)


def aims(run: Path) -> Any:
    return json.loads((run / "run.json").read_text())["evaluation"]


def test_thresholds_on_the_command_line(tiny: None, folds: Path, tmp_path: Path, main: Main) -> None:
    run = tmp_path / "run"
    finish(request(folds, run))
    before = contents(run)
    assert set(pd.read_csv(run / "threshold.csv")["point"]) == {"threshold 0.5", "sensitivity 0.95"}
    status, output, errors = main("threshold", run, "tiny", "--sensitivity", 0.5, "--out", tmp_path / "other")
    assert status == 0, errors
    said = " ".join(output.split())
    assert "What tiny would miss on validation, and alarm for" in said
    assert "At sensitivity 0.5, chosen on validation, tiny misses " in said
    assert "(not sure)" in said  # a few images promise nothing
    table = pd.read_csv(tmp_path / "other/threshold.csv")
    assert list(table.columns) == operating_point.COLUMNS
    assert table["point"].unique().tolist() == ["threshold 0.5", "sensitivity 0.5"]
    assert table["fold"].tolist() == ["0", "1", "all"] * 2
    for ending in ("png", "svg"):
        assert (tmp_path / f"other/pictures/threshold-tiny.{ending}").stat().st_size > 1000
    assert contents(run) == before

    status, output, _ = main("threshold", run)
    assert status == 0
    assert "tiny: no sensitivity 0.95 is sure in fold 0, 1: validation has 2 positive images, and 19 are " in output
    assert (run / "threshold.csv").read_bytes() == before["threshold.csv"]
    assert (run / "missed.csv").read_bytes() == before["missed.csv"]


def test_threshold_sets_what_a_run_aims_at(tiny: None, folds: Path, tmp_path: Path, main: Main) -> None:
    run = tmp_path / "run"
    finish(request(folds, run, models=("tiny", "tiny-long")))
    status, output, errors = main("threshold", run, "tiny", "--specificity", 0.6, "--prevalence", 0.1)
    assert status == 0, errors
    assert "tiny-long" not in output
    assert aims(run) == {"operating_point": {"specificity": 0.6}, "prevalence": 0.1}
    table = pd.read_csv(run / "threshold.csv")
    assert set(table["model"]) == {"tiny", "tiny-long"}  # of all, whichever is shown
    assert set(table["point"]) == set(pd.read_csv(run / "missed.csv")["point"]) == {"threshold 0.5", "specificity 0.6"}
    before = (run / "threshold.csv").read_bytes()
    status, _, errors = main("report", run)
    assert status == 0, errors
    assert (run / "threshold.csv").read_bytes() == before
    assert main("threshold", run, "--threshold", 0.5)[0] == 0
    assert aims(run)["operating_point"] == {"threshold": 0.5}
    assert set(pd.read_csv(run / "threshold.csv")["point"]) == {"threshold 0.5"}


def test_tables_at_a_point(tiny: None, folds: Path, tmp_path: Path, main: Main) -> None:
    run = tmp_path / "run"
    finish(request(folds, run))
    done = results.compare(RunFolder(run))
    at = done.at(specificity=0.6)
    chosen = at.thresholds.query("point == 'specificity 0.6' and fold != 'all'")
    assert at.predictions.groupby("fold")["threshold"].first().tolist() == chosen["threshold"].tolist()
    assert at.results["recall_test"].tolist() == pytest.approx(chosen["sensitivity"].tolist())
    assert done.results["auc_test"].tolist() == at.results["auc_test"].tolist()
    assert str(at.point) == "specificity 0.6"
    with pytest.raises(ConfigError, match=r"operating point: .*'precision'"):
        done.at(precision=0.9)
    status, output, errors = main("report", run, "--specificity", 0.6, "--out", tmp_path / "other")
    assert status == 0, errors
    assert "specificity 0.6" in output
    other = pd.read_csv(tmp_path / "other/results.csv")
    assert other["recall_test"].tolist() == pytest.approx(at.results["recall_test"].tolist())
    for options, says in (
        (("--sensitivity", 0.9, "--youden"), "--sensitivity and --youden exclude each other: give one"),
        (("--cost", "10"), "'10' is not MISSED:ALARM, such as 10:1"),
        (("--cost", "-1:1"), "'-1:1' is not MISSED:ALARM"),
        (("--sensitivity", 95), "must be a share from 0.001 to 0.999, not '95'"),
        (("--prevalence", 0), "must be a share from 0.001 to 0.999, not '0'"),
    ):
        status, _, errors = main("report", run, *options)
        assert status == 2
        assert says in errors
    status, _, errors = main("threshold", run, "tinny")
    assert status == 2
    assert "unknown model 'tinny'; did you mean 'tiny'?" in errors


def test_a_run_knows_what_it_aims_at(tiny: None, folds: Path, tmp_path: Path, main: Main) -> None:
    run = tmp_path / "run"
    (tmp_path / "registry.toml").write_text(
        "[evaluation]\noperating_point = { cost = { missed = 10 } }\nprevalence = 0.02"
    )
    of_registry = {"registry": tmp_path / "registry.toml"}
    finish(request(folds, run, **of_registry))
    assert aims(run) == {"operating_point": {"cost": {"missed": 10.0, "false_alarm": 1.0}}, "prevalence": 0.02}
    table = pd.read_csv(run / "threshold.csv")
    assert set(table["point"]) == {"threshold 0.5", "cost 10 to 1"}
    assert (table["prevalence"] == 0.02).all()

    with plan.make_plan(request(folds, run, operating_point={"sensitivity": 0.8}, **of_registry)):
        pass
    assert aims(run) == {"operating_point": {"sensitivity": 0.8}, "prevalence": 0.02}
    with plan.make_plan(request(folds, run)):  # nothing said: as it was
        pass
    assert aims(run) == {"operating_point": {"sensitivity": 0.8}, "prevalence": 0.02}
    assert results.compare(RunFolder(run)).aim.operating_point == OperatingPoint(sensitivity=0.8)
    status, output, errors = main("report", run)
    assert status == 0, errors
    assert "At sensitivity 0.8, chosen on validation, tiny misses " in " ".join(output.split())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("operating_point = { sensitivity = 0.9, youden = true }", "must be one of threshold, "),
        ("operating_point = { sensitivity = 95 }", "sensitivity must be a share from 0.001 to 0.999, not 95"),
        ("operating_point = { sensitivty = 0.9 }", "sensitivty"),
        ("operating_point = 'youden'", "operating_point"),
        ("prevalence = 3", "prevalence must be a share"),
        ("threshold = 0.3", "unknown field 'threshold'; known: operating_point, prevalence"),
    ],
)
def test_a_registry_that_aims_wrongly(table: str, says: str, tmp_path: Path, main: Main) -> None:
    (tmp_path / "registry.toml").write_text(f"[evaluation]\n{table}\n")
    status, _, errors = main("list", "models", "--registry", tmp_path / "registry.toml")
    assert status == 2
    assert "registry.toml: evaluation: " in errors
    assert says in errors


def test_a_scaling_is_kept_beside_each_model(tiny: None, folds: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    finish(request(folds, run))
    done = results.compare(RunFolder(run))
    for (_, fold, _), scaling in calibration.scalings(done.predictions).items():
        assert json.loads((run / f"tiny/fold-{fold}/calibration.json").read_text()) == vars(scaling)
    table = pd.read_csv(run / "calibration.csv")
    assert list(table.columns) == calibration.COLUMNS
    assert table["fold"].tolist() == ["0", "1", "all"] * 2
    RunFolder(run).clear()
    assert contents(run) == {"lock": b""} or not contents(run)


def test_more_than_two_classes_have_no_operating_point(tiny: None, tmp_path: Path, main: Main) -> None:
    write_folds(tmp_path / "data", folds=1, classes=("none", "mild", "severe"))
    run = tmp_path / "run"
    status, _, errors = main(
        "run", "tiny", "--data", tmp_path / "data", "--out", run, "--image-size", 32, "--sensitivity", 0.9
    )
    assert status == 2
    assert "an operating point is for two classes, not 3" in errors
    assert not run.exists()
