"""What is told of files that can be used but should be looked at."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.conftest import Main
from zoo.data import remarks
from zoo.data.remarks import Remarks
from zoo.files import read_csv


def lines(**files: Remarks) -> list[str]:
    return [str(told) for told in remarks.told(files)]


def test_one_line_a_kind_with_a_count_and_some_paths() -> None:
    narrow, pages, damaged = Remarks(span=(0, 1023)), Remarks(further=2), Remarks(damage="bad Huffman code")
    assert lines(a=Remarks(), b=narrow, c=narrow, d=narrow) == [
        "3 images hold 16 bits a channel but only values 0..1023: they reach the network as 5 grey levels; "
        "rescale them to 0..65535 (b, c, d)"
    ]
    assert lines(a=pages) == [
        "1 file holds more than one picture (pages, frames): the first is used, 2 are ignored; "
        "save those that count as files of their own (a)"
    ]
    assert lines(a=damaged, b=damaged, c=damaged, d=damaged) == [
        "4 JPEGs are damaged, and pixels of them are guessed; look at them, mend or remove (a, b, c, …)"
    ]


@pytest.mark.parametrize("most", [300, 1023, 4095, 16000])
def test_the_levels_are_those_that_decoding_leaves(most: int) -> None:
    levels = len({round(value / 257) for value in range(most + 1)})
    assert f"as {levels} grey levels;" in lines(a=Remarks(span=(0, most)))[0]


def test_depths_are_told_apart_and_ranges_of_a_depth_together() -> None:
    ten, twelve = lines(a=Remarks(span=(5, 1000)), b=Remarks(span=(0, 4095)), c=Remarks(span=(9, 1023)))
    assert "2 images hold 16 bits a channel but only values 5..1023: they reach the network as 5 grey levels or" in ten
    assert "1 image holds 16 bits a channel but only values 0..4095: it reaches the network as 17 grey" in twelve


def test_remarks_survive_a_table(tmp_path: Path) -> None:
    every = [Remarks(), Remarks(further=3), Remarks(span=(5, 900), damage='premature, "end";\nof data')]
    pd.DataFrame({"remarks": [str(each) for each in every]}).to_csv(tmp_path / "index.csv", index=False)
    assert [remarks.parse(text) for text in read_csv(tmp_path / "index.csv")["remarks"]] == every


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder per class; one file of three pages, two of 10 bits."""
    root = tmp_path / "photos"
    for label in ("normal", "abnormal"):
        (root / label).mkdir(parents=True)
        for number in range(12):
            shade = 10 * number + 105 * (label == "normal")
            Image.new("RGB", (64, 64), (shade, shade, 9)).save(root / label / f"{number}.png")
    pages = [Image.new("L", (64, 64), shade) for shade in (1, 2, 3)]
    pages[0].save(root / "normal/pages.tif", save_all=True, append_images=pages[1:])
    for label in ("normal", "abnormal"):
        ramp = Image.new("I;16", (64, 64))
        ramp.putdata([place // 4 + (label == "normal") for place in range(64 * 64)])
        ramp.save(root / label / "deep.png")
    return root


PAGES = "1 file holds more than one picture (pages, frames): the first is used, 2 are ignored"
DEEP = "2 images hold 16 bits a channel but only values 0..1024"


def test_show_split_and_audit_tell_it_and_tell_it_again(classes: Path, main: Main) -> None:
    split = ("data", "split", "--data", classes, "--folds", 3)
    commands = [(*split, "--out", "1.csv"), (*split, "--out", "2.csv")]  # the second takes pixels from the cache
    commands += [("data", "show", "--data", classes, "--splits", "1.csv")]
    commands += [("data", "audit", "--data", classes, "--no-near-duplicates")]
    for command in commands:
        status, output, _ = main(*command)
        told = " ".join(output.replace("│", " ").split())
        assert status < 2
        assert PAGES in told, command
        assert DEEP in told, command
