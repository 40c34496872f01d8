"""Discovery: each plug-in by itself, faulty ones left out in one line, clashes refused by name."""

from __future__ import annotations

import pytest

from tests.conftest import TINY_PLUGIN, Install
from zoo.errors import ConfigError, PluginError
from zoo.plugins import discover

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
    "exits at import": ("import sys; sys.exit(3)", "SystemExit"),
    "syntax error": ("def (", "SyntaxError"),
    "misspelt hook": (HEAD.replace("def zoo_heads", "def zoo_head"), "zoo_head"),
    "unknown argument": (HEAD.replace("zoo_heads()", "zoo_heads(extra)"), "extra"),
    "hook raises": (HEAD.replace("return [H]", "1 / 0"), "ZeroDivisionError"),
    "returns nothing": (HEAD.replace("return [H]", "pass"), "zoo_heads must return a list of classes, not None"),
    "returns an instance": (HEAD.replace("[H]", "[H()]"), "no subclass of zoo.Head"),
    "wrong kind": (HEAD.replace("zoo_heads", "zoo_backbones"), "no subclass of zoo.Backbone"),
    "no name": (HEAD.replace('name = "mine"', ""), "H, which has no name"),
    "abstract": (HEAD.replace("def build(self, features, classes): ...", ""), "H, which lacks build"),
    "no dataclass": (HEAD.replace("@dataclass(frozen=True)", ""), "decorate it with @dataclass(frozen=True)"),
    "not frozen": (HEAD.replace("frozen=True", ""), "cannot inherit non-frozen"),
    "no default": (HEAD.replace('name = "mine"', 'name = "mine"\n    units: int'), "units has no default"),
    "model named as a path": ("import zoo\n@zoo.hookimpl\ndef zoo_models(): return {'a/b': {}}", "names a model 'a/b'"),
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


def test_an_unknown_name_is_answered_with_the_known_ones(install: Install) -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'tinny'; did you mean 'tiny'\? known: tiny"):
        discover([install(TINY_PLUGIN)]).get("backbone", "tinny")
