"""What `zoo data audit` found out about pictures, kept in the user cache for runs and splits to heed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from zoo.data import cache

# Copies of one photograph that differ in their pixels, by image hash.
COLUMNS = ["first", "second", "similarity", "change"]


def remember(images: Iterable[str], pairs: pd.DataFrame) -> None:
    """Keep the near-duplicates among `images` (hashes), a table of COLUMNS, for whoever meets these pictures again.

    An audit of the same pictures replaces what was kept. Raises DataError if the cache cannot be written.
    """
    key = hashlib.sha256("\n".join(sorted(set(images))).encode()).hexdigest()[:32]
    place = cache.folder("audits", key)

    def fill(folder: Path) -> None:
        pairs[COLUMNS].to_csv(folder / "pairs.csv", index=False)

    cache.remove(place)
    cache.make_once(place, fill, 200 * len(pairs) + 100)


def known(images: Iterable[str]) -> pd.DataFrame:
    """The near-duplicates among these pictures that some audit found, whichever images it looked at: COLUMNS."""
    wanted = set(images)
    found = [pd.DataFrame(columns=COLUMNS)]
    for file in sorted(cache.folder("audits").glob("[!.]*/pairs.csv")):
        pairs = pd.read_csv(file)
        found.append(pairs[pairs["first"].isin(wanted) & pairs["second"].isin(wanted)])
    filled = [table for table in found if len(table)] or found[:1]
    return pd.concat(filled).drop_duplicates(["first", "second"]).reset_index(drop=True)
