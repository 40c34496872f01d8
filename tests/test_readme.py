"""README's commands run, and every file that a page names exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Served, Zoo

TOP = Path(__file__).parents[1]
TEXT = (TOP / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (TOP / "docs/architecture.md").read_text("utf-8")
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("*.md"))]
LINKS = [(page, link) for page in PAGES for link in re.findall(r"\]\((?!http|#)([^)]+)\)", page.read_text("utf-8"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


COMMANDS = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
ROWS = re.findall(r"^\| (.*?) \|", TEXT, re.MULTILINE)
TABLE = [shlex.split(command) for row in ROWS for command in re.findall("`zoo (.*?)`", row)]


def test_it_opens_with_the_two_commands() -> None:
    assert COMMANDS[:2] == [["make", "run"], ["make", "test"]]
    # The first of zoo's own is the main job, which tests/commands/test_cli.py runs.
    assert next(command for command in COMMANDS if command[0] == "zoo") == ["zoo", "run", "efficientnet-staged"]
    for _, target in COMMANDS[:2]:
        subprocess.run(["make", "--dry-run", target], cwd=TOP, check=True, capture_output=True)


@pytest.mark.slow
def test_every_command_of_the_table_runs_in_order(zoo: Zoo, served: Served) -> None:
    """In one folder, as a reader would type them; training with fewer epochs of smaller images."""
    assert len(TABLE) >= 10
    for command in TABLE:
        short = (
            ["--max-epochs", "1", "--image-size", "32", "--weights", "none"] if command[0] in ("run", "compare") else []
        )
        if command[0] == "serve":
            with served(*command[1:]) as address, urllib.request.urlopen(address) as page:
                assert page.status == 200
            continue
        done = zoo(*command, *short)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_every_file_of_the_map_exists() -> None:
    (listing,) = re.findall(r"## Map of the files\n\n```\n(.*?)```", ARCHITECTURE, re.DOTALL)
    paths = [line.split()[0] for line in listing.splitlines()]
    for path in paths:
        assert (TOP / path).exists(), path
    on_disk = {f"zoo/{path.name}{'/' if path.is_dir() else ''}" for path in (TOP / "zoo").iterdir()}
    assert {path for path in on_disk if not path.startswith("zoo/__")} <= set(paths)


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda each: getattr(each, "name", each))
def test_every_link_leads_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link.partition("#")[0]).exists()


def test_every_file_that_the_architecture_names_exists() -> None:
    for path in re.findall(r"`((?:zoo|tests)/[a-z_/]+(?:\.py|/))`", ARCHITECTURE):
        assert (TOP / path).exists(), path


def test_the_options_in_the_table_exist(zoo: Zoo) -> None:
    help_text = zoo("run", "--help").stdout + zoo("compare", "--help").stdout
    text = (TOP / "docs/commands.md").read_text("utf-8")
    table = re.findall(r"^\| `(--.*?)` \|", text, re.MULTILINE)
    options = {option for row in table for option in re.findall(r"--[a-z-]+", row)}
    assert {"--data", "--folds", "--out", "--weights"} <= options
    for option in options:
        assert option in help_text
