"""Groups, such as patients, from the cells of a table or the paths of images; '' where none is known."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zoo.data.table import refuse
from zoo.files import nfc

# What people and programs write where they know of no group.
NONE = frozenset({"", "-", "--", "?", "n.a.", "n/a", "#n/a", "na", "<na>", "nan", "nat", "none", "null", "unknown"})


def known(cells: Sequence[str], where: str, what: str = "rows") -> tuple[list[str], list[str]]:
    """The group of each cell, '' for one that says that none is known; and a note that counts these, if any.

    Taken at their word, all images of a patient NA would stand or fall together.
    """
    found = [nfc(cell) if cell.casefold() not in NONE else "" for cell in cells]
    words = {cell for cell, group in zip(cells, found, strict=True) if not group}
    if not words or not any(cells):
        return found, []
    said = ", ".join(repr(word) if word else "empty" for word in sorted(words))
    return found, [
        f"{where}: {found.count('')} of {len(found)} {what} are of no known group, such as a patient ({said})"
    ]


def from_paths(paths: Sequence[str], pattern: str) -> tuple[list[str], list[str]]:
    """The group of each path: what the pattern, found anywhere in it, captures under the name `group`, else first.

    With a note as of `known`. Raises DataError naming the paths in which it captures nothing: their images could leak
    unseen.
    """
    expression = re.compile(nfc(pattern))
    named = "group" in expression.groupindex
    found = []
    for path in paths:
        match = expression.search(nfc(path))
        captured = (match["group"],) if match and named else match.groups() if match else ()
        found.append(next((text for text in captured if text), ""))
    faults = [repr(path) for path, group in zip(paths, found, strict=True) if not group]
    where = f"groups = {pattern!r}"
    refuse(
        where, faults,
        f"captures nothing in {len(faults)} of {len(paths)} paths; widen it, as in ([0-9]+)_left|(other_[0-9]+)",
    )  # fmt: skip
    return known(found, where, "paths")
