"""What the code of a plug-in may leave changed in the process that runs it: noticed, and put back."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

# Modules that zoo cannot do without, beside its own: what of them is replaced is put back.
MODULES = ("builtins", "os", "sys", "json", "warnings", "threading", "click", "pluggy", "numpy", "numpy.random")
# Lists that a library may add to when it is imported, but not take from.
LISTS = ("path", "meta_path", "path_hooks")
KERAS = ("dtype_policy", "floatx", "epsilon", "image_data_format")


@dataclass(frozen=True)
class Changes:
    """What was `undone`, and what was `left` because nothing can undo it, the rest of a sentence each."""

    undone: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@contextmanager
def kept() -> Iterator[Changes]:
    """Put back what is changed within, and tell of it in the context.

    That is the folder, the environment, names in MODULES and zoo and its classes, lists that Python imports by,
    filters for all warnings, settings of the interpreter and of Keras, and limits of the process.
    """
    changes = Changes()
    checks = [_modules(), _lists(), _filters(), _settings(), _environment(), _folder(), _limits(changes.left)]
    threads, forks = set(threading.enumerate()), len(_forks)
    try:
        yield changes
    finally:
        for check in checks:
            changes.undone.extend(check())
        started = [thread.name for thread in threading.enumerate() if thread not in threads]
        changes.left.extend(f"starts a thread ({name})" for name in started if name != "plug-in")
        changes.left.extend(["forks this process"] if len(_forks) > forks else [])


Check = Callable[[], list[str]]
_forks: list[None] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=lambda: _forks.append(None))


def _modules() -> Check:
    modules = {name: sys.modules[name] for name in MODULES if name in sys.modules}
    own = {name: module for name, module in sys.modules.copy().items() if name.partition(".")[0] == "zoo"}
    owners: dict[str, Any] = {**modules, **own}
    for module in [*own.values(), *(modules[name] for name in ("pluggy",) if name in modules)]:
        owners |= {f"{c.__module__}.{c.__name__}": c for c in dict(vars(module)).values() if _is_class_of(module, c)}
    before = {name: dict(vars(owner)) for name, owner in owners.items()}

    def check() -> list[str]:
        changed = []
        for name in {**modules, **own}:
            if sys.modules.get(name) is not owners[name]:
                sys.modules[name] = owners[name]
                changed.append(name)
        for name, attributes in before.items():
            now = dict(vars(owners[name]))
            for attribute, value in attributes.items():
                if now.get(attribute, before) is not value:
                    setattr(owners[name], attribute, value)
                    changed.append(f"{name}.{attribute}")
        return changed

    return check


def _is_class_of(module: ModuleType, value: Any) -> bool:
    top = module.__name__.partition(".")[0]
    return isinstance(value, type) and value.__module__.partition(".")[0] == top


def _lists() -> Check:
    lists = {name: getattr(sys, name) for name in LISTS}
    before = {name: list(value) for name, value in lists.items()}

    def check() -> list[str]:
        changed = []
        for name, value in lists.items():
            those = iter(list(value))
            if not all(any(item is each for each in those) for item in before[name]):  # in this order
                value[:] = before[name]
                changed.append(f"sys.{name}")
        return changed

    return check


def _filters() -> Check:
    """Libraries may filter their own warnings; a filter without a module or message is one for everybody's."""
    filters: Any = warnings.filters
    before = list(filters)

    def check() -> list[str]:
        added = [each for each in filters if each not in before]
        for_all = [each for each in added if not each[1] and not each[3] and each[2].__module__ == "builtins"]
        lost = [each for each in before if each not in filters]
        if not for_all and not lost:
            return []
        filters[:] = before
        return ["warnings.filters"]

    return check


def _settings() -> Check:
    getters_and_setters: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "the recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
        "the switch interval": (sys.getswitchinterval, sys.setswitchinterval),
        "sys.settrace": (sys.gettrace, sys.settrace),
        "sys.setprofile": (sys.getprofile, sys.setprofile),
        "garbage collection": (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        "the umask": (_umask, os.umask),
    }
    if hasattr(signal, "setitimer") and not _alarm_is_set():
        getters_and_setters["signal.setitimer"] = _alarm_is_set, lambda _: signal.setitimer(signal.ITIMER_REAL, 0)
    config = getattr(sys.modules.get("keras"), "config", None)
    for name in KERAS if config else ():
        getters_and_setters[f"keras.config.{name}"] = getattr(config, name), getattr(config, f"set_{name}")
    before = {name: get() for name, (get, _) in getters_and_setters.items()}

    def check() -> list[str]:
        changed = []
        for name, (get, put) in getters_and_setters.items():
            if get() != before[name]:
                put(before[name])
                changed.append(name)
        return changed

    return check


def _alarm_is_set() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _umask() -> int:
    mask = os.umask(0o077)  # it can be read only by setting it
    os.umask(mask)
    return mask


def _environment() -> Check:
    before = dict(os.environ)

    def check() -> list[str]:
        now = dict(os.environ)
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        for name in changed:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
        return [f"${name}" for name in changed]

    return check


def _folder() -> Check:
    before = _current()

    def check() -> list[str]:
        if before is None or _current() == before:
            return []
        with contextlib.suppress(OSError):  # it was deleted
            os.chdir(before)
        return ["the current folder"]

    return check


def _current() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it was deleted
        return None


def _limits(left: list[str]) -> Check:
    """The soft limits of the process are put back where the hard one lets that happen, else named in `left`."""
    try:
        import resource
    except ImportError:  # Windows has none
        return list
    numbers = {getattr(resource, name): name for name in reversed(dir(resource)) if name.startswith("RLIMIT_")}
    before = {number: resource.getrlimit(number) for number in numbers}

    def check() -> list[str]:
        changed: list[str] = []
        for number, limits in before.items():
            if resource.getrlimit(number) != limits:
                with contextlib.suppress(ValueError, OSError):
                    resource.setrlimit(number, limits)
                back = resource.getrlimit(number) == limits
                name = f"resource.{numbers[number]}"
                (changed if back else left).append(name if back else f"lowers {name}")
        return changed

    return check
