"""The terminal: text of others reaches it as text, and does nothing to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from zoo.errors import printable


class Screen(Console):
    """A console that takes no text for markup, and prints a mark for each character that isn't printable.

    Names, errors and docstrings of plug-ins may hold anything.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As of Console."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, keep="\n"), segment.style)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a sentence as it is, on one line however long."""
    console.print(text, style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)
