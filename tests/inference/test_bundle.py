"""FILE.zoo: the same answers as the run's, a card that says what its tables say, and nothing damaged is opened."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import zoo
from tests.conftest import TINY_PLUGIN, Install, Main, write_folds
from tests.finished import two_networks
from zoo.data import cache
from zoo.errors import ConfigError, WeightsError, ZooError
from zoo.evaluation.config import OperatingPoint
from zoo.inference import bundle
from zoo.run import results
from zoo.run.folder import RunFolder

SIZE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folds(tmp_path_factory.mktemp("bundle") / "data")


@pytest.fixture(scope="module")
def run(data: Path) -> RunFolder:
    return two_networks(data, data.parent / "run", operating_point=OperatingPoint(sensitivity=0.7))


@pytest.fixture
def file(run: RunFolder, main: Main, tmp_path: Path) -> Path:
    status, output, errors = main("bundle", run.path, "--out", "new/screening.zoo")
    assert status == 0, errors
    assert "new/screening.zoo: scratch-cnn, 2 networks" in output
    return tmp_path / "new/screening.zoo"


def test_a_bundle_answers_as_its_run(run: RunFolder, file: Path, data: Path, tmp_path: Path) -> None:
    own, bundled = zoo.load(run.path), zoo.load(file)
    assert bundled.threshold == own.threshold
    assert str(bundled.ensemble.point) == "sensitivity 0.7"
    pd.testing.assert_frame_equal(bundled.predict(data / "Fold0"), own.predict(data / "Fold0"), atol=1e-6)
    assert bundled.notes == own.notes
    again = [member.file for member in zoo.load(file).ensemble.members]
    assert again == [member.file for member in bundled.ensemble.members]  # unpacked once
    assert zoo.load(file, threshold=0.3).threshold == pytest.approx(0.3)
    with pytest.raises(ConfigError, match="no validation images"):
        zoo.load(file, sensitivity=0.9)
    with pytest.raises(ConfigError, match="is no run folder"):
        zoo.load(file, folds=0)
    one = bundled.evaluate(data / "Fold0/valid", allow_leak=True)
    pd.testing.assert_frame_equal(one.scores, own.evaluate(data / "Fold0/valid", allow_leak=True).scores, atol=1e-6)


def test_it_holds_plain_keras_files(run: RunFolder, file: Path) -> None:
    with zipfile.ZipFile(file) as opened:
        assert opened.namelist() == ["bundle.json", "model-card.md", "network-0.keras", "network-1.keras"]
        assert {info.compress_type for info in opened.infolist()} == {zipfile.ZIP_STORED}
        for fold in range(2):
            assert opened.read(f"network-{fold}.keras") == run.job("scratch-cnn", fold).best.read_bytes()


def test_it_opens_without_its_plugin_where_keras_can(install: Install, main: Main, data: Path, tmp_path: Path) -> None:
    install(TINY_PLUGIN)
    run = two_networks(data, tmp_path / "run", models=("tiny",))
    assert main("bundle", run.path)[0] == 0
    picture = next((data / "Fold0/valid/normal").iterdir())
    for words in ([], ["--no-plugin", "tiny"]):
        status, output, errors = main("predict", "tiny.zoo", picture, "--format", "csv", *words)
        assert status == 0, errors
        table = pd.read_csv(io.StringIO(output))
        assert table["probability"][0] == pytest.approx(zoo.load(run.path).predict(picture)["probability"][0], abs=1e-6)


def test_the_card_says_what_the_tables_say(run: RunFolder, file: Path) -> None:
    card, done = bundle.read_card(file), results.compare(run)
    for row in done.summary[done.summary["role"] == "test"].to_dict("records"):
        assert f"| {row['mean']:.3f} | " in card
    aimed = done.thresholds.query("fold == 'all' and point == 'sensitivity 0.7'").iloc[0]
    assert f"misses {aimed['missed']} of {aimed['positives']} abnormal test images" in card
    assert "20 different images: 10 normal, 10 abnormal; patients are not known" in card
    assert "from random weights" in card
    assert "(licence of these" not in card
    assert "The average of the networks was not tested" in card.replace("- the average", "- The average")
    assert str(run.path) not in card


def test_folds_may_be_chosen(run: RunFolder, main: Main, tmp_path: Path) -> None:
    status, _, errors = main("bundle", run.path, "--folds", "1", "--threshold", "0.4")
    assert status == 0, errors
    loaded = zoo.load(tmp_path / "scratch-cnn.zoo")
    assert [member.title for member in loaded.ensemble.members] == ["fold 1"]
    assert loaded.threshold == pytest.approx(0.4)


def test_names_do_nothing_in_a_card(main: Main, tmp_path: Path) -> None:
    classes = ("a|b", "<b>ill")
    data = write_folds(tmp_path / "data", per_class=5, classes=classes)
    run = two_networks(data, tmp_path / "run", classes=classes)
    assert main("bundle", run.path, "--out", "x.zoo")[0] == 0
    card = bundle.read_card(tmp_path / "x.zoo")
    assert "<b>" not in card
    assert "a\\|b" in card


def test_wrong_requests_are_refused(run: RunFolder, file: Path, main: Main, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for wrong, said in (
        ((run.path, "--out", "x.zip"), "must end in .zoo"),
        ((run.path, "--model", "scratch"), "unknown model 'scratch'"),
        ((run.path, "--out", "file/x.zoo"), "cannot be written"),
        ((file,), "is no run folder"),
        ((tmp_path / "none",), "is no run folder"),
    ):
        status, _, errors = main("bundle", *wrong)
        assert status == 2, wrong
        assert said in errors, errors


def rewritten(file: Path, target: Path, change: Any = None, packed: bool = False, **members: bytes | None) -> Path:
    """The bundle with changed members, None for one left out; `change` is done to what bundle.json says."""
    with zipfile.ZipFile(file) as opened:
        contents: dict[str, bytes | None] = {name: opened.read(name) for name in opened.namelist()}
    contents |= {name.replace("_", "-").replace("-keras", ".keras"): each for name, each in members.items()}
    if change:
        about = json.loads(contents["bundle.json"] or b"")
        change(about)
        contents["bundle.json"] = json.dumps(about).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as made:
        for name, content in contents.items():
            if content is not None:
                made.writestr(name, content)
    return target


def test_what_is_damaged_or_foreign_is_refused(file: Path, tmp_path: Path) -> None:
    def bad(name: str, value: Any) -> Any:
        return lambda about: about.update({name: value})

    def of_member(name: str, value: Any) -> Any:
        return lambda about: about["members"][1].update({name: value})

    whole = file.read_bytes()
    cases: dict[str, tuple[Any, str]] = {
        "changed network": ({"network_1_keras": b"other"}, "not the network"),
        "no network": ({"network_1_keras": None}, "damaged"),
        "packed": ({"packed": True}, "packed"),
        "another format": ({"change": bad("format", 2)}, "not what zoo wrote"),
        "no members": ({"change": bad("members", [])}, "not what zoo wrote"),
        "a path": ({"change": of_member("file", "../../network-1.keras")}, "not what zoo wrote"),
        "a threshold": ({"change": of_member("threshold", 2)}, "not what zoo wrote"),
        "a sum": ({"change": of_member("sha256", "0" * 64)}, "not the network"),
        "a scaling": ({"change": of_member("scaling", {"slope": "steep"})}, "not what zoo wrote"),
        "a point": ({"change": bad("point", {"sensitivity": 7})}, "not what zoo wrote"),
        "copies": ({"change": bad("copies", [1])}, "not what zoo wrote"),
        "a list": ({"change": lambda about: about.clear()}, "not what zoo wrote"),
    }
    before = {*cache.folder("bundles").glob("*")}
    for number, (changes, said) in enumerate(cases.values()):
        changed = rewritten(file, tmp_path / f"{number}.zoo", **changes)
        with pytest.raises(WeightsError, match=said):
            zoo.load(changed)
    assert {*cache.folder("bundles").glob("*")} <= before  # nothing of them is kept

    foreign = tmp_path / "foreign.zoo"
    for content in (whole[: len(whole) // 2], whole[:40], b"", b"text", bytes(1000)):
        foreign.write_bytes(content)
        with pytest.raises(ZooError):
            zoo.load(foreign)
    with zipfile.ZipFile(foreign, "w") as made:
        made.writestr("other.txt", "nothing of zoo's")
    with pytest.raises(ZooError):
        zoo.load(foreign)
    # Bytes in the midst of a network: the archive itself is whole.
    place = whole.index(b"network-0.keras") + 5000
    foreign.write_bytes(whole[:place] + bytes(64) + whole[place + 64 :])
    with pytest.raises(WeightsError):
        zoo.load(foreign)


def test_members_that_lie_over_each_other_are_refused(file: Path, tmp_path: Path) -> None:
    """A small file that claims to hold one network a thousand times."""
    bomb = tmp_path / "bomb.zoo"
    with zipfile.ZipFile(file) as opened:
        about = json.loads(opened.read("bundle.json"))
        network = opened.read("network-0.keras")
    about["members"] = [{**about["members"][0], "file": f"network-{number}.keras"} for number in range(50)]
    with zipfile.ZipFile(bomb, "w") as made:
        made.writestr("bundle.json", json.dumps(about))
        made.writestr("network-0.keras", network)
        first = made.getinfo("network-0.keras")
        for number in range(1, 50):
            other = zipfile.ZipInfo(f"network-{number}.keras")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(other, name, getattr(first, name))
            made.filelist.append(other)
            made.NameToInfo[other.filename] = other
    with pytest.raises(WeightsError, match="would unpack to"):
        zoo.load(bomb)
