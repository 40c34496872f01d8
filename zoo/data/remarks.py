"""What to know of files that can be used: told of each data set by kind, with a count and some of the paths."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

NARROW = 1 << 14  # values of 16 bits that differ by less are named: they become 64 grey levels or fewer
SHOWN = 3  # paths


@dataclass(frozen=True)
class Remarks:
    """`further` pictures in the file are ignored; `span` is the smallest and the largest of its 16-bit values if these
    lie close together, else (0, 0); `damage` is what libjpeg says of pixels that it had to guess."""

    further: int = 0
    span: tuple[int, int] = (0, 0)
    damage: str = ""

    def __str__(self) -> str:
        """As a cell of a table, '' if there is nothing to know: what `parse` reads."""
        return "" if self == Remarks() else json.dumps(dataclasses.asdict(self))


def parse(text: str) -> Remarks:
    """The remarks of which this is the text."""
    if not text:
        return Remarks()
    values = json.loads(text)
    return Remarks(values["further"], (values["span"][0], values["span"][1]), values["damage"])


@dataclass(frozen=True)
class Told:
    """Remarks of one kind: what is so in how many files, what to do, and each of the files with what is so in it."""

    kind: str
    text: str
    advice: str
    files: dict[str, str]

    def __str__(self) -> str:
        """In a line."""
        some = ", ".join([*self.files][:SHOWN]) + (", …" if len(self.files) > SHOWN else "")
        return f"{self.text}; {self.advice[0].lower()}{self.advice[1:]} ({some})"


def told(remarks: Mapping[str, Remarks]) -> list[Told]:
    """The remarks of files, by path, gathered by kind: the most serious first."""
    known = sorted(remarks.items())
    damaged = {path: each.damage for path, each in known if each.damage}
    several = {path: each.further for path, each in known if each.further > 0}
    narrow: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
    for path, each in known:
        if each.span[1]:
            narrow[(each.span[1] - each.span[0]).bit_length()][path] = each.span
    return [
        *([_damaged(damaged)] if damaged else ()),
        *(_narrow(narrow[bits]) for bits in sorted(narrow)),
        *([_several(several)] if several else ()),
    ]


def _damaged(files: dict[str, str]) -> Told:
    one = len(files) == 1
    text = (
        f"{len(files):,} JPEG{' is' if one else 's are'} damaged, and pixels of {'it' if one else 'them'} are guessed"
    )
    return Told("damaged", text, f"Look at {'it' if one else 'them'}, mend or remove", files)


def _narrow(files: dict[str, tuple[int, int]]) -> Told:
    low, high = min(span[0] for span in files.values()), max(span[1] for span in files.values())
    most = max(round(span[1] / 257) - round(span[0] / 257) + 1 for span in files.values())
    one = len(files) == 1
    text = (
        f"{len(files):,} image{' holds' if one else 's hold'} 16 bits a channel but only values {low}..{high}: "
        f"{'it reaches' if one else 'they reach'} the network as {most} grey levels"
        f"{' or fewer' if len({*files.values()}) > 1 else ''}"
    )
    spans = {path: f"values {span[0]}..{span[1]}" for path, span in files.items()}
    return Told("narrow-range", text, f"Rescale {'it' if one else 'them'} to 0..65535", spans)


def _several(files: dict[str, int]) -> Told:
    number, one = sum(files.values()), len(files) == 1
    text = (
        f"{len(files):,} file{' holds' if one else 's hold'} more than one picture (pages, frames): the first is used, "
        f"{number:,} {'is' if number == 1 else 'are'} ignored"
    )
    more = {path: f"{count} ignored" for path, count in files.items()}
    return Told("further-pictures", text, "Save those that count as files of their own", more)
