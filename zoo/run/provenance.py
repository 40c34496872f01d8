"""What weights have seen: every picture that they were ever trained or selected on, kept inside the model file.

Provenance is one more member of the archive that a .keras file is, see zoo.training.model_file. So it goes wherever the
file is copied, and whatever starts from the file inherits it. The user cache keeps it too, with a hash of each array
that training has changed: on the same machine these are known again when Keras has saved them anew, without the model
or some layers alone, and when a plug-in brings them along.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zoo.data import cache, checksums, known_copies
from zoo.errors import DataError, LeakError, WeightsError, shorten
from zoo.files import hash_file, write_text
from zoo.training import archive, model_file

MEMBER = "zoo-provenance.json"
ARRAYS = "arrays.txt"
SMALLEST = 16  # numbers that an array needs to be known again; fewer may be alike by chance


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
        files, unknown = (
            tuple(dict.fromkeys(mine + theirs))
            for mine, theirs in ((self.files, other.files), (self.unknown, other.unknown))
        )
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


def embed(file: Path, provenance: Provenance, began_with: Collection[str]) -> None:
    """Put it into a .keras file that has none yet, and into the user cache.

    `began_with` are the `hash_arrays` of the network before it was trained, whose arrays tell nothing of these images.
    """
    model_file.add_member(file, MEMBER, json.dumps(provenance.table()))
    remember(file, provenance, began_with)


def remember(file: Path, provenance: Provenance, began_with: Collection[str]) -> None:
    """Put it into the user cache, for a .keras file wherever it was trained; `began_with` as for `embed`."""
    text = json.dumps(provenance.table())
    arrays = _arrays(file)
    if not arrays:
        return
    listed = "\n".join(sorted(hash_arrays(arrays) - set(began_with)))

    def fill(folder: Path) -> None:
        write_text(folder / MEMBER, text)
        write_text(folder / ARRAYS, listed)

    with contextlib.suppress(DataError):  # a cache that cannot be written
        cache.make_once(cache.folder("provenance", hash_weights(arrays)), fill, len(text) + len(listed))


def read_provenance(file: Path, tell: cache.Tell = lambda line: None) -> Provenance:
    """What weights that start from this file have seen, the file itself named as the last of its chain.

    `tell` is given a line if the user cache knew of the weights, and is damaged.

    Raises WeightsError if what the file says of it is damaged, or the file is refused.
    """
    archive.check_archive(file)
    name = f"{file.name} sha256 {hash_file(file)[:12]}"
    inside = archive.member(file, MEMBER)
    try:
        said = None if inside is None else Provenance.from_table(archive.parse(file, MEMBER, inside))
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{file}: what it says of the images it was trained on is damaged: {error}") from None
    known, is_whole = recognise(_arrays(file), tell if said is None else lambda line: None)
    found = (said or Provenance()) | (known or Provenance())
    unknown = () if said or is_whole else (name,)
    return found | Provenance(files=(name,), unknown=unknown)


def recognise(arrays: Sequence[np.ndarray], tell: cache.Tell = lambda line: None) -> tuple[Provenance | None, bool]:
    """What arrays have seen that training on this machine has made, whoever loaded them; None if it has made none.

    And whether they are all weights of one network. `tell` is given a line about what the user cache knew of them, and
    is damaged.
    """
    whole, each = hash_weights(arrays), hash_arrays(arrays)
    found, is_whole = None, False
    for entry in sorted(cache.folder("provenance").glob("[!.]*")):
        listed = entry / ARRAYS
        with contextlib.suppress(OSError, UnicodeDecodeError):  # damaged, or deleted by another process
            if entry.name == whole or (listed.exists() and not each.isdisjoint(listed.read_text("utf-8").split())):
                if fault := checksums.fault(entry):
                    tell(f"what was known of these weights is lost: {entry} in the user cache is damaged ({fault})")
                else:
                    known = Provenance.from_table(json.loads((entry / MEMBER).read_bytes()))
                    found = known if found is None else found | known
                    is_whole = is_whole or entry.name == whole
    return found, is_whole


def hash_weights(arrays: Iterable[np.ndarray]) -> str:
    """sha256 of arrays, in whatever order; '' of none."""
    hashes = sorted(_hash(array) for array in arrays)
    return hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else ""


def hash_arrays(arrays: Iterable[np.ndarray]) -> set[str]:
    """The sha256 of each array that is worth knowing again: of SMALLEST numbers or more, and not all of them equal."""
    return {_hash(array) for array in arrays if array.size >= SMALLEST and np.ptp(array) != 0}


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _arrays(file: Path) -> list[np.ndarray]:
    """The arrays in a .keras or .h5 file but for the optimiser's; none if it is damaged, as Keras will say.

    Raises WeightsError for a file that is refused.
    """
    try:
        return [item[()] for name, item in archive.arrays(file) if not name.startswith("optimizer")]
    except OSError:
        return []


def leaked(test: Iterable[str], seen: Iterable[str], copies: pd.DataFrame) -> list[str]:
    """The test pictures (hashes) that weights have seen, themselves or as a near-duplicate, in the order of `test`.

    `copies` has the near-duplicates that an audit found, see `zoo.data.known_copies`.
    """
    known = set(seen)
    known |= set(copies["second"][copies["first"].isin(known)]) | set(copies["first"][copies["second"].isin(known)])
    return [image for image in dict.fromkeys(test) if image in known]


def check_leaks(splits: pd.DataFrame, files: Iterable[str], allowed: bool) -> tuple[pd.DataFrame, list[str]]:
    """The near-duplicates that matter to these folds and to weights from these files, and what to know of both.

    Raises LeakError if a fold would score weights on pictures that they have seen, unless that is `allowed`.
    """
    notes: list[str] = []
    inherited = {Path(file).name: read_provenance(Path(file), notes.append) for file in sorted(files)}
    copies = known_copies.known({*splits["image"], *(image for each in inherited.values() for image in each.images)})
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
