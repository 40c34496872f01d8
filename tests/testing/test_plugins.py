"""The conformance kit on whole plug-ins: installed wrongly, in an author's test file, and trackers."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import zoo.testing
from tests.conftest import Install
from tests.faulty_networks import Good
from zoo import ConfigError, PluginError, hookspecs
from zoo.evaluation import metrics
from zoo.plugins.hooks import HOOKS
from zoo.testing import sample_run

EXAMPLE = """
from dataclasses import dataclass

import zoo


@dataclass(frozen=True)
class Small(zoo.Backbone):
    '''Three convolutions. `width`: channels of the first.'''

    name = "small"
    width: int = 32  # registry.toml may say backbone = { name = "small", width = 64 }

    def build(self, image_shape):
        import keras

        inputs = x = keras.Input(image_shape)
        for number, factor in enumerate((1, 2, 4)):
            x = keras.layers.Conv2D(factor * self.width, 3, strides=2, activation="relu", name=f"block{number}")(x)
        return keras.Model(inputs, x)


@zoo.hookimpl
def zoo_backbones():
    return [Small]


@zoo.hookimpl
def zoo_models():
    return {"small": {"backbone": "small"}}
"""


def check(part: Any, name: str) -> Any:
    return next(check for check in zoo.testing.checks(part) if check.name == name)


def module(install: Install, code: str, name: str = "zoo_mine") -> ModuleType:
    """A plug-in that is installed, imported."""
    install(code, "zoo-mine", "mine", module=name)
    return importlib.import_module(name)


# --- is it offered, and what does importing it do ---------------------------------------------------------------------

SMALL = re.sub("  # registry.toml may .*", "  # channels", EXAMPLE).replace('"small"', '"mine"')
NOT_OFFERED = {
    "hook misspelt": (SMALL.replace("def zoo_backbones", "def zoo_backbone"), "did you mean 'zoo_backbones'"),
    "hook undecorated": (SMALL.replace("@zoo.hookimpl\ndef zoo_backbones", "def zoo_backbones"), "@zoo.hookimpl"),
    "left out of the list": (SMALL.replace("[Small]", "[]"), r"zoo_backbones\(\) doesn't return Small: add it there"),
    "other zoo": (SMALL + 'ZOO_API = ">=2"', "for version >=2 of the plug-in interface.*mend /"),
    "another of that name": (
        SMALL
        + "\n@dataclass(frozen=True)\nclass Other(Small):\n    '''Another.'''\n"
        + "\nzoo_backbones = zoo.hookimpl(lambda: [Other])\n",
        "offers zoo_mine.Other under this name, not zoo_mine.Small",
    ),
}


@pytest.mark.parametrize(("code", "said"), NOT_OFFERED.values(), ids=NOT_OFFERED)
def test_a_part_that_is_not_offered(install: Install, code: str, said: str) -> None:
    part = module(install, code).Small
    with pytest.raises(AssertionError, match=re.compile(said, re.DOTALL)):
        check(part, "is_offered")()


def test_a_part_that_is_not_installed(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError) as raised:
        check(Good, "is_offered")()
    assert 'pip install -e .\n\n[project.entry-points.zoo]\ngood = "tests"' in str(raised.value)
    part = module(install, SMALL).Small
    check(part, "is_offered")()
    monkeypatch.setenv("ZOO_PLUGINS", "-mine")
    with pytest.raises(AssertionError, match="ZOO_PLUGINS=-mine switches plug-ins off here"):
        check(part, "is_offered")()


def test_a_name_that_two_claim(install: Install) -> None:
    part = module(install, SMALL).Small
    install(SMALL, "zoo-rival", "rival", module="zoo_rival")
    with pytest.raises(AssertionError, match=r"claimed by plug-ins mine \(zoo-mine 1.0\) and rival \(zoo-rival 1.0\)"):
        check(part, "is_offered")()


IMPORTS = {
    "heavy": ("import pandas\n", "importing zoo_mine imports pandas"),
    "prints": ("print('hello')\n", "prints 'hello"),
    "changes": ("import os\nos.environ['OF_MINE'] = str(os.getpid())\n", "changes $OF_MINE"),
}


@pytest.mark.parametrize(("code", "said"), IMPORTS.values(), ids=IMPORTS)
def test_work_at_import_is_found(install: Install, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    monkeypatch.setenv("OF_MINE", "8")  # put back in this process
    part = module(install, code + SMALL).Small
    with pytest.raises(AssertionError, match=re.escape(said)):
        check(part, "imports_nothing_heavy")()


@pytest.mark.slow
def test_a_small_plugin_passes(install: Install) -> None:
    for conforms in zoo.testing.checks(module(install, EXAMPLE).Small):
        conforms()


# --- as an author uses it ---------------------------------------------------------------------------------------------

AUTHORS = """
from dataclasses import dataclass
import zoo

