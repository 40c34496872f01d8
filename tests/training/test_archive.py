"""A model file takes no more memory than it has bytes, and leads nowhere outside itself; real ones pass."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import zoo
from tests.conftest import TINY_PLUGIN, Install, Main
from zoo.run import provenance
from zoo.run.provenance import Provenance
from zoo.training import archive, model_file

keras = pytest.importorskip("keras")
CONFIG = '{"class_name": "Functional", "config": {}}'


def zipped(file: Path, members: dict[str, str | bytes], packed: bool = True) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file


def weights(fill: Callable[[h5py.File], object]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        fill(opened)
    return content.getvalue()


def keras_file(file: Path, fill: Callable[[h5py.File], object]) -> Path:
    return zipped(file, {"config.json": CONFIG, archive.WEIGHTS: weights(fill)}, packed=False)


def patched(file: Path, *changes: tuple[bytes, bytes]) -> Path:
    data = file.read_bytes()
    for old, new in changes:
        assert old in data
        data = data.replace(old, new)
    file.write_bytes(data)
    return file


def understated(file: Path) -> Path:
    """A member that unpacks to 200 MB, and states 1,000 bytes and the sum of these in both of its headers."""
    zeros, few = bytes(200_000_000), bytes(1000)
    zipped(file, {"config.json": CONFIG, archive.WEIGHTS: zeros})
    sums = [zlib.crc32(each).to_bytes(4, "little") for each in (zeros, few)]
    return patched(file, (sums[0], sums[1]), (len(zeros).to_bytes(4, "little"), len(few).to_bytes(4, "little")))


def encrypted(file: Path) -> Path:
    """The flag in the central directory."""
    zipped(file, {"config.json": CONFIG})
    return patched(file, (b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"))


def chunked(opened: h5py.File) -> None:
    opened.create_dataset("zeros", data=np.zeros((9000, 1000), "f4"), chunks=(1000, 1000), compression="gzip")


def loop(opened: h5py.File) -> None:
    opened.create_group("a")["again"] = opened["/"]
    opened["w"] = np.arange(3.0)


def virtual(opened: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(10,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(10,))
    opened.create_virtual_dataset("there", layout)


def deep(opened: h5py.File) -> None:
    opened.create_group("/".join("a" * 300))


def text(opened: h5py.File) -> None:
    opened.create_dataset("text", data=["a", "b"], dtype=h5py.string_dtype())


def link(opened: h5py.File, to: object) -> None:
    opened["a"] = to


def elsewhere(opened: h5py.File) -> None:
    opened.create_dataset("there", (10,), "f4", external=[("/etc/passwd", 0, 40)])


HDF5: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "nothing stored": (lambda opened: opened.create_dataset("huge", (10**6, 10**6), "f8"), "would unpack to"),
    "more than can be counted": (lambda opened: opened.create_dataset("a", (2**31, 2**31, 8), "f8"), "would unpack to"),
    "packed zeros": (chunked, "would unpack to"),
    "many that are each small": (
        lambda opened: [opened.create_dataset(str(n), (10**6,), "f4") for n in range(20)],
        "would unpack to",
    ),
    "external storage": (elsewhere, "lies in another file"),
    "external link": (lambda opened: link(opened, h5py.ExternalLink("other.h5", "/")), "a link to elsewhere"),
    "soft link in a loop": (lambda opened: link(opened, h5py.SoftLink("/a")), "a link to elsewhere"),
    "virtual": (virtual, "lies in another file"),
    "text": (text, "holds no numbers"),
    "nested deep": (deep, "nested deeper"),
}
ZIP: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bomb": (lambda file: zipped(file, {archive.WEIGHTS: bytes(40_000_000)}), "would unpack to 40,000,000"),
    "a bomb for another member": (lambda file: zipped(file, {"assets/x": bytes(40_000_000)}), "would unpack to"),
    "a bomb that states less": (understated, "is larger than the 1,000 bytes stated"),
    "deep config": (lambda file: zipped(file, {"config.json": '{"a":' * 100_000}), "nested deeper than 200"),
    "deep metadata": (
        lambda file: zipped(file, {"config.json": CONFIG, "metadata.json": "[" * 100_000}),
        "nested deeper than 200",
    ),
    "wide config": (lambda file: zipped(file, {"config.json": f"[{'[],' * 1_200_000}0]"}), "lists and tables"),
    "out of it": (lambda file: zipped(file, {"assets/../../x": "x"}), "leads out of it"),
    "absolute": (lambda file: zipped(file, {"/tmp/x": "x"}), "leads out of it"),
    "drive": (lambda file: zipped(file, {"C:\\x": "x"}), "leads out of it"),
    "encrypted": (encrypted, "is encrypted"),
    "npz": (lambda file: zipped(file, {"config.json": CONFIG, "model.weights.npz": "x"}), "model.weights.npz"),
}


@pytest.mark.parametrize("how", ZIP)
def test_an_archive_is_refused(tmp_path: Path, how: str) -> None:
    make, says = ZIP[how]
    file = tmp_path / "a.keras"
    make(file)
    tracemalloc.start()
    for read in (archive.check_archive, provenance.read_provenance):
        with pytest.raises(zoo.WeightsError) as raised:
            read(file)
        assert str(raised.value).startswith(f"{file} is refused: ") and says in str(raised.value)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()
    with pytest.raises(zoo.WeightsError, match="is refused: "):
        zoo.load_model(file)
    assert model_file.read_about(file) is None


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.keras", {"config.json": CONFIG})
    with zipfile.ZipFile(file, "a") as opened:
        opened.writestr("config.json", "{}")
    with pytest.raises(zoo.WeightsError, match=r"is refused: it has two members 'config.json'"):
        zoo.load_model(file)


@pytest.mark.parametrize("kind", ["keras", "h5", "packed keras"])
@pytest.mark.parametrize("how", HDF5)
def test_weights_are_refused(tmp_path: Path, how: str, kind: str) -> None:
    fill, says = HDF5[how]
    file = tmp_path / f"a.{kind.split()[-1]}"
    if kind == "keras":
        keras_file(file, fill)
    elif kind == "h5":
        file.write_bytes(weights(fill))
    else:
        zipped(file, {"config.json": CONFIG, archive.WEIGHTS: weights(fill)})
    with pytest.raises(zoo.WeightsError, match="is refused") as raised:
        provenance.read_provenance(file)
    assert says in str(raised.value)


@pytest.mark.parametrize("name", [provenance.MEMBER, model_file.MEMBER])
@pytest.mark.parametrize("content", ['{"images":' * 100_000, "[" * 100_000])
def test_what_it_says_of_itself_is_read_within_limits(tmp_path: Path, name: str, content: str) -> None:
    file = zipped(tmp_path / "a.keras", {"config.json": CONFIG, name: content})
    assert model_file.read_about(file) is None
    if name == provenance.MEMBER:
        with pytest.raises(zoo.WeightsError, match=r"its member 'zoo-provenance.json' is nested deeper than 200"):
            provenance.read_provenance(file)


def test_ten_million_hashes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here ten thousand, with a limit that is as much lower."""
    monkeypatch.setattr(archive, "TEXT", 64_000)
    hashes = [f"{number:064x}" for number in range(10_000)]
    file = zipped(tmp_path / "a.keras", {"config.json": CONFIG, provenance.MEMBER: json.dumps({"images": hashes})})
    with pytest.raises(zoo.WeightsError, match=r"is refused: its member 'zoo-provenance.json' has 680,0\d\d bytes"):
        provenance.read_provenance(file)


