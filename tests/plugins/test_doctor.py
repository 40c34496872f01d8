"""zoo plugins doctor: what is wrong with a plug-in, with its distribution, and how to mend it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import TINY_PLUGIN, Install, Zoo
from zoo.plugins.discovery import discover
from zoo.plugins.doctor import examine

BACKBONE = '''
from dataclasses import dataclass
import zoo

class Unknown: ...

@dataclass(frozen=True)
class B(zoo.Backbone):
    """A backbone."""
    name = "mine"
    def build(self, image_shape): ...

@zoo.hookimpl
def zoo_backbones():
    return [B]
'''
FIELD = 'name = "mine"\n    field: {} = None'
TYPED = "from __future__ import annotations\n" + BACKBONE

CASES = {
    "missing package": ("import nothing_like_it", "No module named 'nothing_like_it'", "pip install nothing_like_it"),
    "newer zoo": ("from zoo import Widget", "cannot import name 'Widget'", "this is zoo 0.1.0 with plug-in interface"),
    "newer zoo's name": ("import zoo\nzoo.Widget", "no attribute 'Widget'", "upgrade zoo, or install the d-bad"),
    "newer zoo's module": ("import zoo.widgets", "No module named 'zoo.widgets'", "has no such module"),
    "newer interface": ("ZOO_API = '>=2'", "for version >=2", "--no-plugin bad"),
    "misspelt hook": (BACKBONE.replace("zoo_backbones", "zoo_backbone"), "did you mean 'zoo_backbones'", "mend /"),
    "wrong signature": (BACKBONE.replace(", image_shape", ""), "must take (self, image_shape)", "mend /"),
    "syntax": ("def (", "SyntaxError", "mend line 1 of"),
    "exits": ("raise SystemExit(1)", "SystemExit: 1", "raise an exception"),
    "any other": ("1 / 0", "ZeroDivisionError: division by zero", "zoo plugins doctor --debug shows where"),
    "adds nothing": ("import zoo", "adds nothing", "decorated with @zoo.hookimpl"),
    "prints": (BACKBONE + "print('hello')", "prints when it is loaded: 'hello'", "inside methods"),
    "meddles": (BACKBONE + "import os; os.chdir('/')", "changes the working folder", "inside methods"),
    "heavy": (BACKBONE + "import a_heavy_library", "imports a_heavy_library when it is loaded", "inside methods"),
    "unheard-of type": (
        BACKBONE.replace('name = "mine"', FIELD.format("Unknown")),
        "backbone 'mine' cannot be used: its fields have types that zoo cannot check",
        "mend /",
    ),
    "undefined type": (TYPED.replace('name = "mine"', FIELD.format("Undefined")), "'Undefined' is not defined", "mend"),
}


@pytest.mark.parametrize(("code", "fault", "remedy"), CASES.values(), ids=CASES)
def test_each_fault_has_a_remedy(
    install: Install, monkeypatch: pytest.MonkeyPatch, code: str, fault: str, remedy: str
) -> None:
    install("", "heavy", "heavy", module="a_heavy_library")
    monkeypatch.setattr("zoo.plugins.isolation.HEAVY", ("a_heavy_library",))
    (finding,) = examine(discover([install(code, "d-bad", "bad"), install(TINY_PLUGIN)]))
    assert finding.plugin == "bad (d-bad 1.0)"
    assert fault in finding.fault
    assert remedy in finding.remedy


def test_a_module_that_is_not_there(install: Install) -> None:
    point = install("", "d-bad", "bad", module="there")
    (finding,) = examine(discover([type(point)("bad", "not_there", "zoo")]))
    assert "install it again" in finding.remedy


def test_a_clash_names_both_and_what_leaves_out_one(install: Install) -> None:
    points = [install(BACKBONE, "first", "same"), install(BACKBONE, "second", "same")]
    (finding,) = examine(discover(points))
    assert finding.plugin == "same (first 1.0) and same (second 1.0)"
    assert "both claim the backbone 'mine'" in finding.fault
    assert "--no-plugin first or --no-plugin second" in finding.remedy


def test_the_shipped_plugins_are_well(zoo: Zoo) -> None:
    done = zoo("plugins", "doctor")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("faults: none\n")


MODEL = "import zoo\n@zoo.hookimpl\ndef zoo_models(): return {'mine': {'backbone': 'nobody-s'}}"


ENDS = "ends the whole process when it is loaded or its models are made"


def test_the_command_survives_what_nothing_can_stop(install: Install, zoo: Zoo) -> None:
    """One that ends the process at once and one that crashes it; of the others all is said as ever."""
    install("import ctypes; ctypes.CDLL(None)._exit(0)", "d-ends", "ends")
    install("import os; os.abort()", "d-crashes", "crashes")
    install("import nothing_like_it", "d-lacks", "lacks")
    install(TINY_PLUGIN)
    done = zoo("plugins", "doctor", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    faults = {finding["plugin"]: finding["fault"] for finding in told["findings"]}
    assert faults == {
        "ends (d-ends 1.0)": f"{ENDS} (ended with status 0)",
        "crashes (d-crashes 1.0)": f"{ENDS} (was killed by SIGABRT)",
        "lacks (d-lacks 1.0)": "ModuleNotFoundError: No module named 'nothing_like_it'",
    }
    tiny = next(plugin for plugin in told["plugins"] if plugin["name"] == "tiny")
    assert tiny["adds"]["backbone"] == ["tiny"]
    assert {"ends", "crashes", "lacks", "heads"} <= {plugin["name"] for plugin in told["plugins"]}


def test_the_module_to_mend_is_named_where_it_is_told(install: Install, tmp_path: Path) -> None:
    (finding,) = examine(discover([install("1 / 0", "d-bad", "bad")]))
    assert f"mend {tmp_path}/site/d_bad_bad.py, or" in finding.remedy


SCHEDULE = """
from dataclasses import dataclass
import zoo

