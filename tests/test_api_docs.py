"""docs/api.md is what the docstrings say, and leaves nothing out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo import hookspecs

TOP = Path(__file__).parents[1]
PAGE = (TOP / "docs/api.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("zoo_")]


def test_it_is_what_the_docstrings_say() -> None:
    done = subprocess.run([sys.executable, TOP / "docs/api.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == PAGE, "run make docs"


@pytest.mark.parametrize("name", [*(f"zoo.{name}" for name in zoo.__all__), *HOOKS])
def test_it_tells_of_every_name(name: str) -> None:
    _, heading, told = PAGE.partition(f"### `{name.replace('zoo.API_', 'API_').replace('zoo.hookimpl', 'hookimpl')}`\n")
    assert heading
    words = [line for line in told.partition("\n#")[0].splitlines() if line and not line.startswith("```")]
    assert len(words) > 0
