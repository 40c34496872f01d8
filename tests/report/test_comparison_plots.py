"""The pictures of a comparison: drawn for any number of models and folds, with nothing cut off, and true numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score

from zoo.evaluation.comparison import pooled
from zoo.evaluation.config import HALF, OperatingPoint
from zoo.report import comparison_plots, plots

SVG = "{http://www.w3.org/2000/svg}"
LONG_NAMES = [f"efficientnet-augmented-wide-{number}" for number in range(20)]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is saved, with nothing of it over the edge."""
    saved: list[Figure] = []
    save = plots.save_png_and_svg

    def look_and_save(figure: Figure, path: Path) -> list[Path]:
        saved.append(figure)
        paths = save(figure, path)
        FigureCanvasAgg(figure).draw()
        inches = figure.get_tightbbox()
        assert min(inches.x0, inches.y0) > -0.02
        assert inches.x1 < figure.get_figwidth() + 0.02
        assert inches.y1 < figure.get_figheight() + 0.02
        return paths

    monkeypatch.setattr(plots, "save_png_and_svg", look_and_save)
    return saved


def texts(paths: list[Path]) -> list[str]:
    """The texts of the SVG, after a look at both files."""
    png, svg = paths
    assert (png.suffix, svg.suffix) == (".png", ".svg")
    assert (cv2.imread(str(png)) < 250).any()
    assert sorted(path.name for path in png.parent.iterdir()) == [png.name, svg.name]
    found = ElementTree.parse(svg).iter(f"{SVG}text")
    return ["".join(element.itertext()).strip() for element in found]


