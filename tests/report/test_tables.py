"""Every table at 80 columns: no line is longer, nothing is cut, and all that belongs there is there."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import RenderableType
from rich.table import Table

from tests.conftest import Main
from zoo.auditing import run
from zoo.auditing.findings import Finding
from zoo.data import config, splits
from zoo.data.options import DataOptions
from zoo.evaluation import comparison, metrics, missed, operating_point
from zoo.evaluation.config import HALF, EvaluationConfig
from zoo.plugins import registry
from zoo.plugins.discovery import discover
from zoo.report import audit, comparison_progress, pairs, recipe, screen, tables
from zoo.run.results import Comparison

WIDTHS = (80, 120)
LONG = [f"a-model-with-a-name-of-forty-characters-{number}" for number in range(3)]
PLAIN = ["efficientnet-augmented-single", "scratch-cnn"]


def text_of(renderable: RenderableType, width: int) -> str:
    file = io.StringIO()
    screen.Screen(file=file, width=width).print(renderable)
    return file.getvalue()


def assert_readable(text: str, width: int, belongs: Iterable[object]) -> None:
    """What belongs there may be wrapped at its blanks, and nowhere else."""
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"\S…", text)  # a cell that is cut ends so
    bare = " ".join(re.sub("[│┃|]", " ", text).split())
    for each in belongs:
        for word in str(each).split():
            assert word in bare, word


def compared(models: list[str], folds: int = 5) -> Any:
    """What `Comparison` has, of models by chance."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "model": model,
            "fold": fold,
            "repeat": 0,
            "role": role,
            "image": f"{fold}-{role}-{n}",
            "path": f"{n}.png",
            "label": n % 2,
            "probability": rng.uniform(),
            "group": "",
        }
        for model in models
        for fold in range(folds)
        for role in ("validation", "test")
        for n in range(20)
    ]
    predictions = pd.DataFrame(rows)
    results = comparison.results(predictions)
    to_train = {"validation": 0.2, "test": 0.2}
    chosen = operating_point.thresholds(predictions, HALF)
    fields: dict[str, Any] = {
        "run": SimpleNamespace(path="runs/one"),
        "results": results.assign(weights="random"),
        "missing": [],
        "notes": [],
        "summary": comparison.summary(predictions, results, to_train),
        "predictions": predictions,
        "metric": "auc",
        "comparison": comparison.compare(predictions, results, to_train),
        "thresholds": operating_point.tested(predictions, chosen, HALF, 0.2, None),
        "missed": missed.missed(predictions, HALF, ["normal", "abnormal"]),
        "rope": 0.01,
        "point": HALF,
        "aim": EvaluationConfig(),
        "classes": ["normal", "abnormal"],
        "roles": {},
        "root": Path("images"),
    }
    return Comparison(**fields)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("models", [PLAIN, LONG], ids=["plain", "long"])
def test_tables_of_a_comparison(width: int, models: list[str]) -> None:
    done = compared(models)
    for wide in (True, False):
        text = text_of(tables.summary(done, wide), width)
        shown = done.summary[done.summary["role"].isin(["test", *(["validation"] if wide else [])])]
        shown = shown.loc[shown["metric"].isin(["recall", "auc"]), ["mean", "sd", "low", "high"]]
        assert_readable(text, width, [*models, *(f"{value:.3f}" for value in shown.to_numpy().ravel())])
        text = text_of(tables.results(done.results, wide), width)
        assert_readable(text, width, [*models, *(f"{value:.4f}" for value in done.results["auc_test"]), "mean", "±"])
    tests = text_of(pairs.other_tests(done.comparison), width)
    belongs = done.comparison[["better", "equivalent", "worse"]].to_numpy().ravel()
    assert_readable(tests, width, [*models, *(f"{value:.4f}" for value in belongs)])
    for model in models:
        text = text_of(tables.intervals(done, model), width)
        cells = done.summary[done.summary["model"] == model]
        assert_readable(
            text, width, [f"{value:.3f}" for value in cells[["mean", "sd", "low", "high"]].to_numpy().ravel()]
        )


