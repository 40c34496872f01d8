"""The tables of a comparison, recomputed by other means from the same predictions."""

from __future__ import annotations

from typing import Any

import baycomp
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from zoo.evaluation import comparison

FOLDS, PER_FOLD = 5, 30
# How many images validation and test have for each one to train on: as in five folds that rotate.
TO_TRAIN = {"validation": 1 / 4, "test": 1 / 4}


def made(models: dict[str, float], repeats: int = 1, overlap: bool = False, classes: int = 2) -> pd.DataFrame:
    """Predictions of models, each with its skill: how far its scores of the positive class lie above the others'."""
    rows = []
    for number, (model, skill) in enumerate(models.items()):
        rng = np.random.default_rng(number)
        for fold in range(FOLDS):
            for repeat in range(repeats):
                for role in ("validation", "test"):
                    first = 0 if overlap else fold * PER_FOLD
                    for image in range(first, first + PER_FOLD):
                        label = image % classes
                        logits = rng.normal(0, 1, classes) + skill * (np.arange(classes) == label)
                        each = np.exp(logits) / np.exp(logits).sum()
                        row: dict[str, Any] = {
                            "model": model,
                            "fold": fold,
                            "repeat": repeat,
                            "role": role,
                            "image": f"{image:04}",
                            "label": label,
                            "probability": each[-1],
                            "group": "",
                        }
                        if classes > 2:
                            row |= {f"probability_{name}": each[name] for name in range(classes)}
                        rows.append(row)
    return pd.DataFrame(rows)


SKILLS = {"poor": 0.3, "good": 2.5, "fair": 2.4}


