"""report.html: complete without network, what it says is true, and its slider counts as scikit-learn does."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from tests.conftest import TINY_PLUGIN, Install, Main, Zoo, write_folds
from tests.finished import finish
from zoo.evaluation import comparison
from zoo.report import guidelines, run_page, words
from zoo.run import heatmaps, results
from zoo.run.folder import RunFolder
from zoo.run.request import Request

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt-get install chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture
def tiny(install: Install) -> None:
    install(TINY_PLUGIN)


OF_TWO = {"classes": ("well", "ill")}


def manifest(folder: Path, images: int = 60, bad: str = "") -> Path:
    """A table of images with patients and sources; `bad` is part of all names."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(images):
        file = folder / f"{bad}{number}.png"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), rng.integers(0, 255, (32, 32, 3)).astype(np.uint8))
        label = "ill" if number % 3 == 0 else f"well{bad}"
        rows.append((file.name, label, f"p{number // 2}", ("north", "south & east")[number % 2]))
    path = folder / "table.csv"
    pd.DataFrame(rows, columns=["path", "label", "group", "source"]).to_csv(path, index=False)
    return path


def finished(data: Path, out: Path, *models: str, **changes: Any) -> results.Comparison:
    said = {"models": models or ("tiny",), "data": str(data), "folds": None, "out": out, "image_size": 32}
    return results.compare(finish(Request(**said | changes)))


def add_heat_maps(done: results.Comparison) -> None:
    """Heat maps of 8 x 8 parts of 40 test images of each job."""
    tested = done.predictions[done.predictions["role"] == "test"]
    for job, own in tested.groupby(comparison.JOB):
        worst = own["image"][:40]
        rows = [(image, "", "ill", *divmod(part, 8), part / 7) for image in worst for part in range(64)]
        pd.DataFrame(rows, columns=heatmaps.COLUMNS).to_csv(done.run.job(*job).heatmaps, index=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> results.Comparison:
    """Two models on ten folds of 60 images, with patients and sources."""
    folder = tmp_path_factory.mktemp("page")
    return finished(manifest(folder / "data"), folder / "run", "efficientnet-head", "efficientnet-staged", **OF_TWO)


@pytest.fixture(scope="module")
def text(done: results.Comparison) -> str:
    return run_page.html(done)


def explorer(text: str) -> Any:
    """What the page gives its script."""
    found = re.search(r'<script type="application/json" id="explorer">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


SHARES = ("sensitivity", "specificity", "ppv", "npv")


@contextmanager
def browser(address: str, width: int = 1400, scheme: Any = "light") -> Iterator[tuple[Any, list[str]]]:
    """The page in Chromium, and what went wrong: errors, and requests beyond the address itself."""
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        opened = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.on("console", lambda message: wrong.append(message.text))
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("request", lambda request: request.url.startswith((address, "data:")) or wrong.append(request.url))
        opened.goto(address)
        yield opened, wrong
        chromium.close()


def drawn(opened: Any) -> None:
    """Wait until the page in the browser has drawn what was asked for last."""
    opened.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_a_page_says_what_the_tables_say(done: results.Comparison, text: str) -> None:
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).replace("\N{NO-BREAK SPACE}", " ").split())
    for row in done.summary.query("role == 'test' and metric == 'auc'").to_dict("records"):
        assert f"{row['mean']:.3f} {row['low']:.3f} to {row['high']:.3f}" in plain
    aimed = done.thresholds.query("fold == 'all' and point == 'sensitivity 0.95'").to_dict("records")
    for row in aimed:
        assert f"{row['missed']} of {row['positives']}" in plain
        assert f"{row['alarms']} of {row['negatives']}" in plain
    for row in done.calibration.query("fold == 'all'").to_dict("records"):
        assert f"{row['brier']:.3f}" in plain
    for item, *_ in guidelines.ITEMS:
        assert item in plain
    assert "30 patients or other groups" in plain
    assert "Intervals are of 95 %, by patient." in plain
    assert "No weights have seen an image that they are tested on" in plain
    assert str(done.root) not in text  # where the images lie is nobody's business
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "http" not in re.sub(r"data:[^\"]+|10\.\d+/\S+", "", text).replace("http-equiv", "")


