"""Weights never score what they have seen, whatever training started from; and if they may, the numbers are marked."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Zoo, write_folds
from zoo.data import decoding, images, known_copies
from zoo.run import plan, provenance
from zoo.run.provenance import Provenance
from zoo.run.request import Request

NO_COPIES = pd.DataFrame(columns=known_copies.NEAR_COLUMNS)


def model_file(path: Path, seen: Provenance | None = None) -> Path:
    """What a .keras file is to provenance: a zip archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    if seen is not None:
        provenance.embed(path, seen, [])
    return path


def test_a_file_says_what_its_weights_have_seen_wherever_it_goes(tmp_path: Path) -> None:
    seen = Provenance(frozenset({"b", "a"}), files=("first.keras",))
    moved = tmp_path / "elsewhere.keras"
    shutil.move(model_file(tmp_path / "best.keras", seen), moved)
    found = provenance.read_provenance(moved)
    assert found.images == {"a", "b"}
    assert [file.split()[0] for file in found.files] == ["first.keras", "elsewhere.keras"]
    assert found.unknown == ()


def test_it_goes_down_a_chain_of_files(tmp_path: Path) -> None:
    first = provenance.read_provenance(model_file(tmp_path / "a.keras", Provenance(frozenset({"1"}))))
    second = provenance.read_provenance(model_file(tmp_path / "b.keras", first.seeing(["2"])))
    third = second.seeing(["3"]) | Provenance(unknown=("x.h5",))
    assert third.images == {"1", "2", "3"}
    assert [file.split()[0] for file in third.files] == ["a.keras", "b.keras"]
    assert Provenance.from_table(json.loads(json.dumps(third.table()))) == third


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_weights_from_elsewhere_are_of_unknown_origin(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"other.{kind}"
    model_file(file) if kind == "keras" else file.write_bytes(b"\x89HDF")
    found = provenance.read_provenance(file)
    assert not found.images
    assert [name.split()[0] for name in found.unknown] == [file.name]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": 3, "files": [], "unknown": []}', "\x00"])
def test_damaged_provenance_is_an_error_and_not_an_empty_one(tmp_path: Path, content: str) -> None:
    file = model_file(tmp_path / "best.keras")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(provenance.MEMBER, content)
    with pytest.raises(package.WeightsError, match=r"best.keras: what it says .* is damaged"):
        provenance.read_provenance(file)


def test_a_copy_of_what_was_seen_counts_as_seen() -> None:
    copies = pd.DataFrame({"first": ["a", "t2"], "second": ["t1", "b"]})
    assert provenance.leaked(["t1", "t2", "t3"], ["a", "b"], copies) == ["t1", "t2"]
    assert provenance.leaked(["t1", "t2", "t3"], ["t3"], NO_COPIES) == ["t3"]


@pytest.fixture
def tiny(install: Install) -> None:
    install(TINY_PLUGIN)


def request(data: Path, tmp_path: Path, **changes: object) -> Request:
    made = Request(models=("tiny",), data=str(data), image_size=32, out=tmp_path / "run")
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_near_duplicates_that_an_audit_knows_may_not_be_in_test_and_training(
    tiny: None, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))  # other tests use the same images
    names = ["Fold0/train/normal/normal 2.png", "Fold0/valid/normal/normal 0.png"]
    first, second = (images.hash_image(decoding.read_image(folds / name).pixels) for name in names)
    with plan.make_plan(request(folds, tmp_path)) as planned:
        assert planned.run.known_duplicates().empty
        assert any("Nobody has looked for near-duplicates" in note for note in planned.notes)
    known_copies.remember(
        [first, second], pd.DataFrame([(first, second, 0.9, "flipped")], columns=known_copies.NEAR_COLUMNS)
    )
    with pytest.raises(package.LeakError, match=r"fold 0: 1 of 4 test images are near-duplicates .*normal 0.png"):
        plan.make_plan(request(folds, tmp_path))
    divided = package.make_splits(folds, folds=5)
    sides = divided[divided["image"].isin([first, second])].groupby("fold")["role"].nunique()
    assert (sides == 1).all()


