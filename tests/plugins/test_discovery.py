"""Discovery: each plug-in by itself, faulty ones left out in one line, clashes refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import TINY_PLUGIN, Install, Main, Zoo
from zoo.errors import ConfigError, PluginError
from zoo.plugins.discovery import discover, switch_off

HEAD = '''
from dataclasses import dataclass
import zoo

@dataclass(frozen=True)
class H(zoo.Head):
    """A head."""
    name = "mine"
    def build(self, features, classes): ...

@zoo.hookimpl
def zoo_heads():
    return [H]
'''


def test_the_shipped_plugins_are_found() -> None:
    found = discover()
    assert found.problems == []
    assert "efficientnet-b0" in found.names("backbone")
    assert found.get("head", "pooled").plugin.distribution == "zoo"


def test_a_plugin_says_what_it_adds(install: Install) -> None:
    found = discover([install(TINY_PLUGIN)])
    (plugin,) = found.found
    assert plugin.adds == {
        "backbone": ["tiny"],
        "model": ["tiny", "tiny-long", "tiny-nan"],
        "schedule": ["two-stage", "diverging"],
    }
    assert str(plugin) == "tiny (zoo-tiny 1.0)"
    assert plugin.seconds > 0


FAULTS = {
    "missing package": ("import a_package_that_nobody_has", "No module named 'a_package_that_nobody_has'"),
    "raises at import": ("raise RuntimeError('no\\nluck')", "RuntimeError: no luck"),
    "exits at import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "error without text": ("class E(Exception):\n    def __str__(self): return 1 / 0\nraise E", "E: no message"),
    "endless text": ("raise ValueError('many words ' * 10**6)", " …"),
    "syntax error": ("def (", "SyntaxError"),
    "misspelt hook": (HEAD.replace("def zoo_heads", "def zoo_head"), "zoo_head"),
    "undecorated hook": (HEAD.replace("@zoo.hookimpl", ""), "zoo_heads is no hook: decorate it with @zoo.hookimpl"),
    "unknown argument": (HEAD.replace("heads()", "heads(extra)"), "zoo_heads(extra) Argument(s) {'extra'} are"),
    "hook exits": (HEAD.replace("return [H]", "raise SystemExit(0)"), "SystemExit: 0"),
    "generator": (HEAD.replace("return [H]", "yield H; 1 / 0"), "must be a plain function, without async or yield"),
    "dict": (HEAD.replace("[H]", "{'mine': H}"), "must return a list of classes, not {'mine': <class"),
    "hook raises": (HEAD.replace("return [H]", "1 / 0"), "ZeroDivisionError"),
    "returns nothing": (HEAD.replace("return [H]", "pass"), "zoo_heads must return a list of classes, not None"),
    "returns an instance": (HEAD.replace("[H]", "[H()]"), "no subclass of zoo.Head"),
    "wrong kind": (HEAD.replace("zoo_heads", "zoo_backbones"), "no subclass of zoo.Backbone"),
    "no name": (HEAD.replace('name = "mine"', ""), "H, which has no name"),
    "odd name": (HEAD.replace('"mine"', '"../mine"'), "H, with the name '../mine'; use at most 100 letters"),
    "one name twice": (HEAD.replace("[H]", "[H, H]"), "returned two classes named 'mine'"),
    "wrong signature": (HEAD.replace("features, classes", "x"), "build(self, x) must take (self, features, classes)"),
    "newer interface": (HEAD + 'ZOO_API = ">=2"', "for version >=2 of the plug-in interface, and this zoo has 1.0"),
    "older interface": (HEAD + 'ZOO_API = "<1"', "for version <1 of the plug-in interface"),
    "no range": (HEAD + 'ZOO_API = "soon"', "ZOO_API must be a range of versions such as '>=1,<2', not 'soon'"),
    "range no text": (HEAD + "ZOO_API = 1", "ZOO_API must be a range of versions such as '>=1,<2', not 1"),
    "abstract": (HEAD.replace("def build(self, features, classes): ...", ""), "H, which lacks build"),
    "no dataclass": (HEAD.replace("@dataclass(frozen=True)", ""), "decorate it with @dataclass(frozen=True)"),
    "not frozen": (HEAD.replace("frozen=True", ""), "cannot inherit non-frozen"),
    "no default": (HEAD.replace('name = "mine"', 'name = "mine"\n    units: int'), "units has no default"),
    "model named as a path": ("import zoo\n@zoo.hookimpl\ndef zoo_models(): return {'a/b': {}}", "names a model 'a/b'"),
    "model named as a file of runs": (
        "import zoo\n@zoo.hookimpl\ndef zoo_models(): return {'Summary.csv': {}}",
        "names a model 'Summary.csv'; a run folder has an entry of that name",
    ),
    "long name of a model": (
        "import zoo\n@zoo.hookimpl\ndef zoo_models(): return {'a' * 101: {}}",
        "use at most 100 letters",
    ),
    "async": (HEAD.replace("def zoo_heads", "async def zoo_heads"), "must be a plain function, without async or yield"),
    "too many models": (
        "import zoo\n@zoo.hookimpl\ndef zoo_models(): return {f'm{i}': {} for i in range(1001)}",
        "zoo_models returned 1001 models; 1000 are the most",
    ),
    "models no mapping": ("import zoo\n@zoo.hookimpl\ndef zoo_models(): return ['a']", "a mapping of names"),
}


@pytest.mark.parametrize(("code", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_plugin_is_left_out_in_one_line(install: Install, code: str, says: str) -> None:
    found = discover([install(code, "faulty", "bad"), install(TINY_PLUGIN)])
    (problem,) = found.problems
    assert problem.startswith("plug-in bad (faulty 1.0) left out: ")
    assert says in problem
    assert "\n" not in problem
    assert found.names("backbone") == ["tiny"]
    assert found.names("head") == []


def test_a_name_that_two_plugins_claim_is_refused(install: Install) -> None:
    found = discover([install(HEAD, "first"), install(HEAD, "second"), install(TINY_PLUGIN)])
    assert found.names("head") == []
    with pytest.raises(PluginError, match=r"head 'mine' is claimed .*first 1\.0.* and .*second 1\.0"):
        found.get("head", "mine")
    assert len(found.problems) == 1
    assert found.get("backbone", "tiny")


def test_two_distributions_may_use_one_entry_point_name(install: Install) -> None:
    """pluggy's own loader silently skips the second of them."""
    found = discover([install(HEAD, "first", "same"), install(TINY_PLUGIN, "second", "same")])
    assert found.problems == []
    assert found.names("head") == ["mine"]
    assert found.names("backbone") == ["tiny"]


