"""Whether a folder still holds what was put into it, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from zoo.files import Identity, flush, hash_file, identity

NAME = "checksums.json"


def seal(folder: Path) -> None:
    """Write down the size and sha256 of every file in the folder, and flush all of it to the disk."""
    files = _files(folder)
    hashes = _hashes(files.values())
    stated = {name: [file.stat().st_size, hashes[identity(file)]] for name, file in files.items()}
    (folder / NAME).write_text(json.dumps(stated), encoding="utf-8")
    distinct = {identity(file): file for file in files.values()}
    below = [path for path in folder.rglob("*") if path.is_dir()]
    for path in (*distinct.values(), folder / NAME, *below, folder):
        flush(path)


def fault(folder: Path) -> str | None:
    """What is wrong with a folder that was sealed, such as "pixels.npy has changed"; None if nothing is.

    Reads every file.
    """
    if not folder.is_dir():
        return "it is no folder"
    if not (folder / NAME).is_file():
        return f"{NAME} is missing"
    try:
        stated = json.loads((folder / NAME).read_bytes())
        return _difference(stated, _files(folder)) if isinstance(stated, dict) else f"{NAME} has changed"
    except (ValueError, RecursionError):
        return f"{NAME} has changed"
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read: {error.strerror}"


def _difference(stated: dict[str, object], files: dict[str, Path]) -> str | None:
    for name in stated:
        if name not in files:
            return f"{name} is missing"
    for name, file in files.items():
        match stated.get(name):
            case None:
                return f"{name} does not belong to it"
            case [int(size), str()] if size != file.stat().st_size:
                return f"{name} has {file.stat().st_size:,} bytes instead of {size:,}"
    hashes = _hashes(files.values())
    changed = [name for name, file in files.items() if stated[name] != [file.stat().st_size, hashes[identity(file)]]]
    return f"{changed[0]} has changed" if changed else None


def _files(folder: Path) -> dict[str, Path]:
    """All files below a folder by their names there; hidden ones are the system's, not of the folder."""
    below = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    named = {name.as_posix(): path for name, path in below.items() if not any(part[0] == "." for part in name.parts)}
    return {name: path for name, path in sorted(named.items()) if name != NAME}


def _hashes(files: Iterable[Path]) -> dict[Identity, str]:
    """sha256 of each file; hard links to one file (the demo's ten folds) are read once."""
    return {key: hash_file(file) for key, file in {identity(file): file for file in files}.items()}
