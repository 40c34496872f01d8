"""What weights have seen: every picture that they were ever trained or selected on, kept inside the model file.

Provenance is one more member of the archive that a .keras file is, see `zoo.model_file`. So it goes wherever the file
is copied, and whatever starts from the file inherits it. The user cache keeps it too, under a hash
of the weights: on the same machine they are known again when Keras has saved them anew, or without the model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo import model_file
from zoo.data import audited, cache, checksums
from zoo.errors import DataError, LeakError, WeightsError, shorten
from zoo.files import hash_file, write_text
from zoo.training import archive

MEMBER = "zoo-provenance.json"


@dataclass(frozen=True)
class Provenance:
    """What some weights have seen.

    `images` are the hashes of all pictures that they were trained or selected on, through any chain of files that
    training started from; `files` names that chain, oldest first, and `unknown` those of its files that don't say what
    they have seen, such as weights from elsewhere.
    """

    images: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __or__(self, other: Provenance) -> Provenance:
        """What weights have seen that come from both."""
        files, unknown = (tuple(dict.fromkeys(mine + theirs)) for mine, theirs in (
            (self.files, other.files), (self.unknown, other.unknown)
        ))  # fmt: skip
        return Provenance(self.images | other.images, files, unknown)

    def seeing(self, images: Iterable[str]) -> Provenance:
        """The same weights after training or selection on these pictures too."""
        return Provenance(self.images | frozenset(images), self.files, self.unknown)

    @property
    def digest(self) -> str:
        """sha256 of the pictures."""
        return hashlib.sha256("\n".join(sorted(self.images)).encode()).hexdigest()

    def table(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"files": list(self.files), "unknown": list(self.unknown), "images": sorted(self.images)}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Provenance:
        """What `table` gave. Raises KeyError or TypeError for anything else."""
        lists = [table[name] for name in ("images", "files", "unknown")]
        if not all(isinstance(each, list) and all(isinstance(item, str) for item in each) for each in lists):
            raise TypeError("images, files and unknown must be lists of text")
        images, files, unknown = lists
        return cls(frozenset(images), tuple(files), tuple(unknown))


def embed(file: Path, provenance: Provenance) -> None:
    """Put it into a .keras file that has none yet, and into the user cache."""
    text = json.dumps(provenance.table())
    model_file.add_member(file, MEMBER, text)
    digest = hash_weights(file)
    if digest:
        with contextlib.suppress(DataError):  # a cache that cannot be written
            cache.make_once(
                cache.folder("provenance", digest), lambda folder: write_text(folder / MEMBER, text), len(text)
            )


def read(file: Path, tell: cache.Tell = lambda line: None) -> Provenance:
    """What weights that start from this file have seen, the file itself named as the last of its chain.

    `tell` is given a line if the user cache knew of the weights, and is damaged.

    Raises WeightsError if what the file says of it is damaged, or the file is refused.
    """
    archive.check(file)
    name = f"{file.name} sha256 {hash_file(file)[:12]}"
    try:
        text = _member(file, tell)
        table = {} if text is None else archive.parse(file, MEMBER, text)
        found = Provenance(unknown=(name,)) if text is None else Provenance.from_table(table)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{file}: what it says of the images it was trained on is damaged: {error}") from None
    return found | Provenance(files=(name,))


def _member(file: Path, tell: cache.Tell) -> bytes | None:
    """What the file says of itself, else what the cache knows of its weights."""
    inside = archive.member(file, MEMBER)
    if inside is not None:
        return inside
    digest = hash_weights(file)
    entry = cache.folder("provenance", digest)
    if not digest or not entry.exists():
        return None
    if fault := checksums.fault(entry):
        tell(f"what was known of {file.name} is lost: {entry} in the user cache is damaged ({fault})")
        return None
    return (entry / MEMBER).read_bytes()


def hash_weights(file: Path) -> str:
    """sha256 of the arrays in a .keras or .h5 file, in whatever order and under whatever names; '' if it holds none.

    The optimiser's are left out. Raises WeightsError for a file that is damaged or refused.
    """
    try:
        hashes = [
            hashlib.sha256(np.ascontiguousarray(item[()]).tobytes()).hexdigest()
            for name, item in archive.arrays(file)
            if not name.startswith("optimizer")
        ]
    except OSError:  # HDF5 that is damaged: Keras will say so
        return ""
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest() if hashes else ""


def leaked(test: Iterable[str], seen: Iterable[str], copies: pd.DataFrame) -> list[str]:
    """The test pictures (hashes) that weights have seen, themselves or as a near-duplicate, in the order of `test`.

    `copies` has the near-duplicates that an audit found, see `zoo.data.audited`.
    """
    known = set(seen)
    known |= set(copies["second"][copies["first"].isin(known)]) | set(copies["first"][copies["second"].isin(known)])
    return [image for image in dict.fromkeys(test) if image in known]


def check_leaks(splits: pd.DataFrame, files: Iterable[str], allowed: bool) -> tuple[pd.DataFrame, list[str]]:
    """The near-duplicates that matter to these folds and to weights from these files, and what to know of both.

    Raises LeakError if a fold would score weights on pictures that they have seen, unless that is `allowed`.
    """
    notes: list[str] = []
    inherited = {Path(file).name: read(Path(file), notes.append) for file in sorted(files)}
    copies = audited.known({*splits["image"], *(image for each in inherited.values() for image in each.images)})
    lines = [
        f"fold {fold}: {line}"
        for fold, rows in splits.groupby("fold")
        for line in _leaks_of_fold(rows[rows["role"] == "test"], rows[rows["role"] != "test"], inherited, copies)
    ]
    if lines and not allowed:
        raise LeakError(
            "the scores of these folds would be inflated; divide anew (zoo data split), start from weights that have "
            f"not seen these images, or have every number marked as leaked with --allow-leak:\n{shorten(lines)}"
        )
    notes += [f"LEAKED, as allowed: {line}" for line in lines]
    unknown = dict.fromkeys(name for each in inherited.values() for name in each.unknown)
    notes += [
        f"{name}: origin unknown; it cannot be told whether these weights have seen test images" for name in unknown
    ]
    if len(copies):
        notes.append(f"near-duplicates among these images, known from an audit: {len(copies)} pairs")
    return copies, notes


def _leaks_of_fold(
    test: pd.DataFrame, others: pd.DataFrame, inherited: Mapping[str, Provenance], copies: pd.DataFrame
) -> Iterable[str]:
    paths = dict(zip(test["image"], test["path"], strict=True))
    sources: dict[str, Iterable[str]] = {"are near-duplicates of images in other roles": others["image"]}
    sources |= {f"were seen by {name}": seen.images for name, seen in inherited.items()}
    for what, images in sources.items():
        leaks = [paths[image] for image in leaked(test["image"], images, copies)]
        if leaks:
            yield f"{len(leaks)} of {len(test)} test images {what}: {', '.join(leaks[:3])}{', …' * (len(leaks) > 3)}"
