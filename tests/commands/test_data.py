"""zoo data split, --splits and --groups as users meet them, and data that nobody would wish for."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY_PLUGIN, Install, Main, Zoo, disc, write_folds
from zoo.errors import DataError
from zoo.run import plan
from zoo.run.request import Request


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder per class: 2 x 20 images, two of each patient."""
    rng = np.random.default_rng(0)
    root = tmp_path / "my images"
    for label, class_name in enumerate(("normal", "abnormal")):
        (root / class_name).mkdir(parents=True)
        for number in range(20):
            side = "left" if number % 2 else "right"
            cv2.imwrite(str(root / class_name / f"{label}{number // 2}_{side}.png"), disc(rng, label > 0, 32))
    return root


GROUPS = r"([0-9]+)_(?:left|right)"


def test_split_look_edit_and_train(main: Main, inline: Zoo, install: Install, classes: Path, tmp_path: Path) -> None:
    """One after the other, as a user would."""
    install(TINY_PLUGIN)
    (classes / "normal/film.gif").write_bytes(b"GIF89a")
    split = ["data", "split", "--data", classes, "--groups", GROUPS, "--folds", 5]
    status, output, _ = main(*split)
    assert status == 0
    for text in (
        "being no image files: .gif (1)",
        "Test roles hold 8 images, 50.0% of them abnormal (50.0% in all)",
        "splits.csv: 5 folds of 40 images, method rotate, 5 folds, seed 0",
        f"Train on them: zoo compare --data '{classes}' --splits splits.csv",
    ):
        assert text in output
    file = tmp_path / "splits.csv"
    table = pd.read_csv(file)
    assert list(table.columns) == ["fold", "role", "image", "path", "label", "group"]
    assert (table.groupby(["fold", "group"])["role"].nunique() == 1).all()

    status, _, errors = main(*split)
    assert status == 2
    assert "splits.csv exists; name another file with --out, or replace it with --force" in errors
    before = file.read_bytes()
    assert main(*split, "--force")[0] == 0
    assert file.read_bytes() == before

    status, output, _ = main("data", "show", "--data", classes, "--splits", file, "--folds", 4, "--image-size", 32)
    assert status == 0
    assert "Images of 32 x 32 x 3 uint8" in output
    assert "folder " not in output  # none plays a role

    options = ["--data", classes, "--splits", file, "--max-epochs", 1, "--image-size", 32, "--out", tmp_path / "run"]
    run = ["run", "tiny", "--folds", 2, *options]
    table[table["role"] != "validation"].to_csv(file, index=False)
    status, _, errors = main(*run)
    assert status == 2
    assert "fold 2, validation: no image at all" in errors

    table.assign(image="").to_csv(file, index=False)
    trained = inline(*run)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "folder " not in trained.stdout.replace("Run folder", "")
    data = json.loads((tmp_path / "run/run.json").read_text())["data"]
    assert data["folds"] == [2]
    assert data["split_file"] == {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    used = pd.read_csv(tmp_path / "run/splits.csv")
    pd.testing.assert_frame_equal(used, table[table["fold"] == 2].reset_index(drop=True))

    table.sample(frac=1, random_state=0).to_csv(file, index=False)  # sorted otherwise, it is the same split
    assert "already done" in main(*run)[1]
    left, right = classes / "normal/00_left.png", classes / "normal/00_right.png"
    left.write_bytes((classes / "normal/01_left.png").read_bytes())
    status, _, errors = main(*run)
    assert status == 2
    assert "1 file has changed since" in errors
    left.write_bytes(right.read_bytes())
    table.assign(image="").to_csv(file, index=False)
    status, _, errors = main(*run)
    assert status == 2
    assert "data.fingerprint was" in errors


def test_a_manifest_is_divided_by_the_run(install: Install, classes: Path, tmp_path: Path) -> None:
    install(TINY_PLUGIN)
    rows = [
        (path.relative_to(classes).as_posix(), path.parent.name, path.name.split("_")[0])
        for path in sorted(classes.rglob("*.png"))
    ]
    pd.DataFrame(rows, columns=["path", "label", "group"]).to_csv(classes / "manifest.csv", index=False)
    request = Request(models=("tiny",), data=str(classes / "manifest.csv"), image_size=32, out=tmp_path / "run")
    with plan.make_plan(request) as made:
        assert any(note.startswith("The data are in no folds; divided by method rotate, 10") for note in made.notes)
    splits = pd.read_csv(tmp_path / "run/splits.csv", dtype=str)
    assert set(splits["fold"]) == {"0"}
    assert (splits.groupby("group")["role"].nunique() == 1).all()
    frame = Request(models=("tiny",), data=pd.read_csv(classes / "manifest.csv"), splits=splits)
    with pytest.raises(DataError, match="not found"):  # paths of a data frame begin here
        plan.make_plan(frame)


def spoil(root: Path, how: str) -> Path:
    """The data to name on the command line."""
    image = root / "normal/00_left.png"
    content = image.read_bytes()
    if how == "zip":
        return Path(shutil.make_archive(str(root), "zip", root))
    if how == "huge":
        image.write_bytes(content[:16] + struct.pack(">II", 20_000, 20_000) + content[24:])
    elif how == "truncated":
        _, encoded = cv2.imencode(".jpg", cv2.imread(str(image)))
        image.with_suffix(".jpg").write_bytes(encoded.tobytes()[:-200])
    elif how == "text":
        image.write_text("left eye, sharp")
    elif how == "gif":
        image.write_bytes(b"GIF89a" + bytes(20))
    elif how == "encoding":
        image.rename(image.with_name("\udce9.png"))
    elif how == "manifest":
        (root / "manifest.csv").write_bytes(b"path,label\n" + content)
        return root / "manifest.csv"
    elif how == "no classes":
        shutil.rmtree(root / "normal")
    return root


HOSTILE = {
    "zip": "my images.zip is a zip archive; unpack it and name the folder",
    "huge": "00_left.png: 20000 x 20000 pixels, more than the 100,000,000 that are decoded",
    "truncated": "00_left.jpg: cut off before the end of the image",
    "text": "00_left.png: not an image",
    "gif": "00_left.png: a GIF; save it as PNG",
    "encoding": "is not UTF-8; rename it",
    "manifest": "manifest.csv is not text in UTF-8",
    "no classes": "normal is missing; folders there: abnormal\nname the folder that holds one",
}


@pytest.mark.parametrize(("how", "says"), HOSTILE.items(), ids=HOSTILE.keys())
def test_hostile_data_are_one_clear_message(main: Main, classes: Path, how: str, says: str) -> None:
    status, output, errors = main("data", "split", "--data", spoil(classes, how), "--folds", 4)
    assert status == 2
    assert says in errors
    assert "Traceback" not in output + errors
    assert len(errors.splitlines()) <= 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--method", "k-fold"], "unknown method 'k-fold'"),
        (["--method", "grouped"], "needs a group for every image; 40 of 40 have none"),
        (["--method", "leave-one-source-out"], "needs a source for every image"),
        (["--folds", 30], "too few images of class normal for 30 parts: 20"),
        (["--folds", 15, "--groups", GROUPS], "too few groups of class normal for 15 parts: 10"),
        (["--combinations", "few"], "must be all, or a whole number from 1 to 10,000, not 'few'"),
        (["--groups", "left"], "groups must hold a capture group"),
        (["--out", "no/such/folder.csv"], "no/such/folder.csv cannot be written: No such file or directory"),
    ],
    ids=lambda value: " ".join(map(str, value[:2])) if isinstance(value, list) else "",
)
def test_a_split_that_cannot_be_made(main: Main, classes: Path, options: list[object], says: str) -> None:
    status, output, errors = main("data", "split", "--data", classes, *options)
    assert status == 2
    assert says in errors
    assert "Traceback" not in output + errors


def test_folds_that_begin_at_one(main: Main, install: Install, tmp_path: Path) -> None:
    """Fold1 to Fold3, as people count."""
    install(TINY_PLUGIN)
    folds = write_folds(tmp_path / "data", folds=3)
    (folds / "Fold0").rename(folds / "Fold3")
    data = ["--data", folds, "--image-size", 32]
    for command in (["data", "show", *data], ["show", "tiny", *data, "--pictures", tmp_path / "pictures"]):
        status, output, errors = main(*command)
        assert status == 0, output + errors
        assert "Fold 1 is taken, the first there is; --folds takes others" in output
    assert (tmp_path / "pictures/augmented.png").exists()
    with plan.make_plan(Request(models=("tiny",), data=str(folds), image_size=32, out=tmp_path / "run")) as made:
        assert [job.fold for job in made.jobs] == [1]
    status, _, errors = main("data", "show", *data, "--folds", "0")
    assert (status, "has no fold 0; it has folds 1, 2, 3" in errors) == (2, True)
