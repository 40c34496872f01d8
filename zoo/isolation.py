"""Run the code of a plug-in so that the rest goes on whatever it does: within a time limit, its traces removed.

This is protection from faults, no sandbox. `os._exit`, a crash in C code and C code that keeps the interpreter to
itself still take the whole process with them; `zoo plugins doctor` names the culprit then, as it looks from another
process. Code that is given up gets an exception, which ends a loop in Python but no wait in C: that goes on in its
thread until the process ends, and keeps the lock of the module that was being imported. What a plug-in changes in
libraries other than zoo, or inside lists and dicts, stays changed.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# Libraries that take seconds to import, or hundreds of megabytes.
HEAVY = ("keras", "tensorflow", "jax", "torch", "sklearn", "pandas", "matplotlib", "scipy")


@dataclass(frozen=True)
class Outcome:
    """What came of the code: its `value`, or the `error` that ended it, sys.exit included.

    `printed` is what it wrote to standard output, `changed` names what it replaced beyond itself and was put back,
    `heavy` the libraries of HEAVY that it was the first to import.
    """

    value: Any
    error: BaseException | None
    seconds: float
    printed: str
    changed: list[str]
    heavy: list[str]


def run(work: Callable[[], Any], limit: float) -> Outcome:
    """Call `work` in a thread, and wait for it at most `limit` seconds; then its error is a TimeoutError.

    Ctrl-C reaches the caller, never the thread: whatever comes out of that is the plug-in's own. Threads that it
    starts are daemons as it is, and don't keep the process from ending.
    """
    values: list[Any] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            values.append(work())
        except BaseException as error:
            errors.append(error)

    imported = set(sys.modules)
    thread = threading.Thread(target=call, name="plug-in", daemon=True)
    with _stdout_caught() as printed, _surroundings_kept() as changed:
        started = time.perf_counter()
        thread.start()
        thread.join(limit)
        seconds = time.perf_counter() - started
    late = thread.is_alive()
    if late:
        _interrupt(thread)
        errors.insert(0, TimeoutError(f"not loaded after {limit:g} s"))
    error = errors[0] if errors else None
    return Outcome(
        value=None if error else values[0], error=error, seconds=seconds, printed="".join(printed), changed=changed,
        heavy=[name for name in HEAVY if name in sys.modules and name not in imported],
    )  # fmt: skip


def _interrupt(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread, as soon as it runs Python again."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


@contextmanager
def _stdout_caught() -> Iterator[list[str]]:
    """Catch what Python, C code and child processes write to standard output: one string, once the context ends."""
    caught: list[str] = []
    real = sys.stdout
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as stack:
        with contextlib.suppress(AttributeError, OSError, ValueError):  # a program may have no standard output
            real.flush()
            descriptor = os.dup(1)
            stack.callback(os.close, descriptor)
            stack.callback(os.dup2, descriptor, 1)
            os.dup2(file.fileno(), 1)
        replacement = open(os.dup(file.fileno()), "w", encoding="utf-8", errors="replace")  # noqa: SIM115, PTH123
        sys.stdout = replacement
        try:
            yield caught
        finally:
            sys.stdout = real
            with contextlib.suppress(OSError, ValueError):  # the plug-in has closed it
                replacement.close()
            file.seek(0)
            caught.append(file.read(10_000).decode(errors="replace"))


@contextmanager
def _surroundings_kept() -> Iterator[list[str]]:
    """Put back what was changed within: folder, environment, names in builtins, os, sys and zoo, its classes too.

    The context is a list of what was put back. Environment variables that were added stay, unless they are for
    Keras or zoo: libraries add some for themselves.
    """
    changed: list[str] = []
    folder, environment = _folder(), dict(os.environ)
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "zoo"}
    owners: dict[str, Any] = {"builtins": builtins, "os": os, "sys": sys, **modules}
    for module in modules.values():
        owners |= {f"{c.__module__}.{c.__name__}": c for c in vars(module).values() if _is_own(c)}
    before = {name: dict(vars(owner)) for name, owner in owners.items()}
    try:
        yield changed
    finally:
        for name, module in modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
                changed.append(name)
        for name, attributes in before.items():
            now = dict(vars(owners[name]))
            for attribute, value in attributes.items():
                if now.get(attribute, before) is not value:
                    setattr(owners[name], attribute, value)
                    changed.append(f"{name}.{attribute}")
        for variable in {*environment, *(v for v in os.environ if v.startswith(("KERAS_", "ZOO_")))}:
            if os.environ.get(variable) != environment.get(variable):
                changed.append(f"${variable}")
                if variable in environment:
                    os.environ[variable] = environment[variable]
                else:
                    del os.environ[variable]
        if folder is not None and _folder() != folder:
            os.chdir(folder)
            changed.append("the current folder")


def _is_own(value: Any) -> bool:
    """Whether something is a class of zoo."""
    return isinstance(value, type) and value.__module__.partition(".")[0] == "zoo"


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it was deleted
        return None
