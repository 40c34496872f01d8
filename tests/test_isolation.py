"""A plug-in that hangs, prints or meddles when it is loaded: named with its distribution, and without effect."""

from __future__ import annotations

import builtins
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Zoo
from zoo.plugins import discover


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "1")


HANGS = {
    "sleeps at import": "import time; time.sleep(60)",
    "spins at import": "while True: pass",
    "catches all": "while True:\n    try:\n        while True: pass\n    except Exception: pass",
    "spins in a hook": "import zoo\n@zoo.hookimpl\ndef zoo_heads():\n    while True: pass",
}


@pytest.mark.parametrize(("case", "code"), HANGS.items(), ids=HANGS)
def test_a_plugin_that_hangs_is_given_up(install: Install, case: str, code: str) -> None:
    before = set(threading.enumerate())
    started = time.monotonic()
    module = case.replace(" ", "_")  # one that sleeps keeps the lock of its name
    found = discover([install(code, "slow", "bad", module), install(TINY_PLUGIN)])
    assert time.monotonic() - started < 30
    assert found.problems == ["plug-in bad (slow 1.0) left out: TimeoutError: not loaded after 1 s"]
    assert found.names("backbone") == ["tiny"]
    if "while" in code:  # it doesn't go on in the background, taking half of the processor from the others
        deadline = time.monotonic() + 30
        while set(threading.enumerate()) - before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert set(threading.enumerate()) <= before


def test_ctrl_c_is_not_the_plugin_s(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    out = sys.stdout
    try:
        with pytest.raises(KeyboardInterrupt):
            discover([install("import _thread, time; _thread.interrupt_main(); time.sleep(0.3)")])
    finally:
        signal.signal(signal.SIGINT, before)
    assert sys.stdout is out


PRINTS = {
    "print": "print('hello')",
    "C": "import os; os.write(1, b'hello')",
    "child process": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(\"hello\")'])",
    "fails later": "print('hello'); 1 / 0",
    "closes": "print('hello'); import os, sys; sys.stdout.close(); os.close(1)",
}


@pytest.mark.parametrize("code", PRINTS.values(), ids=PRINTS)
def test_what_a_plugin_prints_is_caught(install: Install, capfd: pytest.CaptureFixture[str], code: str) -> None:
    found = discover([install(code, "loud", "bad"), install(TINY_PLUGIN)])
    assert "plug-in bad (loud 1.0) prints when it is loaded: 'hello'" in found.problems
    print("still here")
    assert capfd.readouterr().out == "still here\n"


MEDDLES = {
    "folder": ("import os; os.chdir('/')", "the current folder"),
    "stdout": ("import sys; sys.stdout = None", "sys.stdout"),
    "exit": ("import sys; sys.exit = print", "sys.exit"),
    "print": ("import builtins; builtins.print = None", "builtins.print"),
    "deletes": ("import os; del os.getcwd", "os.getcwd"),
    "zoo": ("import zoo; zoo.Backbone = int", "zoo.Backbone"),
    "class": ("import zoo; zoo.Backbone.build = print", "zoo.interfaces.Backbone.build"),
    "module": ("import sys; sys.modules['zoo.errors'] = sys", "zoo.errors"),
    "environment": ("import os; os.environ['HOME'] = '/nowhere'", "$HOME"),
    "backend": ("import os; os.environ['KERAS_BACKEND'] = 'torch'", "$KERAS_BACKEND"),
    "before it fails": ("import os; os.chdir('/'); 1 / 0", "the current folder"),
}


@pytest.mark.parametrize(("code", "what"), MEDDLES.values(), ids=MEDDLES)
def test_what_a_plugin_changes_is_put_back(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "jax")

    def state() -> list[object]:
        return [
            Path.cwd(), dict(os.environ), sys.stdout, sys.exit, builtins.print, os.getcwd, package.Backbone,
            package.Backbone.build, sys.modules["zoo.errors"],
        ]  # fmt: skip

    before = state()
    found = discover([install(code, "meddler", "bad"), install(TINY_PLUGIN)])
    assert state() == before
    assert f"plug-in bad (meddler 1.0) changes {what} when it is loaded; undone" in found.problems
    assert found.names("backbone") == ["tiny"]


def test_the_command_line_goes_on_beside_all_of_them(install: Install, zoo: Zoo) -> None:
    culprits = {
        "prints": "print('{')", "exits": "raise SystemExit(0)", "hangs": HANGS["spins at import"],
        "meddles": MEDDLES["stdout"][0], "lacks": "import nothing_like_it",
    }  # fmt: skip
    for name, code in culprits.items():
        install(code, f"d-{name}", name)
    install(TINY_PLUGIN)
    done = zoo("list", "--json")
    assert done.returncode == 0
    assert "tiny" in [row["name"] for row in json.loads(done.stdout)]
    warnings = done.stderr.splitlines()
    assert len(warnings) == len(culprits)
    for name in culprits:
        assert any(line.startswith(f"warning: plug-in {name} (d-{name} 1.0) ") for line in warnings), name
    done = zoo("list", "--no-plugin", "prints", "--no-plugin", "d-exits", "--no-plugin", "hangs", "--debug")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning")]
    assert len(warnings) == 2
    assert "Traceback" in done.stderr


EXITS = """
import os, sys
from dataclasses import dataclass
import zoo

print("other was loaded", file=sys.stderr)

@dataclass(frozen=True)
class Exits(zoo.Backbone):
    name = "exits"
    weights: str = "none"
    def build(self, image_shape):
        raise SystemExit(0)

@zoo.hookimpl
def zoo_backbones():
    return [Exits]

@zoo.hookimpl
def zoo_models():
    return {"exits": {"backbone": "exits"}}
"""


def test_a_part_that_exits_is_a_failed_job(install: Install, zoo: Zoo, folds: Path, tmp_path: Path) -> None:
    """And a plug-in that the command leaves out is left out by the process that trains."""
    install(EXITS.replace("other was loaded", ""), "d-exits", "exits")
    install(EXITS.replace('"exits"', '"others"'), "d-other", "other")
    done = zoo("run", "exits", "--no-plugin", "other", "--data", folds, "--image-size", 32, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "backbone 'exits' (from d-exits 1.0) cannot be built for images (32, 32, 3): SystemExit: 0" in done.stdout
    job = tmp_path / "run/exits/fold-0"
    assert json.loads((job / "status.json").read_text())["state"] == "failed"
    assert "other was loaded" not in done.stderr + (job / "job.log").read_text()