def test_a_plugin_for_this_interface_is_loaded(install: Install) -> None:
    assert discover([install(HEAD + 'ZOO_API = ">=1,<2"')]).names("head") == ["mine"]


METHODS = [
    "@staticmethod\n    def build(f, c): ...",
    "def build(self, *inputs): ...",
    "def build(self, f, c, more=3): ...",
]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_may_take_what_it_is_given_in_any_way(install: Install, method: str) -> None:
    code = HEAD.replace("def build(self, features, classes): ...", method)
    assert discover([install(code)]).names("head") == ["mine"]


SWITCHES = {
    "": ["mine", "tiny"],
    "none": [],
    "one": ["mine"],
    "zoo-tiny": ["tiny"],
    "two, one": ["mine", "tiny"],
    "-one": ["tiny"],
    "-one,-zoo-tiny": [],
    "one,two,-one": ["tiny"],
}


@pytest.mark.parametrize(("wanted", "offered"), SWITCHES.items(), ids=SWITCHES)
def test_plugins_are_switched_off(
    install: Install, monkeypatch: pytest.MonkeyPatch, wanted: str, offered: list[str]
) -> None:
    install(HEAD, "zoo-mine", "one")
    install(TINY_PLUGIN, "zoo-tiny", "two")
    monkeypatch.setenv("ZOO_PLUGINS", wanted)
    found = discover()
    assert [name for name in (*found.names("head"), *found.names("backbone")) if name in ("mine", "tiny")] == offered
    assert found.problems == []
    assert ("pooled" in found.names("head")) == (not wanted or wanted.startswith("-"))


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ZOO_PLUGINS", "oen", r"unknown plug-in 'oen'; did you mean 'one'\? known: .*heads, .*one"),
        ("ZOO_PLUGIN_TIMEOUT", "long", "is 'long'; it must be a number of seconds"),
    ],
)
def test_a_wrong_switch_is_refused(
    install: Install, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    install(HEAD, "zoo-mine", "one")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=says):
        discover()