def compared(predictions: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return comparison.compare(predictions, comparison.results(predictions), TO_TRAIN, **options)


def said_of(predictions: pd.DataFrame) -> list[str]:
    return comparison.words(compared(predictions), comparison.results(predictions), predictions)


def test_results_have_a_row_per_job_with_scikit_learn_s_numbers() -> None:
    predictions = made(SKILLS)
    table = comparison.results(predictions)
    assert len(table) == len(SKILLS) * FOLDS
    row = table[(table["model"] == "good") & (table["fold"] == 3)].iloc[0]
    part = predictions.query("model == 'good' and fold == 3 and role == 'test'")
    called = part["probability"] >= 0.5
    assert row["auc_test"] == pytest.approx(sklearn_metrics.roc_auc_score(part["label"], part["probability"]))
    assert row["recall_test"] == pytest.approx(sklearn_metrics.recall_score(part["label"], called))
    lower = comparison.results(predictions.assign(threshold=0.1))
    assert (lower["recall_test"] >= table["recall_test"]).all()
    assert (lower["auc_test"] == table["auc_test"]).all()


def summary(predictions: pd.DataFrame) -> pd.DataFrame:
    return comparison.summary(predictions, comparison.results(predictions), TO_TRAIN)


def test_summary_recomputed() -> None:
    predictions = made(SKILLS)
    results, table = comparison.results(predictions), summary(predictions)
    assert len(table) == len(SKILLS) * 2 * 7
    row = table.query("model == 'poor' and role == 'test' and metric == 'auc'").iloc[0]
    values = results.loc[results["model"] == "poor", "auc_test"]
    assert row[["folds", "mean", "sd"]].tolist() == pytest.approx([FOLDS, values.mean(), values.std()])
    assert ((table["low"] <= table["mean"]) & (table["mean"] <= table["high"])).all()
    assert table.query("metric != 'loss'")[["low", "high"]].stack().between(0, 1).all()


def test_an_interval_knows_patients() -> None:
    """Every image is there five times, under the name of its patient or of nobody."""
    alone = made({"one": 1.0}).query("fold == 0")
    copies = pd.concat([alone.assign(image=alone["image"] + f"-{copy}", patient=alone["image"]) for copy in range(5)])
    by_image, by_patient = (summary(copies.assign(group=group)) for group in ("", copies["patient"]))
    wider = (by_patient["high"] - by_patient["low"]) / (by_image["high"] - by_image["low"])
    assert wider.between(1.5, 3).all()


def test_every_pair_once_the_better_model_first() -> None:
    table = compared(made(SKILLS))
    assert list(table.columns) == comparison.PAIR_COLUMNS
    assert len(table) == 3
    assert (table["difference"] >= 0).all()
    assert (table["mean_a"] >= table["mean_b"]).all()
    verdicts = {frozenset(row[:2]): row[2] for row in table[["model_a", "model_b", "verdict"]].to_numpy().tolist()}
    assert verdicts[frozenset(["good", "poor"])] == "better"
    assert verdicts[frozenset(["good", "fair"])] == "undecided"


def test_the_tests_over_folds_recomputed() -> None:
    predictions = made(SKILLS)
    results = comparison.results(predictions)
    table = comparison.compare(predictions, results, TO_TRAIN, rope=0.02)
    for row in table.to_dict("records"):
        a, b = (results.loc[results["model"] == row[name], "auc_test"].to_numpy() for name in ("model_a", "model_b"))
        error = np.sqrt((a - b).var(ddof=1) * (1 / FOLDS + 1 / 4))
        assert row["p"] == pytest.approx(2 * stats.t.sf(abs((a - b).mean() / error), FOLDS - 1))
        # baycomp takes n_test / n_train to be 1 / (folds - 1), as it is here
        probabilities = baycomp.CorrelatedTTest(b, a, rope=0.02).probs()  # of a below b, within, above
        assert [row["worse"], row["equivalent"], row["better"]] == pytest.approx(probabilities, abs=1e-9)
    ordered = table.sort_values("p")
    np.testing.assert_allclose(ordered["p_holm"].iloc[0], min(1, 3 * ordered["p"].iloc[0]))


def test_the_tests_over_images_recomputed() -> None:
    predictions = made(SKILLS)
    row = compared(predictions).query("model_a == 'good' and model_b == 'poor'").iloc[0]
    test = predictions[predictions["role"] == "test"].pivot(index="image", columns="model", values="probability")
    labels = predictions.drop_duplicates("image").set_index("image")["label"][test.index]
    assert row["images"] == FOLDS * PER_FOLD
    assert row["auc_a"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, test["good"]))
    assert row["auc_b"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, test["poor"]))
    right = (test >= 0.5).eq(labels == 1, axis=0)
    only_a, only_b = (right["good"] & ~right["poor"]).sum(), (~right["good"] & right["poor"]).sum()
    assert (row["only_a_right"], row["only_b_right"]) == (only_a, only_b)
    assert row["mcnemar_p"] == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)
    assert row["bootstrap_low"] < row["auc_difference"] < row["bootstrap_high"]


def test_a_pair_is_compared_on_the_folds_that_both_have() -> None:
    predictions = made(SKILLS)
    predictions = predictions[(predictions["model"] != "fair") | predictions["fold"].isin([1, 2, 4])]
    table = compared(predictions)
    folds = {
        frozenset(row[:2]): row[2:] for row in table[["model_a", "model_b", "folds", "images"]].to_numpy().tolist()
    }
    assert folds[frozenset(["good", "poor"])] == [5, 150]
    assert folds[frozenset(["good", "fair"])] == [3, 90]
    whole = compared(made(SKILLS))
    pair = "model_a == 'good' and model_b == 'poor'"
    assert table.query(pair)["p"].tolist() == whole.query(pair)["p"].tolist()


def test_models_without_a_common_fold_are_undecided() -> None:
    predictions = made(SKILLS)
    predictions = predictions[(predictions["model"] == "good") == predictions["fold"].isin([0, 1])]
    row = compared(predictions).query("model_a == 'good' or model_b == 'good'").iloc[0]
    assert (row["folds"], row["images"], row["verdict"]) == (0, 0, "undecided")
    assert np.isnan(row["p"])
    assert "have no test set in common: undecided" in said_of(predictions)[-1]


