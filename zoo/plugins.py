"""Discover plug-ins through entry points, keep faulty ones away from the rest, and describe them all."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from zoo import hookspecs
from zoo.errors import ConfigError, PluginError, unknown
from zoo.interfaces import MODEL_NAME, PART_KINDS, Part

GROUP = "zoo"


@dataclass
class Plugin:
    """One entry point: where it comes from, what it adds, and what is wrong with it."""

    name: str
    distribution: str
    version: str
    module: str
    seconds: float = 0.0
    adds: dict[str, list[str]] = field(default_factory=dict)
    problem: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Offer:
    """A part class or a model table, and the plug-in that offers it."""

    value: Any
    plugin: Plugin


class Plugins:
    """All plug-ins that were found, and their offers by kind and name.

    A kind is "backbone", "head", "schedule", "augmenter" or "model".
    """

    def __init__(self, found: list[Plugin], offers: list[tuple[str, str, Offer]]) -> None:
        self.found = found
        self._offers: dict[str, dict[str, list[Offer]]] = {kind: {} for kind in (*PART_KINDS, "model")}
        for kind, name, offer in offers:
            self._offers[kind].setdefault(name, []).append(offer)

    @property
    def problems(self) -> list[str]:
        """One line for each plug-in that was left out and each name that two plug-ins claim."""
        faulty = [f"plug-in {plugin} left out: {plugin.problem}" for plugin in self.found if plugin.problem]
        clashes = [
            _clash(kind, name, offers)
            for kind, names in self._offers.items()
            for name, offers in names.items()
            if len(offers) > 1
        ]
        return faulty + clashes

    def names(self, kind: str) -> list[str]:
        """The names on offer that only one plug-in claims, sorted."""
        return sorted(name for name, offers in self._offers[kind].items() if len(offers) == 1)

    def get(self, kind: str, name: str) -> Offer:
        """The one offer of that name.

        Raises ConfigError if there is none, PluginError if plug-ins clash over it.
        """
        offers = self._offers[kind].get(name)
        if not offers:
            raise ConfigError(unknown(kind, name, self.names(kind)))
        if len(offers) > 1:
            raise PluginError(_clash(kind, name, offers))
        return offers[0]


def _clash(kind: str, name: str, offers: list[Offer]) -> str:
    claimants = " and ".join(str(offer.plugin) for offer in offers)
    return f"{kind} {name!r} is claimed by plug-ins {claimants}: uninstall one of them"


def discover(points: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load every entry point of group "zoo", each by itself: one that fails is reported and left out.

    `points` replaces the installed entry points, for tests.
    """
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    found: list[Plugin] = []
    offers: list[tuple[str, str, Offer]] = []
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda point: point.name):
        dist = point.dist
        plugin = Plugin(point.name, dist.name if dist else "unknown", dist.version if dist else "unknown", point.module)
        started = time.perf_counter()
        try:
            offered = _load(manager, point, plugin)
        except (Exception, SystemExit) as error:
            plugin.problem = _one_line(error)
        else:
            offers += offered
        plugin.seconds = time.perf_counter() - started
        found.append(plugin)
    return Plugins(found, offers)


def _load(manager: pluggy.PluginManager, point: EntryPoint, plugin: Plugin) -> list[tuple[str, str, Offer]]:
    """Import one plug-in, register it, and ask its hooks for what it offers."""
    module = point.load()
    name = f"{plugin.distribution}:{plugin.name}"
    manager.register(module, name)
    try:
        manager.check_pending()
        offered: list[tuple[str, str, Offer]] = []
        for hook in manager.get_hookcallers(module) or []:
            (impl,) = (impl for impl in hook.get_hookimpls() if impl.plugin is module)
            kind = hook.name.removeprefix("zoo_").removesuffix("s")
            offered += [(kind, key, Offer(value, plugin)) for key, value in _offers(kind, impl.function())]
    except BaseException:
        manager.unregister(module)
        raise
    for kind, key, _ in offered:
        plugin.adds.setdefault(kind, []).append(key)
    return offered


def _offers(kind: str, returned: Any) -> list[tuple[str, Any]]:
    """What a hook returned as (name, value), or PluginError if it is not what the hook asks for."""
    hook = f"zoo_{kind}s"
    if kind == "model":
        if not isinstance(returned, Mapping) or not all(isinstance(table, Mapping) for table in returned.values()):
            raise PluginError(f"{hook} must return a mapping of names to tables, not {returned!r}")
        for name in returned:
            if not (isinstance(name, str) and MODEL_NAME.fullmatch(name)):
                raise PluginError(f"{hook} names a model {name!r}; use letters, digits, dots, dashes and underscores")
        return list(returned.items())
    if not isinstance(returned, list | tuple):
        raise PluginError(f"{hook} must return a list of classes, not {returned!r}")
    for part in returned:
        _check_part(hook, part, PART_KINDS[kind])
    return [(part.name, part) for part in returned]


def _check_part(hook: str, part: Any, base: type[Part]) -> None:
    if not (inspect.isclass(part) and issubclass(part, base)):
        raise PluginError(f"{hook} returned {part!r}, which is no subclass of zoo.{base.__name__}")
    if not isinstance(getattr(part, "name", None), str):
        raise PluginError(f"{hook} returned {part.__name__}, which has no name: give it a class variable `name`")
    if inspect.isabstract(part):
        missing = ", ".join(sorted(part.__abstractmethods__))
        raise PluginError(f"{hook} returned {part.__name__}, which lacks {missing}")
    if "__dataclass_params__" not in vars(part) or not vars(part)["__dataclass_params__"].frozen:
        raise PluginError(f"{hook} returned {part.__name__}: decorate it with @dataclass(frozen=True)")
    required = [f.name for f in dataclasses.fields(part) if _has_no_default(f)]  # type: ignore[arg-type]
    if required:
        raise PluginError(f"{hook} returned {part.__name__}, whose {', '.join(required)} has no default")


def _has_no_default(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"