@dataclass(frozen=True)
class Slow(zoo.Schedule):
    name = "slow"

    def stages(self):
        raise RuntimeError("no luck")  # here

@zoo.hookimpl
def zoo_schedules():
    return [Slow]
"""
TEST_FILE = """
import zoo.testing
from zoo_mine import Slow

test_slow = zoo.testing.conformance(Slow())
"""


def test_one_line_in_a_test_file(install: Install, tmp_path: Path) -> None:
    """Readable ids, none of our code in what is said of a failure, and the author's own where that raises."""
    install(AUTHORS, "zoo-mine", "mine", module="zoo_mine")
    (tmp_path / "test_mine.py").write_text(TEST_FILE)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-k",
            "is_offered or has_docs or gives_stages",
            "test_mine.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert "test_mine.py::test_slow[slow-is_offered] PASSED" in done.stdout
    assert "test_mine.py::test_slow[slow-has_docs] FAILED" in done.stdout
    failures = done.stdout.partition("= FAILURES =")[2].partition("short test summary")[0]
    documented, staged = failures.split("_ test_slow[slow-gives_stages] _")
    assert "class Slow has no docstring" in documented
    assert "Error" not in documented and ".py" not in documented
    assert "schedule 'slow' (from zoo-mine 1.0) gives no stages: RuntimeError: no luck" in staged
    assert 'raise RuntimeError("no luck")  # here' in staged


def test_what_is_no_part_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is no part: give an instance or a class of zoo.Backbone"):
        zoo.testing.checks(object())  # type: ignore[arg-type]
    nameless = dataclass(frozen=True)(type("Nameless", (Good,), {"name": None}))
    with pytest.raises(ConfigError, match="Nameless has no name: give it a class variable `name`"):
        zoo.testing.checks(nameless)
    with pytest.raises(ConfigError, match=r"Stages cannot be made without parameters .*conformance\(Stages\(…\)\)"):
        zoo.testing.checks(importlib.import_module("zoo_schedules").Stages)


def test_zoo_alone_loads_no_kit() -> None:
    code = "import zoo, sys; sys.exit('zoo.testing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    code = "import zoo.testing, zoo_scratch, sys; zoo.testing.checks(zoo_scratch.ScratchCNN)\n"
    code += "sys.exit(bool({'keras', 'pytest', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- backends -------------------------------------------------------------------------------------------------------

ELSEWHERE = "jax" if os.environ.get("KERAS_BACKEND", "tensorflow") != "jax" else "torch"
DECLARED = SMALL.replace('name = "mine"', f'name = "mine"\n    backends = ("{ELSEWHERE}",)')


def test_a_part_for_another_backend(install: Install) -> None:
    """The kit says under which to run it, and the core refuses it."""
    pytest.importorskip("keras")
    from zoo.testing.networks import PlainHead
    from zoo.training.model import assemble

    part = module(install, DECLARED).Small
    check(part, "is_offered")()
    names = [check.name for check in zoo.testing.checks(part)]
    assert [name for name in names if name.startswith("works_with")] == [f"works_with_{ELSEWHERE}"]
    with pytest.raises(AssertionError, match=f"run the tests as KERAS_BACKEND={ELSEWHERE} pytest, or put this at"):
        check(part, "builds")()
    with pytest.raises(PluginError, match=f"'mine' .*works under Keras' backend {ELSEWHERE} only.*set KERAS_BACKEND="):
        assemble(part(weights="none"), PlainHead(), (64, 64, 3), 2)


