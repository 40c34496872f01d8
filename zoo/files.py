"""Files that nobody ever reads half of, and what is in them."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError, DataError, one_line

if TYPE_CHECKING:
    import pandas as pd
    import pydantic

SEAL = "sha256"  # the entry of a record that is the hash of all others

DRAFT, OLD = (
    ".draft-",
    3600,
)  # how the name of a draft begins, and the age in seconds at which nobody writes it any more

Identity = tuple[int, int] | str

# The columns of zoo's own tables that hold text, whatever it looks like: "NA" and "007" are names.
TEXT = ("model", "stage", "weights", "role", "image", "file", "path", "group", "source", "first", "second", "remarks")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a draft beside `path` to write to, which takes its place when the block ends well.

    The draft is flushed to the disk before it is renamed, and the folder after: a reader, or a resume after a
    power cut, sees the old file or the new one. Several processes may write one file: the last one's stays. An OSError
    names `path`, of which the draft is nobody's business.
    """
    draft = path.with_name(f"{DRAFT}{os.getpid()}-{path.name}")
    try:
        if path.exists() and not path.is_file():  # a device, say, whose place the draft would take
            raise OSError(errno.EEXIST, "not a file", str(path))
        _delete_left(path)
        yield draft
        flush(draft)
        draft.replace(path)
        draft.unlink(missing_ok=True)  # renaming a file onto another link to itself does nothing
        flush(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(draft), draft):
            raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk names no file
        raise


def is_free(folder: Path) -> bool:
    """Whether a folder is not there yet, or is empty."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a draft beside a folder that `is_free`, which becomes it when the block ends well: all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=DRAFT) as place:
        draft = Path(place) / "draft"
        draft.mkdir()
        yield draft
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)


def _delete_left(path: Path) -> None:
    """Delete what processes that were killed have left of their drafts of a file."""
    with contextlib.suppress(OSError):
        for left in path.parent.glob(f"{DRAFT}*-{glob.escape(path.name)}"):
            if time.time() - left.lstat().st_mtime > OLD:
                left.unlink()


def flush(path: Path) -> None:
    """Return when a file or folder is on the disk, where the system can tell."""
    if os.name == "nt":  # Windows flushes neither folders nor files that are open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(folder: Path, option: str = "--out DIR") -> None:
    """Raise ConfigError unless a folder is there to be written to, or can be made: better before the work than after.

    Of a disk without room that tells nothing.
    """
    place = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ConfigError(f"{folder} cannot be written: {place} is no folder to write to; name another with {option}")


def expand(path: str | Path) -> Path:
    """The path with a leading ~ replaced by the home folder, if there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def given(path: str | Path | None) -> Path | None:
    """A path that somebody gave, None for none. Raises ConfigError for an empty one, which isn't the working folder."""
    if path == "":
        raise ConfigError("the path of a file or folder is empty; name one, or leave it out")
    return None if path is None else Path(path)


def nfc(name: str) -> str:
    """The name with its letters composed as most systems do; macOS takes them apart."""
    return unicodedata.normalize("NFC", name)


def names_fault(names: Sequence[str]) -> str:
    """Why these are not two or more names that can stand in tables and lead to folders; '' if they are."""
    for name in names:
        if not name.strip():
            return f"{name!r} is no name"
        if name != name.strip():
            return f"{name!r} has blanks at its ends"
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
            return f"{name!r} has a line break or another control character in it"
    if len(names) < 2 or len({*map(nfc, names)}) < len(names):
        return f"must be two or more different names, not {', '.join(map(ascii, names)) or 'none'}"
    return ""


def identity(path: Path) -> Identity:
    """Alike for hard links to one file. Raises OSError if there is no such file."""
    status = path.stat()
    return (status.st_dev, status.st_ino) if status.st_ino else str(path)  # no inode numbers on some file systems


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """The sum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def keras_home() -> Path:
    """The folder of keras.json and of the weights that Keras downloads, as Keras finds it."""
    home = Path.home()
    folder = os.environ.get("KERAS_HOME") or (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"
    return Path(folder).expanduser()


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


def write_json(path: Path, value: Any) -> None:
    """Replace the file's content as a whole; NaN becomes null, since JSON has none."""
    write_text(path, json.dumps(without_nan(value), indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Replace the file's content as a whole; the table's index is left out."""
    write_text(path, table.to_csv(index=False))


def read_json(path: Path) -> Any:
    """A JSON file that zoo wrote. Raises ConfigError if it cannot be read or isn't JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not the JSON that zoo wrote: {error}") from error


def write_record(path: Path, table: Mapping[str, Any]) -> None:
    """Replace the file's content by a JSON object that holds its own hash, see `read_record`."""
    write_json(path, {**table, SEAL: _seal(table)})


def read_record(path: Path, schema: pydantic.TypeAdapter[Any]) -> dict[str, Any]:
    """What `write_record` wrote, or an earlier version of zoo, which knew no hash; checked against a type.

    Raises ConfigError for anything else, such as one that has been changed.
    """
    import pydantic

    table = read_json(path)
    seal = table.pop(SEAL, None) if isinstance(table, dict) else None
    try:
        schema.validate_json(json.dumps(table), strict=True)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise ConfigError(f"{path} is not what zoo wrote: {f'{place}: ' * bool(place)}{fault['msg']}") from None
    if seal is not None and seal != _seal(table):
        raise ConfigError(f"{path} has been changed since zoo wrote it")
    found: dict[str, Any] = table
    return found


def _seal(table: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(without_nan({key: value for key, value in table.items() if key != SEAL})))
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def read_csv(path: Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """A table that zoo wrote. Text is what was written, be it "NA" or nothing; an empty cell among numbers is NaN.

    `text` names columns that hold text besides those that always do.

    Raises DataError if it cannot be read or is no table.
    """
    import pandas as pd
    from packaging.version import Version

    text = (*TEXT, *text)
    # The numbers that were written, to the last digit; pandas 3.1 reads no others.
    exact: Any = {"float_precision": "round_trip"} if Version(pd.__version__) < Version("3.1") else {}
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""], **exact)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} is not the table that zoo wrote: {one_line(error)}") from error
    return table.fillna({column: "" for column in text if column in table})


def delete(path: Path, strict: bool = True) -> None:
    """Delete a file or folder, if it is there; of a link the link alone.

    Raises ConfigError if that cannot be done; unless `strict`, what can be deleted is.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=not strict)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        if not strict:
            return
        raise ConfigError(f"{error.filename or path} cannot be deleted: {error.strerror}") from error


def without_nan(value: Any) -> Any:
    """The value with None for every number in it that isn't finite, which JSON doesn't know."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value