@dataclass(frozen=True)
class S(zoo.Schedule):
    \"\"\"A schedule.\"\"\"
    name = "{name}"
    def __post_init__(self): {made}
    def stages(self): {stages}

@zoo.hookimpl
def zoo_schedules(): return [S]
@zoo.hookimpl
def zoo_models():
    return {{"{name}": {{"schedule": "{name}"}}, "{name}-2": {{"schedule": "{name}"}}}}
"""
ONE = "return [zoo.Stage('a', 1, 1, 0.1)]"
FAULTY = {
    "interrupts": ("pass", "raise KeyboardInterrupt", "gives no stages: KeyboardInterrupt"),
    "exits": ("raise SystemExit(3)", ONE, "cannot be made: SystemExit: 3"),
    "hangs": ("import time; time.sleep(300)", ONE, "cannot be made: TimeoutError: not done after 2 s"),
    "endless": ("pass", "import itertools; return itertools.repeat(1)", "gives more than 1000 stages"),
    "unhashable": ("pass", "return [zoo.Stage(['a'], 1, 1, 0.1)] * 2", ""),
}


def test_parts_that_no_model_can_be_made_of(install: Install, zoo: Zoo) -> None:
    """Each is named where models are listed, and by the doctor; the others are listed as ever."""
    for name, (made, stages, _) in FAULTY.items():
        install(SCHEDULE.format(name=name, made=made, stages=stages), f"d-{name}", name)
    install(TINY_PLUGIN)
    done = zoo("list", "--json", ZOO_PLUGIN_TIMEOUT="2")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert "problem" not in rows["tiny"]
    doctor = zoo("plugins", "doctor", ZOO_PLUGIN_TIMEOUT="2")
    assert "Traceback" not in doctor.stderr + doctor.stdout
    for name, (_, _, says) in FAULTY.items():
        for model in (name, f"{name}-2"):
            assert f"schedule '{name}' (from d-{name} 1.0) {says}" in rows[model]["problem"]
        assert f"{name} (d-{name} 1.0): model '{name}' cannot be used" in doctor.stdout
    assert f"plug-ins: {9 + 6}, faults: {2 * len(FAULTY)}\n" in doctor.stdout


def test_the_model_that_crashes_is_found(install: Install, zoo: Zoo) -> None:
    install(SCHEDULE.format(name="crashes", made="import os; os.abort()", stages=ONE), "d-crashes", "crashes")
    done = zoo("plugins", "doctor")
    assert done.returncode == 1
    assert "crashes (d-crashes 1.0): ends the whole process when it is loaded or its models are made" in done.stdout
    assert done.stdout.endswith("faults: 1\n")
    assert done.stderr == ""


def test_a_model_that_cannot_be_built_is_found(install: Install, zoo: Zoo) -> None:
    install(MODEL, "d-bad", "bad")
    done = zoo("plugins", "doctor")
    assert done.returncode == 1
    assert "bad (d-bad 1.0): model 'mine' cannot be used: d-bad: models.mine.backbone: unknown backbone" in done.stdout
