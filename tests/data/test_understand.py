"""Data that nobody has described: columns and classes as they are called, and which of two classes is to be found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.conftest import Main, disc
from zoo.data import loading, origin
from zoo.data.config import DataConfig
from zoo.data.options import DataOptions
from zoo.data.understand import understand
from zoo.errors import ConfigError, DataError

CONFIG = DataConfig(image_size=32)


def write(root: Path, *folders: str, count: int = 8) -> Path:
    rng = np.random.default_rng(0)
    for number, name in enumerate(folders):
        (root / name).mkdir(parents=True)
        for image in range(count):
            cv2.imwrite(str(root / name / f"{image}.png"), disc(rng, number % 2 > 0, 32))
    return root


def found(source: Path | pd.DataFrame, **given: object) -> tuple[DataConfig, list[str]]:
    said: list[str] = []
    config = understand(origin.of(source), CONFIG, DataOptions(**given), said.append)  # type: ignore[arg-type]
    return config, said


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("Glaucoma", "Healthy"), ("Healthy", "Glaucoma")),
        (("RG", "NRG"), None),
        (("non_glaucoma", "glaucoma"), ("non_glaucoma", "glaucoma")),
        (("No DR", "DR"), ("No DR", "DR")),
        (("0", "1"), ("0", "1")),
        (("benign", "malignant"), ("benign", "malignant")),
        (("ants", "bees"), None),
        (("mild", "none", "severe"), ("none", "mild", "severe")),
    ],
    ids=str,
)
def test_classes_of_folders(tmp_path: Path, names: tuple[str, ...], classes: tuple[str, ...] | None) -> None:
    write(tmp_path, *names, count=1)
    if classes:
        config, (said,) = found(tmp_path)
        assert config.classes == classes
        assert said.startswith(f"classes found: {', '.join(classes)}")
        return
    one, other = sorted(names)
    with pytest.raises(DataError, match=f"(?s)has the classes {one} and {other}.*--positive {other}.*classes = "):
        found(tmp_path)
    config, (said,) = found(tmp_path, positive=one)
    assert config.classes == (other, one)
    assert said == f"classes found: {other}, {one}; positive, the one to find, is {one} (--positive NAME)"


def test_classes_below_roles_and_folds(tmp_path: Path) -> None:
    roles = write(tmp_path / "roles", "train/ill", "train/healthy", "test/ill", "test/healthy")
    assert found(roles)[0].classes == ("healthy", "ill")
    folds = write(
        tmp_path / "folds",
        *(f"Fold0/{role}/{name}" for role in ("train", "test", "valid") for name in ("ill", "control")),
    )
    assert found(folds)[0].classes == ("control", "ill")


def test_what_is_given_or_known_is_no_question(tmp_path: Path) -> None:
    write(tmp_path, "normal", "abnormal", "other", count=1)
    (tmp_path / "notes").mkdir()
    assert found(tmp_path) == (CONFIG, [])
    assert found(tmp_path, classes=("other", "normal"))[0].classes == ("other", "normal")
    assert found(tmp_path, positive="normal")[0].classes == ("abnormal", "normal")
    with pytest.raises(ConfigError, match="positive 'ill' is no class; the classes are normal, abnormal"):
        found(tmp_path, positive="ill")
    with pytest.raises(ConfigError, match="positive goes with two classes, and there are 3"):
        found(tmp_path, classes=("a", "b", "c"), positive="a")
    with pytest.raises(ConfigError, match="classes: "):
        found(tmp_path, classes=("a", "a"))


def test_columns_by_their_headings(tmp_path: Path) -> None:
    table = pd.DataFrame({"Image": ["a.png"], "Diagnosis": ["normal"], "Patient ID": ["7"], "Site": ["x"], "age": [70]})
    config, (said,) = found(table)
    assert config.columns == {"path": "Image", "label": "Diagnosis", "group": "Patient ID", "source": "Site"}
    assert said == (
        "columns are taken by their headings: Image as path, Diagnosis as label, Patient ID as group, Site as source"
    )
    two = table.assign(file="b.png")
    with pytest.raises(
        DataError, match="several columns may be the path: Image, file; say which: --columns path=Image"
    ):
        found(two)
    assert found(two, columns={"path": "file"})[0].columns["path"] == "file"
    assert found(table.rename(columns={"Image": "path", "Diagnosis": "label"}))[0].columns["group"] == "Patient ID"


def test_classes_of_a_column(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["Glaucoma", "Healthy"]})
    assert found(table)[0].classes == ("Healthy", "Glaucoma")
    assert found(table.assign(label=[0, 1]))[0].classes == CONFIG.classes
    assert found(table.assign(label=["normal", "abnormal"])) == (CONFIG, [])
    with pytest.raises(DataError, match="nothing tells which is to be found"):
        found(table.assign(label=["a", "b"]))


def test_own_images_in_one_command(tmp_path: Path, main: Main) -> None:
    root = write(tmp_path / "photos", "train/Healthy", "train/Glaucoma", "test/Healthy", "test/Glaucoma", count=20)
    for path in sorted(root.rglob("*.png")):  # other pictures in each
        image = cv2.imread(str(path))
        image[0, 0] = [hash(str(path)) % 251, len(str(path)) % 251, int(path.stem)]
        cv2.imwrite(str(path), image)
    status, output, errors = main("data", "show", "--data", root, "--image-size", 32)
    assert status == 0, errors
    assert "classes found: Healthy, Glaucoma; positive, the one to find, is Glaucoma" in " ".join(output.split())
    status, output, errors = main("data", "show", "--data", root, "--image-size", 32, "--positive", "Healthy")
    assert status == 0, errors
    assert output.index("Glaucoma") < output.index("Healthy")


def test_it_reaches_python(tmp_path: Path) -> None:
    import zoo

    root = write(tmp_path, "ants", "bees")
    assert set(zoo.read_data(root, positive="ants")["label"]) == {"ants", "bees"}
    assert loading.settle(CONFIG, DataOptions(data=str(root), positive="ants")).config.classes == ("bees", "ants")
    assert zoo.audit(root, classes=["ants", "bees"], near_duplicates=False).request["classes"] == ["ants", "bees"]
