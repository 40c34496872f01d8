"""What is wrong with the installed plug-ins, and how to mend it.

`python -m zoo.plugins.doctor` loads them and writes what it found to standard output as JSON. `diagnose` starts it as a
process of its own, so that a plug-in that ends the process which loads it is found as well.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any

import zoo
from zoo.encoding import OF_LOGS
from zoo.errors import PluginError, ZooError, debugging, one_line
from zoo.interfaces import PART_KINDS
from zoo.plugins import discovery, isolation, registry
from zoo.plugins.discovery import UNREADABLE, Plugin, Plugins

SLOW = 2.0  # seconds to load from which on a plug-in is called slow


@dataclass(frozen=True)
class Finding:
    """A fault of a plug-in, named with its distribution, and how to mend it."""

    plugin: str
    fault: str
    remedy: str


def examine(found: Plugins) -> list[Finding]:
    """Every fault of the plug-ins that were found."""
    findings = [
        Finding(str(plugin), *fault) for plugin in found.found for fault in [*_left_out(plugin), *_manners(plugin)]
    ]
    for kind, name, offers in found.clashes:
        claimants = sorted(str(offer.plugin) for offer in offers)
        switches = " or ".join(dict.fromkeys(f"--no-plugin {_switch(offer.plugin, found.found)}" for offer in offers))
        findings.append(
            Finding(
                " and ".join(claimants), f"both claim the {kind} {name!r}, so that nobody can use it",
                f"uninstall one, rename it in one, or leave one out: {switches}",
            )
        )  # fmt: skip
    return findings + _unusable_parts(found)


def _switch(plugin: Plugin, found: list[Plugin]) -> str:
    """The name that switches this plug-in alone on or off, if there is one."""
    alike = [other for other in found if other.name == plugin.name]
    return plugin.switch if len(alike) == 1 else plugin.distribution


def _left_out(plugin: Plugin) -> list[tuple[str, str]]:
    return [(plugin.problem, remedy(plugin, plugin.error))] if plugin.problem and plugin.error else []


def remedy(plugin: Plugin, error: BaseException) -> str:
    """How to mend a plug-in that cannot be loaded."""
    this = f"this is zoo {zoo.__version__} with plug-in interface {zoo.API_VERSION}"
    mine = plugin.distribution
    if plugin.name == UNREADABLE:
        return f"pip install --force-reinstall {mine}, pip uninstall {mine}, or delete {plugin.path}"
    match error:
        case ModuleNotFoundError(name=str(name)) if name == plugin.module or plugin.module.startswith(f"{name}."):
            return f"{mine} declares a module that isn't there; install it again: pip install --force-reinstall {mine}"
        case ModuleNotFoundError(name=str(name)) if name.partition(".")[0] == "zoo":
            return f"{this}, and has no such module; a plug-in imports zoo alone: upgrade zoo or {mine}"
        case ModuleNotFoundError(name=str(name)):
            return f"install the package that brings it, mostly pip install {name}; {mine} should depend on it"
        case ImportError(name="zoo"):
            return f"{this}, which lacks it: upgrade zoo, or install the {mine} that was made for this zoo"
        case AttributeError(obj=owner) if owner is zoo:
            return f"{this}, which lacks it: upgrade zoo, or install the {mine} that was made for this zoo"
        case SyntaxError(filename=file, lineno=line):
            return f"mend line {line} of {file}; this is Python {sys.version.split()[0]}"
        case SystemExit():
            return "raise an exception that says what is missing, instead of ending the program"
        case TimeoutError():
            longer = "ZOO_PLUGIN_TIMEOUT=60 waits longer"
            return (
                f"import inside methods what takes long; {longer}; with --no-plugin {plugin.switch} no job waits for it"
            )
        case ZooError():
            return _mend(plugin)
    return f"zoo plugins doctor --debug shows where; {_mend(plugin)}"


def _mend(plugin: Plugin) -> str:
    return f"mend {plugin.path}, or leave it out: --no-plugin {plugin.switch}, pip uninstall {plugin.distribution}"


def _manners(plugin: Plugin) -> list[tuple[str, str]]:
    """What a plug-in does when it is loaded and shouldn't, whether it could be used or not."""
    faults = []
    if not plugin.error and not plugin.adds:
        faults.append(
            ("adds nothing", "define a hook such as zoo_backbones, decorated with @zoo.hookimpl, as in README")
        )
    if plugin.heavy:
        libraries = ", ".join(plugin.heavy)
        faults.append((
            f"imports {libraries} when it is loaded ({plugin.seconds:.1f} s)",
            f"import {libraries} inside methods: whoever lists models waits for it, and gets it with any backend",
        ))  # fmt: skip
    elif plugin.seconds > SLOW and not plugin.error:
        faults.append((f"takes {plugin.seconds:.1f} s to load", "import what takes long inside methods"))
    faults += [(trace, "define parts when loaded, and do all else inside methods") for trace in plugin.traces]
    return faults


