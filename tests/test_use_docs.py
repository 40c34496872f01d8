"""docs/use.md: its commands run in order, and so does its Python."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Served, Zoo
from zoo.inference.predictor import COLUMNS

TEXT = (Path(__file__).parents[1] / "docs/use.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|py)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
# As the test shortens what trains.
SHORT = ["--max-epochs", "1", "--image-size", "32"]


def test_every_column_is_told() -> None:
    rows = re.findall(r"^\| (`.*?) \|", TEXT.partition("## Validation")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*COLUMNS}


@pytest.mark.slow
def test_every_command_runs_in_order(zoo: Zoo, served: Served, here: Path) -> None:
    for language, text in BLOCKS:
        if language == "py":
            subprocess.run([sys.executable, "-c", text], cwd=here, check=True, env={**os.environ})
            continue
        for line in text.splitlines():
            program, *command = shlex.split(line)
            assert program == "zoo"
            if command[0] == "serve":
                (picture,) = [*(here / "demo-images/Fold3/test/abnormal").iterdir()][:1]
                with served(*command[1:]) as address:
                    request = urllib.request.Request(f"{address}/predict", picture.read_bytes())
                    with urllib.request.urlopen(request) as answer:
                        assert json.load(answer)["decision"] in ("normal", "abnormal")
                continue
            done = zoo(*command, *(SHORT if command[0] in ("run", "compare") else []))
            assert done.returncode == 0, f"{line}: {done.stderr}"
    for file in ("predictions.csv", "elsewhere/predictions.csv"):
        assert len(pd.read_csv(here / file)) >= 50
    assert len([*(here / "looked-at").iterdir()]) >= 20