@pytest.mark.parametrize(
    ("declared", "says"),
    [("[zoo]\nbad = no module!\n", "'no module!' is no module"), ("[zoo]\nbad", "entry_points.txt cannot be read")],
    ids=["no module", "no entry point"],
)
def test_damaged_metadata_cost_the_others_nothing(install: Install, tmp_path: Path, declared: str, says: str) -> None:
    install(HEAD, "broken", "bad")
    install(TINY_PLUGIN)
    (tmp_path / "site/broken-1.0.dist-info/entry_points.txt").write_text(declared)
    for found in (discover(), discover()):
        (problem,) = found.problems
        assert "(broken 1.0)" in problem
        assert says in problem
    assert {"tiny", "efficientnet-b0"} <= set(found.names("backbone"))


@pytest.mark.parametrize("declared", [b"[zoo]\nbad\n", b"[zoo]\nb\xff\xfead = broken\n"], ids=["no value", "no UTF-8"])
def test_damaged_metadata_cost_the_command_line_nothing(
    install: Install, tmp_path: Path, zoo: Zoo, declared: bytes
) -> None:
    install(HEAD, "broken", "bad")
    install(TINY_PLUGIN)
    (tmp_path / "site/broken-1.0.dist-info/entry_points.txt").write_bytes(declared)
    done = zoo("list")
    assert done.returncode == 0, done.stderr
    assert "tiny-long" in done.stdout
    assert done.stderr.startswith("warning: plug-in ? (broken 1.0) left out: its entry_points.txt cannot be read")
    done = zoo("plugins", "doctor")
    assert done.stdout.endswith("faults: 1\n"), done.stdout  # nobody else is blamed
    assert "to mend it: pip install --force-reinstall broken, pip uninstall broken, or delete /" in done.stdout
    assert "broken-1.0.dist-info" in done.stdout


def test_no_plugin_takes_names_with_commas(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "")
    switch_off(["heads, scratch", "augment"])
    assert os.environ["ZOO_PLUGINS"] == "-heads,-scratch,-augment"


def test_an_unknown_name_names_plugins_that_were_left_out(install: Install, main: Main) -> None:
    for name in ("aaaa", "bad", "cccc", "dddd", "eeee"):
        install(f"raise RuntimeError('no {name}')", f"zoo-{name}", name)
    install(TINY_PLUGIN)
    for arguments in (["show", "bad"], ["run", "bad"], ["run", "tiny", "--tracker", "bad"]):
        status, _, errors = main(*arguments)
        assert status == 2
        (line,) = [line for line in errors.splitlines() if line.startswith("zoo: ")]
        assert "'bad'" in line
        assert "plug-in bad (zoo-bad 1.0) was left out: RuntimeError: no bad; plug-in" in line
        assert line.endswith("; 2 more were left out; zoo plugins doctor says how to mend it")


def test_an_unknown_name_is_answered_with_the_known_ones(install: Install) -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'tinny'; did you mean 'tiny'\? known: tiny"):
        discover([install(TINY_PLUGIN)]).get("backbone", "tinny")
