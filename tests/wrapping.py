"""The plug-ins of docs/wrapping.md, by the name of their backbone."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs/wrapping.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
RECIPES = {name: code for code in BLOCKS for name in re.findall(r'^    name = "(.*)"$', code, re.MULTILINE)[:1]}
