"""Whatever an error is made of, people read one line of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.conftest import TINY_PLUGIN, Install, Main, write_folds
from zoo import cli
from zoo.data import demo
from zoo.errors import ConfigError, ended, line, one_line, printable

ESCAPES = "\x1b[2J\x1b]0;title\x07"


def error(text: Any = "no", name: Any = "Odd") -> Exception:
    made: Any = type("Odd", (Exception,), {"__str__": lambda self: text() if callable(text) else text})
    made.__name__ = name
    return made()


def out_of_reach() -> str:
    raise RuntimeError


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (ValueError("two\nlines,  \r and\ttabs"), "ValueError: two lines, and tabs"),
        (ValueError(""), "ValueError: no message"),
        (ConfigError("of zoo"), "of zoo"),
        (error(ESCAPES), "Odd: �[2J�]0;title�"),
        (error("\u202eback\udcff"), "Odd: �back�"),
        (error(name=f"{ESCAPES}\nOdd"), "�[2J�]0;title� Odd: no"),
        (error(out_of_reach), "Odd: no message"),
        (error(3), "Odd: no message"),
    ],
)
def test_an_error_is_one_printable_line(raised: Exception, says: str) -> None:
    assert one_line(raised) == says


@pytest.mark.parametrize("text", ["word " * 10_000, "x" * 3_000_000, "\n" * 100_000 + "x"], ids=["words", "x", "lines"])
def test_a_line_is_never_long(text: str) -> None:
    assert len(one_line(ValueError(text))) <= 500
    assert len(one_line(error(text, name="N" * 10_000))) <= 500
    assert len(line(text, 20)) <= 20


def test_the_ends_of_lines_are_kept_where_they_are_meant() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb�"
    assert printable("a\nb") == "a�b"


@pytest.mark.parametrize(
    ("code", "says"),
    [(3, "ended with status 3"), (-signal.SIGKILL, "was killed by SIGKILL"), (-40, "was killed by signal 40")],
)
def test_how_a_process_ended(code: int, says: str) -> None:
    assert ended(code) == says


def test_no_command_passes_on_what_plugins_write(install: Install, main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "0")  # which --debug sets
    odd = f"{ESCAPES}[bold]x[/nope]"
    install(f"raise ValueError({odd!r})", "zoo-raises", "raises")
    install(TINY_PLUGIN.replace("A few convolutions.", f"Doc {odd}"), "zoo-tiny", "tiny", module="t")
    install("", "zoo-odd", f"o\x1b[31mdd{ESCAPES}", module="odd")
    for command in (["list", "backbones"], ["plugins", "list"], ["--debug", "plugins", "list"]):
        status, output, errors = main(*command)
        assert status == 0
        assert not {"\x1b", "\x07"} & set(output + errors)
    assert "Doc �[2J�]0;title�[bold]x[/nope]" in main("list", "backbones")[1]


def commands(group: click.Group) -> Iterator[tuple[list[str], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from (([name, *words], each) for words, each in commands(command))
        else:
            yield [name], command


# What a command needs besides the option that is tried.
NEEDED = {
    "run": ["no model"],
    "compare": ["no model"],
    "show": ["no model"],
    "report": ["no run"],
    "new": ["no plug-in"],
}


@pytest.mark.parametrize(("words", "command"), [*commands(cli.cli)], ids=str)
def test_what_is_typed_does_nothing_to_the_terminal(
    words: list[str], command: click.Command, main: Main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each option and argument of each command."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "_fill", lambda target: None)
    for parameter in command.params:
        monkeypatch.setenv("ZOO_PLUGINS", "")  # which --no-plugin sets
        more = [] if isinstance(parameter, click.Argument) else NEEDED.get(words[-1], [])
        if words[0] == "data" and words[-1] != "demo" and parameter.name != "data":
            more = ["--data", "no data"]
        option = [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
        _, out, err = main(*words, *more, *option, ESCAPES)
        assert printable(out + err, keep="\n") == out + err, parameter.name


def test_paths_do_nothing_to_the_terminal(
    install: Install, tmp_path: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(TINY_PLUGIN)
    odd = tmp_path / f"a{ESCAPES.replace('/', '')}"
    data = write_folds(odd / "data", folds=1, size=32)
    (next((data / "Fold0/train/normal").iterdir())).rename(data / "Fold0/train/normal" / f"{odd.name}.png")
    (odd / "registry.toml").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(odd / "cache"))
    monkeypatch.setattr(demo, "_fill", lambda target: None)
    common = ["--data", data, "--registry", odd / "registry.toml"]
    told = [
        main("data", "show", *common, "--out", odd / "pictures"),
        main("data", "split", *common, "--out", odd / "splits.csv", "--folds", 3),
        main("data", "split", *common, "--out", odd / "splits.csv"),
        main("data", "audit", *common, "--no-near-duplicates", "--out", odd / "audit"),
        main("data", "demo", odd / "demo"),
        main("plugins", "new", "odd", "--out", odd / "plugin"),
        main("cache", "info"),
        main("report", odd / "run"),
    ]
    for file in (odd / "cache/images").glob("*/pixels.npy"):
        os.truncate(file, 10)
    told.append(main("data", "show", *common, "--out", odd / "pictures", "--force"))
    assert "is damaged (" in told[-1][1]
    (data / "Fold0/train/normal" / f"{odd.name}.png").write_bytes(b"no image")
    told.append(main("data", "show", *common))
    assert [status for status, _, _ in told] == [0, 0, 2, 0, 0, 0, 0, 2, 0, 2]
    for _, out, err in told:
        assert printable(out + err, keep="\n") == out + err