def _unusable_parts(found: Plugins) -> list[Finding]:
    """Parts whose fields have types that cannot be checked, which is found out only when one is used."""
    findings = []
    for kind in PART_KINDS:
        for name in found.names(kind):
            offer = found.get(kind, name)
            try:
                isolation.of_part(offer.value, partial(registry.check_fields, offer.value), _fault)
            except ZooError as error:
                fault = f"{kind} {name!r} cannot be used: {one_line(error)}"
                findings.append(Finding(str(offer.plugin), fault, _mend(offer.plugin)))
    return findings


def _fault(error: BaseException) -> PluginError:
    return PluginError(one_line(error))


def _unusable_models(found: Plugins) -> list[Finding]:
    """Models that cannot be built; only those with a faulty part if plug-ins are left out that could bring others."""
    partly = bool(os.environ.get("ZOO_PLUGINS"))
    findings = []
    for name in found.names("model"):
        offer = found.get("model", name)
        try:
            registry.build_recipe(name, offer.value, found, offer.plugin.distribution)
        except ZooError as error:
            if partly and not isinstance(error, PluginError):
                continue
            fault = f"model {name!r} cannot be used: {one_line(error)}"
            findings.append(Finding(str(offer.plugin), fault, _mend(offer.plugin)))
    return findings


@dataclass(frozen=True)
class Diagnosis:
    """The plug-ins as `Plugin.table` describes them, and what is wrong with them."""

    plugins: list[dict[str, Any]]
    findings: list[Finding]


def diagnose() -> Diagnosis:
    """Load all chosen plug-ins in another process; should that end, each by itself, and the others again.

    By itself is beside those that zoo ships, of whose parts its models may be made, and which are looked at before.

    Raises ConfigError for a wrong ZOO_PLUGINS or ZOO_PLUGIN_TIMEOUT.
    """
    points = discovery.chosen()
    limit = isolation.timeout()
    together = _look({}, limit * len(points))
    if isinstance(together, Diagnosis):
        return together
    described = [discovery.describe(point) for point in points]
    none = _look({"ZOO_PLUGINS": "none"}, limit)
    if isinstance(none, str):
        raise PluginError(f"plug-ins cannot be looked at: zoo {none}, without any plug-in too; --debug shows why")
    culprits: list[Plugin] = []
    findings, sound, without = [], list[str](), ""
    for plugin in sorted(described, key=lambda plugin: plugin.distribution != zoo.__name__):
        name = _switch(plugin, described)
        alone = _look({"ZOO_PLUGINS": ",".join([name, *sound])}, limit)
        if isinstance(alone, str):
            culprits.append(plugin)
            without += f",-{name}"
            findings.append(Finding(str(plugin), alone, _mend(plugin)))
        elif plugin.distribution == zoo.__name__:
            sound.append(name)
    rest = _look({"ZOO_PLUGINS": f"{os.environ.get('ZOO_PLUGINS', '')}{without}"}, limit * len(points))
    if isinstance(rest, str):
        findings.append(Finding("several together", rest, "leave out one after the other by --no-plugin NAME"))
        return Diagnosis([plugin.table() for plugin in described], findings)
    tables = [{**plugin.table(), "problem": finding.fault} for plugin, finding in zip(culprits, findings, strict=True)]
    return Diagnosis([*rest.plugins, *tables], [*findings, *rest.findings])


def _look(environment: dict[str, str], limit: float) -> Diagnosis | str:
    """What another process finds, or how it ended."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "zoo.plugins.doctor"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=None if debugging() else subprocess.DEVNULL,
            env={**os.environ, **environment, **OF_LOGS}, text=True, timeout=limit + 30,
        )  # fmt: skip
        told = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return "holds up the whole process when it is loaded or its models are made"
    except ValueError:
        return f"ends the whole process when it is loaded or its models are made (status {done.returncode})"
    return Diagnosis(told["plugins"], [Finding(**finding) for finding in told["findings"]])


def main() -> None:
    """Write what is found to standard output, and end at once whatever threads a plug-in has started."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a part prints while it is looked at
    found = discovery.discover()
    findings = examine(found)
    named = {finding.plugin for finding in findings}
    findings += [finding for finding in _unusable_models(found) if finding.plugin not in named]
    if debugging():
        for plugin in found.found:
            traceback.print_exception(plugin.error)
    told = {
        "plugins": [plugin.table() for plugin in found.found],
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    json.dump(told, answer)
    answer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
