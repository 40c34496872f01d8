from __future__ import annotations

from pathlib import Path

import pytest

from zoo.data import cache
from zoo.errors import DataError


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    calls = []

    def fill(draft: Path) -> None:
        calls.append(draft)
        (draft / "file").write_text("whole")

    for _ in range(2):
        target = cache.make_once(tmp_path / "a" / "b", fill, size=0)
        assert (target / "file").read_text() == "whole"
    assert len(calls) == 1


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fill(draft: Path) -> None:
        (draft / "half").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cache.make_once(tmp_path / "cache" / "b", fill, size=0)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_second_of_two_processes_takes_what_the_first_made(tmp_path: Path) -> None:
    target = tmp_path / "b"

    def fill(draft: Path) -> None:
        (draft / "file").write_text("second")
        target.mkdir()
        (target / "file").write_text("first")

    cache.make_once(target, fill, size=0)
    assert (target / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_full_disk_is_noticed_before_writing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no room for .* MB of cache; set ZOO_CACHE"):
        cache.make_once(tmp_path / "b", lambda draft: None, size=10**18)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        cache.make_once(tmp_path / "file" / "b", lambda draft: None, size=0)
