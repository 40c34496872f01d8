"""Terminals and pipes that are not in UTF-8: every text reaches them, in letters that they have."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.table import Table
from rich.text import Text

from tests.conftest import disc
from zoo import cli, encoding
from zoo.report.screen import Screen, say


class Terminal:
    """The command line in this process, its output in an encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, codec: str) -> None:
        self._monkeypatch = monkeypatch
        self._codec = codec

    def run(self, *arguments: object) -> tuple[int, str]:
        """Status, and all that was printed."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=self._codec, write_through=True)
        self._monkeypatch.setattr(sys, "stdout", stream)
        self._monkeypatch.setattr(sys, "stderr", stream)
        self._monkeypatch.setattr("sys.argv", ["zoo", *map(str, arguments)])
        status = cli.main()
        return status, raw.getvalue().decode(self._codec)  # strict: in that encoding it must be


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images, classes and folders with names that ASCII does not have."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for label, class_name in enumerate(("normäl", "日本 ≤")):
        (tmp_path / "dätä" / class_name).mkdir(parents=True)
        for number in range(6):
            encoded = cv2.imencode(".png", disc(rng, label > 0, 32))[1]
            (tmp_path / "dätä" / class_name / f"é{number} … ± –.png").write_bytes(encoded.tobytes())
        (tmp_path / "dätä" / class_name / "ü.dät").touch()
    registry = '[data]\nroot = "dätä"\nclasses = ["normäl", "日本 ≤"]\nimage_size = 32\nsplit = { folds = 3 }'
    (tmp_path / "registry.toml").write_text(registry, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("codec", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_every_text_is_printed(odd: Path, monkeypatch: pytest.MonkeyPatch, codec: str) -> None:
    terminal = Terminal(monkeypatch, codec)
    for arguments in (["--help"], ["data", "audit", "--help"], ["list", "backbones"], ["plugins", "doctor"]):
        status, said = terminal.run(*arguments)
        assert (status, said != "") == (0, True)
    status, said = terminal.run("data", "split", "--out", "splïts.csv")
    assert status == 0, said
    kind = r"d\xe4t" if codec == "ascii" else "dät"
    assert f"being no image files: .{kind} (2)" in said
    lines = [line for line in said.splitlines() if line.startswith(("|", "+", "│", "┃", "┏", "┡", "├", "└"))]
    assert len(lines) > 9
    if codec in ("ascii", "utf-8"):
        assert len({len(line) for line in lines if "日" not in line}) == 1  # in line
    status, said = terminal.run("data", "show", "--out", "bïlder")
    assert status == 0, said
    next((odd / "dätä/normäl").glob("é0*")).write_text("no image")
    status, said = terminal.run("data", "split", "--force")
    assert status == 2
    assert {"ascii": r"\xe90 ... +/- -.png: not an image", "latin-1": "é0 ... ± -.png: not an image"}.get(
        codec, "é0 … ± –.png: not an image"
    ) in said
    status, said = terminal.run("nö such command")
    assert status == 2
    assert ("n\\xf6 such" if codec == "ascii" else "nö such") in said


def test_columns_are_in_line_in_ascii() -> None:
    raw = io.BytesIO()
    screen = Screen(file=io.TextIOWrapper(raw, encoding="ascii", errors=encoding.ERRORS, write_through=True), width=80)
    table = Table("mean ± sd", "é…")
    table.add_row("0.5 ± 0.1", "≤ 1")
    table.add_row("1", Text("2"))
    screen.print(table)
    say(screen, "a · b – c → ‘d’ “e” ×  \ufffd ╔")
    *lines, sentence = raw.getvalue().decode("ascii").splitlines()
    assert {len(line) for line in lines} == {len("| mean +/- sd | \\xe9... |")}
    assert "| 0.5 +/- 0.1 | <= 1    |" in lines
    assert sentence == "a * b - c -> 'd' \"e\" x  ? +"
