"""What is kept between runs: made once, whole or made anew, and never taken from under a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import Main
from zoo import errors
from zoo.data import cache, demo, images, known_copies
from zoo.errors import DataError


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "own"))
    return tmp_path / "own"


def fill(draft: Path) -> None:
    (draft / "data").write_bytes(bytes(1000))


def never(draft: Path) -> None:
    raise AssertionError("made again")


def test_a_folder_is_made_once(own: Path) -> None:
    target = cache.make_once(own / "a" / "b", fill, size=0)
    assert cache.make_once(target, never, size=0) == target
    assert (target / "data").read_bytes() == bytes(1000)


def test_what_fails_leaves_nothing(own: Path) -> None:
    def fail(draft: Path) -> None:
        (draft / "half").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cache.make_once(own / "a" / "b", fail, size=0)
    assert list((own / "a").iterdir()) == []


def test_the_second_of_two_processes_takes_what_the_first_made(own: Path) -> None:
    target = own / "a" / "b"

    def second(draft: Path) -> None:
        (draft / "file").write_text("second")
        target.mkdir()
        (target / "file").write_text("first")

    cache.make_once(target, second, size=0)
    assert (target / "file").read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == ["b"]


def test_a_full_disk_is_noticed_before_writing(own: Path) -> None:
    with pytest.raises(DataError, match=r"no room for .* MB of cache; set ZOO_CACHE"):
        cache.make_once(own / "a" / "b", lambda draft: None, size=10**18)


def test_a_disk_that_fills_up_meanwhile(own: Path) -> None:
    def fail(draft: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"cannot be written: .*No space left on device; set ZOO_CACHE"):
        cache.make_once(own / "a" / "b", fail, size=0)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        cache.make_once(tmp_path / "file" / "b", lambda draft: None, size=0)


def test_all_is_on_the_disk_before_it_is_seen(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut there is the whole entry or none."""
    target, flushed = own / "a" / "b", list[tuple[str, bool]]()
    names = {"data": 0, "checksums.json": 0, "below": 0}

    def deep(draft: Path) -> None:
        fill(draft)
        (draft / "below").mkdir()

    def note(descriptor: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, target.exists()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("cannot tell which file is flushed")
    monkeypatch.setattr(os, "fsync", note)
    cache.make_once(target, deep, size=0)
    assert {name for name, seen in flushed if not seen} > {*names}
    assert flushed[-1] == ("a", True)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def into_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte of the pixels flipped": lambda entry: flip(entry / "pixels.npy"),
    "pixels cut": lambda entry: os.truncate(entry / "pixels.npy", 500),
    "pixels gone": lambda entry: (entry / "pixels.npy").unlink(),
    "a folder for pixels": lambda entry: ((entry / "pixels.npy").unlink(), (entry / "pixels.npy").mkdir()),
    "pixels of other images": lambda entry: np.save(entry / "pixels.npy", np.zeros((3, 16, 16, 3), np.uint8)),
    "index cut": lambda entry: os.truncate(entry / "index.csv", 100),
    "index emptied": lambda entry: (entry / "index.csv").write_bytes(b""),
    "index in no UTF-8": lambda entry: (entry / "index.csv").write_bytes(b"file,image\n\xff\xfe,\xff\n"),
    "an image hash altered": lambda entry: flip(entry / "index.csv"),
    "checksums gone": lambda entry: (entry / "checksums.json").unlink(),
    "checksums no JSON": lambda entry: (entry / "checksums.json").write_bytes(b"\x00\xff"),
    "checksums of another kind": lambda entry: (entry / "checksums.json").write_text('{"pixels.npy": 3}'),
    "checksums nested deep": lambda entry: (entry / "checksums.json").write_text("[" * 100_000),
    "checksums of nothing": lambda entry: (entry / "checksums.json").write_text("{}"),
    "an empty folder": lambda entry: (shutil.rmtree(entry), entry.mkdir()),
    "a file for the folder": into_file,
    "a link to nowhere": lambda entry: (shutil.rmtree(entry), entry.symlink_to("nowhere")),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_images_are_decoded_anew(own: Path, tmp_path: Path, how: str) -> None:
    rng, names = np.random.default_rng(0), ["a.png", "b.png", "c.png"]
    for name in names:
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (16, 16, 3), np.uint8))
    store, hashes = images.decode(tmp_path, names, 16)
    right, rows = np.array(store.pixels), store.hashes
    DAMAGE[how](store.folder)
    again, found = images.decode(tmp_path, names, 16)
    np.testing.assert_array_equal(again.pixels, right)
    assert (again.hashes, found) == (rows, hashes)
    (line,) = again.notes
    assert line.startswith(f"{store.folder} in the user cache is damaged (") and line.endswith("; it is made anew")
    assert images.decode(tmp_path, names, 16)[0].notes == ()
    assert [path.name for path in (own / "images").iterdir()] == [store.folder.name]


