"""docs/plugins.md: its commands run in order, its files work as they are, and the messages that it explains exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.venvs import Venv

TOP = Path(__file__).parents[1]
PAGE = TOP / "docs/plugins.md"
TEXT = PAGE.read_text(encoding="utf-8")
# What no test can run, as it stands in the page.
ELSEWHERE = {"pip install build twine        # needs a network", "twine upload dist/*            # needs an account"}


@dataclass(frozen=True)
class Block:
    """A fenced block; `path` is the file that its first line names, if it does."""

    language: str
    text: str

    @property
    def path(self) -> str | None:
        found = re.match(r"# (\S+\.(?:py|toml))\n", self.text)
        return found[1] if found else None


BLOCKS = [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)]
FILES = [block for block in BLOCKS if block.language in ("python", "toml")]
COMMANDS = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]


def test_only_what_cannot_be_run_here_is_left_out() -> None:
    assert {line for line in COMMANDS if "# needs" in line} == ELSEWHERE
    assert {block.language for block in BLOCKS} == {"sh", "python", "toml", "text"}


@pytest.mark.parametrize("block", FILES, ids=lambda block: str(block.path))
def test_every_file_has_a_place_and_is_tidy(block: Block) -> None:
    assert block.path
    if block.language == "python":
        ast.parse(block.text)
        command = [sys.executable, "-m", "ruff", "format", "--check", "--line-length", "120", "-"]
        assert subprocess.run(command, input=block.text, text=True, capture_output=True).returncode == 0


def test_a_backbone_is_less_than_50_lines() -> None:
    (whole,) = (block for block in FILES if block.path == "zoo_retina_net.py")
    assert len(whole.text.splitlines()) < 50


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)", TEXT))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (PAGE.parent / link).exists()


@pytest.mark.parametrize("page", ["plugins.md", "wrapping.md"])
def test_weights_beside_a_module_are_no_path_file(page: str) -> None:
    """Python reads a .pth file at the top of site-packages at every start."""
    text = (TOP / "docs" / page).read_text(encoding="utf-8")
    assert "never in `.pth`" in text
    assert not re.search(r"\w\.pth\b", text)


MESSAGES = re.findall(r"^\| `(.+?)` \|", TEXT.partition("## When something goes wrong")[2], re.MULTILINE)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_messages_that_it_explains_are_those_of_zoo(message: str) -> None:
    """Each stands in the code as it is, but for what differs from case to case."""
    code = "".join(path.read_text(encoding="utf-8") for path in (TOP / "zoo").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a text on several lines
    code = re.sub(r"unknown\('([\w ]+)'|unknown\(\"([\w ]+)\"", r"unknown \1\2", code)
    for words in re.split(r"\(self, …\)|ModuleNotFoundError|keras(?= when)|hook(?=$)", message):
        assert words.strip() in code


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_runs_in_order(venv: Venv, tmp_path: Path) -> None:
    """In one folder and one fresh virtual environment, as a reader would type them."""
    here = tmp_path / "work"
    here.mkdir()
    for block in BLOCKS:
        if block.path:
            (here / block.path).write_text(block.text)
        for line in block.text.splitlines() if block.language == "sh" else ():
            if line in ELSEWHERE:
                continue
            if line.startswith("cd "):
                here = (here / line.removeprefix("cd ")).resolve()
                continue
            # Without a network the build tools are those that are here.
            done = venv.shell(line + " --no-isolation" * line.startswith("python -m build"), cwd=here)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert here.name == "zoo-retina-net"
    assert (here / "runs/wide/retina-wide/fold-0/best.keras").exists()
    assert (here / "runs/both/comparison.csv").exists()
    (wheel,) = (here / "dist").glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    assert packed == {"zoo_retina_net.py", "zoo_retina_net_layers.py"}
    assert len(list((here / "dist").glob("*.tar.gz"))) == 1
    assert "retina-net" not in venv.shell("zoo plugins list", cwd=here).stdout
