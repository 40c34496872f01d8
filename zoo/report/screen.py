"""The terminal: text of others reaches it as text, and does nothing to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from zoo.encoding import plain
from zoo.errors import printable

LONGEST, MOST = 2000, 100  # characters of a line, and lines of a sentence


class Screen(Console):
    """A console that takes no text for markup, and prints a mark for each character that isn't printable.

    Names, errors and docstrings of plug-ins may hold anything.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As of Console. In the letters of the terminal's encoding from the beginning, so that columns are in line."""
        return super().render_str(text if self.encoding.startswith("utf") else plain(text, self.encoding), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As of Console."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, keep="\n"), segment.style)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a sentence as it is, each of its lines on one; what is far too long is cut."""
    lines = [each if len(each) <= LONGEST else f"{each[:LONGEST]} …" for each in text.split("\n")[:MOST]]
    console.print("\n".join(lines), style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)
