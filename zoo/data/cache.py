"""The user cache, where what is costly to make and cheap to lose is kept between runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from zoo.errors import ConfigError, DataError, unknown


def folder(*names: str) -> Path:
    """A place in the user cache: below $ZOO_CACHE if that is set, else where the system keeps caches."""
    return Path(os.environ.get("ZOO_CACHE") or platformdirs.user_cache_dir("zoo")).joinpath(*names)


def limit() -> int:
    """How many bytes of each kind the cache keeps: $ZOO_CACHE_LIMIT in gigabytes, else 20 GB."""
    text = os.environ.get("ZOO_CACHE_LIMIT", "20")
    try:
        return int(float(text) * 1e9)
    except ValueError:
        raise ConfigError(f"ZOO_CACHE_LIMIT is {text!r}; it must be a number of gigabytes") from None


@dataclass(frozen=True)
class Kind:
    """One folder of the cache: its name, how many things it keeps, and their size in bytes."""

    name: str
    entries: int
    size: int


def info() -> list[Kind]:
    """What the cache holds."""
    return [Kind(kind.name, sum(1 for _ in kind.iterdir()), _size(kind)) for kind in _kinds()]


def clear(kind: str | None = None) -> int:
    """Delete one kind of things, or all; the bytes that were freed. A run that has them open is not disturbed.

    Raises ConfigError for a kind that the cache doesn't hold.
    """
    kinds = _kinds()
    known = [place.name for place in kinds]
    if kind is not None and kind not in known:
        raise ConfigError(unknown("kind", kind, known))
    places = [place for place in kinds if kind in (None, place.name)]
    freed = sum(_size(place) for place in places)
    for place in places:
        remove(place)
    return freed


def _kinds() -> list[Path]:
    root = folder()
    return sorted(place for place in root.iterdir() if place.is_dir()) if root.is_dir() else []


def remove(place: Path) -> None:
    """Delete a folder of the cache. It vanishes at once: nobody finds half of it."""
    doomed = place.with_name(f".{place.name}-{os.getpid()}-removed")
    with contextlib.suppress(FileNotFoundError):
        place.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def trim(kind: Path, most: int) -> None:
    """Delete what was used longest ago in a folder of the cache, until the rest takes at most `most` bytes."""
    entries = [(entry.stat().st_mtime, entry) for entry in kind.iterdir() if not entry.name.startswith(".")]
    total = _size(kind)
    for _, entry in sorted(entries):
        if total <= most:
            return
        total -= _size(entry)
        remove(entry)


def _size(place: Path) -> int:
    """Bytes in a folder; hard links to one file (the demo's ten folds) count once."""
    statuses = [file.stat() for file in place.rglob("*") if file.is_file()]
    return sum({(status.st_dev, status.st_ino): status.st_size for status in statuses}.values())


def make_room(kind: Path, size: int) -> None:
    """Make sure that a folder of the cache exists and can take `size` bytes; what was used longest ago makes room.

    Raises DataError if the disk has no room or the cache cannot be written.
    """
    try:
        kind.mkdir(parents=True, exist_ok=True)
        trim(kind, limit() - size)
        free = shutil.disk_usage(kind).free
    except OSError as error:
        raise unwritable(kind, error) from error
    if free < size:
        raise DataError(f"{kind}: no room for {size / 1e6:.0f} MB of cache; set ZOO_CACHE to a larger disk")


def unwritable(kind: Path, error: OSError) -> DataError:
    """What to raise when a folder of the cache cannot be written."""
    return DataError(f"cache {kind} cannot be written: {error}; set ZOO_CACHE to another place")


def make_once(target: Path, fill: Callable[[Path], None], size: int) -> Path:
    """Let `fill` make the folder `target` unless it exists. Nobody ever sees half of it.

    It is made beside its place and renamed, so that of two processes that make it at once one wins and both
    find it whole. `size` is what it will take in bytes. What was used longest ago makes room for it, see `limit`.

    Raises DataError if the disk has no room or the cache cannot be written.
    """
    if target.exists():
        os.utime(target)  # `trim` deletes what was used longest ago
        return target
    make_room(target.parent, size)
    try:
        draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    except OSError as error:
        raise unwritable(target.parent, error) from error
    try:
        fill(draft)
        draft.chmod(0o755)  # mkdtemp keeps it private; other users of the cache may read it
        try:
            draft.rename(target)
        except OSError:
            if not target.exists():  # else another process was first
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target