def test_the_words_of_a_comparison_name_winners_and_costs() -> None:
    done = compared(PLAIN)
    done.predictions.loc[done.predictions["model"] == "scratch-cnn", "probability"] = 0.9
    sentence, cost = pairs.said(done)
    assert " is undecided: AUC " in sentence
    assert re.search(
        r"At threshold 0.5 .* finds \d+ (more|fewer) of 50 abnormal images than .*, with \d+ (more|fewer) "
        r"false alarms among 50 normal ones\.",
        cost,
    )
    many = compared([f"m{number}" for number in range(6)])
    assert pairs.said(many)[-1] == "… and 5 more pairs in comparison.csv"
    assert len(pairs.explained(done.comparison)) == len(pairs.other_tests(done.comparison).columns) - 1


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("letters", [3, 25])
def test_tables_of_images_and_scores(width: int, classes: int, letters: int) -> None:
    names = [f"{number}{'x' * (letters - 1)}" for number in range(classes)]
    images = pd.DataFrame(
        {
            "fold": np.repeat([0, 1], 300),
            "role": ["train", "validation", "test"] * 200,
            "label": np.tile(np.arange(classes), 600 // classes),
            "group": "p",
        }
    )
    counts = splits.class_counts(images, names)
    belongs = [*names, *counts.to_numpy().ravel(), "validation"]
    roles = {"train": "a", "validation": "b-folder", "test": "c"}
    assert_readable(text_of(tables.class_counts(counts, 4096, roles), width), width, [*belongs, "4096", "b-folder"])
    assert_readable(text_of(tables.folds(counts, splits.group_counts(images)), width), width, belongs)
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(classes), 200)
    score = metrics.score(np.arange(200) % classes, probabilities)
    text = text_of(tables.scores({"validation": score, "test": {**score, "leaked": 3}}, names), width)
    numbers = [f"{score[name]:.4f}" for name in metrics.METRICS]
    assert_readable(text, width, [*names, *numbers, "200", *np.ravel(score["confusion_matrix"])])
    assert "test is LEAKED: the weights have seen 3 of these images" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_recipe_trains(width: int) -> None:
    models = registry.load_registry(None, discover())
    for name in ("scratch-cnn", "mobilenet-v2-tuned"):
        made = models.recipe(name)
        stages = registry.checked_stages(made.schedule)
        text = text_of(recipe.recipe_tables(made, recipe.build(made, 2, 32), stages), width)
        assert_readable(
            text, width, [name, *(stage.epochs for stage in stages), "augmenter", "learning rate", "frozen"]
        )


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_of_an_audit(width: int) -> None:
    path = "a folder/" + "deep/" * 20 + "image.png"
    rows = pd.DataFrame({"first": [path], "second": [path]})
    advice = "look at them, " * 10
    findings = [Finding(level, "kind", "a long sentence " * 12, advice, rows) for level in ("error", "warning", "note")]
    row = {"source": "", "feature": "size, format and bytes", "images": 1480, "auc": 0.8123, "low": 0.5, "high": 0.9}
    done: Any = SimpleNamespace(
        findings=findings,
        shortcuts=pd.DataFrame([{**row, "remark": "a typical value " * 9}, row]).fillna(""),
        counts={"errors": 1, "warnings": 1, "notes": 1},
        request={"classes": ["a", "b"]},
    )
    assert_readable(text_of(audit.findings(done), width), width, ["error", "warning", "long sentence"])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        *(["list", kind] for kind in ("backbones", "heads", "schedules", "augmenters", "trackers")),
        ["plugins", "list"],
        ["cache", "info"],
    ],
    ids=" ".join,
)
def test_tables_of_commands(main: Main, monkeypatch: pytest.MonkeyPatch, command: list[str], width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    status, output, errors = main(*command)
    assert status == 0, errors
    if command == ["cache", "info"]:
        output = "\n".join(output.splitlines()[:-1])  # the path of the cache
    belongs = registry.load_registry(None, discover()).names() if command == ["list"] else []
    belongs += discover().names("backbone") if command[-1] == "backbones" else []
    assert_readable(output, width, belongs)


def test_wide_tables_are_as_wide_as_they_are(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow, wide = main("list")[1], main("list", "--wide")[1]
    assert max(map(len, narrow.splitlines())) <= 40
    assert {len(line) for line in wide.splitlines()} == {len(wide.splitlines()[0])}
    assert re.search("│ efficientnet-head +│ efficientnet-b0 +│ pooled │ three-stage │ none", wide)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_live_table_of_a_comparison(width: int) -> None:
    class Job(SimpleNamespace):
        model, fold, repeat = LONG[0], 3, 1
        title = f"{LONG[0]}, fold 3, repeat 1"

    console = screen.Screen(file=io.StringIO(), width=width)
    shown = comparison_progress.ComparisonProgress(console, [Job()], 1, "auc")
    shown._job_launched(Job(), {})
    shown._running[Job.title].where = "stage 2/3 the-top-of-the-network, epoch 128/200"
    assert_readable(
        text_of(shown._table(), width), width, [Job.title, "stage 2/3 the-top-of-the-network, epoch 128/200"]
    )


def test_a_block_has_the_cells_of_its_row() -> None:
    table = Table("name", "first\nvalue", "empty", title="Things")
    table.add_row("one", "1\n2", "")
    assert screen.Screen(file=io.StringIO(), width=10).render_str("x")
    text = text_of(screen.blocks(table), 40)
    assert [line.rstrip() for line in text.splitlines()] == ["Things", "one", "  first value  1 2"]


def test_an_audit_of_images_can_be_printed_at_80(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    from tests.conftest import disc

    rng = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / ("ill" if number % 2 else "healthy")
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), disc(rng, number % 2 > 0, 32))
    done = run.look(config.DataConfig(), DataOptions(data=str(tmp_path)), near_duplicates=False)
    for table in (audit.findings(done), audit.shortcuts(done)):
        assert_readable(text_of(table, 80), 80, ["0.5"] if table.title and "Shortcut" in str(table.title) else ["note"])
