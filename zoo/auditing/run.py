"""`zoo data audit`: read what can be read, look for copies, and judge what is found."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import zoo
from zoo.auditing import balance, copies, facts, findings, near_duplicates, shortcuts
from zoo.auditing.findings import Finding
from zoo.auditing.near_duplicates import SAME_SCENE
from zoo.data import images, known_copies, loading
from zoo.data import table as tables
from zoo.data.config import DataConfig
from zoo.data.options import DataOptions
from zoo.data.splits import Folds, class_counts
from zoo.errors import ConfigError, DataError
from zoo.files import write_csv, write_json
from zoo.limits import AUDIT_SIZE

# Pixels a side at which pictures are compared: the thresholds of zoo.auditing.near_duplicates were set there.
IMAGE_SIZE = 224
LIBRARIES = ("numpy", "opencv-python-headless", "pandas", "scikit-learn", "simplejpeg")

# Called with what is being done, steps done and in all.
Listen = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    `findings` are in order, errors first. Tables: `files`, a row per file, and in folds per fold and file; `copies`,
    pairs of files that show one photograph (zoo.auditing.copies); `shortcuts` (zoo.auditing.shortcuts); `balance`,
    images of each class by source; `folds`, images of each class by fold and role. `request` says what was audited;
    paths begin at `root`.
    """

    request: dict[str, Any]
    findings: list[Finding]
    files: pd.DataFrame
    copies: pd.DataFrame
    shortcuts: pd.DataFrame
    balance: pd.DataFrame
    folds: pd.DataFrame
    root: Path

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong: there is no error among the findings."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """How much there is: files (in folds each counts once a fold), pictures, photographs, folds, groups, sources,
        and findings of each severity."""
        files = self.files
        known = files[files["fault"] == ""]
        return {
            "files": files["path"].nunique(),
            "unreadable": files.loc[files["fault"] != "", "path"].nunique(),
            "pictures": known["image"].nunique(),
            "photographs": known["photograph"].nunique(),
            "folds": files["fold"].nunique() if self.request["in_folds"] else 0,
            **{f"{what}s": files.loc[files[what] != "", what].nunique() for what in ("group", "source")},
            **{f"{level}s": sum(each.severity == level for each in self.findings) for level in findings.SEVERITIES},
        }

    def write(self, out: Path) -> None:
        """audit.json, with all there is, and duplicates.csv, the pairs. Raises ConfigError if `out` isn't writable."""
        found = [{**vars(finding), "rows": _records(finding.rows)} for finding in self.findings]
        content = {
            "request": self.request,
            "counts": self.counts,
            "findings": found,
            "shortcuts": _records(self.shortcuts),
            "balance": _records(self.balance.reset_index()),
            "folds": _records(self.folds.reset_index()),
            "versions": _versions(),
        }
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / "audit.json", content)
            write_csv(out / "duplicates.csv", self.copies)
        except OSError as error:
            raise ConfigError(
                f"{out} cannot be written: {error.strerror}; name another folder with --out DIR"
            ) from error


