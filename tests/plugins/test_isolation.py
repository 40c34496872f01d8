"""A plug-in that hangs, prints or changes settings when it is loaded: named, and without effect."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import keras
import pytest

from tests.conftest import TINY_PLUGIN, Install, Zoo
from zoo.plugins.discovery import discover


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "1")


HANGS = {
    "at import": "import time; time.sleep(60)",
    "in a hook": "import time, zoo\n@zoo.hookimpl\ndef zoo_heads():\n    time.sleep(60)",
}


@pytest.mark.parametrize(("case", "code"), HANGS.items(), ids=HANGS)
def test_a_plugin_that_hangs_is_given_up(install: Install, case: str, code: str) -> None:
    started = time.monotonic()
    module = case.replace(" ", "_")  # one that sleeps keeps the lock of its name
    found = discover([install(code, "slow", "bad", module), install(TINY_PLUGIN)])
    assert time.monotonic() - started < 30
    assert found.problems == ["plug-in bad (slow 1.0) left out: TimeoutError: not done after 1 s"]
    assert found.names("backbone") == ["tiny"]


def test_ctrl_c_is_not_the_plugin_s(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    out = sys.stdout
    try:
        with pytest.raises(KeyboardInterrupt):
            discover([install("import _thread, time; _thread.interrupt_main(); time.sleep(0.3)")])
    finally:
        signal.signal(signal.SIGINT, before)
    assert sys.stdout is out


@pytest.mark.parametrize("code", ["print('hello')", "print('hello'); 1 / 0"], ids=["prints", "and fails"])
def test_what_a_plugin_prints_is_caught(install: Install, capfd: pytest.CaptureFixture[str], code: str) -> None:
    found = discover([install(code, "loud", "bad"), install(TINY_PLUGIN)])
    assert "plug-in bad (loud 1.0) prints when it is loaded: 'hello'" in found.problems
    print("still here")
    assert capfd.readouterr().out == "still here\n"


MEDDLES = {
    "folder": ("import os; os.chdir('/')", "the working folder"),
    "environment": ("import os; os.environ['HOME'] = '/nowhere'", "$HOME"),
    "backend": ("import os; os.environ['KERAS_BACKEND'] = 'torch'", "$KERAS_BACKEND"),
    "before it fails": ("import os; os.chdir('/'); 1 / 0", "the working folder"),
    "new variable": ("import os; os.environ['NOBODY_S'] = '1'", "$NOBODY_S"),
    "keras": ("import keras; keras.config.set_epsilon(1)", "keras.config.epsilon"),
}


@pytest.mark.parametrize(("code", "what"), MEDDLES.values(), ids=MEDDLES)
def test_what_a_plugin_changes_is_put_back(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "jax")

    def state() -> list[object]:
        return [Path.cwd(), dict(os.environ), keras.config.epsilon()]

    before = state()
    found = discover([install(code, "meddler", "bad"), install(TINY_PLUGIN)])
    assert state() == before
    assert f"plug-in bad (meddler 1.0) changes {what} when it is loaded; undone" in found.problems
    assert found.names("backbone") == ["tiny"]


def test_a_crash_tells_where_it_was(install: Install, zoo: Zoo) -> None:
    install("import ctypes; ctypes.string_at(0)", "d-crashes", "crashes")
    done = zoo("list")
    assert done.returncode < 0
    assert "d_crashes_crashes.py" in done.stderr


def test_the_command_line_goes_on_beside_all_of_them(install: Install, zoo: Zoo) -> None:
    culprits = {
        "prints": "print('{')",
        "exits": "raise SystemExit(0)",
        "hangs": HANGS["at import"],
        "meddles": MEDDLES["folder"][0],
        "lacks": "import nothing_like_it",
    }
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
