"""What is wrong with the installed plug-ins, and how to mend it.

`python -m zoo.plugins.doctor` loads them and writes what it found to standard output, as lines of JSON. `diagnose`
starts it as a process of its own, so that a plug-in that ends the process which loads it is found as well.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zoo
from zoo.encoding import OF_LOGS
from zoo.errors import PluginError, ZooError, debugging, ended, one_line
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
        Finding(str(plugin), *fault) for plugin in found.found for fault in [*_left_out(plugin), *_bad_habits(plugin)]
    ]
    for kind, name, offers in found.clashes:
        claimants = sorted(str(offer.plugin) for offer in offers)
        switches = " or ".join(dict.fromkeys(f"--no-plugin {_switch(offer.plugin, found.found)}" for offer in offers))
        findings.append(
            Finding(
                " and ".join(claimants),
                f"both claim the {kind} {name!r}, so that nobody can use it",
                f"uninstall one, rename it in one, or leave one out: {switches}",
            )
        )
    return findings + _unusable_parts(found)


def _switch(plugin: Plugin, found: list[Plugin]) -> str:
    """The name that switches this plug-in alone on or off, if there is one."""
    alike = [other for other in found if other.name == plugin.name]
    return plugin.name if len(alike) == 1 else plugin.distribution


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
                f"import inside methods what takes long; {longer}; with --no-plugin {plugin.name} no job waits for it"
            )
        case ZooError():
            return _mend(plugin)
    return f"zoo plugins doctor --debug shows where; {_mend(plugin)}"


def _mend(plugin: Plugin) -> str:
    return f"mend {plugin.path}, or leave it out: --no-plugin {plugin.name}, pip uninstall {plugin.distribution}"


def _bad_habits(plugin: Plugin) -> list[tuple[str, str]]:
    """What a plug-in does when it is loaded and shouldn't, whether it could be used or not."""
    faults = []
    if not plugin.error and not plugin.adds:
        faults.append(
            ("adds nothing", "define a hook such as zoo_backbones, decorated with @zoo.hookimpl, as in docs/plugins.md")
        )
    if plugin.heavy:
        libraries = ", ".join(plugin.heavy)
        faults.append(
            (
                f"imports {libraries} when it is loaded ({plugin.seconds:.1f} s)",
                f"import {libraries} inside methods: whoever lists models waits for it, and gets it with any backend",
            )
        )
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
                registry.adapter_of(offer.value)
            except Exception as error:
                fault = f"{kind} {name!r} cannot be used: {one_line(error)}"
                findings.append(Finding(str(offer.plugin), fault, _mend(offer.plugin)))
    return findings


def _unusable_models(found: Plugins, begin: Callable[[Plugin], None]) -> list[Finding]:
    """Models that cannot be built; only those with a faulty part if plug-ins are left out that could bring others."""
    partly = bool(os.environ.get("ZOO_PLUGINS"))
    findings = []
    for name in found.names("model"):
        offer = found.get("model", name)
        begin(offer.plugin)
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
    """Look at all chosen plug-ins in another process; as often as one ends that, again without the one at work.

    Raises ConfigError for a wrong ZOO_PLUGINS or ZOO_PLUGIN_TIMEOUT, PluginError if nothing can be looked at.
    """
    points = {str(plugin): plugin for plugin in map(discovery.plugin_of, discovery.chosen())}
    limit = isolation.timeout() * max(1, len(points))
    culprits: dict[str, Finding] = {}
    while True:
        without = "".join(f",-{_switch(points[name], [*points.values()])}" for name in culprits)
        told = _look({"ZOO_PLUGINS": os.environ.get("ZOO_PLUGINS", "") + without}, limit)
        if "plugins" in told:
            break
        if told["at"] not in points or told["at"] in culprits:
            raise PluginError(f"plug-ins cannot be looked at: zoo {told['ended']}; --debug shows why")
        culprit = points[told["at"]]
        culprits[told["at"]] = Finding(told["at"], told["ended"], _mend(culprit))
    tables = [{**points[name].table(), "problem": finding.fault} for name, finding in culprits.items()]
    findings = [*culprits.values(), *(Finding(**finding) for finding in told["findings"])]
    return Diagnosis([*told["plugins"], *tables], findings)


def _look(environment: dict[str, str], limit: float) -> dict[str, Any]:
    """What another process finds: `plugins` and `findings`, or how it `ended` and which plug-in it was `at`."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "zoo.plugins.doctor"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if debugging() else subprocess.DEVNULL,
            env={**os.environ, **environment, **OF_LOGS},
            text=True,
            timeout=limit + 30,
        )
        lines, how = (
            done.stdout,
            f"ends the whole process when it is loaded or its models are made ({ended(done.returncode)})",
        )
    except subprocess.TimeoutExpired as error:
        lines, how = (
            (error.stdout or b"").decode(),
            "holds up the whole process when it is loaded or its models are made",
        )
    told: dict[str, Any] = json.loads((lines.splitlines() or ["{}"])[-1])
    return told if "plugins" in told else {"at": told.get("at"), "ended": how}


def main() -> None:
    """Write what is found to standard output, after a line for each plug-in that is looked at, and end at once.

    The last line so names the culprit if the process ends before. Threads that a plug-in has started don't matter.
    """
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a part prints while it is looked at

    def begin(plugin: Plugin) -> None:
        print(json.dumps({"at": str(plugin)}), file=answer)

    found = discovery.discover(begin=begin)
    findings = examine(found)
    named = {finding.plugin for finding in findings}
    findings += [finding for finding in _unusable_models(found, begin) if finding.plugin not in named]
    if debugging():
        for plugin in found.found:
            traceback.print_exception(plugin.error)
    told = {
        "plugins": [plugin.table() for plugin in found.found],
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    print(json.dumps(told), file=answer, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
