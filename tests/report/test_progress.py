"""How far long work is: a bar on a terminal, a line now and then in a file."""

from __future__ import annotations

import io

from zoo.report.progress import EVERY, StepProgress
from zoo.report.screen import Screen


def test_a_line_now_and_then_where_there_is_no_terminal() -> None:
    screen = Screen(file=io.StringIO(), width=80)
    now = iter([0.0, 1.0, EVERY + 1.0, EVERY + 2.0, 2 * EVERY + 2.0, 100.0, 101.0, 200.0])
    with StepProgress(screen, lambda: next(now)) as progress:
        for done in (0, 10, 50, 60, 80):
            progress("reading files", done, 2000)
        for done in (0, 1, 2):
            progress("short", done, 2)
    assert screen.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "reading files: 50 of 2,000, about 13:39 left",
        "reading files: 80 of 2,000, about 16:48 left",
    ]


def test_a_bar_with_the_time_left_on_a_terminal() -> None:
    file = io.StringIO()
    with StepProgress(Screen(file=file, width=80, force_terminal=True)) as progress:
        progress("reading files", 30, 60)
        progress("looking for changed copies", 1, 3)
    shown = file.getvalue()
    assert "reading files" in shown
    assert "50%" in shown
    assert ":" in shown