def test_images_that_vanish_under_a_run_are_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((16, 16, 3), np.uint8))
    store, _ = images.decode(tmp_path, ["a.png"], 16)
    shutil.rmtree(store.folder)
    with pytest.raises(errors.TrainingError, match=r"decoded images in .* \(gone\)") as raised:
        images.open_store(store.folder)
    assert "run the same command again" in str(raised.value)


def test_a_damaged_demo_is_made_anew(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_fill", fill)
    lines: list[str] = []
    (demo.folder(lines.append) / "stray.png").write_bytes(b"no image of the demo")
    (demo.folder(lines.append) / "data").read_bytes()
    assert len(lines) == 1 and "stray.png does not belong to it" in lines[0]


def test_a_damaged_audit_is_told_and_passed_over(own: Path) -> None:
    known_copies.remember(["a", "b"], known_copies.known([]))
    known_copies.remember(["c", "d"], known_copies.known([]))
    for file in (own / "audits").rglob("pairs.csv"):
        file.write_bytes(b"\xff")
        break
    assert len(known_copies.lost()) == 1
    assert len(known_copies.unseen(["a", "b", "c", "d"])) == 2
    assert known_copies.known(["a", "b", "c", "d"]).empty
    known_copies.remember(["e"], known_copies.known([]))
    assert known_copies.lost() == []


HOLD = """
import sys
from pathlib import Path

from zoo.data import cache

mark = cache.use(Path(sys.argv[1]))
print(flush=True)
input()
"""


def test_what_another_process_uses_stays_until_it_is_killed(own: Path, main: Main) -> None:
    entry = cache.make_once(own / "images" / "used", fill, 0)
    cache.make_once(own / "images" / "unused", fill, 0)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-P", "-c", HOLD, str(entry)], stdin=pipe, stdout=pipe) as user:
        assert user.stdout and user.stdout.readline()
        assert main("cache", "clear")[:2] == (0, "0.0 MB freed; kept 1 entry that a run at work uses\n")
        assert [place.name for place in (own / "images").iterdir()] == ["used"]
        cache.trim(own / "images", 0)
        assert entry.exists()
        user.kill()
    assert main("cache", "clear", "images")[:2] == (0, "0.0 MB freed\n")
    assert cache.info() == []


def test_leftovers_of_killed_processes_are_swept_and_not_counted(own: Path) -> None:
    kind = cache.make_once(own / "kind" / "entry", fill, 0).parent
    size = cache.info()[0].size
    (kind / ".other.0123").mkdir()
    (kind / ".other.0123" / "half").write_bytes(bytes(5000))
    assert [(each.entries, each.size) for each in cache.info()] == [(1, size)]

    def trim_meanwhile(draft: Path) -> None:
        fill(draft)
        cache.trim(kind, 10**9)

    cache.make_once(kind / "another", trim_meanwhile, 0)
    assert sorted(place.name for place in kind.iterdir()) == ["another", "entry"]


def test_what_was_used_longest_ago_makes_room(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [cache.make_once(own / "kind" / str(number), fill, 1000) for number in range(3)]
    for age, place in enumerate(places):
        os.utime(place, (1000 + age, 1000 + age))
    cache.make_once(places[0], never, 1000)  # used again
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "0.0000035")
    cache.make_once(own / "kind" / "new", fill, 1000)
    assert [place.exists() for place in places] == [True, False, True]
    mark = cache.use(places[2])
    cache.make_once(own / "kind" / "newer", fill, 1000)
    assert [place.exists() for place in places] == [False, False, True]
    mark.release()
    ((name, entries, size),) = [(kind.name, kind.entries, kind.size) for kind in cache.info()]
    assert (name, entries) == ("kind", 3)
    with pytest.raises(errors.ConfigError, match="unknown kind 'kinds'; did you mean 'kind'"):
        cache.clear("kinds")
    assert cache.clear("kind") == (size, 0)
    assert cache.info() == []
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "much")
    with pytest.raises(errors.ConfigError, match="number of gigabytes"):
        cache.limit()
