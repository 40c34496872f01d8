"""Settling a request: what is planned, what is written down, and what makes two runs the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install
from zoo.data.splits import fingerprint
from zoo.errors import ConfigError
from zoo.run import plan
from zoo.run.request import Request


def request(folds: Path, tmp_path: Path, **changes: object) -> Request:
    options = {"models": ("tiny",), "data": str(folds), "folds": None, "out": tmp_path / "run", "image_size": 32}
    return Request(**options | changes)  # type: ignore[arg-type]


@pytest.fixture
def tiny(install: Install) -> None:
    install(TINY_PLUGIN)


def test_one_job_per_model_and_fold(tiny: None, folds: Path, tmp_path: Path) -> None:
    made = plan.make_plan(request(folds, tmp_path, models=("tiny", "tiny-long"), seed=4, max_epochs=2))
    assert [(job.model, job.fold) for job in made.jobs] == [
        ("tiny", 0),
        ("tiny", 1),
        ("tiny-long", 0),
        ("tiny-long", 1),
    ]
    assert {(job.recipe["seed"], job.max_epochs, job.image_size) for job in made.jobs} == {(4, 2, 32)}
    assert Path(made.jobs[0].images).is_dir()
    splits = pd.read_csv(tmp_path / "run/splits.csv")
    assert len(splits) == 40
    assert not splits["path"].str.startswith("/").any()


def test_the_demo_says_what_it_changes(tiny: None, tmp_path: Path) -> None:
    made = plan.make_plan(Request(models=("efficientnet-staged",), out=tmp_path / "run"))
    (job,) = made.jobs
    assert (job.image_size, job.max_epochs, job.recipe["batch_size"]) == (96, 6, 16)
    assert job.min_learning_rate == 1e-4
    said = "96 px, batches of 16, at most 6 epochs a stage, learning rates of at least 0.0001; "
    assert any(said in note for note in made.notes)
    asked = Request(models=("efficientnet-staged",), out=tmp_path / "other", max_epochs=30, image_size=48)
    (job,) = plan.make_plan(asked).jobs
    assert (job.image_size, job.max_epochs) == (48, 30)


def test_weights_win_over_the_recipe(tiny: None, folds: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    file.write_text("weights")
    (job, _) = plan.make_plan(request(folds, tmp_path, weights=str(file))).jobs
    assert job.recipe["backbone"]["weights"] == str(file)


FORGETFUL = TINY_PLUGIN.replace('weights: str = "none"', 'weights: str = __file__ + ".weights.h5"')


def test_a_weights_file_that_should_have_come_with_the_plugin(install: Install, folds: Path, tmp_path: Path) -> None:
    """The user has named none, and ImageNet weights aren't what was meant."""
    install(FORGETFUL)
    with pytest.raises(ConfigError) as raised:
        plan.make_plan(request(folds, tmp_path))
    assert re.fullmatch(
        r"tiny: /.*\.weights\.h5, the weights of backbone 'tiny' \(from zoo-tiny 1\.0\), does not exist; it should "
        r"have come with zoo-tiny 1\.0: is it packed into its wheel\? --weights none starts from random weights",
        str(raised.value),
    )
    with pytest.raises(ConfigError, match=r"weights file mine\.h5 does not exist; use auto, imagenet, none or a file"):
        plan.make_plan(request(folds, tmp_path, weights="mine.h5"))
    with plan.make_plan(request(folds, tmp_path, weights="none")) as made:
        assert made.jobs


def test_a_weights_file_that_was_changed_is_noticed(tiny: None, folds: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    file.write_text("weights")
    for again in (1, 2):
        with plan.make_plan(request(folds, tmp_path, weights=str(file))) as made:
            assert len(made.jobs) == 2, again
    file.write_text("other weights")
    with pytest.raises(ConfigError, match=r"weights_files\..*mine\.weights\.h5 was '"):
        plan.make_plan(request(folds, tmp_path, weights=str(file)))


def test_the_fingerprint_is_of_pictures_and_roles_not_of_paths(tiny: None, folds: Path, tmp_path: Path) -> None:
    splits = plan.make_plan(request(folds, tmp_path)).splits
    moved = splits.assign(path="elsewhere").sample(frac=1, random_state=0)
    assert fingerprint(moved) == fingerprint(splits)
    for column, value in (("label", 1), ("role", "train"), ("image", "another"), ("fold", 7)):
        assert fingerprint(splits.assign(**{column: value})) != fingerprint(splits)


def test_a_spoilt_run_folder_is_refused(tiny: None, folds: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text(json.dumps({"recipes": {}}))
    with pytest.raises(ConfigError, match=r"run\.json is not what zoo wrote: .*: Field required"):
        plan.make_plan(request(folds, tmp_path))
