"""The terminal: text of others does nothing to it, and no table loses its meaning to its width."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from zoo.encoding import plain
from zoo.errors import printable

LONGEST, MOST = 2000, 100  # characters of a line, and lines of a sentence
LEAST = 20  # characters that a column of sentences is wrapped at, at least
WIDEST = 100_000


class Screen(Console):
    """A console that takes no text for markup, and prints a mark for each character that isn't printable.

    Names, errors and docstrings of plug-ins may hold anything. A table that is too wide becomes a block a row, unless
    it may be `wide`: then its lines are as long as they are.
    """

    def __init__(self, wide: bool = False, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)
        self.wide = wide

    def print(self, *objects: Any, **options: Any) -> None:
        """As of Console."""
        if self.wide:
            options = {"crop": False, "no_wrap": True, "overflow": "ignore", **options}
        super().print(*objects, **options)

    def show(self, *tables: Table) -> None:
        """Print the first of these tables, the most telling first, that the screen has room for, else the last."""
        self.print(next((each for each in tables if self.wide or self.natural(each) <= self.width), tables[-1]))

    def natural(self, table: Table) -> int:
        """The characters that a table takes if nothing in it is wrapped."""
        return Measurement.get(self, self.options.update(max_width=WIDEST), table).maximum

    def render_str(self, text: str, **options: Any) -> Text:
        """As of Console. In the letters of the terminal's encoding from the beginning, so that columns are in line."""
        return super().render_str(text if self.encoding.startswith("utf") else plain(text, self.encoding), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As of Console."""
        options = options or self.options
        if isinstance(renderable, Table) and renderable.show_header:
            if self.wide:
                options = options.update(max_width=max(self.natural(renderable), options.max_width))
            elif not self._has_room(renderable, options.max_width):
                renderable = blocks(renderable)
            elif renderable.title and len(str(renderable.title)) > self.natural(renderable):
                below = copy.copy(renderable)  # rich would wrap the title at the table's width
                below.title = None
                renderable = Group(Text(str(renderable.title), "italic"), below)
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, keep="\n"), segment.style)

    def _has_room(self, table: Table, width: int) -> bool:
        """Whether a table can be shown in that width with no cell wrapped or cut but those of sentences."""
        sentences = [column for column in table.columns if column.overflow == "fold"]
        for column in table.columns:
            column.no_wrap = column not in sentences
        for column in sentences:
            column.max_width = LEAST
        least = self.natural(table)
        for column in sentences:
            column.max_width = None
        return least <= width


def sentences(heading: str) -> Column:
    """A column of text that may be wrapped."""
    return Column(heading, overflow="fold")


def blocks(table: Table) -> Group:
    """A table as a block a row: its first cell, and below it the others, each with its heading."""
    headings = [" ".join(str(column.header).split()) for column in table.columns]
    parts: list[RenderableType] = [Text(str(table.title), "italic")] if table.title else []
    for first, *others in zip(*(column.cells for column in table.columns), strict=True):
        grid = Table.grid(padding=(0, 2))
        for heading, cell in zip(headings[1:], others, strict=True):
            if str(cell):
                grid.add_row(heading, _on_one_line(cell))
        parts += [_on_one_line(first, "bold"), Padding(grid, (0, 0, 0, 2))]
    return Group(*parts)


def _on_one_line(cell: RenderableType, style: str = "") -> Text:
    if isinstance(cell, Text):
        return cell
    return Text(" ".join(str(cell).split()), style, overflow="fold")


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a sentence as it is, each of its lines on one; what is far too long is cut."""
    lines = [each if len(each) <= LONGEST else f"{each[:LONGEST]} …" for each in text.split("\n")[:MOST]]
    console.print("\n".join(lines), style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)


def tell(console: Console, text: str, style: str | None = None) -> None:
    """Print a sentence to be read and not to be copied: it is wrapped at blanks."""
    console.print(text, style=style, highlight=False, markup=False, emoji=False)
