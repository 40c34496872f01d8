"""Names of files and folders as they lie on the disk, alike however their letters are composed.

macOS writes é as e and an accent (NFD), others as one letter (NFC): a table or a registry that was written on one
machine names the files of another.
"""

from __future__ import annotations

from pathlib import Path

from zoo.errors import DataError
from zoo.files import nfc


def subfolders(root: Path) -> list[Path]:
    """The folders right below `root`, in order of their names. Raises DataError if it cannot be read."""
    try:
        return sorted(child for child in root.iterdir() if not child.name.startswith(".") and child.is_dir())
    except OSError as error:
        raise DataError(f"data folder {root} cannot be read: {error.strerror}") from error


def subfolder(root: Path | None, name: str) -> Path | None:
    """The folder of that name right below `root`, if there is one.

    Raises DataError if there are two, alike but for how their letters are composed.
    """
    found = [child for child in subfolders(root) if nfc(child.name) == nfc(name)] if root else []
    if len(found) > 1:
        names = " and ".join(ascii(child.name) for child in found)
        raise DataError(f"{root}: the folders {names} have one name, composed in two ways (Unicode); make them one")
    return found[0] if found else None


class Disk:
    """Finds the paths of a table on the disk; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def spelled(self, root: Path, path: Path) -> Path:
        """The path, from `root` on or absolute, with its names as on the disk; as it is if it leads nowhere."""
        if str(path).isascii():
            return path
        found = Path()
        for part in path.parts:
            names = [] if part.isascii() else self._names(root / found).get(nfc(part), [])
            found /= names[0] if len(names) == 1 else part
        return found

    def _names(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            try:
                for child in folder.iterdir():
                    names.setdefault(nfc(child.name), []).append(child.name)
            except OSError:  # whoever reads the path will say what is wrong
                pass
            self._listed[folder] = names
        return self._listed[folder]
