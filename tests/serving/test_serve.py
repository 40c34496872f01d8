"""zoo serve: the page in a real browser and the endpoint say what zoo predict says; nothing is kept."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import cv2
import numpy as np
import pandas as pd
import pytest
import uvicorn

import zoo
from tests.conftest import Main, Served, write_folds
from tests.finished import two_networks
from tests.report.test_run_page import browser, in_browser
from zoo.data.decoding import read_image
from zoo.data.images import resize
from zoo.inference.predictor import Predictor
from zoo.report import plots
from zoo.run.folder import RunFolder
from zoo.serving import app

MOST = 300_000


@contextmanager
def serving(predictor: Predictor) -> Iterator[str]:
    """The address under which a thread of this process answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app.app(predictor, MOST), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folds(tmp_path_factory.mktemp("serve") / "data", size=48)


@pytest.fixture(scope="module")
def run(data: Path) -> RunFolder:
    return two_networks(data, data.parent / "run")


@pytest.fixture(scope="module")
def loaded(run: RunFolder) -> Predictor:
    return zoo.load(run.path)


@pytest.fixture(scope="module")
def address(loaded: Predictor) -> Iterator[str]:
    with serving(loaded) as address:
        yield address


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures that nobody has seen, one of 16 bits and one wider than high."""
    folder, rng = tmp_path_factory.mktemp("new"), np.random.default_rng(5)
    pictures = {
        "wide.jpg": rng.integers(0, 256, (60, 90, 3)).astype(np.uint8),
        "deep.tif": rng.integers(0, 65536, (40, 40, 3)).astype(np.uint16),
        "grey.png": rng.integers(0, 256, (33, 30)).astype(np.uint8),
    }
    for name, pixels in pictures.items():
        cv2.imwrite(str(folder / name), pixels)
    return [folder / name for name in pictures]


def ask(address: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and JSON, or text, of a request."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers or {}), timeout=60) as answer:
            status, text = answer.status, answer.read().decode()
    except HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def decoded(url: str) -> np.ndarray:
    """The RGB pixels of a data URL."""
    content = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1])


def test_the_endpoint_says_what_predict_says(address: str, loaded: Predictor, data: Path, new: list[Path]) -> None:
    files = [*new, *sorted((data / "Fold0/train/abnormal").iterdir())[:2]]
    for file, row in zip(files, loaded.predict(files).to_dict("records"), strict=True):
        status, said = ask(f"{address}/predict", file.read_bytes())
        assert status == 200
        assert (said["decision"], said["seen"], said["heat"]) == (row["decision"], row["seen"], None)
        assert said["probabilities"]["abnormal"] == pytest.approx(row["probability"], abs=1e-6)
        assert said["probabilities"]["normal"] == pytest.approx(1 - row["probability"], abs=1e-6)
        assert (said["calibrated"], said["spread"]) == pytest.approx((row["calibrated"], row["spread"]), abs=1e-6)
        pixels = read_image(file).pixels
        assert decoded(said["picture"]).shape == pixels.shape
    assert said["seen"] == 2
    status, about = ask(f"{address}/about")
    assert (status, about["classes"], about["threshold"]) == (200, ["normal", "abnormal"], loaded.threshold)
    assert (about["networks"], about["most_bytes"]) == (["fold 0", "fold 1"], MOST)


def test_a_heat_map_is_that_of_explain(address: str, loaded: Predictor, new: list[Path]) -> None:
    status, said = ask(f"{address}/predict?heat=1", new[0].read_bytes())
    assert (status, said["heat_of"]) == (200, "abnormal")
    pixels = read_image(new[0]).pixels
    (heat,) = loaded.heat_maps(resize(pixels, 32)[None], np.array([1]))
    expected = plots.coloured(pixels, heat).astype(float)
    assert np.abs(decoded(said["heat"]) - expected).mean() < 0.5 * np.abs(pixels - expected).mean()


def test_large_pictures_are_shown_small(loaded: Predictor) -> None:
    large = np.zeros((1000, 50, 3), np.uint8)
    said = app.answer(loaded, cv2.imencode(".png", large)[1].tobytes(), heat=True)
    assert decoded(said["picture"]).shape == decoded(said["heat"]).shape == (480, 24, 3)


def test_what_is_refused(address: str, loaded: Predictor, new: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = new[0].read_bytes()
    for body, status, fault in (
        (b"", 422, "empty file"),
        (b"no picture", 422, "not an image"),
        (whole[: len(whole) // 2], 422, ""),
        (bytes(MOST + 1), 413, "more than 0 MB"),
    ):
        answer = ask(f"{address}/predict", body)
        assert answer[0] == status, answer
        assert fault in answer[1]["fault"]
        assert [*answer[1]] == ["fault"]
    assert ask(f"{address}/predict")[0] == 405
    assert ask(f"{address}/run.json")[0] == 404
    assert ask(f"{address}/about", headers={"Host": "elsewhere.example"})[0] == 400
    monkeypatch.setattr(app, "WAITING", 0)
    assert ask(f"{address}/predict", whole) == (503, {"fault": "0 pictures are waiting already; try again"})
    monkeypatch.undo()
    assert ask(f"{address}/predict", whole)[0] == 200
    with urllib.request.urlopen(f"{address}/") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_nothing_is_stored(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:  # nobody can take an audit hook back
        if watching and event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            written.append(str(arguments[0]))

    sys.addaudithook(watch)
    pixels = np.random.default_rng(0).integers(0, 256, (250, 250, 3)).astype(np.uint8)
    body = cv2.imencode(".png", pixels)[1].tobytes()
    assert 150_000 < len(body) < MOST
    assert ask(f"{address}/predict?heat=1", body)[0] == 200
    watching = False
    assert written == []
    assert [*tmp_path.iterdir()] == []


def test_many_ask_at_once(address: str, loaded: Predictor, new: list[Path]) -> None:
    expected = loaded.predict(new)["probability"].to_numpy()
    said: dict[int, float] = {}

    def go(number: int) -> None:
        status, answer = ask(f"{address}/predict?heat=1", new[number % 3].read_bytes())
        said[number] = answer["probabilities"]["abnormal"] if status == 200 else np.nan

    threads = [threading.Thread(target=go, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose([said[number] for number in range(24)], np.tile(expected, 8), atol=1e-6)


@contextmanager
def page(address: str, width: int = 1300) -> Iterator[tuple[Any, list[str]]]:
    """The page in Chromium, once it knows of its networks, and what went wrong."""
    with browser(address, width) as (opened, wrong):
        opened.wait_for_selector("#how:not(:empty)")
        yield opened, wrong


DONE = "#save:not([disabled])"


@in_browser
@pytest.mark.parametrize("width", [400, 1300])
def test_the_page_in_a_browser(address: str, loaded: Predictor, data: Path, new: list[Path], width: int) -> None:
    seen = next((data / "Fold0/train/abnormal").iterdir())
    files = [*new, seen]
    table = loaded.predict(files)
    with page(address, width) as (opened, wrong):
        assert "normal or abnormal? scratch-cnn" in opened.inner_text("#model")
        assert f"from a probability of {loaded.threshold:.4g} on (sensitivity 0.95)" in opened.inner_text("#how")
        opened.set_input_files("#files", [str(file) for file in files])
        opened.wait_for_selector(DONE)
        called = (table["decision"] == "abnormal").sum()
        assert opened.inner_text("#state") == f"{called} of 4 called abnormal."
        cards = opened.locator("article")
        for number, row in enumerate(table.to_dict("records")):
            text = cards.nth(number).inner_text()
            assert text.startswith(f"{row['decision']}\n\n{files[number].name}"), text
            assert f"probability of abnormal\n{row['probability']:.3f}" in text
            seen_by = f"In the training or selection of {row['seen']} of 2 networks"
            assert (seen_by in text) == (row["seen"] > 0) == (number == 3)
            image = cards.nth(number).locator("img")
            assert (
                image.evaluate("image => image.complete && image.naturalWidth")
                == read_image(files[number]).pixels.shape[1]
            )
            bar = float(cards.nth(number).locator(".bar").get_attribute("width"))
            assert bar == pytest.approx(100 * row["probability"], abs=1e-3)
        with_heat = cards.nth(0).locator("img").get_attribute("src")
        opened.uncheck("#heat")
        assert cards.nth(0).locator("img").get_attribute("src") != with_heat
        opened.select_option("#sort", "chance")
        names = [text.split("\n\n")[1] for text in cards.all_inner_texts()]
        assert names == [files[number].name for number in table["probability"].argsort()[::-1]]
        with opened.expect_download() as download:
            opened.click("#save")
        saved = pd.read_csv(io.StringIO(Path(download.value.path()).read_text()))
        assert saved["path"].tolist() == [file.name for file in files]
        np.testing.assert_allclose(saved["probability_abnormal"], table["probability"], atol=1e-6)
        assert saved["seen"].tolist() == table["seen"].tolist()
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        opened.click("#clear")
        assert opened.locator("article").count() == 0
        assert wrong == []


@in_browser
def test_what_is_dropped_there(address: str, new: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<img src=x onerror=alert(1)>.png"
    drop = """([name, content, many]) => {
        const files = new DataTransfer();
        for (let number = 0; number < many; number += 1)
          files.items.add(new File([Uint8Array.from(atob(content), (each) => each.charCodeAt(0))], name));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
    }"""
    content = base64.b64encode(new[2].read_bytes()).decode()
    with page(address) as (opened, wrong):
        opened.evaluate(drop, [hostile, content, 1])
        opened.wait_for_selector(DONE)
        assert hostile in opened.inner_text("article")
        assert opened.locator("img[src=x]").count() == 0
        opened.evaluate(drop, ["large.png", base64.b64encode(bytes(MOST + 1)).decode(), 1])
        opened.wait_for_selector(DONE)
        assert f"larger than {MOST / 1e6} MB" in opened.inner_text("#answers")
        assert wrong == []
        opened.evaluate(drop, ["text.txt", base64.b64encode(b"a letter").decode(), 1])
        opened.wait_for_selector(DONE)
        assert "not an image" in opened.inner_text("#answers")
        assert opened.inner_text("#state").endswith("2 cannot be used.")
        assert all("422" in each for each in wrong)  # the browser tells of a status by itself


@in_browser
def test_a_page_takes_so_many_at_once(loaded: Predictor, new: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "AT_ONCE", 2)
    with serving(loaded) as address, page(address) as (opened, _):
        opened.set_input_files("#files", [str(file) for file in new])
        opened.wait_for_selector(DONE)
        assert opened.inner_text("#state").startswith("1 more than 2 at once are left out. ")
        assert opened.locator("article").count() == 2


@in_browser
def test_more_than_two_classes(tmp_path: Path, new: list[Path]) -> None:
    classes = ("none", "mild", "severe")
    data = write_folds(tmp_path / "data", classes=classes)
    loaded = zoo.load(two_networks(data, tmp_path / "run", classes=classes).path)
    row = loaded.predict(new[0]).iloc[0]
    with serving(loaded) as address, page(address) as (opened, wrong):
        opened.set_input_files("#files", str(new[0]))
        opened.wait_for_selector(DONE)
        text = opened.inner_text("article")
        assert text.startswith(row["decision"])
        for name in classes:
            assert f"{name}\n{row[f'probability_{name}']:.3f}" in text
        assert wrong == []


def test_the_command(
    run: RunFolder, served: Served, new: list[Path], main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(run.path, "--folds", 0, "--threshold", 0.2) as address:
        assert ask(f"{address}/about")[1]["threshold"] == pytest.approx(0.2)
        assert ask(f"{address}/predict", new[0].read_bytes())[0] == 200
        port = address.rpartition(":")[2]
        status, _, errors = main("serve", run.path, "--port", port)
        assert status == 2
        assert f"zoo: port {port} cannot be had: " in errors
        assert "--port 0 takes a free one" in errors
    monkeypatch.setattr("zoo.commands.serve.NEEDED", ("starlette", "nothing_of_the_kind"))
    assert "pip install 'zoo[serve]'" in main("serve", run.path)[2]
