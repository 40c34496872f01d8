"""The audit's report: it names everything, and names of files do no harm."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import cv2
import pandas as pd
import pytest
from rich.console import Console

import zoo
from tests.auditing.test_near_duplicates import texture
from zoo.report import audit as report
from zoo.report import audit_sheet
from zoo.report.progress import StepProgress

HOSTILE = [
    "<script>alert(1)</script>.png",
    "[red]$x_1$[/red].png",
    "tab\tand\x1b[31mred.png",
    "眼底 \u202egnp.png",
    "&amp;'\".png",
]


@pytest.fixture
def hostile(tmp_path: Path) -> zoo.Audit:
    """Each name twice, in both classes: all of them label conflicts."""
    rows = []
    for number, name in enumerate(HOSTILE):
        for label in ("normal", "abnormal"):
            # "/" ends a name, so that this one stands in the folder "<".
            path = tmp_path / label / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", texture(number, 64))[1].tobytes())
            rows.append((str(path), label, f"<b>{name}", "<i>here"))
    (tmp_path / "normal/<u>broken.png").write_text("no image")
    rows.append((str(tmp_path / "normal/<u>broken.png"), "normal", "", "<i>there"))
    table = pd.DataFrame(rows, columns=["path", "label", "group", "source"])
    return zoo.audit(table, near_duplicates=False)


class Tags(HTMLParser):
    """Every tag of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_of_files_are_text_wherever_they_stand(hostile: zoo.Audit, tmp_path: Path) -> None:
    files = report.write_report(hostile, tmp_path / "out")
    assert [file.name for file in files] == ["audit.html", "pairs.png", "duplicates.csv", "audit.json"]
    page = Tags(files[0].read_text(encoding="utf-8"))
    assert not page.tags & {"script", "b", "i", "u"}
    assert "<script>alert(1)</script>.png" in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text
    paths = pd.read_csv(files[2], keep_default_na=False)
    assert len(paths) == len(HOSTILE)
    assert set(paths["crosses"]) == {"labels"}


def test_the_terminal_shows_names_as_they_are(hostile: zoo.Audit) -> None:
    screen = Console(file=StringIO(), width=400, force_terminal=True)
    screen.print(report.findings(hostile))
    screen.print(report.shortcuts(hostile))
    shown = screen.file.getvalue()
    assert "5 photographs are labelled in different ways" in shown
    assert "\x1b[31mred" not in shown
    assert "too few images" in shown


def test_progress_names_each_step_and_the_time_it_takes() -> None:
    screen = Console(file=StringIO(), width=120, force_terminal=True)
    with StepProgress(screen) as tell:
        tell("reading files", 3, 3)
        tell("looking for changed copies", 1, 8)
        tell("looking for changed copies", 4, 8)
    shown = screen.file.getvalue()
    assert "reading files" in shown
    assert "looking for changed copies" in shown
    assert "50%" in shown


def test_the_page_stands_alone_and_explains_itself(hostile: zoo.Audit, tmp_path: Path) -> None:
    page = report.write_report(hostile, tmp_path)[0].read_text(encoding="utf-8")
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(picture) == (tmp_path / "pairs.png").read_bytes()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    for heading in ("Findings", "Copies", "Shortcut baseline", "Classes, sources and folds"):
        assert f"<h2>{heading}</h2>" in page
    assert all(finding.advice for finding in hostile.findings if finding.severity != "note")


def test_an_earlier_picture_does_not_stay(hostile: zoo.Audit, tmp_path: Path) -> None:
    report.write_report(hostile, tmp_path)
    clean = zoo.Audit(**{**vars(hostile), "copies": hostile.copies.iloc[:0]})
    assert "pairs.png" not in [file.name for file in report.write_report(clean, tmp_path)]
    assert not (tmp_path / "pairs.png").exists()


def test_a_picture_that_has_gone_is_left_out(hostile: zoo.Audit, tmp_path: Path) -> None:
    for row in hostile.copies.itertuples():
        Path(row.first_path).unlink()
    assert not audit_sheet.draw(hostile, tmp_path / "pairs.png")


def test_the_worst_pairs_come_first_and_each_photograph_once() -> None:
    rows = [
        ("", "flipped", 0),
        ("roles", "flipped", 1),
        ("roles", "flipped", 1),
        ("labels, roles", "identical", 2),
        ("groups", "flipped", 3),
    ]
    pairs = pd.DataFrame(rows, columns=["crosses", "change", "photograph"])
    assert audit_sheet.worst(pairs, 4)["photograph"].tolist() == [2, 1, 3, 0]


def test_long_paths_keep_both_ends() -> None:
    assert audit_sheet.shorten_path("a/short.png") == "a/short.png"
    short = audit_sheet.shorten_path("a/" * 50 + "1034_left.png", 34)
    assert len(short) == 34
    assert short.endswith("1034_left.png")
