"""What a run looks like: pictures that can be drawn from any history, and honest progress."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from rich.table import Table

from zoo.commands import train
from zoo.evaluation import metrics
from zoo.files import write_csv, write_json
from zoo.report import plots, run_pictures, tables
from zoo.report.progress import JobProgress, duration
from zoo.report.screen import Screen, say
from zoo.run.folder import JobFolder


def history(epochs: dict[str, int]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"stage": stage, "epoch": epoch + 1, "learning_rate": 0.1, "seconds": 1.0}
        | {name: rng.uniform() for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc")}
        for stage, count in epochs.items()
        for epoch in range(count)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("epochs", [{"one": 1}, {"head": 200, "top": 71, "all": 3}, dict.fromkeys("abcde", 5)], ids=str)
def test_curves_of_any_length(tmp_path: Path, epochs: dict[str, int]) -> None:
    plots.curves(history(epochs), "title", tmp_path / "curves.png")
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape[0] == 1000
    assert (picture < 250).any()
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_where_the_auc_chooses_the_epoch_the_curves_show_it(tmp_path: Path) -> None:
    table = history({"head": 5, "all": 8})
    plots.curves(table, "by loss", tmp_path / "loss.png")
    plots.curves(table, "by loss", tmp_path / "auc.png", "auc")
    by_loss, by_auc = (cv2.imread(str(tmp_path / name)) for name in ("loss.png", "auc.png"))
    assert by_auc.shape[0] > 1.3 * by_loss.shape[0]


def test_pictures_of_a_stage_whose_name_looks_like_nothing(tmp_path: Path) -> None:
    job = JobFolder(tmp_path)
    labels = np.arange(20) % 2
    write_json(job.metrics, {role: metrics.score(labels, np.eye(2)[labels]) for role in ("validation", "test")})
    write_csv(job.history, history({"NA": 3, "null": 2}))
    run_pictures.draw(job, "title", ["normal", "abnormal"], "loss")
    assert {"curves.png", "confusion.png"} <= {path.name for path in tmp_path.iterdir()}


def test_a_picture_that_cannot_be_drawn_is_a_warning(tmp_path: Path) -> None:
    said: list[Any] = []
    job: Any = SimpleNamespace(
        folder=JobFolder(tmp_path), title="m, fold 0", classes=["a", "b"], recipe={"monitor": "loss"}
    )
    shown: Any = SimpleNamespace(on_event=lambda job, event: said.append((job, event)))
    train._draw(job, shown)
    [(about, event)] = said
    assert about is job
    assert event["event"] == "warning"
    assert event["text"].startswith(f"its pictures cannot be drawn: {tmp_path / 'metrics.json'} cannot be read")


@pytest.mark.parametrize("classes", [["normal", "abnormal"], [f"grade {number}" for number in range(5)]], ids=len)
def test_confusion_matrices(tmp_path: Path, classes: list[str]) -> None:
    labels = np.arange(20) % len(classes)
    scores = {role: metrics.score(labels, np.eye(len(classes))[labels]) for role in ("validation", "test")}
    plots.confusion_matrices(scores, classes, "title", tmp_path / "confusion.png")
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None


def text_of(renderable: Any) -> str:
    console = Screen(file=io.StringIO(), width=160)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_scores_say_which_role_and_which_class() -> None:
    score = metrics.score(np.array([0, 1, 1]), metrics.per_class(np.array([[0.2], [0.4], [0.9]])))
    text = text_of(tables.scores({"validation": score, "test": score}, ["normal", "abnormal"]))
    assert "positive class: abnormal, threshold 0.5" in text
    assert "validation ┃ test" in " ".join(text.split())
    assert text.count("3 images") == 2


def test_results_of_several_folds_end_with_mean_and_spread() -> None:
    rows = [{"model": "m", "fold": fold, "weights": "random"} for fold in (0, 1)]
    for row, value in zip(rows, (0.5, 0.7), strict=True):
        row |= {f"{name}_{role}": value for name in metrics.METRICS for role in ("validation", "test")}
    text = text_of(tables.results(pd.DataFrame(rows)))
    assert "0.6000" in text
    assert "± 0.1414" in text


def test_a_metric_that_is_not_defined_is_a_dash() -> None:
    assert tables.number(float("nan")) == tables.number(None) == "–"


def test_what_others_write_does_nothing_to_a_terminal() -> None:
    """Of job, stage, error and table, while a live line is shown as well."""
    file = io.StringIO()
    screen = Screen(file=file, width=300, force_terminal=True, color_system=None)
    odd = "\x1b[2J\x1b]0;owned\x07\u202e [bold]x[/nope] :smile:"
    with JobProgress(screen, ["normal", odd], several=False) as progress:
        job = SimpleNamespace(model="m", title=f"m{odd}")
        stage = {"event": "stage_started", "stage": odd, "number": 1, "stages": 3, "epochs": 10, "steps": 4}
        progress.on_event(job, {"event": "job_launched"})
        progress.on_event(job, stage | {"trainable": 1234, "frozen": 5})
        progress._bar.refresh()
        for event in ("warning", "job_failed"):
            progress.on_event(job, {"event": event, "text": odd, "error": odd})
    screen.print(Table(odd, title=odd), odd)
    say(screen, odd)
    told = file.getvalue()
    assert "\x1b[2J" not in told
    assert not {"\x07", "\u202e"} & set(told)
    assert "\x1b]" not in told
    assert told.count("[bold]x[/nope] :smile:") >= 8


def test_a_sentence_has_an_end() -> None:
    screen = Screen(file=io.StringIO(), width=80)
    say(screen, "x" * 2000 + "\n  y")
    say(screen, "\n".join(["z" * 10**5] * 10**3))
    first, second, *others = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert (first, second) == ("x" * 2000, "  y")
    assert others == ["z" * 2000 + " …"] * 100


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.4, "1:01"), (3599.6, "1:00:00"), (7325, "2:02:05")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_plain_lines_with_an_honest_eta() -> None:
    """The first epoch compiles and is no measure; what is left of the stage comes from the others."""
    console = Screen(file=io.StringIO(), width=200)
    with JobProgress(console, ["normal", "abnormal"], several=False) as progress:
        job = SimpleNamespace(model="m", title="m, fold 3")
        stage = {"event": "stage_started", "stage": "head", "number": 1, "stages": 3, "epochs": 10, "steps": 4}
        progress.on_event(job, {"event": "job_launched"})
        progress.on_event(job, stage | {"trainable": 1234, "frozen": 5})
        for epoch, seconds in ((1, 60.0), (2, 2.0), (3, 4.0)):
            numbers = dict.fromkeys(("loss", "val_loss", "val_accuracy", "val_auc", "learning_rate"), 0.5)
            event = {"event": "epoch_ended", "epoch": epoch, "epochs": 10, "seconds": seconds, "best": epoch == 2}
            progress.on_event(job, event | numbers)
        progress.on_event(job, {"event": "stage_ended", "epochs": 3})
        progress.on_event(job, {"event": "job_failed", "error": "[bold]no luck"})
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "m, fold 3" in lines
    assert "stage 1/3 head: at most 10 epochs of 4 steps; 1,234 parameters train, 5 stay" in lines[2]
    assert "ETA" not in lines[3]
    assert "stage ETA ≤ 0:16  best so far" in lines[4]
    assert "stage ETA ≤ 0:21" in lines[5]
    assert "stopped early after 3 epochs" in lines[6]
    assert lines[7] == "m, fold 3 failed: [bold]no luck"


def test_the_missed_images_are_shown_and_a_lost_file_is_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "there $1$.png"), np.full((40, 60, 3), (0, 0, 255), np.uint8))
    rows = pd.DataFrame({"path": ["there $1$.png", "lost.png"], "probability": [0.1, 0.2]})
    rows = rows.assign(kind="missed", point="sensitivity 0.9", image=["0", "1"])
    path = tmp_path / "pictures/missed-m.png"
    run_pictures._draw_missed(rows, tmp_path, ["normal", "abnormal"], "m", {}, path)
    picture = cv2.imread(str(path)).reshape(-1, 3)
    assert (picture == (0, 0, 255)).all(axis=1).sum() > 1000
    assert (picture == 200).all(axis=1).sum() > 1000
    run_pictures._draw_missed(rows[:0], tmp_path, ["normal", "abnormal"], "m", {}, path)
    assert not path.exists()  # nothing is missed any more


def test_a_heat_map_lies_over_its_place() -> None:
    image = np.full((40, 60, 3), 128, dtype=np.uint8)
    both = plots.overlaid(image, np.array([[1.0, 0.0], [0.0, -1.0]]))
    assert both.shape == (40, 120, 3)
    assert (both[:, :60] == image).all()
    (first, last) = both[2, 62].astype(int), both[-3, -3].astype(int)
    assert first[0] - first[2] > 60  # orange
    assert last[2] - last[0] > 60  # blue
    assert (plots.overlaid(image, np.zeros((1, 1)))[:, 60:] == 128).all()
