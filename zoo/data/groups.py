"""Groups, such as patients, from the cells of a table or the paths of images; '' where none is known."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from zoo.data.table import refuse
from zoo.files import nfc

# What people and programs write where they know of no group.
NONE = frozenset({"", "-", "--", "?", "n.a.", "n/a", "#n/a", "na", "<na>", "nan", "nat", "none", "null", "unknown"})
# Names of files that tell a left eye from a right one, the patient before it.
SIDE = r"(?:[-_ .]?(?:left|right)|[-_ .](?:od|os|l|r))"
EYE = re.compile(rf"([^/]+?)({SIDE})\.[^./]+$", re.IGNORECASE)
EYE_GROUPS = rf"(?i)([^/]+?){SIDE}?\.[^./]+$"


def known(cells: Sequence[str], where: str, what: str = "rows") -> tuple[list[str], list[str]]:
    """The group of each cell, '' for one that says that none is known; and what to know of that.

    Taken at their word, all images of a patient NA would stand or fall together. Groups that differ in case, blanks,
    dashes or leading zeros alone become one, by the name that comes first: to keep two patients together does no harm,
    to tell one from himself leaks.
    """
    found = [nfc(cell) if cell.casefold() not in NONE else "" for cell in cells]
    words = {cell for cell, group in zip(cells, found, strict=True) if not group}
    notes = []
    if words and any(cells):
        said = ", ".join(repr(word) if word else "empty" for word in sorted(words))
        notes.append(
            f"{where}: {found.count('')} of {len(found)} {what} are of no known group, such as a patient ({said})"
        )
    keys = [_key(group) for group in found]
    spelled: dict[str, dict[str, None]] = {}  # in the order in which they come
    for key, group in zip(keys, found, strict=True):
        spelled.setdefault(key, {})[group] = None
    if alike := [sorted(each) for each in spelled.values() if len(each) > 1]:
        shown = "; ".join(" = ".join(map(repr, each)) for each in alike[:3])
        notes.append(
            f"{where}: {len(alike)} group{'s are' if len(alike) > 1 else ' is'} written in several ways, and each is "
            f"taken as one ({shown}{'; …' * (len(alike) > 3)})"
        )
    return [next(iter(spelled[key])) for key in keys], notes


def _key(group: str) -> str:
    """Alike for groups that people mean to be one."""
    words = re.sub(r"[-_.\s]+", "-", unicodedata.normalize("NFKC", group).casefold().strip())
    words = re.sub(r"(?<=[^\W\d])-(?=\d)|(?<=\d)-(?=[^\W\d])", "", words)  # odir-1 is odir1, but 1-11 is not 11-1
    return re.sub(r"[0-9]+", lambda digits: digits[0].lstrip("0") or "0", words)


def from_paths(paths: Sequence[str], pattern: str) -> tuple[list[str], list[str]]:
    """The group of each path: what the pattern, found anywhere in it, captures under the name `group`, else first.

    With notes as of `known`. Raises DataError naming the paths in which it captures nothing: their images could leak
    unseen.
    """
    expression = re.compile(nfc(pattern))
    named = "group" in expression.groupindex
    captured = []
    for path in paths:
        match = expression.search(nfc(path))
        texts = (match["group"],) if match and named else match.groups() if match else ()
        captured.append(next((text for text in texts if text), ""))
    faults = [repr(path) for path, group in zip(paths, captured, strict=True) if not group]
    where = f"groups = {pattern!r}"
    refuse(
        where,
        faults,
        f"captures nothing in {len(faults)} of {len(paths)} paths; widen it, as in ([0-9]+)_left|(other_[0-9]+)",
    )
    found, notes = known(captured, where, "paths")
    files = len(set(paths))
    if len(set(found)) == files > 1:
        notes.append(
            f"{where} captures another group in each of {files} paths ({found[0]!r}, …): it holds none together"
        )
    return found, notes


def finer(ours: pd.Series[str], theirs: pd.Series[str]) -> list[str]:
    """The groups of `theirs` that `ours` divides, in words; both are of the same images, '' where none is known."""
    both = pd.DataFrame({"ours": ours, "theirs": theirs})[(ours != "") & (theirs != "")]
    divided = both[both["ours"].map(_key).groupby(both["theirs"]).transform("nunique") > 1]
    return [
        f"{group}: {', '.join(dict.fromkeys(rows['ours']))}" for group, rows in divided.groupby("theirs", sort=False)
    ]


def by_name(paths: pd.Series[str]) -> pd.Series[str]:
    """The patient that a file name tells, where both eyes of that patient are there; else ''."""
    parts = paths.str.extract(EYE)
    side = parts[1].str.lower().str.strip("-_ .").str[:2]
    return parts[0].where(side.groupby(parts[0]).transform("nunique") > 1, "").fillna("")


def loose_eyes(files: pd.DataFrame) -> pd.DataFrame:
    """The files (path, group) of patients whom file names tell, but no group holds together: named in `patient`."""
    eyes = files.assign(patient=by_name(files["path"]))
    eyes = eyes[eyes["patient"] != ""]
    by_patient = eyes.groupby("patient")["group"]
    return eyes[(by_patient.transform("nunique") > 1) | (eyes["group"] == "").groupby(eyes["patient"]).transform("any")]


def notes(splits: pd.DataFrame) -> list[str]:
    """What a reader should know of the groups of folds that are in order: columns fold, role, path, group."""
    known = (splits["group"] != "").any()
    none = "no groups (such as patients) are known"
    eyes = loose_eyes(splits)
    if eyes.empty:
        return [] if known else [f"{none}: one patient's images may be in several roles of a fold"]
    patients = eyes["patient"].nunique()
    apart = eyes[eyes.groupby(["fold", "patient"])["role"].transform("nunique") > 1]["patient"].nunique()
    example = sorted({*eyes.loc[eyes["patient"] == eyes["patient"].iloc[0], "path"]})
    return [
        f"{none}; " * (not known) + f"file names look like left and right eyes of {patients} patient"
        f"{'s' * (patients > 1)} whom no group holds together ({', '.join(example)}){_apart(apart)}; "
        "if so: --groups REGEX, or a column group; zoo data audit shows them"
    ]


def _apart(patients: int) -> str:
    return f", {patients} of them in two roles of a fold" if patients else ""
