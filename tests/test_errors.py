"""Whatever an error is made of, people read one line of it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.conftest import TINY_PLUGIN, Install, Main
from zoo.errors import ConfigError, ended, line, one_line, printable

ESCAPES = "\x1b[2J\x1b]0;title\x07"


def error(text: Any = "no", name: Any = "Odd", metaclass: type = type) -> Exception:
    made: Any = metaclass("Odd", (Exception,), {"__str__": lambda self: text() if callable(text) else text})
    if metaclass is type:
        made.__name__ = name
    return made()


def out_of_reach() -> str:
    raise KeyboardInterrupt


class Nameless(type):
    __name__ = property(lambda cls: out_of_reach())  # type: ignore[assignment]


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
        (error(metaclass=Nameless), "an error: no"),
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