def test_backends_that_are_none(install: Install) -> None:
    part = module(install, DECLARED.replace(f'("{ELSEWHERE}",)', '"torch"')).Small
    with pytest.raises(AssertionError, match="backends = 'torch'; it must be a tuple of tensorflow, jax, torch"):
        check(part, "is_offered")()


# --- trackers -------------------------------------------------------------------------------------------------------

TRACKER = '''"""Appends to a file."""
import json
import zoo

@zoo.hookimpl
def zoo_job_ended(run, job, result):
    with open("told.jsonl", "a") as file:
        file.write(json.dumps({"job": job["title"], **result}))
'''
TRACKER_FAULTS = {
    "no docs": (TRACKER.replace('"""Appends to a file."""', ""), "has_docs", "the module has no docstring"),
    "no hook": ('"""Idle."""', "has_hooks", r"define zoo_run_started\(run\) or zoo_epoch_ended\(run, job, epoch\)"),
    "unknown argument": (TRACKER.replace("(run, job", "(run, fold"), "has_hooks", r"run, fold, result\) Argument"),
    "async": (TRACKER.replace("def zoo", "async def zoo"), "has_hooks", "must be a plain function"),
    "heavy": ("import pandas\n" + TRACKER, "imports_nothing_heavy", "imports pandas"),
    "metrics wanted": (
        TRACKER + "        result['metrics']['test']['auc']\n",
        "takes_a_run",
        r"zoo_job_ended fails in the first session of a sample run \(failed\): TypeError: 'NoneType'.*metrics",
    ),
    "keys counted": (
        TRACKER + "\n@zoo.hookimpl\ndef zoo_epoch_ended(epoch):\n    assert len(epoch) == 11",
        "takes_a_run",
        "zoo_epoch_ended fails in the first session of a sample run: AssertionError.*further keys",
    ),
    "exits": (TRACKER + "    raise SystemExit(3)", "takes_a_run", "SystemExit: 3"),
    "dies": (TRACKER + "    import os\n    os._exit(3)", "takes_a_run", r"ended the whole process \(status 3\)"),
}


@pytest.mark.parametrize(("code", "name", "said"), TRACKER_FAULTS.values(), ids=TRACKER_FAULTS)
def test_a_faulty_tracker_is_found_out(install: Install, code: str, name: str, said: str) -> None:
    with pytest.raises(AssertionError, match=re.compile(said, re.DOTALL)):
        check(module(install, code), name)()


def test_a_good_tracker_passes(install: Install) -> None:
    found = zoo.testing.checks(module(install, TRACKER))
    assert [conforms.name for conforms in found] == [
        "is_offered",
        "has_docs",
        "imports_nothing_heavy",
        "has_hooks",
        "takes_a_run",
    ]
    assert found[-1].__name__ == "zoo_mine-takes_a_run"
    for conforms in found:
        conforms()


def test_a_tracker_that_is_not_installed() -> None:
    with pytest.raises(AssertionError, match="no installed plug-in declares the module tests"):
        check(importlib.import_module("tests.parts"), "is_offered")()


def test_the_sample_run_has_what_the_hooks_promise(tmp_path: Path) -> None:
    """Every key that the docs of a hook name is there, and scores are those of metrics.json."""
    calls = [call for resumed in (False, True) for call in sample_run.calls(str(tmp_path), resumed)]
    assert {hook for hook, _ in calls} == {name for name, arguments in HOOKS.items() if arguments}
    for hook, arguments in calls:
        assert list(arguments) == HOOKS[hook]
        given = {"job", *(key for argument in arguments.values() for key in argument), *arguments}
        assert set(re.findall(r"`([a-z_]+)`", inspect.getdoc(getattr(hookspecs, hook)) or "")) <= given
    scores = metrics.score(np.array([0, 1]), np.array([[0.7, 0.3], [0.4, 0.6]]))
    assert set(scores) == set(sample_run.SCORES)
