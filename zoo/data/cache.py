"""The user cache, where what is costly to make and cheap to lose is kept between runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os.path import samestat
from pathlib import Path

import platformdirs

from zoo.data import checksums, in_use
from zoo.data.in_use import Mark
from zoo.errors import ConfigError, DataError, unknown
from zoo.files import delete, flush, identity
from zoo.limits import CACHE_SIZE

PARTS = "-parts"
# Kinds that nothing makes again but the audit, or the training, that they are of: deleted only by name.
KEPT = ("audits", "provenance")

# Called with a line about what was wrong.
Tell = Callable[[str], None]


def folder(*names: str) -> Path:
    """A place in the user cache: below $ZOO_CACHE if that is set, else where the system keeps caches."""
    return Path(os.environ.get("ZOO_CACHE") or platformdirs.user_cache_dir("zoo")).joinpath(*names)


def limit() -> int:
    """How many bytes of each kind the cache keeps: $ZOO_CACHE_LIMIT in gigabytes, else 20 GB.

    Raises ConfigError for a wrong ZOO_CACHE_LIMIT.
    """
    return int(CACHE_SIZE.of_environment("ZOO_CACHE_LIMIT", 20) * 1e9)


@dataclass(frozen=True)
class Kind:
    """One folder of the cache: its name, how many things it keeps, and their size in bytes."""

    name: str
    entries: int
    size: int


def info() -> list[Kind]:
    """What the cache holds."""
    kinds = [Kind(kind.name, len(_entries(kind)), _size(_entries(kind))) for kind in _kinds()]
    return [kind for kind in kinds if kind.entries]


def clear(kind: str | None = None) -> tuple[int, int]:
    """Delete one kind of things, or all but those KEPT; the bytes that were freed, and how many entries a run uses.

    Raises ConfigError for a kind that the cache doesn't hold, DataError if it cannot be written.
    """
    kinds = _kinds()
    known = [place.name for place in kinds]
    if kind is not None and kind not in known:
        raise ConfigError(unknown("kind", kind, known))
    freed = kept = 0
    for place in kinds:
        if kind == place.name or (kind is None and place.name not in KEPT):
            before = _size([place])
            try:
                _sweep(place)
                kept += sum(not remove(entry) for entry in (*_entries(place), *_unfinished(place)))
            except OSError as error:
                raise unwritable(place, error) from error
            with contextlib.suppress(OSError):  # what is in use stays
                place.rmdir()
            freed += before - _size([place])
    return freed, kept


def _kinds() -> list[Path]:
    root = folder()
    return sorted(place for place in root.glob("[!.]*") if place.is_dir()) if root.is_dir() else []


def _entries(kind: Path) -> list[Path]:
    return [*kind.glob("[!.]*")]


def unfinished(entry: Path) -> Path:
    """Where parts of an entry are kept until all are there; like an entry they wait for who goes on with them."""
    return entry.with_name(f".{entry.name}{PARTS}")


def _unfinished(kind: Path) -> list[Path]:
    return [*kind.glob(f".*{PARTS}")]


def use(entry: Path) -> Mark:
    """Keep an entry, there or not yet, from `trim` and `clear` in all processes, until the mark is released."""
    return in_use.mark(_marks(entry), _mark(entry))


def _marks(entry: Path) -> Path:
    return entry.parent.parent / ".in-use"


def _mark(entry: Path) -> str:
    return f"{entry.parent.name}.{entry.name}"


def remove(entry: Path) -> bool:
    """Delete an entry unless somebody uses it; whether it is gone. Raises OSError if it cannot be."""
    with in_use.gate(_marks(entry)):
        if _mark(entry) in in_use.names(_marks(entry)):
            return False
        doomed = _set_aside(entry)
    delete(doomed, strict=False)
    return True


def discard(entry: Path) -> None:
    """Delete an entry that is no good, whoever uses it. Raises OSError if it cannot be."""
    delete(_set_aside(entry), strict=False)


def _set_aside(entry: Path) -> Path:
    """An entry under a name where nobody looks for it: it vanishes at once, and nobody finds half of it."""
    doomed = entry.with_name(f".{entry.name}.{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        entry.rename(doomed)
    return doomed


def _sweep(kind: Path) -> None:
    """Delete what killed processes have left half made, or half deleted."""
    for left in kind.glob(".*"):
        if not left.name.endswith(PARTS):
            remove(left)


def trim(kind: Path, most: int) -> None:
    """Delete what was used longest ago in a folder of the cache, until the rest takes at most `most` bytes.

    What somebody uses stays. Raises OSError if the cache cannot be written.
    """
    _sweep(kind)
    total = _size([kind])
    for entry in sorted((*_entries(kind), *_unfinished(kind)), key=_used):
        if total <= most:
            return
        size = _size([entry])
        total -= size if remove(entry) else 0


def _used(entry: Path) -> float:
    try:
        return entry.lstat().st_mtime
    except OSError:  # another process has deleted it
        return 0.0


def _size(places: Iterable[Path]) -> int:
    """Bytes in these folders; hard links to one file (the demo's ten folds) count once."""
    sizes = {}
    for place in places:
        below = (Path(parent, name) for parent, _, names in os.walk(place) for name in names)
        for file in below if place.is_dir() else (place,):
            with contextlib.suppress(OSError):  # another process has deleted it
                sizes[identity(file)] = file.stat().st_size
    return sum(sizes.values())


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
        raise DataError(f"{kind}: no room for {max(size / 1e6, 0.1):,.1f} MB of cache; set ZOO_CACHE to a larger disk")


def unwritable(kind: Path, error: OSError) -> DataError:
    """What to raise when a folder of the cache cannot be written."""
    return DataError(f"cache {kind} cannot be written: {error}; set ZOO_CACHE to another place")


def find(entry: Path, tell: Tell) -> bool:
    """Whether an entry is there, byte for byte as it was made; it then counts as used just now.

    One that is damaged is deleted, and `tell` is given a line about it. Raises DataError if it cannot be deleted.
    """
    try:
        seen = entry.lstat()
    except OSError:
        return False
    if fault := checksums.fault(entry):
        try:
            with in_use.gate(_marks(entry)):
                # Unless another process was first, and has made it anew.
                doomed = _set_aside(entry) if os.path.lexists(entry) and samestat(seen, entry.lstat()) else None
        except OSError as error:
            raise unwritable(entry.parent, error) from error
        if doomed:
            tell(f"{entry} in the user cache is damaged ({fault}); it is made anew")
            delete(doomed, strict=False)
        return False
    with contextlib.suppress(OSError):  # another user's cache
        os.utime(entry)  # `trim` deletes what was used longest ago
    return True


def make_once(target: Path, fill: Callable[[Path], None], size: int, tell: Tell = lambda line: None) -> Path:
    """Let `fill` make the folder `target` unless it is there and whole. Nobody ever sees half of it.

    It is made beside its place, flushed to the disk and renamed, so that of two processes that make it at once one
    wins and both find it whole. `size` is what it will take in bytes. What was used longest ago makes room for it, see
    `limit`. `tell` is given a line about one that is damaged, and therefore made anew.

    Raises DataError if the disk has no room or the cache cannot be written, ConfigError for a wrong ZOO_CACHE_LIMIT.
    """
    limit()  # refused whether anything has to be made or not
    if find(target, tell):
        return target
    make_room(target.parent, size)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    mark = use(draft)
    try:
        draft.mkdir()
        fill(draft)
        checksums.seal(draft)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first
                raise
        flush(target.parent)
    except OSError as error:
        raise unwritable(target.parent, error) from error
    finally:
        delete(draft, strict=False)
        mark.release()
    return target
