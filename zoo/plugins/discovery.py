"""Discover plug-ins through entry points, keep faulty ones away from the rest, and describe them all."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import Distribution, EntryPoint, distributions
from importlib.util import find_spec
from typing import Any

from zoo.errors import ConfigError, PluginError, line, one_line, unknown
from zoo.interfaces import MODEL_NAME, NAMING, PART_KINDS, distribution
from zoo.plugins import hooks, isolation

GROUP = "zoo"
KINDS = (*PART_KINDS, "model", "tracker")
UNREADABLE = "?"  # the name of a plug-in of which it cannot be told


@dataclass
class Plugin:
    """One entry point: where it comes from, what it adds, and what is wrong with it.

    `path` is the file of its module, or the folder where its distribution is installed. `error` is why it was left
    out. `printed`, `changed` and `heavy` say what loading it did besides, see `zoo.plugins.isolation.Outcome`.
    """

    name: str
    distribution: str
    version: str
    module: str
    path: str = ""
    seconds: float = 0.0
    adds: dict[str, list[str]] = field(default_factory=dict)
    error: BaseException | None = None
    printed: str = ""
    changed: list[str] = field(default_factory=list)
    heavy: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"

    @property
    def problem(self) -> str | None:
        """Why it was left out, on one line."""
        return one_line(self.error) if self.error else None

    @property
    def traces(self) -> list[str]:
        """What it did to the process that loaded it, each as the rest of a sentence."""
        said = " ".join(self.printed.split())
        prints = [f"prints when it is loaded: {said[:60]!r}"] if self.printed else []
        changes = [f"changes {', '.join(self.changed)} when it is loaded; undone"] if self.changed else []
        return prints + changes

    def table(self) -> dict[str, Any]:
        """What people and programs are told of it."""
        told = ("name", "distribution", "version", "module", "path", "adds", "seconds", "problem")
        return {key: getattr(self, key) for key in told}

    def __str__(self) -> str:
        return f"{self.name} ({self.origin})"


@dataclass(frozen=True)
class Offer:
    """A part class, a model table or the module of a tracker, and the plug-in that offers it."""

    value: Any
    plugin: Plugin


class Plugins:
    """All plug-ins that were found, and their offers by kind and name.

    A kind is one of KINDS.
    """

    def __init__(self, found: list[Plugin], offers: list[tuple[str, str, Offer]]) -> None:
        self.found = found
        self._offers: dict[str, dict[str, list[Offer]]] = {kind: {} for kind in KINDS}
        for kind, name, offer in offers:
            self._offers[kind].setdefault(name, []).append(offer)

    @property
    def problems(self) -> list[str]:
        """One line for each plug-in that was left out or left traces, and each name that two plug-ins claim."""
        faulty = [f"plug-in {plugin} left out: {plugin.problem}" for plugin in self.found if plugin.error]
        traces = [f"plug-in {plugin} {trace}" for plugin in self.found for trace in plugin.traces]
        return [line(text, 2000) for text in [*faulty, *traces, *(_clash(*clash) for clash in self.clashes)]]

    @property
    def clashes(self) -> list[tuple[str, str, list[Offer]]]:
        """(kind, name, offers) of each name that more than one plug-in claims."""
        return [
            (kind, name, offers)
            for kind, names in self._offers.items()
            for name, offers in names.items()
            if len(offers) > 1
        ]

    def names(self, kind: str) -> list[str]:
        """The names on offer that only one plug-in claims, sorted."""
        return sorted(name for name, offers in self._offers[kind].items() if len(offers) == 1)

    def get(self, kind: str, name: str) -> Offer:
        """The one offer of that name.

        Raises ConfigError if there is none, PluginError if plug-ins clash over it.
        """
        offers = self._offers[kind].get(name)
        if not offers:
            raise self.unknown(kind, name, self.names(kind))
        if len(offers) > 1:
            raise PluginError(_clash(kind, name, offers))
        return offers[0]

    def unknown(self, kind: str, name: str, known: list[str]) -> ConfigError:
        """The error for a name that nobody knows, which one of the plug-ins that were left out may have brought."""
        lost = [plugin for plugin in self.found if plugin.error]
        lost.sort(key=lambda plugin: -difflib.SequenceMatcher(None, name, str(plugin)).ratio())
        told = [f"plug-in {plugin} was left out: {textwrap.shorten(plugin.problem or '', 200)}" for plugin in lost[:3]]
        more = [f"{len(lost) - 3} more were left out"] if len(lost) > 3 else []
        hint = ["zoo plugins doctor says how to mend it"] if lost else []
        return ConfigError("; ".join([unknown(kind, name, known), *told, *more, *hint]))


def _clash(kind: str, name: str, offers: list[Offer]) -> str:
    claimants = " and ".join(sorted(str(offer.plugin) for offer in offers))
    return f"{kind} {name!r} is claimed by plug-ins {claimants}: uninstall one of them, or leave it out by --no-plugin"


def discover(
    points: Iterable[EntryPoint] | None = None, begin: Callable[[Plugin], None] = lambda plugin: None
) -> Plugins:
    """Load every entry point of group "zoo", each by itself: one that fails is reported and left out.

    `points` replaces those that are installed and chosen; `begin` is called before each is loaded.

    Raises ConfigError for a wrong ZOO_PLUGINS or ZOO_PLUGIN_TIMEOUT.
    """
    found: list[Plugin] = []
    offered: list[tuple[str, str, Offer]] = []
    unreadable: list[Plugin] = []
    if points is None:
        installed, unreadable = _installed()
        points = _switched_on(installed)
    limit = isolation.timeout()
    for point in points:
        plugin = plugin_of(point)
        begin(plugin)
        outcome = isolation.run(partial(_load, point, plugin), limit)
        plugin.seconds, plugin.error, plugin.printed = outcome.seconds, outcome.error, outcome.printed
        plugin.changed, plugin.heavy = outcome.changed, outcome.heavy
        for kind, name, value in outcome.value or []:
            plugin.adds.setdefault(kind, []).append(name)
            offered.append((kind, name, Offer(value, plugin)))
        found.append(plugin)
    return Plugins(found + unreadable, offered)


def chosen() -> list[EntryPoint]:
    """The installed plug-ins that ZOO_PLUGINS doesn't switch off, by name; nothing of theirs is loaded.

    ZOO_PLUGINS is "none", or names of plug-ins or distributions with commas between them: only these, or with a dash
    before them all others. Raises ConfigError for a name that nobody has.
    """
    return _switched_on(_installed()[0])


def of(origins: Iterable[str]) -> list[EntryPoint]:
    """Those of the chosen plug-ins that come from the distributions of these origins, of whatever version."""
    wanted = {distribution(origin) for origin in origins}
    return [point for point in chosen() if plugin_of(point).distribution in wanted]


def _switched_on(installed: list[EntryPoint]) -> list[EntryPoint]:
    points = sorted(installed, key=lambda point: point.name)
    wanted = [name.strip() for name in os.environ.get("ZOO_PLUGINS", "").split(",") if name.strip()]
    if "none" in wanted:
        return []
    if not wanted:
        return points
    names = {name for point in points for name in _names(point)}
    for name in wanted:
        if name.removeprefix("-") not in names:
            raise ConfigError(
                f"ZOO_PLUGINS or --no-plugin: {unknown('plug-in', name.removeprefix('-'), sorted(names))}"
            )
    only = {name for name in wanted if not name.startswith("-")} or names
    without = {name.removeprefix("-") for name in wanted if name.startswith("-")}
    return [point for point in points if _names(point) & only and not _names(point) & without]


def switch_off(names: Iterable[str]) -> None:
    """Leave plug-ins out, in this process and those that it starts."""
    each = [name.strip() for several in names for name in several.split(",")]
    wanted = [os.environ.get("ZOO_PLUGINS", ""), *(f"-{name}" for name in each if name)]
    os.environ["ZOO_PLUGINS"] = ",".join(name for name in wanted if name)


def plugin_of(point: EntryPoint) -> Plugin:
    """What is known of a plug-in before it is loaded."""
    return _described(point.dist, point.name, point.value)


def _described(dist: Distribution | None, name: str, value: str) -> Plugin:
    plugin = Plugin(name, "unknown", "unknown", value.partition(":")[0].strip())
    with contextlib.suppress(Exception):  # metadata may be missing or damaged
        if dist:
            plugin.path = str(dist.locate_file(""))
            plugin.distribution, plugin.version = dist.name or "unknown", dist.version or "unknown"
    return plugin


def _names(point: EntryPoint) -> set[str]:
    return {point.name, plugin_of(point).distribution}


def _installed() -> tuple[list[EntryPoint], list[Plugin]]:
    """Every plug-in that is installed, and the distributions of which that cannot be told: each read by itself."""
    points: list[EntryPoint] = []
    unreadable = []
    seen: set[str] = set()
    for dist in distributions():
        name = _name(dist)
        if name in seen:  # a second one of that name on the path is not imported either
            continue
        seen |= {name} - {""}
        try:
            points += dist.entry_points.select(group=GROUP)
        except Exception as error:
            plugin = _described(dist, UNREADABLE, "")
            plugin.path = str(getattr(dist, "_path", plugin.path))  # that of the metadata, where it has one
            plugin.error = PluginError(f"its entry_points.txt cannot be read: {one_line(error)}")
            unreadable.append(plugin)
    return points, unreadable


def _name(dist: Distribution) -> str:
    """As its metadata has it, "" if it cannot be told. To parse all metadata of all that is installed takes ten times
    as long."""
    with contextlib.suppress(Exception):  # metadata may be missing or damaged
        text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or ""
        if said := re.search(r"^Name:[ \t]*(.*?)[ \t\r]*$", text, re.MULTILINE | re.IGNORECASE):
            return said[1]
    return ""


def _load(point: EntryPoint, plugin: Plugin) -> list[tuple[str, str, Any]]:
    """Import a plug-in and ask its hooks: (kind, name, value)."""
    if not point.pattern.match(point.value):
        raise PluginError(f"its entry point {point.value!r} is no module")
    if not MODEL_NAME.fullmatch(point.name):  # --no-plugin and the log of a tracker could not be named like that
        raise PluginError(f"its entry point is named {point.name!r}; {NAMING}")
    if (spec := find_spec(plugin.module)) and spec.origin:
        plugin.path = spec.origin
    module = point.load()
    found = hooks.read_hooks(module, point.name)
    for kind, _, value in found:
        if kind in PART_KINDS:
            value.__zoo_origin__ = plugin.origin
    return found