def test_a_file_that_has_changed_since_the_audit_is_noticed(
    tiny: None, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    package.audit(folds)
    with plan.make_plan(request(folds, tmp_path)) as planned:
        assert not any("audit" in note for note in planned.notes)
    changed = folds / "Fold0/train/normal/normal 2.png"
    cv2.imwrite(str(changed), 255 - cv2.imread(str(changed)))
    with plan.make_plan(request(folds, tmp_path, out=tmp_path / "again")) as planned:
        assert any("changed since the last audit: 1 image (Fold0/train/normal/normal 2" in n for n in planned.notes)


def warm_starts(best: Path, folds: Path, tmp_path: Path) -> dict[str, Request]:
    """Every way to begin fold 1 with the weights of fold 0's best model."""
    copied = tmp_path / "copied" / "innocent.keras"
    copied.parent.mkdir()
    shutil.copyfile(best, copied)
    registry = tmp_path / "registry.toml"
    registry.write_text(
        f'[models.tiny]\nbackbone = {{ name = "tiny", weights = "{copied}" }}\nschedule = "two-stage"\nbatch_size = 8\n'
    )
    plain = request(folds, tmp_path, folds=(1,), max_epochs=1)
    return {
        "start from": dataclasses.replace(plain, start_from=best),
        "start from a copy": dataclasses.replace(plain, start_from=copied),
        "start from the best of its fold": dataclasses.replace(plain, start_from=best.parents[2] / "best/fold-0.keras"),
        "weights": dataclasses.replace(plain, weights=str(best)),
        "registry": dataclasses.replace(plain, registry=registry),
    }


def test_no_warm_start_gets_round_it(tiny: None, folds: Path, inline: Zoo, tmp_path: Path) -> None:
    first = tmp_path / "first"
    common = ["--data", folds, "--image-size", 32, "--max-epochs", 1]
    done = inline("run", "tiny", *common, "--out", first)
    assert done.returncode == 0, done.stderr
    best = first / "tiny/fold-0/best.keras"
    recorded = json.loads((first / "tiny/fold-0/provenance.json").read_text())
    table = pd.read_csv(first / "splits.csv")
    assert set(recorded["images"]) == set(table["image"][table["role"] != "test"])
    assert provenance.read_provenance(best).images == set(recorded["images"])

    for way, wanted in warm_starts(best, folds, tmp_path).items():
        with pytest.raises(package.LeakError, match=r"fold 1: 4 of 4 test images were seen by .*\.png"):
            plan.make_plan(wanted)
        assert not wanted.out or not (wanted.out / "run.json").exists(), way
    with pytest.raises(package.LeakError):
        package.compare(["tiny"], data=folds, folds=[1], image_size=32, start_from=best, out=tmp_path / "python")

    # The same fold may go on from it, and what comes of that has seen it all too.
    again = inline("run", "tiny", *common, "--start-from", best, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    grandchild = provenance.read_provenance(tmp_path / "again/tiny/fold-0/best.keras")
    assert grandchild.images == set(recorded["images"])
    assert len(grandchild.files) == 2
    refused = inline("run", "tiny", *common, "--folds", 1, "--start-from", tmp_path / "again/tiny/fold-0/best.keras")
    assert refused.returncode == 2
    assert "--allow-leak" in refused.stderr

    # What is allowed is marked wherever a number stands, and cannot become unmarked.
    allowed = inline(
        "run", "tiny", *common, "--folds", 1, "--start-from", best, "--allow-leak", "--out", tmp_path / "leak"
    )
    assert allowed.returncode == 0, allowed.stderr
    assert "LEAKED" in allowed.stdout
    for name in ("results", "summary"):
        assert (pd.read_csv(tmp_path / f"leak/{name}.csv")["leaked"] == 4).all()
    metrics = json.loads((tmp_path / "leak/tiny/fold-1/metrics.json").read_text())
    assert metrics["test"]["leaked"] == 4
    predictions = pd.read_csv(tmp_path / "leak/tiny/fold-1/predictions.csv")
    assert predictions.groupby("role")["leaked"].sum().to_dict() == {"test": 4, "validation": 0}
    assert "LEAKED" in inline("report", tmp_path / "leak").stdout
    silently = inline("run", "tiny", *common, "--folds", 1, "--out", tmp_path / "leak")
    assert silently.returncode == 2
    assert "begun with another request" in silently.stderr


@pytest.mark.slow
def test_other_model_files(tiny: None, folds: Path, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Keras saves anew is known by its weights, elsewhere marked as unknown; one of another recipe is refused."""
    import keras

    common = ["--data", folds, "--image-size", 32, "--max-epochs", 1]
    assert zoo("run", "tiny", *common, "--out", tmp_path / "first").returncode == 0
    best, washed, bare = (tmp_path / name for name in ("first/tiny/fold-0/best.keras", "w.keras", "w.weights.h5"))
    model = keras.saving.load_model(best)
    model.save(washed)
    model.save_weights(bare)
    assert (
        provenance.read_provenance(washed).images
        == provenance.read_provenance(bare).images
        == provenance.read_provenance(best).images
    )
    with pytest.raises(package.LeakError):
        plan.make_plan(request(folds, tmp_path, folds=(1,), start_from=washed))
    with pytest.raises(package.LeakError):
        plan.make_plan(request(folds, tmp_path, folds=(1,), weights=str(bare)))

    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "another machine"))
    done = zoo("run", "tiny", *common, "--start-from", washed, "--out", tmp_path / "second")
    assert done.returncode == 0, done.stderr
    assert "origin unknown" in done.stdout
    assert pd.read_csv(tmp_path / "second/results.csv")["weights"][0].endswith("origin unknown")

    refused = zoo("run", "scratch-cnn", *common, "--start-from", best)
    assert refused.returncode == 2
    assert "does not fit the network" in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"start_from": Path("none.keras")}, "no such file"),
        ({"start_from": Path(__file__)}, "not a .keras file"),
        ({"start_from": Path("best.keras"), "weights": "none"}, "exclude each other"),
    ],
    ids=["no file", "no model", "with weights"],
)
def test_a_start_that_makes_no_sense_is_refused(
    tiny: None, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model_file(tmp_path / "best.keras")
    with pytest.raises(package.ConfigError, match=says):
        plan.make_plan(request(folds, tmp_path, **changes))


def test_no_choice_depends_on_the_labels_of_the_test_role(tiny: None, inline: Zoo, tmp_path: Path) -> None:
    """Epochs, weights, validation scores and the best of each fold are the same when test labels are permuted."""
    import keras

    data = [write_folds(tmp_path / "right", folds=1), write_folds(tmp_path / "permuted", folds=1)]
    valid = data[1] / "Fold0/valid"
    for name in ("normal", "abnormal"):
        shutil.move(valid / name, valid / f"was {name}")
    shutil.move(valid / "was normal", valid / "abnormal")
    shutil.move(valid / "was abnormal", valid / "normal")
    runs = []
    for folder in data:
        runs.append(tmp_path / f"run {folder.name}")
        done = inline(
            "compare",
            "tiny",
            "--data",
            folder,
            "--image-size",
            32,
            "--repeats",
            2,
            "--max-epochs",
            2,
            "--out",
            runs[-1],
        )
        assert done.returncode == 0, done.stderr
    for job in ("fold-0", "fold-0-repeat-1"):
        one, other = (run / "tiny" / job for run in runs)
        histories = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (one, other)]
        pd.testing.assert_frame_equal(*histories)
        weights = [keras.saving.load_model(folder / "best.keras").get_weights() for folder in (one, other)]
        assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
        scores = [json.loads((folder / "metrics.json").read_text()) for folder in (one, other)]
        assert scores[0]["validation"] == scores[1]["validation"]
        assert scores[0]["test"]["loss"] != scores[1]["test"]["loss"]
        thresholds = {score[role]["threshold"] for score in scores for role in score}
        assert len(thresholds) == 1
    best = [json.loads((run / "best/fold-0.json").read_text()) for run in runs]
    assert best[0] == best[1]


def test_the_test_role_is_read_in_one_place() -> None:
    rooms = Path(package.__file__).parent
    readers = [file.name for file in rooms.rglob("*.py") if 'job.fold, "test"' in file.read_text(encoding="utf-8")]
    assert readers == ["train_and_score.py"]
    for file in (rooms / "training").glob("*.py"):
        assert '"test"' not in file.read_text(encoding="utf-8"), file.name


def test_arrays_that_training_has_made_are_known_alone_and_under_any_name(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(5), keras.layers.Dense(2)])
    first, second, *others = model.get_weights()
    began_with = provenance.hash_arrays(model.get_weights())
    trained = [first, second, *(array + 1 if array.ndim > 1 else array + np.arange(array.size) for array in others)]
    model.set_weights(trained)
    trained = model.get_weights()
    model.save(tmp_path / "a.keras")
    provenance.embed(tmp_path / "a.keras", Provenance(frozenset({"1"})), began_with)
    assert provenance.recognise(trained) == (Provenance(frozenset({"1"})), True)
    assert provenance.recognise([trained[2]]) == (Provenance(frozenset({"1"})), False)
    assert provenance.recognise([first, np.zeros(20)]) == (None, False)  # what training left as it was tells nothing
    part = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5, name="mine")])
    part.set_weights(trained[2:4])
    part.save_weights(tmp_path / "part.weights.h5")
    found = provenance.read_provenance(tmp_path / "part.weights.h5")
    assert found.images == {"1"}
    assert found.unknown == found.files


BRINGS = """
import pathlib
from dataclasses import dataclass

import zoo
from zoo_tiny_tiny import Tiny


@dataclass(frozen=True)
class Brings(Tiny):
    '''Takes ImageNet for what it isn't.'''

    name = "brings"
    weights: str = "auto"

    def load_weights(self, model, weights):
        import keras

        trained = keras.saving.load_model(pathlib.Path(__file__).with_name("trained.keras"))
        for layer in model.layers:
            layer.set_weights(trained.get_layer(layer.name).get_weights())


@zoo.hookimpl
def zoo_backbones():
    return [Brings]
"""


@pytest.mark.slow
def test_weights_that_a_plug_in_brings_are_known_by_their_values(
    install: Install, folds: Path, zoo: Zoo, tmp_path: Path
) -> None:
    install(TINY_PLUGIN)
    common = ["--data", folds, "--image-size", 32, "--max-epochs", 2]
    assert zoo("run", "tiny", *common, "--out", tmp_path / "first").returncode == 0
    install(BRINGS, "zoo-brings", "brings")
    shutil.copy(tmp_path / "first/tiny/fold-0/best.keras", tmp_path / "site/trained.keras")
    (tmp_path / "registry.toml").write_text(
        '[data]\nroot = "demo"\n[models.brings]\nbackbone = "brings"\nschedule = "two-stage"\nbatch_size = 8\n'
    )
    common += ["--registry", tmp_path / "registry.toml"]
    refused = zoo("run", "brings", *common, "--folds", 1, "--out", tmp_path / "second")
    assert refused.returncode == 2, refused.stdout
    assert "the weights have seen 4 of the 4 test images" in refused.stdout + refused.stderr
    same = zoo("run", "brings", *common, "--folds", 0, "--out", tmp_path / "third")
    assert same.returncode == 0, same.stdout + same.stderr