def history(epochs: dict[str, int], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {"stage": stage, "epoch": epoch + 1, "learning_rate": 0.1, "seconds": 1.0}
        | {name: rng.uniform(0.2, 1) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        for stage, count in epochs.items()
        for epoch in range(count)
    ]
    return pd.DataFrame(rows)


def predictions(models: list[str], folds: int, size: int = 30) -> pd.DataFrame:
    """Two classes; every model is a little worse than the one before."""
    rng = np.random.default_rng(0)
    parts = []
    for number, model in enumerate(models):
        for fold in range(folds):
            labels = np.arange(size) % 2
            logits = rng.normal(0, 1, size) + (labels - 0.5) * (5 - 8 * number / len(models))
            part = {"image": [str(image) for image in range(size)], "label": labels}
            part["probability"] = 1 / (1 + np.exp(-logits))
            parts.append(pd.DataFrame({"model": model, "fold": fold, "role": "test"} | part))
    return pd.concat(parts, ignore_index=True)


def scores(values: dict[str, list[float]], column: str = "f1_test") -> tuple[pd.DataFrame, pd.DataFrame]:
    """results.csv and its summary; the values of a model in the order of the folds."""
    rows = [
        {"model": model, "fold": fold, column: value}
        for model, each in values.items()
        for fold, value in enumerate(each)
    ]
    metric, role = column.split("_")
    results = pd.DataFrame(rows)
    summary = results.groupby("model", as_index=False)[column].mean().rename(columns={column: "mean"})
    return results, summary.assign(metric=metric, role=role, low=summary["mean"] - 0.1, high=summary["mean"] + 0.1)


def comparison(models: list[str], **columns: Any) -> pd.DataFrame:
    """All pairs of the models, which stand best first."""
    rows = [{"model_a": a, "model_b": b, "metric": "f1"} for a, b in combinations(models, 2)]
    values: dict[str, Any] = {
        "difference": 0.0123,
        "better": 0.97,
        "equivalent": 0.02,
        "worse": 0.01,
        "verdict": "better",
    }
    values |= {"low": 0.0, "high": 0.1, "rope": 0.01, "p_holm": 0.01}
    table = pd.DataFrame(rows).assign(**(values | columns))
    return table.sample(frac=1, random_state=0)


@pytest.mark.parametrize("key", [int, "{} seed 1".format], ids=["fold", "label"])
@pytest.mark.parametrize(
    ("folds", "epochs"),
    [(10, {"head": 20, "top": 9, "all": 3}), (10, {"one": 1}), (2, dict.fromkeys("ab", 4)), (1, {"head": 1})],
    ids=str,
)
def test_learning_curves_of_any_length(
    tmp_path: Path, figures: list[Figure], folds: int, epochs: dict[str, int], key: Any
) -> None:
    lengths = [{stage: max(1, count - fold % 3) for stage, count in epochs.items()} for fold in range(folds)]
    histories = {key(fold): history(each, fold) for fold, each in enumerate(lengths)}
    found = texts(comparison_plots.learning_curves(histories, "a title", tmp_path / "curves"))
    titles = {f"stage {number}: {name}" for number, name in enumerate(epochs, start=1)}
    assert {"a title", "training", "validation"} | titles <= set(found)
    assert (f"each of {folds} training runs and its end" in found) == (folds > 1)


def test_the_mean_curve_is_over_the_folds_that_still_run(tmp_path: Path, figures: list[Figure]) -> None:
    short, long = history({"head": 2}, 0), history({"head": 3}, 1)
    comparison_plots.learning_curves({0: short, 1: long}, "title", tmp_path / "curves")
    thick = [line for line in figures[0].axes[0].lines if line.get_linewidth() > 2]
    expected = [(short["val_accuracy"][epoch] + long["val_accuracy"][epoch]) / 2 for epoch in (0, 1)]
    np.testing.assert_allclose(np.asarray(thick[1].get_ydata()), [*expected, long["val_accuracy"][2]])


def test_learning_curves_of_a_diverged_fold_and_of_none(tmp_path: Path, figures: list[Figure]) -> None:
    diverged = history({"head": 5})
    diverged.loc[2:, "loss"] = np.nan
    diverged.loc[2:, "val_loss"] = np.inf
    histories = {0: diverged, 1: history({"head": 5}, 1), 2: diverged[:0]}
    assert "each of 2 training runs and its end" in texts(
        comparison_plots.learning_curves(histories, "title", tmp_path / "curves")
    )
    assert comparison_plots.learning_curves({0: diverged[:0]}, "title", tmp_path / "none") == []
    assert comparison_plots.learning_curves({}, "title", tmp_path / "none") == []


def test_a_huge_first_loss_does_not_flatten_the_rest(tmp_path: Path, figures: list[Figure]) -> None:
    huge = history({"head": 30})
    comparison_plots.learning_curves({0: huge}, "title", tmp_path / "curves")
    huge.loc[0, "val_loss"] = 50.0
    found = texts(comparison_plots.learning_curves({0: huge}, "title", tmp_path / "curves"))
    assert [figure.axes[1].get_yscale() for figure in figures] == ["linear", "log"]
    assert {"1", "10"} <= set(found)


@pytest.mark.parametrize("odd", ["$\\frac{$", "a_$1^2$ 日本"])
def test_names_are_no_formulas_and_in_any_script(tmp_path: Path, odd: str, recwarn: pytest.WarningsRecorder) -> None:
    table = predictions([odd, "b"], folds=2)
    pictures = {
        "curves": (comparison_plots.learning_curves, [{0: history({odd: 3})}, odd], {odd, f"stage 1: {odd}"}),
        "metric": (comparison_plots.metric_by_model, [*scores({odd: [0.5, 0.6]}), "f1", "test"], {odd}),
        "roc": (comparison_plots.roc_and_pr, [table[table["model"] == odd], odd, "test"], set()),
        "rocs": (comparison_plots.roc_of_models, [table, "test"], set()),
        "confusion": (comparison_plots.confusion_sums, [table, [odd, "c"], "test", 0.5], {odd, "b", "c"}),
        "verdicts": (comparison_plots.verdicts, [comparison([odd, "b", "c"])], {odd, "b"}),
        "one verdict": (comparison_plots.verdicts, [comparison([odd, "b"])], {f"{odd} better"}),
    }
    for name, (draw, arguments, expected) in pictures.items():
        found = texts(draw(*arguments, tmp_path / name / "picture"))
        assert expected <= set(found)
        assert any(odd in text for text in found)
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


@pytest.mark.parametrize(("count", "folds"), [(1, 1), (2, 10), (6, 1), (20, 5)])
def test_metric_by_model(tmp_path: Path, figures: list[Figure], count: int, folds: int) -> None:
    rng = np.random.default_rng(0)
    results, summary = scores({name: list(rng.uniform(0.8, 1, folds)) for name in LONG_NAMES[:count]})
    found = texts(comparison_plots.metric_by_model(results, summary, "f1", "test", tmp_path / "f1"))
    assert set(LONG_NAMES[:count]) <= set(found)
    assert f"F1 on test, {folds} fold{'s' if folds > 1 else ''}" in found
    assert f"{'mean' if folds > 1 else 'the fold'} and 95 % interval" in found
    for line in figures[0].axes[0].lines:
        if line.get_marker() == "o":  # the dots of a model stand on its row
            assert len({*np.asarray(line.get_ydata()) % 1}) == 1


@pytest.mark.parametrize(("column", "order"), [("f1_test", "best"), ("loss_validation", "worst")])
def test_the_best_model_stands_on_top_and_nan_is_skipped(
    tmp_path: Path, figures: list[Figure], column: str, order: str
) -> None:
    nan = float("nan")
    values = {"low": [0.1, 0.2, 0.3], "gone": [nan, nan, nan], "high": [0.9, nan, 0.8], "middle": [0.5, 0.5, 0.5]}
    results, summary = scores(values, column)
    comparison_plots.metric_by_model(results, summary, *column.split("_"), tmp_path / "metric")
    names = [label.get_text() for label in figures[0].axes[0].get_yticklabels()]
    best_first = ["high (2 folds)", "middle", "low"]
    assert names == (best_first if order == "best" else best_first[::-1])


def test_repeats_are_averaged_and_the_summary_gives_mean_and_interval(tmp_path: Path, figures: list[Figure]) -> None:
    first, summary = scores({"a": [0.5, 0.7], "b": [0.2, 0.4]})
    results = pd.concat([first.assign(repeat=0), first.assign(repeat=1, f1_test=first["f1_test"] + 0.2)])
    found = texts(comparison_plots.metric_by_model(results, summary, "f1", "test", tmp_path / "f1"))
    assert {"F1 on test, 2 folds x 2 repeats", "one fold (mean of its repeats)"} <= set(found)
    axes = figures[0].axes[0]
    dots = [np.asarray(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, [[0.6, 0.8], [0.3, 0.5]])
    intervals = [path.vertices[:, 0] for path in axes.collections[0].get_paths()]
    np.testing.assert_allclose(intervals, [[0.5, 0.7], [0.2, 0.4]])


def test_an_unknown_interval_is_left_out(tmp_path: Path, figures: list[Figure]) -> None:
    results, summary = scores({"a": [0.5, 0.7], "b": [0.2, 0.4]})
    unknown = summary.assign(low=np.nan, high=np.nan)
    assert "mean" in texts(comparison_plots.metric_by_model(results, unknown, "f1", "test", tmp_path / "f1"))


def test_a_metric_that_nobody_has_is_no_picture(tmp_path: Path) -> None:
    results, summary = scores({"a": [float("nan")], "b": [float("nan")]})
    assert comparison_plots.metric_by_model(results, summary, "f1", "test", tmp_path / "f1") == []
    assert comparison_plots.metric_by_model(results, summary, "auc", "test", tmp_path / "auc") == []
    assert list(tmp_path.iterdir()) == []


def test_roc_of_one_model_has_sklearns_areas(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(["a", "b", "c"], folds=3)
    table = table[table["model"] == "c"].reset_index(drop=True)
    table.loc[0, "probability"] = np.nan
    found = texts(comparison_plots.roc_and_pr(table, "c", "test", tmp_path / "roc"))
    for name, area in (("AUC", roc_auc_score), ("average precision", average_precision_score)):
        known = table.dropna()
        folds = [area(fold["label"], fold["probability"]) for _, fold in known.groupby("fold")]
        assert f"all pooled: {name} {area(known['label'], known['probability']):.3f}" in found
        assert f"each fold: {name} {min(folds):.3f} to {max(folds):.3f}" in found
    assert "c on test (89 predictions, 3 folds)" in found


def test_a_fold_with_one_class_has_no_line_but_counts_in_the_pool(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(["a"], folds=3)
    table = table[(table["fold"] > 0) | (table["label"] == 1)]
    found = texts(comparison_plots.roc_and_pr(table, "a", "test", tmp_path / "roc"))
    assert f"all pooled: AUC {roc_auc_score(table['label'], table['probability']):.3f}" in found
    assert len([line for line in figures[0].axes[0].lines if line.get_linewidth() < 1]) == 2


def test_roc_of_repeats_has_a_line_for_each(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(["a"], folds=4).assign(repeat=0)
    table["repeat"], table["fold"] = table["fold"] // 2, table["fold"] % 2
    found = texts(comparison_plots.roc_and_pr(table, "a", "test", tmp_path / "roc"))
    assert "a on test (120 predictions, 2 folds x 2 repeats)" in found
    assert any(text.startswith("each fold and repeat: AUC") for text in found)
    assert len([line for line in figures[0].axes[0].lines if line.get_linewidth() < 1]) == 4


def test_roc_of_one_fold(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(["a"], folds=1)
    found = texts(comparison_plots.roc_and_pr(table, "a", "test", tmp_path / "roc"))
    assert f"AUC {roc_auc_score(table['label'], table['probability']):.3f}" in found


@pytest.mark.parametrize("count", [1, 10, 20])
def test_roc_of_models_is_sorted_by_sklearns_auc(tmp_path: Path, figures: list[Figure], count: int) -> None:
    table = predictions(LONG_NAMES[:count][::-1], folds=2)
    found = texts(comparison_plots.roc_of_models(table, "test", tmp_path / "roc"))
    areas = []
    for model, part in table.groupby("model"):
        auc, precision = (area(part["label"], part["probability"]) for area in (roc_auc_score, average_precision_score))
        areas.append(f"{model}: AUC {auc:.3f}, AP {precision:.3f}")
    legend = [text for text in found if "AUC" in text]
    assert sorted(legend) == sorted(areas)
    numbers = [float(text.split("AUC ")[1].split(",")[0]) for text in legend]
    assert numbers == sorted(numbers, reverse=True)
    strokes = {path.get("style", "") for path in ElementTree.parse(tmp_path / "roc.svg").iter(f"{SVG}path")}
    assert len([stroke for stroke in strokes if "width: 1.5" in stroke and plots.GREY not in stroke]) == count


def test_a_model_keeps_its_colour_where_another_is_skipped(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(["a", "b"], folds=2)
    comparison_plots.roc_of_models(table, "test", tmp_path / "roc")
    comparison_plots.roc_of_models(table[(table["model"] == "b") | (table["label"] == 1)], "test", tmp_path / "roc")
    both, alone = (figure.axes[0].lines for figure in figures)
    assert both[2].get_color() == alone[1].get_color()


def test_roc_says_where_folds_are_missing(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(["a", "b"], folds=3)
    table = table[(table["model"] == "a") | (table["fold"] == 0)]
    found = texts(comparison_plots.roc_of_models(table, "test", tmp_path / "roc"))
    assert any(text.startswith("b (1 fold): AUC") for text in found)


@pytest.mark.parametrize("reason", ["role", "one class", "three classes", "columns of more classes", "nan", "empty"])
def test_no_roc_without_two_classes(tmp_path: Path, reason: str) -> None:
    table = predictions(["a", "b"], folds=2)
    table = {
        "role": table.assign(role="validation"),
        "one class": table.assign(label=1),
        "three classes": table.assign(label=np.arange(len(table)) % 3),
        "columns of more classes": table.assign(probability_mild=0.1),
        "nan": table.assign(probability=np.nan),
        "empty": table[:0],
    }[reason]
    assert comparison_plots.roc_and_pr(table.drop(columns="model"), "a", "test", tmp_path / "roc") == []
    assert comparison_plots.roc_of_models(table, "test", tmp_path / "roc") == []
    assert list(tmp_path.iterdir()) == []


def test_confusions_are_summed_over_folds_at_the_threshold(tmp_path: Path, figures: list[Figure]) -> None:
    rows = [(0, 0, 0.1), (0, 0, 0.3), (0, 1, 0.3), (1, 0, 0.2), (1, 1, 0.9), (1, 1, 0.1), (1, 1, 0.7), (1, 0, np.nan)]
    table = pd.DataFrame(rows, columns=["fold", "label", "probability"]).assign(role="test", model="a")
    table = pd.concat([table, table[table["fold"] == 0].assign(model="b")])
    classes = ["normal", "abnormal"]
    at = OperatingPoint(threshold=0.3)
    found = texts(comparison_plots.confusion_sums(table.assign(threshold=0.3), classes, "test", at, tmp_path / "c"))
    assert {"a", "b (1 fold)", "test, sum of 2 folds", "abnormal, at threshold 0.3"} <= set(found)
    cells = [[text.get_text() for text in axes.texts] for axes in figures[0].axes]
    assert cells[0] == ["2\n66.7%", "1\n33.3%", "1\n25.0%", "3\n75.0%"]
    assert cells[1] == ["1\n50.0%", "1\n50.0%", "0\n0.0%", "1\n100.0%"]


def test_confusion_of_more_classes_takes_the_most_probable(tmp_path: Path, figures: list[Figure]) -> None:
    columns = [f"probability_{name}" for name in ("healthy", "mild", "severe")]
    rows = [(0, 0.5, 0.3, 0.2), (1, 0.5, 0.3, 0.2), (2, 0.1, 0.2, 0.7)]
    table = pd.DataFrame(rows, columns=["label", *columns]).assign(role="test", model="a", fold=0)
    paths = comparison_plots.confusion_sums(table, ["healthy", "mild", "severe"], "test", HALF, tmp_path / "confusion")
    assert "the most probable class" in texts(paths)
    counts = [text.get_text().split("\n")[0] for text in figures[0].axes[0].texts]
    assert counts == ["1", "0", "0", "1", "0", "0", "0", "0", "1"]


def test_confusion_of_many_models(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(LONG_NAMES, folds=2)
    classes = ["no diabetic retinopathy", "diabetic retinopathy"]
    found = texts(comparison_plots.confusion_sums(table, classes, "test", HALF, tmp_path / "confusion"))
    assert set(LONG_NAMES) <= set(found)
    assert comparison_plots.confusion_sums(table, classes, "validation", HALF, tmp_path / "none") == []


@pytest.mark.parametrize("count", [3, 6, 20])
def test_verdicts_stand_best_first(tmp_path: Path, figures: list[Figure], count: int) -> None:
    models = LONG_NAMES[:count]
    found = texts(comparison_plots.verdicts(comparison(models), tmp_path / "verdicts"))
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == models[:-1]
    assert [label.get_text() for label in axes.get_yticklabels()] == models[1:]
    assert found.count("better") == found.count("+0.012") == found.count("P 0.970") == count * (count - 1) / 2


def test_each_verdict_has_its_own_colour_and_probability(tmp_path: Path, figures: list[Figure]) -> None:
    pairs = comparison(["a", "b", "c", "d"]).head(5)
    pairs["verdict"] = ["better", "equivalent", "undecided", "worse", None]
    pairs["better"] = [0.9999, 0.2, 0.6, 0.1, 0.5]
    comparison_plots.verdicts(pairs, tmp_path / "verdicts")
    axes = figures[0].axes[0]
    cells = [text.get_text() for text in axes.texts]
    assert cells == [
        "better\n+0.012\nP > 0.999",
        "equivalent\n+0.012\nP 0.020",
        "undecided\n+0.012\nP 0.600",
        "worse\n+0.012\nP 0.010",
    ]
    assert len({patch.get_facecolor() for patch in axes.patches}) == 4


def test_one_pair_shows_its_difference_and_probabilities(tmp_path: Path, figures: list[Figure]) -> None:
    found = texts(comparison_plots.verdicts(comparison(["a", "b"], better=0.7, equivalent=0.29), tmp_path / "verdicts"))
    assert {"a against b: better", "better", "70.0%", "equal", "29.0%", "a better", "b better"} <= set(found)
    above, below = figures[0].axes
    low, high = above.get_xlim()
    assert low == pytest.approx(-high)
    np.testing.assert_allclose(above.collections[0].get_paths()[0].vertices[:, 0], [0.0, 0.1])
    widths = [patch.get_width() for patch in below.patches]  # type: ignore[attr-defined]
    np.testing.assert_allclose(widths, [0.7, 0.29, 0.01])


def test_verdicts_that_cannot_be_drawn(tmp_path: Path, figures: list[Figure]) -> None:
    assert comparison_plots.verdicts(comparison(["a", "b"], verdict=None), tmp_path / "none") == []
    pairs = comparison(["a", "b", "c"], difference=np.nan, better=np.nan)
    assert {"–", "P –"} <= set(texts(comparison_plots.verdicts(pairs, tmp_path / "verdicts")))
    unknown = dict.fromkeys(("better", "equivalent", "worse", "low", "high"), np.nan)
    found = texts(comparison_plots.verdicts(comparison(["a", "b"], **unknown), tmp_path / "pair" / "one"))
    assert "not known: the folds are too few, or all alike" in found
    with pytest.raises(ValueError, match="one metric, not f1, auc"):
        comparison_plots.verdicts(pd.concat([pairs, pairs.assign(metric="auc")]), tmp_path / "two")


def test_the_same_data_gives_the_same_files(tmp_path: Path) -> None:
    table = predictions(["a", "b"], folds=2)
    first = comparison_plots.roc_of_models(table, "test", tmp_path / "first" / "roc.v1")
    second = comparison_plots.roc_of_models(table, "test", tmp_path / "second" / "roc.v1")
    assert [path.name for path in first] == ["roc.v1.png", "roc.v1.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_precision_recall_curve_begins_at_the_first_image_found(tmp_path: Path, figures: list[Figure]) -> None:
    """A negative image ranked first: neither precision 0 nor scikit-learn's 1 stands up at recall 0."""
    labels, probabilities = [0, 1, 1, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5]
    table = pd.DataFrame({"fold": 0, "role": "test", "label": labels, "probability": probabilities})
    comparison_plots.roc_and_pr(table, "m", "test", tmp_path / "roc")
    curve = max(figures[0].axes[1].lines, key=lambda line: len(np.asarray(line.get_xdata())))
    recall, precision = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    assert (recall[-1], precision[-1]) == (0, 0.5)
    assert set(precision[recall < 0.34]) == {0.5}
    area = -np.diff(recall) @ precision[:-1]
    assert area == pytest.approx(average_precision_score(labels, probabilities))


def test_calibration_before_and_after_scaling(tmp_path: Path, figures: list[Figure]) -> None:
    table = predictions(["m"], folds=4).assign(repeat=0, group="")
    both = [pooled(each) for each in (table, table.assign(probability=table["probability"] / 2))]
    found = texts(comparison_plots.calibration(*both, "m", tmp_path / "calibration-m"))
    assert {"m, test", "as they are", "scaled on validation", "act on everyone", "net benefit"} <= set(found)
    left = figures[0].axes[0]
    before, after = (line.get_xdata() for line in left.lines[1:])
    assert max(after) == pytest.approx(max(before) / 2)  # type: ignore[type-var, operator]


def test_trade_off_numbers_its_points_and_lists_them(tmp_path: Path, figures: list[Figure]) -> None:
    rows = [
        ("threshold 0.5", 0.5, True, 6, 2),
        ("sensitivity 0.9", 0.2, True, 1, 9),
        ("sensitivity 0.99", 0.1, False, 1, 9),
    ]
    table = pd.DataFrame(rows, columns=["point", "threshold", "supported", "missed", "alarms"])
    table = table.assign(positives=10, negatives=20)
    found = texts(comparison_plots.trade_off(table, "m", OperatingPoint(sensitivity=0.9), tmp_path / "threshold-m"))
    assert {"m", "1", "2, 3", "1: threshold 0.5, from 0.5", "3: sensitivity 0.99, from 0.1 (not sure)"} <= set(found)
    large = [line for line in figures[0].axes[0].lines if line.get_markersize() == 10]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in large] == [(9, 9)]  # type: ignore[index]