def test_a_model_against_its_copy() -> None:
    predictions = made({"one": 1.0})
    predictions = pd.concat([predictions, predictions.assign(model="copy")])
    table = compared(predictions)
    assert table["verdict"].tolist() == ["undecided"]
    assert table[["difference", "mcnemar_p"]].to_numpy().tolist() == [[0, 1]]
    assert table[["p", "delong_p", "low", "high", "bootstrap_low"]].isna().all(axis=None)
    assert "no variance to judge by" in said_of(predictions)[0]


def test_equal_differences_decide_nothing() -> None:
    row = compared(made({"right": 50.0, "wrong": -50.0})).iloc[0]
    assert (row["difference"], row["verdict"]) == (1.0, "undecided")
    assert np.isnan(row["p"])


def test_few_folds_decide_nothing() -> None:
    predictions = made(SKILLS).query("fold < 4")
    assert set(compared(predictions)["verdict"]) == {"undecided"}
    assert all("fewer than 5 folds decide nothing" in text for text in said_of(predictions))
    assert all(", and one fold cannot tell." in text for text in said_of(predictions.query("fold == 0")))


def test_folds_that_test_the_same_images_count_once() -> None:
    predictions = made(SKILLS)
    copies = predictions.query("fold == 0")
    again = pd.concat([predictions, *(copies.assign(fold=fold) for fold in range(5, 11))])
    before, after = compared(predictions), compared(again)
    columns = ["folds", "difference", "low", "high", "p", "images", "auc_difference", "delong_p", "mcnemar_p"]
    pd.testing.assert_frame_equal(after[columns], before[columns])
    assert set(compared(predictions.query("fold == 0"))["folds"]) == {1}
    assert set(compared(again.query("fold in [0, 5, 6, 7, 8, 9]"))["verdict"]) == {"undecided"}


def test_a_lower_loss_is_better() -> None:
    row = compared(made({"poor": 0.3, "good": 2.5}), metric="loss").iloc[0]
    assert (row["model_a"], row["verdict"]) == ("good", "better")
    assert row["mean_a"] < row["mean_b"]
    assert row["difference"] == pytest.approx(row["mean_b"] - row["mean_a"])


def test_images_that_several_folds_test_are_averaged() -> None:
    predictions = made({"one": 1.0}, overlap=True)
    both = comparison.pooled(predictions)
    assert len(both.labels) == PER_FOLD
    first = predictions.query("role == 'test' and image == '0000'")
    assert both.probabilities[0, 1] == pytest.approx(first["probability"].mean())


def test_groups_widen_the_bootstrap() -> None:
    """Every image is there five times, under the name of its patient or of nobody."""
    alone = made(SKILLS).query("fold == 0")
    copies = pd.concat([alone.assign(image=alone["image"] + f"-{copy}", patient=alone["image"]) for copy in range(5)])
    widths = []
    for groups in ("", copies["patient"]):
        row = compared(copies.assign(group=groups)).query("model_a == 'good' and model_b == 'poor'").iloc[0]
        widths.append(row["bootstrap_high"] - row["bootstrap_low"])
    assert widths[1] > 1.8 * widths[0]


def test_repeats_are_averaged_and_their_spread_is_told_apart() -> None:
    predictions = made(SKILLS, repeats=3)
    results, table = comparison.results(predictions), summary(predictions)
    row = table.query("model == 'poor' and role == 'test' and metric == 'auc'").iloc[0]
    values = results[results["model"] == "poor"].pivot(index="fold", columns="repeat", values="auc_test")
    assert row["mean"] == pytest.approx(values.mean(axis=1).mean())
    assert row["sd"] == pytest.approx(values.mean(axis=1).std())
    assert row["sd_seeds"] == pytest.approx(np.sqrt(values.var(axis=1).mean()))
    assert "sd_seeds" not in summary(made(SKILLS))
    pairs = comparison.compare(predictions, results, TO_TRAIN)
    assert set(pairs["folds"]) == {FOLDS}


