"""What a plug-in's hooks return, checked: classes of parts, tables of models, a tracker, each under a name."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from reprlib import repr as short
from types import ModuleType
from typing import Any

import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from zoo import hookspecs
from zoo.errors import PluginError, one_line, unknown
from zoo.hookspecs import API_VERSION
from zoo.interfaces import BACKENDS, MODEL_NAME, NAMING, PART_KINDS, Part, model_name_fault

MOST_MODELS = 1000  # of one plug-in; every command that names models looks at each
# Every hook, and the arguments that it is called with: those with any tell a tracker how a run goes.
HOOKS = {
    name: list(inspect.signature(hook).parameters) for name, hook in vars(hookspecs).items() if name.startswith("zoo_")
}


def read_hooks(module: ModuleType, plugin: str = "") -> list[tuple[str, str, Any]]:
    """What the module of the plug-in of that name offers: (kind, name, class, table or, of a tracker, the module).

    Raises PluginError for a module that is for another zoo or returns what a hook doesn't ask for, and whatever a
    hook raises.
    """
    _check_version(module)
    found: list[tuple[str, str, Any]] = []
    tracker = False
    for hook in registered(module).get_hookcallers(module) or []:
        if HOOKS[hook.name]:
            tracker = True
            continue
        kind = hook.name.removeprefix("zoo_").removesuffix("s")
        for impl in hook.get_hookimpls():
            found += [(kind, name, value) for name, value in _named(kind, impl.function())]
    return [*found, ("tracker", plugin, module)] if tracker else found


def registered(module: ModuleType) -> pluggy.PluginManager:
    """The module's hooks, ready to be called.

    Raises PluginError for one that isn't as it must be, and pluggy's own error for one with other arguments.
    """
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    for name in dir(module):
        marked = manager.parse_hookimpl_opts(module, name) is not None
        if marked and name not in HOOKS:
            raise PluginError(unknown("hook", name, list(HOOKS)))
        if name in HOOKS and not marked:
            raise PluginError(f"{name} is no hook: decorate it with @zoo.hookimpl")
        function = getattr(module, name)
        if marked and (inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)):
            raise PluginError(f"{name} must be a plain function, without async or yield")
    manager.register(module, module.__name__)  # which refuses arguments that the hook doesn't have
    return manager


def _check_version(module: ModuleType) -> None:
    """A module may say which versions of the interface it is for: ZOO_API = ">=1,<2"."""
    wanted = getattr(module, "ZOO_API", None)
    if wanted is None:
        return
    try:
        fits = SpecifierSet(wanted).contains(API_VERSION)
    except (InvalidSpecifier, AttributeError, TypeError):
        raise PluginError(f"ZOO_API must be a range of versions such as '>=1,<2', not {short(wanted)}") from None
    if not fits:
        raise PluginError(
            f"it is for version {wanted} of the plug-in interface, and this zoo has {API_VERSION}: "
            "install a version of zoo and one of the plug-in that go together"
        )


def _named(kind: str, returned: Any) -> list[tuple[str, Any]]:
    """What a hook returned as (name, value)."""
    hook = f"zoo_{kind}s"
    if kind == "model":
        return _tables(hook, returned)
    if not isinstance(returned, list | tuple):
        raise PluginError(f"{hook} must return a list of classes, not {short(returned)}")
    for part in returned:
        if not (inspect.isclass(part) and issubclass(part, PART_KINDS[kind])):
            raise PluginError(f"{hook} returned {short(part)}, which is no subclass of zoo.{PART_KINDS[kind].__name__}")
        if fault := _fault(part, PART_KINDS[kind]):
            raise PluginError(f"{hook} returned {part.__name__}, {fault}")
    names = [part.name for part in returned]
    if twice := [name for name in names if names.count(name) > 1]:
        raise PluginError(f"{hook} returned two classes named {twice[0]!r}")
    return list(zip(names, returned, strict=True))


def _tables(hook: str, returned: Any) -> list[tuple[str, Any]]:
    """The tables of models, each as registry.toml could hold it."""
    if not isinstance(returned, Mapping) or not all(isinstance(table, Mapping) for table in returned.values()):
        raise PluginError(f"{hook} must return a mapping of names to tables, not {short(returned)}")
    if len(returned) > MOST_MODELS:
        raise PluginError(f"{hook} returned {len(returned)} models; {MOST_MODELS} are the most")
    tables = []
    for name, table in returned.items():
        if fault := model_name_fault(name) if isinstance(name, str) else NAMING:
            raise PluginError(f"{hook} names a model {short(name)}; {fault}")
        try:
            tables.append((name, json.loads(json.dumps(dict(table), allow_nan=False))))
        except (TypeError, ValueError, RecursionError) as error:
            raise PluginError(f"{hook}: {name}: not what registry.toml could hold: {one_line(error)}") from error
    return tables


def _fault(part: type[Part], base: type[Part]) -> str | None:
    """What is wrong with a class of parts, the rest of a sentence."""
    name = getattr(part, "name", None)
    if not isinstance(name, str):
        return "which has no name: give it a class variable `name`"
    if not MODEL_NAME.fullmatch(name):
        return f"with the name {short(name)}; {NAMING}"
    if inspect.isabstract(part):
        return f"which lacks {', '.join(sorted(part.__abstractmethods__))}"
    for method in sorted(base.__abstractmethods__):
        needed = list(inspect.signature(getattr(base, method)).parameters)
        function = inspect.getattr_static(part, method)
        if inspect.isfunction(function) and not _takes(function, needed):
            return f"whose {method}{inspect.signature(function)} must take ({', '.join(needed)})"
    if "__dataclass_params__" not in vars(part) or not vars(part)["__dataclass_params__"].frozen:
        return "which is no frozen dataclass: decorate it with @dataclass(frozen=True)"
    if not isinstance(part.backends, tuple) or not set(part.backends) <= set(BACKENDS):
        return f"with backends = {short(part.backends)}; it must be a tuple of {', '.join(BACKENDS)}"
    fields = dataclasses.fields(part)  # type: ignore[arg-type]
    if required := [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]:
        return f"whose {', '.join(required)} has no default"
    return None


def _takes(function: Callable[..., Any], arguments: list[str]) -> bool:
    """Whether a function can be called with so many arguments, whatever it calls them."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    return True
