"""The user cache, where what is costly to make and cheap to lose is kept between runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from zoo.errors import DataError


def folder(*names: str) -> Path:
    """A place in the user cache: below $ZOO_CACHE if that is set, else where the system keeps caches."""
    return Path(os.environ.get("ZOO_CACHE") or platformdirs.user_cache_dir("zoo")).joinpath(*names)


def make_once(target: Path, fill: Callable[[Path], None], size: int) -> Path:
    """Let `fill` make the folder `target` unless it exists. Nobody ever sees half of it.

    It is made beside its place and renamed, so that of two processes that make it at once one wins and both
    find it whole. `size` is what it will take in bytes.

    Raises DataError if the disk has no room or the cache cannot be written.
    """
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(target.parent).free < size:
            raise DataError(
                f"{target.parent}: no room for {size / 1e6:.0f} MB of cache; set ZOO_CACHE to a larger disk"
            )
        draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    except OSError as error:
        raise DataError(f"cache {target.parent} cannot be written: {error}; set ZOO_CACHE to another place") from error
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
