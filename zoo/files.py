"""Files that nobody ever reads half of, and what is in them."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# The columns of zoo's own tables that hold text, whatever it looks like: "NA" and "007" are names.
TEXT = ("model", "stage", "weights", "role", "image", "file", "path", "group", "source", "first", "second")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a draft beside `path` to write to, which takes its place when the block ends well.

    The draft is flushed to the disk before it is renamed, and the folder after: a reader, or a resume after a
    power cut, sees the old file or the new one.
    """
    draft = path.with_name(f".draft-{path.name}")
    try:
        yield draft
        _flush(draft)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)
    draft.unlink(missing_ok=True)  # renaming a file onto another link to itself does nothing
    _flush(path.parent)


def _flush(path: Path) -> None:
    if os.name == "nt":  # Windows flushes neither folders nor files that are open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def expand(path: str | Path) -> Path:
    """The path with a leading ~ replaced by the home folder, if there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def identity(path: Path) -> tuple[int, int] | str:
    """Alike for hard links to one file. Raises OSError if there is no such file."""
    status = path.stat()
    return (status.st_dev, status.st_ino) if status.st_ino else str(path)  # no inode numbers on some file systems


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_code(module: str) -> str:
    """sha256 of the source of a module that is loaded and of what belongs to it; '' where there is none to be read.

    That is its whole package, or the files beside it whose names begin like its own.
    """
    top = sys.modules.get(module.partition(".")[0])
    path = Path(getattr(top, "__file__", None) or "")
    files = path.parent.rglob("*.py") if path.name == "__init__.py" else path.parent.glob(f"{path.stem}*.py")
    digest = hashlib.sha256()
    try:
        for file in sorted(files) if path.name else ():
            digest.update(str(file.relative_to(path.parent)).encode() + b"\0" + file.read_bytes())
    except OSError:
        return ""
    return digest.hexdigest() if path.name else ""


def write_text(path: Path, text: str) -> None:
    """Replace the file's content by `text`, UTF-8."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def read_csv(path: Path) -> pd.DataFrame:
    """A table that zoo wrote. Text is what was written, be it "NA" or nothing; an empty cell among numbers is NaN."""
    import pandas as pd

    table = pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=[""])
    return table.fillna({column: "" for column in TEXT if column in table})