def test_the_verdict_names_the_best_model_and_its_point(done: results.Comparison, text: str) -> None:
    first, second = words.verdict(done)
    best = words.best(done)
    folds = comparison.best_by_validation(done.results.assign(repeat=0), "auc")["model"].tolist()
    assert first.startswith(f"{best} is the best by validation in {folds.count(best)} of 10 folds. Its AUC on test is ")
    assert second.startswith(f"At sensitivity 0.95, chosen on validation, {best} misses ")
    assert words.at_point(done.at(threshold=0.3), best)[0].startswith(f"At threshold 0.3, {best} misses ")
    assert text.index(first) < text.index("<h2>Models")
    assert explorer(text)["models"][0]["title"] == best


def test_results_by_source_are_those_of_its_images(done: results.Comparison, text: str, tmp_path: Path) -> None:
    sources = pd.read_csv(done.run.path / "sources.csv")
    assert list(sources.columns) == ["path", "source"]
    assert len(sources) == 60
    table = done.by_source
    assert table["source"].tolist() == ["north", "south & east"] * 2
    test = done.aimed.query("role == 'test'").merge(sources, on="path")
    for row in table.to_dict("records"):
        part = test[(test["source"] == row["source"]) & (test["model"] == row["model"])]
        called = part["probability"] >= part["threshold"]
        assert row["images"] == len(part) == 30
        assert row["auc"] == pytest.approx(metrics.roc_auc_score(part["label"], part["probability"]))
        assert row["recall"] == pytest.approx(metrics.recall_score(part["label"], called))
        assert row["specificity"] == pytest.approx(metrics.recall_score(part["label"], called, pos_label=0))
        assert row["recall_low"] <= row["recall"] <= row["recall_high"]
    assert "By source" in text
    assert "south &amp; east" in text
    copy = shutil.copytree(done.run.path, tmp_path / "copy")
    (copy / "sources.csv").write_text("path,source\n0.png,elsewhere\n")  # not as zoo wrote it
    assert results.compare(RunFolder(copy)).by_source.empty


