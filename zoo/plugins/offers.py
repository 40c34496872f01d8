"""What a plug-in's module offers, checked: classes of parts, tables of models, a tracker, each under a name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from json import dumps, loads  # as they are before a plug-in could replace them
from reprlib import repr as short
from types import ModuleType
from typing import Any

import pluggy

from zoo import hookspecs
from zoo.errors import PluginError, one_line, unknown
from zoo.hookspecs import API_VERSION
from zoo.interfaces import BACKENDS, MODEL_NAME, NAMING, PART_KINDS, Part, model_name_fault

MOST_MODELS = 1000  # of one plug-in; every command that names models looks at each
# Every hook, and the arguments that it is called with: those with any tell a tracker how a run goes.
HOOKS = {
    name: list(inspect.signature(hook).parameters) for name, hook in vars(hookspecs).items() if name.startswith("zoo_")
}


def read(module: ModuleType, plugin: str = "") -> list[tuple[str, str, Any]]:
    """What the module of the plug-in of that name offers: (kind, name, class, table or, of a tracker, the module).

    Raises PluginError for a module that is for another zoo or returns what a hook doesn't ask for, and whatever a
    hook raises.
    """
    _check_version(module)
    found: list[tuple[str, str, Any]] = []
    tracker = False
    for hook in hooks(module).get_hookcallers(module) or []:
        if HOOKS[hook.name]:
            tracker = True
            continue
        kind = hook.name.removeprefix("zoo_").removesuffix("s")
        for impl in hook.get_hookimpls():
            found += [(kind, name, value) for name, value in _named(kind, impl.function())]
    return [*found, ("tracker", plugin, module)] if tracker else found


def hooks(module: ModuleType) -> pluggy.PluginManager:
    """The module's hooks, ready to be called. Raises PluginError for one that isn't as it must be."""
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    for name in dir(module):
        marked = manager.parse_hookimpl_opts(module, name) is not None
        if marked and name not in HOOKS:
            raise PluginError(unknown("hook", name, list(HOOKS)))
        if name in HOOKS and not marked:
            raise PluginError(f"{name} is no hook: decorate it with @zoo.hookimpl")
        if marked:
            _check_hook(name, getattr(module, name))
    manager.register(module, module.__name__)
    return manager


def _check_hook(hook: str, function: Callable[..., Any]) -> None:
    """A hook takes by name those that it wants of the arguments that it is called with."""
    signature, known = inspect.signature(function), HOOKS[hook]
    if inspect.iscoroutinefunction(function) or (known and inspect.isgeneratorfunction(function)):
        raise PluginError(f"{hook} must be a plain function, without async or yield")
    if not known:
        if not _takes(function):
            raise PluginError(f"{hook}{signature} must take no arguments")
        return
    for argument in signature.parameters.values():
        is_known = argument.name in known and argument.kind is argument.POSITIONAL_OR_KEYWORD
        if argument.default is argument.empty and not is_known:
            raise PluginError(f"{hook}{signature} may take {', '.join(known)}, but not {argument}")


def _check_version(module: ModuleType) -> None:
    """A module may say which versions of the interface it is for: ZOO_API = ">=1,<2"."""
    wanted = getattr(module, "ZOO_API", None)
    if wanted is None:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

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
        if not isinstance(returned, Mapping) or not all(isinstance(table, Mapping) for table in returned.values()):
            raise PluginError(f"{hook} must return a mapping of names to tables, not {short(returned)}")
        if len(returned) > MOST_MODELS:
            raise PluginError(f"{hook} returned {len(returned)} models; {MOST_MODELS} are the most")
        for name in returned:
            fault = model_name_fault(name) if type(name) is str else NAMING
            if fault:
                raise PluginError(f"{hook} names a model {short(name)}; {fault}")
        return [(name, _plain(f"{hook}: {name}", dict(table))) for name, table in returned.items()]
    if not isinstance(returned, list | tuple):
        raise PluginError(f"{hook} must return a list of classes, not {short(returned)}")
    for part in returned:
        _check_part(hook, part, PART_KINDS[kind])
    names = [part.name for part in returned]
    for name in names:
        if names.count(name) > 1:
            raise PluginError(f"{hook} returned two classes named {name!r}")
    return list(zip(names, returned, strict=True))


def _plain(where: str, table: Any) -> Any:
    """A table as registry.toml could hold it, and nothing of the plug-in's own."""
    try:
        return loads(dumps(table, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise PluginError(f"{where}: not what registry.toml could hold: {one_line(error)}") from error


def _check_part(hook: str, part: Any, base: type[Part]) -> None:
    if not (inspect.isclass(part) and issubclass(part, base)):
        raise PluginError(f"{hook} returned {short(part)}, which is no subclass of zoo.{base.__name__}")
    name = getattr(part, "name", None)
    if type(name) is not str:  # one of its own class could fail wherever names are compared
        raise PluginError(f"{hook} returned {part.__name__}, which has no name: give it a class variable `name`")
    if not MODEL_NAME.fullmatch(name):
        raise PluginError(f"{hook} returned {part.__name__} with the name {short(name)}; {NAMING}")
    if inspect.isabstract(part):
        missing = ", ".join(sorted(part.__abstractmethods__))
        raise PluginError(f"{hook} returned {part.__name__}, which lacks {missing}")
    for method in sorted(base.__abstractmethods__):
        _check_method(part, method, base)
    if "__dataclass_params__" not in vars(part) or not vars(part)["__dataclass_params__"].frozen:
        raise PluginError(f"{hook} returned {part.__name__}: decorate it with @dataclass(frozen=True)")
    if not isinstance(part.backends, tuple) or not set(part.backends) <= set(BACKENDS):
        raise PluginError(
            f"{hook} returned {part.__name__} with backends = {short(part.backends)}; "
            f"it must be a tuple of {', '.join(BACKENDS)}"
        )
    required = [f.name for f in dataclasses.fields(part) if _has_no_default(f)]  # type: ignore[arg-type]
    if required:
        raise PluginError(f"{hook} returned {part.__name__}, whose {', '.join(required)} has no default")
    if not isinstance(getattr(part, "weights", ""), str):
        raise PluginError(f"{hook} returned {part.__name__}, whose weights are no text: auto, imagenet, none or a file")
    if not isinstance(part.__doc__, str | None):
        raise PluginError(f"{hook} returned {part.__name__}, whose docstring is no text")


def _check_method(part: type[Part], method: str, base: type[Part]) -> None:
    """A method must take what the core passes, whatever it calls it."""
    if not callable(getattr(part, method)):
        raise PluginError(f"{part.__name__}.{method} is no method")
    function = inspect.getattr_static(part, method)
    needed = list(inspect.signature(getattr(base, method)).parameters)
    if inspect.isfunction(function) and not _takes(function, *needed):
        raise PluginError(f"{part.__name__}.{method}{inspect.signature(function)} must take ({', '.join(needed)})")


def _takes(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # one of C, say, that doesn't tell
        pass
    return True


def _has_no_default(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