def about(**changes: Any) -> str:
    parts = {kind: {"name": "none"} for kind in ("backbone", "head", "schedule", "augmenter")}
    table = {"model": "m", "recipe": parts, "origins": {}, "classes": ["a", "b"], "image_size": 32, "versions": {}}
    return json.dumps(table | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": 10**9},
        {"image_size": -1},
        {"image_size": "x"},
        {"classes": 3},
        {"classes": ["a"] * 20_000},
        {"recipe": {}},
        {"recipe": []},
        {"origins": 3},
        {"versions": {"keras": []}},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_nothing_said(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert model_file.read_about(zipped(tmp_path / "a.keras", {model_file.MEMBER: about()})) is not None
    assert model_file.read_about(zipped(tmp_path / "b.keras", {model_file.MEMBER: about(**changes)})) is None


@pytest.mark.parametrize(
    "table", ['{"images": "abc", "files": [], "unknown": []}', '{"images": [1], "files": [], "unknown": []}']
)
def test_provenance_of_other_types_is_damaged(tmp_path: Path, table: str) -> None:
    file = zipped(tmp_path / "a.keras", {"config.json": CONFIG, provenance.MEMBER: table})
    with pytest.raises(zoo.WeightsError, match="is damaged: images, files and unknown must be lists of text"):
        provenance.read_provenance(file)


def damage_at_random(data: bytes, seed: int) -> bytes:
    rng, spoilt = np.random.default_rng(seed), bytearray(data)
    for place in rng.integers(0, len(data), 20):
        spoilt[place] = rng.integers(256)
    return bytes(spoilt[: rng.integers(len(data))] if seed % 3 == 0 else spoilt)


def test_damaged_files_are_errors_of_zoo_or_pass(tmp_path: Path) -> None:
    arrays = weights(
        lambda opened: [opened.create_dataset(f"layers/{n}/0", data=np.ones((20, n))) for n in range(1, 9)]
    )
    whole = [zipped(tmp_path / "w.keras", {"config.json": CONFIG, archive.WEIGHTS: arrays}).read_bytes(), arrays]
    for seed in range(60):
        file = tmp_path / f"{seed}.keras"
        file.write_bytes(damage_at_random(whole[seed % 2], seed))
        try:
            provenance.read_provenance(file)
        except zoo.WeightsError as error:
            assert str(file) in str(error)


def test_real_files_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are, packed anew, with slots of an optimiser that are zero, and with groups that hold themselves."""
    monkeypatch.setattr(archive, "FREE", 1_000_000)
    layers = [keras.Input((200,)), keras.layers.Dense(1000), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "a.keras")
    provenance.embed(tmp_path / "a.keras", Provenance(frozenset(f"{number:064x}" for number in range(1000))), [])
    model.save_weights(tmp_path / "a.weights.h5")
    with zipfile.ZipFile(tmp_path / "a.keras") as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    zipped(tmp_path / "packed.keras", members)
    whole, packed = ((tmp_path / name).stat().st_size for name in ("a.keras", "packed.keras"))
    assert 2 * packed < whole > archive.FREE
    keras_file(tmp_path / "loop.keras", loop)
    for name in ("a.keras", "a.weights.h5", "packed.keras", "loop.keras"):
        archive.check_archive(tmp_path / name)
    assert len(provenance.read_provenance(tmp_path / "packed.keras").images) == 1000
    hashes = {
        provenance.hash_weights(provenance._arrays(tmp_path / name))
        for name in ("a.keras", "packed.keras", "a.weights.h5")
    }
    assert len(hashes) == 1 and hashes != {""}
    loaded = zoo.load_model(tmp_path / "packed.keras")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_a_run_that_starts_from_one_is_a_wrong_request(
    install: Install, folds: Path, tmp_path: Path, main: Main
) -> None:
    install(TINY_PLUGIN)
    bomb = zipped(tmp_path / "bomb.keras", {"config.json": CONFIG, archive.WEIGHTS: bytes(40_000_000)})
    huge = tmp_path / "huge.weights.h5"
    huge.write_bytes(weights(lambda opened: opened.create_dataset("huge", shape=(10**6, 10**6), dtype="f8")))
    for option, file in (("--start-from", bomb), ("--weights", bomb), ("--weights", huge)):
        status, _, errors = main("run", "tiny", "--data", folds, "--image-size", 32, option, file, "--out", "run")
        assert status == 2
        assert errors.startswith(f"zoo: {file} is refused: ") and errors.count("\n") == 1
    assert not (tmp_path / "run").exists()