def test_nothing_of_a_name_becomes_markup(tiny: None, tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>\u202e\"'&"
    done = finished(
        manifest(tmp_path / "data", bad=bad.replace("/", "")), tmp_path / "run", classes=(f"well{bad}", "ill")
    )
    text = run_page.html(done)
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert explorer(text)["classes"][0].startswith("well<img")


def test_without_images_there_are_none(tiny: None, folds: Path, tmp_path: Path, main: Main) -> None:
    done = finished(folds, tmp_path / "run")
    assert len(explorer(run_page.html(done))["thumbnails"]) == 8
    done.report(tmp_path / "own/page.html", images=False)
    text = (tmp_path / "own/page.html").read_text()
    assert explorer(text)["thumbnails"] == []
    assert "image/jpeg;base64,/" not in text
    file = tmp_path / "from-command.html"
    status, output, errors = main("report", tmp_path / "run", "--folds", 0, "--html", file, "--no-images")
    assert status == 0, errors
    assert f"Page to share: {file}" in output
    assert explorer(file.read_text())["thumbnails"] == []
    assert not (tmp_path / "run/report.html").exists()  # of some folds only
    assert main("report", tmp_path / "run")[0] == 0
    assert len(explorer((tmp_path / "run/report.html").read_text())["thumbnails"]) == 8


@pytest.mark.slow
def test_three_models_ten_folds_and_1700_images_are_less_than_ten_megabytes(tiny: None, tmp_path: Path) -> None:
    """With heat maps; the images of the thumbnails are noise, which a JPEG of 128 pixels holds worst."""
    done = finished(
        manifest(tmp_path / "data", images=1700), tmp_path / "run", "tiny", "tiny-long", "tiny-nan", **OF_TWO
    )
    add_heat_maps(done)
    assert len(done.predictions) == 3 * 10 * 340
    size = len(run_page.html(done).encode())
    assert 1_000_000 < size < 10_000_000


@in_browser
def test_the_slider_counts_as_scikit_learn_does(done: results.Comparison, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    done.report(file)
    with browser(file.as_uri()) as (opened, wrong):

        def shown() -> dict[str, float]:
            drawn(opened)
            counts = {name: int(opened.inner_text(f"#{name}")) for name in ("tp", "fn", "fp", "tn")}
            values = {name: float(opened.get_attribute(f"#{name}", "data-value")) for name in SHARES}
            return counts | values

        def expected(test: pd.DataFrame, called: pd.Series[bool]) -> dict[str, float]:
            tn, fp, fn, tp = metrics.confusion_matrix(test["label"], called).ravel().tolist()
            of = dict(zip(SHARES, (tp / (tp + fn), tn / (tn + fp), tp / (tp + fp), tn / (tn + fn)), strict=True))
            return {"tp": tp, "fn": fn, "fp": fp, "tn": tn} | of

        test_role, over_folds = done.aimed["role"] == "test", done.thresholds["fold"] == "all"
        for place, title in enumerate(opened.locator("#model option").all_inner_texts()):
            opened.select_option("#model", str(place))
            test = done.aimed[test_role & (done.aimed["model"] == title)].reset_index(drop=True)
            assert len(test) == 60
            opened.click("#chosen")
            assert shown() == pytest.approx(expected(test, test["probability"] >= test["threshold"]))
            row = done.thresholds[over_folds & (done.thresholds["model"] == title)].iloc[-1]
            assert (shown()["fn"], shown()["fp"]) == (row["missed"], row["alarms"])
            for step in (5, 31, 55):
                opened.locator("#slider").fill(str(step))
                threshold = np.sort(test["probability"].unique())[step]
                assert shown() == pytest.approx(expected(test, test["probability"] >= threshold))
                names = opened.locator("#missed figcaption").all_inner_texts()
                order = test[(test["label"] == 1) & (test["probability"] < threshold)].sort_values("probability")
                assert len(names) == len(order)
                for name, each in zip(names, order["path"], strict=True):
                    assert f"{each} · patient p{int(each[:-4]) // 2}" in name
            opened.fill("#exact", "0.5")
            assert shown() == pytest.approx(expected(test, test["probability"] >= 0.5))
            opened.fill("#prevalence", "10")
            s, t = shown()["sensitivity"], shown()["specificity"]
            assert shown()["ppv"] == pytest.approx(0.1 * s / (0.1 * s + 0.9 * (1 - t)))
            opened.fill("#prevalence", "")
        assert opened.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert wrong == []


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    long = "a name that is so long that it fits no phone at all "
    data = manifest(folder / "data", bad=long)
    file = folder / "page.html"
    done = finished(data, folder / "run", "efficientnet-head", classes=(f"well{long.strip()}", "ill"))
    add_heat_maps(done)
    done.report(file)
    return file


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits_a_phone_and_a_screen(long_names: Path, width: int, scheme: str) -> None:
    with browser(long_names.as_uri(), width, scheme) as (opened, wrong):
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        ground, ink = opened.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < sum(map(int, re.findall(r"\d+", ink)[:3]))
        assert dark == (scheme == "dark")
        opened.check("#heat")
        assert wrong == []


@in_browser
@pytest.mark.parametrize("file", ["done", "long_names"])
def test_paper_shows_all_of_it(file: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """On A4 with Chromium's margins of a centimetre no table is cut off, and all that folds away is open."""
    made = request.getfixturevalue(file)
    path = made if isinstance(made, Path) else tmp_path / "page.html"
    if path != made:
        made.report(path)
    with browser(path.as_uri(), 718) as (opened, wrong):
        opened.emulate_media(media="print")
        opened.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert opened.evaluate("document.documentElement.scrollWidth") == 718
        assert not opened.query_selector_all("details:not([open])")
        assert not opened.query_selector(".controls").is_visible()
        opened.pdf(path=tmp_path / "page.pdf", format="A4")
        assert wrong == []


@in_browser
def test_names_do_nothing_in_a_browser_either(tiny: None, tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    done = finished(manifest(tmp_path / "data", bad=bad), tmp_path / "run", classes=(f"well{bad}", "ill"))
    done.report(tmp_path / "page.html")
    with browser((tmp_path / "page.html").as_uri()) as (opened, wrong):
        assert opened.locator("img[src=x]").count() == 0
        assert bad in opened.inner_text("#said")
        assert wrong == []


@in_browser
def test_more_than_two_classes_have_no_slider(inline: Zoo, tiny: None, tmp_path: Path) -> None:
    classes = ("none", "mild", "severe")
    write_folds(tmp_path / "data", folds=1, classes=classes)
    (tmp_path / "here/registry.toml").write_text(f"[data]\nclasses = {list(classes)}")
    options = ["--data", tmp_path / "data", "--out", tmp_path / "run", "--image-size", 32, "--max-epochs", 1]
    done = inline("run", "tiny", *options)
    assert done.returncode == 0, done.stderr
    assert f"Page to share: {tmp_path / 'run/report.html'}" in done.stdout
    missed = pd.read_csv(tmp_path / "run/missed.csv")
    with browser((tmp_path / "run/report.html").as_uri()) as (opened, wrong):
        assert opened.locator("#slider").count() == 0
        assert opened.locator("#missed figure").count() == len(missed)
        assert wrong == []