def test_a_repeat_that_failed_takes_no_image_away() -> None:
    """The first repeat of a fold that is done stands for it, whichever that is in other folds."""
    whole = made({"poor": 0.3, "good": 2.5}, repeats=2)
    failed = (whole["model"] == "poor") & (whole["fold"] == 1) & (whole["repeat"] == 0)
    table = compared(whole[~failed])
    row = table.iloc[0]
    assert row["images"] == FOLDS * PER_FOLD
    assert {row["model_a"], row["model_b"]} == {"poor", "good"}
    first = (whole["repeat"] == 0) & ~failed | (whole["repeat"] == 1) & (whole["fold"] == 1) & (
        whole["model"] == "poor"
    )
    test = whole[first & (whole["role"] == "test") & (whole["model"] == "poor")].set_index("image").sort_index()
    pooled = comparison.pooled(whole[~failed & (whole["model"] == "poor")])
    np.testing.assert_allclose(pooled.probabilities[:, 1], test["probability"])


def test_more_than_two_classes() -> None:
    row = compared(made({"poor": 0.3, "good": 3.0}, classes=3)).iloc[0]
    assert (row["model_a"], row["verdict"]) == ("good", "better")
    assert np.isnan(row["delong_p"])
    assert row["mcnemar_p"] < 0.001


def test_one_model_or_none() -> None:
    assert len(compared(made({"one": 1.0}))) == 0
    nothing = made({"one": 1.0}).iloc[:0]
    assert len(comparison.results(nothing)) == len(compared(nothing)) == 0
    assert len(summary(nothing)) == 0


def test_folds_that_are_no_partition_are_noted() -> None:
    from zoo.run.results import notes

    def said(overlap: bool, group: str = "") -> list[str]:
        predictions = made({"one": 1.0}, overlap=overlap)
        return notes(predictions, predictions.query("role == 'test'").assign(group=group), [])

    assert said(overlap=False, group="patient") == []
    same, alike = said(overlap=True, group="patient")
    assert same.startswith("5 folds have 1 different test set")
    assert alike.startswith("the folds are no partition: 30 of 30 test images are tested in several folds")
    assert said(overlap=False)[0].startswith("no groups (such as patients) are known")


def test_words_say_what_the_table_says() -> None:
    predictions = made(SKILLS)
    table = compared(predictions)
    said = said_of(predictions)
    row = table[(table["model_a"] == "good") & (table["model_b"] == "poor")].iloc[0]
    text = next(text for text in said if text.startswith("good is better than poor: AUC "))
    assert f"{row['mean_a']:.3f} against {row['mean_b']:.3f}, {row['difference']:.3f} higher (95 % interval " in text
    assert f", ahead in {row['folds']} of {row['folds']} folds; probability 9" in text
    assert any("undecided" in text for text in said)


def test_the_best_by_validation_is_scored_as_one_would_use_it() -> None:
    results = comparison.results(made(SKILLS))
    best = comparison.best_by_validation(results, "auc")
    for row in best.to_dict("records"):
        fold = results[results["fold"] == row["fold"]]
        assert row["auc_validation"] == fold["auc_validation"].max()
    assert best["fold"].tolist() == [*range(FOLDS)]
    lowest = comparison.best_by_validation(results, "loss")
    assert (lowest["loss_validation"].to_numpy() == results.groupby("fold")["loss_validation"].min().to_numpy()).all()
    predictions = comparison.as_chosen(made(SKILLS), best)
    table = comparison.summary(predictions, comparison.as_chosen(results, best), TO_TRAIN)
    row = table.query("role == 'test' and metric == 'auc'").iloc[0]
    assert row["model"] == comparison.CHOSEN
    assert row["mean"] == pytest.approx(best["auc_test"].mean())
    assert row["low"] < row["mean"] < row["high"]


def test_a_model_that_calls_everything_one_class_is_found() -> None:
    predictions = made({"one": 1.0, "blind": 1.0})
    blind = (predictions["model"] == "blind") & predictions["fold"].isin([1, 3])
    predictions.loc[blind, "probability"] /= 10
    called = comparison.one_class(predictions)
    assert called.to_dict() == {("blind", 1, 0): 0, ("blind", 3, 0): 0}
    assert len(comparison.one_class(predictions.assign(threshold=0.001))) == 10
