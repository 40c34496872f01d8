"""What `zoo data audit` found out about pictures, kept in the user cache for runs and splits to heed, and which
pictures belong together by it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from zoo.data import cache, checksums, labels
from zoo.files import read_csv

# Copies of one photograph that differ in their pixels, by image hash.
NEAR_COLUMNS = ["first", "second", "similarity", "change"]


def remember(images: Iterable[str], pairs: pd.DataFrame) -> None:
    """Keep the near-duplicates among `images` (hashes), a table of NEAR_COLUMNS, for whoever meets them again.

    An audit of the same pictures replaces what was kept, and what is damaged is forgotten. Raises DataError if the
    cache cannot be written.
    """
    listed = "\n".join(sorted(set(images)))
    key = hashlib.sha256(listed.encode()).hexdigest()[:32]
    place = cache.folder("audits", key)

    def fill(folder: Path) -> None:
        pairs[NEAR_COLUMNS].to_csv(folder / "pairs.csv", index=False)
        (folder / "images.txt").write_text(listed, encoding="utf-8")

    try:
        for entry in (place, *_damaged()):
            cache.discard(entry)
    except OSError as error:
        raise cache.unwritable(place.parent, error) from error
    cache.make_once(place, fill, 200 * len(pairs) + len(listed) + 100)


def known(images: Iterable[str]) -> pd.DataFrame:
    """The near-duplicates among these pictures that some audit found, whichever images it looked at: NEAR_COLUMNS."""
    wanted = set(images)
    found = [pd.DataFrame(columns=NEAR_COLUMNS)]
    for entry in _whole():
        pairs = read_csv(entry / "pairs.csv")
        found.append(pairs[pairs["first"].isin(wanted) & pairs["second"].isin(wanted)])
    filled = [table for table in found if len(table)] or found[:1]
    return pd.concat(filled).drop_duplicates(["first", "second"]).reset_index(drop=True)


def conflicts(splits: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Says which near-duplicates, known from an audit, have different labels."""
    pictures = labels.named(splits.drop_duplicates("image"), classes).set_index("image")[["path", "label"]]
    pairs = known(pictures.index)
    for end in ("first", "second"):
        pairs = pairs.merge(pictures.add_suffix(f"_{end}"), left_on=end, right_index=True)
    wrong = pairs[pairs["label_first"] != pairs["label_second"]]
    if wrong.empty:
        return []
    named = [
        f"{row['path_first']} ({row['label_first']}) = {row['path_second']} ({row['label_second']})"
        for row in wrong.head(3).to_dict("records")
    ]
    pairs_have = "pair of near-duplicates has" if len(wrong) == 1 else "pairs of near-duplicates have"
    return [
        f"{len(wrong)} {pairs_have} different labels, as an audit found: {', '.join(named)}"
        f"{', …' * (len(wrong) > len(named))}; look at them: zoo data audit"
    ]


def unseen(images: Iterable[str]) -> set[str]:
    """Those of these pictures among which no audit has looked for near-duplicates.

    It is the audit that has seen most of them that counts: a file that has changed since then shows another picture.
    """
    wanted = set(images)
    texts = ((entry / "images.txt").read_text(encoding="utf-8") for entry in _whole())
    return min((wanted.difference(text.split("\n")) for text in texts), key=len, default=wanted)


def lost() -> list[str]:
    """A line for each earlier audit of which the user cache no longer has what it found."""
    return [
        f"what an audit found is lost: {entry} in the user cache is damaged ({fault}); zoo data audit looks again"
        for entry, fault in _damaged().items()
    ]


def _entries() -> dict[Path, str | None]:
    """What the cache has of each audit, and what is wrong with it."""
    entries = {entry: checksums.fault(entry) for entry in sorted(cache.folder("audits").glob("[!.]*"))}
    return {entry: fault for entry, fault in entries.items() if entry.exists()}  # an audit may just replace its own


def _whole() -> list[Path]:
    return [entry for entry, fault in _entries().items() if fault is None]


def _damaged() -> dict[Path, str]:
    return {entry: fault for entry, fault in _entries().items() if fault is not None}


def notes(splits: pd.DataFrame) -> list[str]:
    """Says which pictures may be near-duplicates of others for all that anybody knows."""
    pictures = splits.drop_duplicates("image")
    new = pictures["path"][pictures["image"].isin(unseen(pictures["image"]))].tolist()
    if len(new) == len(pictures):
        return ["Nobody has looked for near-duplicates among these images yet: zoo data audit"]
    if not new:
        return []
    many = f"{len(new)} image{'s' * (len(new) > 1)}"
    which = ", ".join(new[:3]) + (", …" if len(new) > 3 else "")
    return [f"New or changed since the last audit: {many} ({which}); zoo data audit looks again"]


def together(images: pd.DataFrame, copies: pd.DataFrame | None = None) -> np.ndarray:
    """A number for each row: alike for images that a chain of shared groups, pictures and known copies connects."""
    picture, pictures = pd.factorize(images["image"])
    group, known = pd.factorize(images["group"].where(images["group"] != ""))
    has_group = np.flatnonzero(group >= 0)
    number = {name: number for number, name in enumerate(pictures)}
    pairs = [] if copies is None else zip(copies["first"].map(number), copies["second"].map(number), strict=True)
    linked = np.array([pair for pair in pairs if not np.isnan(pair).any()], dtype=np.int64).reshape(-1, 2)
    first_row = np.unique(picture, return_index=True)[1]
    rows = np.concatenate([np.arange(len(images)), has_group, first_row[linked[:, 0]]])
    links = np.concatenate([picture, group[has_group] + len(images), linked[:, 1]])
    nodes = 2 * len(images) + len(known)
    graph = coo_array((np.ones(len(rows)), (rows, links + len(images))), shape=(nodes, nodes))
    return np.asarray(connected_components(graph, directed=False)[1][: len(images)])
