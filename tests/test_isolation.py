"""A plug-in that hangs, prints or meddles when it is loaded: named with its distribution, and without effect."""

from __future__ import annotations

import builtins
import contextlib
import gc
import json
import os
import resource
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import click
import keras
import pluggy
import pytest

import zoo as package
from tests.conftest import TINY_PLUGIN, Install, Zoo
from zoo.plugins import isolation
from zoo.plugins.discovery import discover


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
    assert found.problems == ["plug-in bad (slow 1.0) left out: TimeoutError: not done after 1 s"]
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
    "new variable": ("import os; os.environ['NOBODY_S'] = '1'", "$NOBODY_S"),
    "path": ("import sys; sys.path[:] = ['/nowhere']", "sys.path"),
    "finders": ("import sys; sys.meta_path.clear()", "sys.meta_path"),
    "recursion": ("import sys; sys.setrecursionlimit(70)", "the recursion limit"),
    "switching": ("import sys; sys.setswitchinterval(100)", "the switch interval"),
    "warnings": ("import warnings; warnings.simplefilter('error')", "warnings.filters"),
    "no warnings": ("import warnings; warnings.filters.clear()", "warnings.filters"),
    "umask": ("import os; os.umask(0o777)", "the umask"),
    "collector": ("import gc; gc.disable()", "garbage collection"),
    "json": ("import json; json.dumps = print", "json.dumps"),
    "click": ("import click; click.echo = print", "click.echo"),
    "pluggy": ("import pluggy; pluggy.PluginManager.register = print", "pluggy._manager.PluginManager.register"),
    "trace": ("import threading; threading.settrace(lambda *a: 1 / 0)", "threading._trace_hook"),
    "keras": ("import keras; keras.config.set_epsilon(1)", "keras.config.epsilon"),
    "limit": (
        "import resource as r; r.setrlimit(r.RLIMIT_CORE, (0, r.getrlimit(r.RLIMIT_CORE)[1]))", "resource.RLIMIT_CORE"
    ),
    "alarm": ("import signal; signal.setitimer(signal.ITIMER_REAL, 100)", "signal.setitimer"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "what"), MEDDLES.values(), ids=MEDDLES)
def test_what_a_plugin_changes_is_put_back(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    core = resource.getrlimit(resource.RLIMIT_CORE)
    if what == "resource.RLIMIT_CORE" and not core[1]:
        pytest.skip("no core is written here, whatever the soft limit")

    def state() -> list[object]:
        mask = os.umask(0)
        os.umask(mask)
        return [
            Path.cwd(), dict(os.environ), sys.stdout, sys.exit, builtins.print, os.getcwd, package.Backbone,
            package.Backbone.build, sys.modules["zoo.errors"], [*sys.path], [*sys.meta_path], sys.getrecursionlimit(),
            sys.getswitchinterval(), [*warnings.filters], mask, gc.isenabled(), json.dumps, click.echo,
            pluggy.PluginManager.register, threading.gettrace(), keras.config.epsilon(),
            resource.getrlimit(resource.RLIMIT_CORE), signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        ]  # fmt: skip

    if what == "signal.setitimer" and state()[-1]:
        pytest.skip("the alarm is that of pytest-timeout")
    resource.setrlimit(resource.RLIMIT_CORE, (core[1], core[1]))
    before = state()
    found = discover([install(code, "meddler", "bad"), install(TINY_PLUGIN)])
    assert state() == before
    resource.setrlimit(resource.RLIMIT_CORE, core)
    assert f"plug-in bad (meddler 1.0) changes {what} when it is loaded; undone" in found.problems
    assert found.names("backbone") == ["tiny"]


ALLOWED = """
import sys, warnings
class Own(Warning): ...
warnings.simplefilter("always", Own)
warnings.filterwarnings("ignore", message="of mine")
sys.meta_path.append(type(sys.meta_path[0]))
sys.path.append("/nowhere")
"""


def test_what_libraries_add_stays(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """six and setuptools add finders, numpy adds filters: whoever imports those does nothing wrong."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    with warnings.catch_warnings():
        finders = len(sys.meta_path)
        assert discover([install(ALLOWED)]).problems == []
        assert len(sys.meta_path) == finders + 1
        assert sys.path[-1] == "/nowhere"
        assert warnings.filters[1][2].__name__ == "Own"
    sys.path.remove("/nowhere")


LEAVES = {
    "thread": (
        "import threading\nend = threading.Event()\nthreading.Thread(target=end.wait, name='x', daemon=True).start()",
        "starts a thread (x)",
    ),
    "fork": ("import os\nif not os.fork(): os._exit(0)", "forks this process"),
    "fork that goes on": ("import os; os.fork()", "forks this process"),
}


@pytest.mark.parametrize(("code", "what"), LEAVES.values(), ids=LEAVES)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_what_nobody_can_undo_is_told(install: Install, code: str, what: str) -> None:
    found = discover([install(code, "leaver", "bad"), install(TINY_PLUGIN)])
    assert found.problems == [f"plug-in bad (leaver 1.0) {what} when it is loaded"]
    with contextlib.suppress(AttributeError):
        sys.modules["leaver_bad"].end.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_cannot_begin_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "_trace_hook", lambda *arguments: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    outcome = isolation.run(lambda: 1, 5)
    assert "ended before it began" in str(outcome.error)


def test_os_exit_is_an_error_while_a_plugin_is_loaded(install: Install) -> None:
    real = os._exit
    found = discover([install("from os import _exit; _exit(0)", "ends", "bad"), install(TINY_PLUGIN)])
    assert found.problems == ["plug-in bad (ends 1.0) left out: SystemExit: os._exit(0)"]
    assert os._exit is real
    text = "import os\nclass E(Exception):\n    def __str__(self): os._exit(5)\nraise E"
    assert discover([install(text, "late", "bad")]).problems == [
        "plug-in bad (late 1.0) left out: SystemExit: os._exit(5)"
    ]


def test_a_crash_tells_whose_it_is(install: Install, zoo: Zoo) -> None:
    install("import ctypes; ctypes.string_at(0)", "d-crashes", "crashes")
    done = zoo("list")
    assert done.returncode < 0
    assert '"<plug-in crashes (d-crashes 1.0); --no-plugin crashes>"' in done.stderr
    assert "d_crashes_crashes.py" in done.stderr


def test_a_plugin_that_replaces_json_offers_what_it_says(install: Install) -> None:
    code = TINY_PLUGIN + "import json; json.dumps = json.loads = lambda *a, **k: 'null'"
    assert discover([install(code)]).get("model", "tiny").value["schedule"] == "two-stage"


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