def look(
    config: DataConfig,
    options: DataOptions,
    splits_from: tables.Source | None = None,
    folds: Folds = None,
    *,
    near_duplicates: bool = True,
    listen: Listen | None = None,
) -> Audit:
    """Audit images, in folds or not, whatever is wrong with them.

    `options` and `splits_from` are as for zoo.data.loading.load_data; pictures are compared at the `image_size` that is
    given, else at 224. Changed copies that are found are kept in the user cache for later runs and splits; without
    `near_duplicates` those of earlier audits are taken from there.

    Raises DataError or ConfigError where there is nothing to audit: no such folder, no such class, no readable image.
    """
    size = IMAGE_SIZE if options.image_size is None else AUDIT_SIZE.check("image_size", options.image_size)
    tell = listen or (lambda step, done, total: None)
    said: list[str] = []
    settled = loading.settle(config, options, said.append)
    config, where = settled.config, settled.origin.name
    found = loading.listed(settled, splits_from, folds, strict=False)
    if found.table.empty:
        raise DataError(f"{where} lists no image")
    read = facts.read_facts(found.root, [*found.table["path"]], partial(tell, "reading files"))
    files = _join(found.table, read)
    known = files[files["fault"] == ""]
    if known.empty:
        path, fault = files[["path", "fault"]].iloc[0]
        raise DataError(f"{where}: none of {len(read)} images can be read, such as {path!r}: {fault}")
    if near_duplicates:
        near, plain, lines = _changed_copies(found.root, known, size, tell)
        said += lines
    else:
        near, plain = known_copies.known(known["image"]), []
        said += known_copies.lost()
    scenes = near["change"].str.startswith(SAME_SCENE)
    known = known.assign(photograph=copies.photographs(known, near[~scenes]))
    pairs = copies.pairs(known, near, config.classes)
    of_scenes = pairs["change"].str.startswith(SAME_SCENE)
    pictures = _pictures(known, read, near)
    classes = config.classes
    tell("shortcut baseline", 0, 1)
    table = shortcuts.baseline(pictures, classes)
    tell("shortcut baseline", 1, 1)
    notes = [Finding("note", "read", note) for note in found.notes]
    notes += [Finding("note", "cache", line) for line in said]
    if not near_duplicates:
        earlier = f"; {findings.counted(len(near), 'pair')} known of earlier audits" if len(near) else ""
        text = f"changed copies (flipped, rotated, …) were not looked for{earlier}"
        notes.append(Finding("note", "not-compared", text))
    judged = [
        *findings.unreadable(files),
        *findings.remarked(known.merge(read[["path", "remarks"]], on="path")),
        *findings.changed(files),
        *findings.copies(known, pairs[~of_scenes], found.in_folds),
        *findings.same_scenes(pairs[of_scenes].reset_index(drop=True), found.in_folds),
        *findings.too_plain(plain),
        *findings.groups(known, found.in_folds),
        *(balance.folds(known, classes, folds is None) if found.in_folds else ()),
        *balance.classes_and_sources(pictures, classes),
        *shortcuts.findings(table),
        *notes,
    ]
    request = {
        "data": where,
        "test_data": settled.test and settled.test.name,
        "splits": None if splits_from is None else tables.name(splits_from),
        "folds": sorted(set(known["fold"])) if found.in_folds else None,
        "in_folds": found.in_folds,
        "groups": config.groups,
        "classes": [*classes],
        "near_duplicates": near_duplicates,
    }
    shown = files.merge(known[["image", "photograph"]].drop_duplicates("image"), on="image", how="left")
    by_source = balance.by_source(pictures, classes)
    by_fold = class_counts(known if found.in_folds else known[:0], classes)
    return Audit(request, findings.in_order(judged), shown, pairs, table, by_source, by_fold, found.root)


def _join(table: pd.DataFrame, read: pd.DataFrame) -> pd.DataFrame:
    """Fold, role, path, label, group, source, image as it is and as the split file expected it, fault."""
    table = table.assign(expected=table.get("image", "")).drop(columns="image", errors="ignore")
    if "fold" not in table:
        table = table.assign(fold=0, role="")
    columns = ["fold", "role", "path", "label", "group", "source", "expected", "image", "fault"]
    return table.merge(read[["path", "image", "fault"]], on="path")[columns]


def _changed_copies(
    root: Path, known: pd.DataFrame, size: int, tell: Listen
) -> tuple[pd.DataFrame, list[str], tuple[str, ...]]:
    """Pictures that are changed copies of one another or show one scene, as NEAR_COLUMNS of known_copies.

    And the paths of those too plain to tell, and what was wrong with the user cache.
    """
    paths = [*known.drop_duplicates("image")["path"]]
    store, hash_of = images.decode(root, paths, size, partial(tell, "decoding images"))
    found, rows = near_duplicates.near_duplicates(store.pixels, partial(tell, "looking for changed copies"))
    hashes = pd.Series(store.hashes, dtype=str)
    near = pd.DataFrame(
        {
            "first": hashes[found["first"]].to_numpy(),
            "second": hashes[found["second"]].to_numpy(),
            "similarity": found["similarity"],
            "change": found["change"].replace("identical", "recompressed or resized"),
        }
    )
    near = near[near["first"] != near["second"]].reset_index(drop=True)
    known_copies.remember(store.hashes, near)
    plain = {store.hashes[row] for row in rows}
    return near, [path for path in paths if hash_of[path] in plain], store.notes


def _pictures(known: pd.DataFrame, read: pd.DataFrame, near: pd.DataFrame) -> pd.DataFrame:
    """A row per picture: facts, label, group, source, and unit, alike for what a group, a copy or a scene connects."""
    pictures = known.drop_duplicates("image")
    units = known_copies.together(pictures, near)
    columns = ["path", "label", "group", "source"]
    return pictures[columns].assign(unit=units).merge(read, on="path")


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, which JSON can hold."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def _versions() -> dict[str, str]:
    return {"zoo": zoo.__version__, "python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
