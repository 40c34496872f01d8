"""Run the code of a plug-in so that the rest goes on whatever it does: within a time limit, its traces removed.

This is protection from faults, no sandbox. A crash in C code and C code that keeps the interpreter to itself still
take the whole process with them: of a crash standard error tells which plug-in was at work, and `zoo plugins doctor`
names the culprit, as it looks from another process. Code that is given up gets an exception, which ends a loop in
Python but no wait in C: that goes on in its thread until the process ends, and keeps the lock of the module that was
being imported. What a plug-in changes in other libraries than those of `zoo.plugins.surroundings` stays changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar
from weakref import WeakKeyDictionary

from zoo.errors import PluginError, ZooError
from zoo.interfaces import Part
from zoo.limits import SECONDS
from zoo.plugins import surroundings

# Libraries that take seconds to import, or hundreds of megabytes.
HEAVY = ("keras", "tensorflow", "jax", "torch", "sklearn", "pandas", "matplotlib", "scipy")
# Seconds that a plug-in may take to load, and a part to be made, unless ZOO_PLUGIN_TIMEOUT says otherwise.
TIMEOUT = 20.0

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What came of the code: its `value`, or the `error` that ended it, sys.exit included.

    `printed` is what it wrote to standard output, `changed` names what it replaced beyond itself and was put back,
    `left` what cannot be put back, `heavy` the libraries of HEAVY that it was the first to import.
    """

    value: Any
    error: BaseException | None
    seconds: float
    printed: str
    changed: list[str]
    left: list[str]
    heavy: list[str]


def run(work: Callable[[], Any], limit: float, name: str = "plug-in") -> Outcome:
    """Call `work` as `apart` does, catch what it prints and put back what it changes."""
    imported = set(sys.modules)
    with _stdout_caught() as printed, surroundings.kept() as changes:
        started = time.perf_counter()
        value, error = apart(work, limit, name)
        seconds = time.perf_counter() - started
    return Outcome(
        value=value, error=error, seconds=seconds, printed="".join(printed),
        changed=changes.undone, left=changes.left,
        heavy=[name for name in HEAVY if name in sys.modules and name not in imported],
    )  # fmt: skip


def apart(work: Callable[[], Any], limit: float, name: str) -> tuple[Any, BaseException | None]:
    """Call `work` in a thread, and wait for it at most `limit` seconds: what it returns, or the error that ended it.

    Too late is a TimeoutError, os._exit a SystemExit. Ctrl-C reaches the caller if that is the main thread, never
    the code: a KeyboardInterrupt that comes out of it is its own. Threads that it starts are daemons as it is, and
    don't keep the process from ending. A crash in C code writes the calls to standard error, one of them `name`.
    """
    values: list[Any] = []
    errors: list[BaseException] = []
    process = os.getpid()
    # So that a frame is called `name`, which tracebacks show, and those of crashes nothing else.
    named = compile("work()", f"<{name}>", "eval")

    def call() -> None:
        try:
            try:
                values.append(eval(named, {"work": work}))
            except BaseException as error:
                with contextlib.suppress(Exception):  # its text is the plug-in's as well, and could end the process
                    str(error)
                raise
        except BaseException as error:
            errors.append(error)
        if os.getpid() != process:  # a fork, which has nobody to go on for
            os._exit(0)

    thread = threading.Thread(target=call, name="plug-in", daemon=True)
    with _exit_raises(), _crashes_told():
        thread.start()
        thread.join(limit)
    if thread.is_alive():
        _interrupt(thread)
        return None, TimeoutError(f"not done after {limit:g} s")
    if errors or not values:
        return None, errors[0] if errors else RuntimeError("its thread ended before it began")
    return values[0], None


@contextmanager
def _exit_raises() -> Iterator[None]:
    """Within, os._exit raises SystemExit, except in a process that was forked: there it is how to end."""
    real, process, within = os._exit, os.getpid(), True

    def leave(status: int) -> NoReturn:
        if within and os.getpid() == process:
            raise SystemExit(f"os._exit({status})")
        real(status)

    os._exit = leave
    try:
        yield
    finally:
        within = False  # whoever keeps it has the real one from now on
        if os._exit is leave:
            os._exit = real


@contextmanager
def _crashes_told() -> Iterator[None]:
    """Within, a crash in C code writes the thread's calls to standard error, if there is one."""
    mine = False
    with contextlib.suppress(AttributeError, OSError, ValueError, RuntimeError):
        if not faulthandler.is_enabled():
            faulthandler.enable(sys.__stderr__ or 2, all_threads=False)
            mine = True
    try:
        yield
    finally:
        if mine:
            faulthandler.disable()


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


_hanging: WeakKeyDictionary[type[Part], PluginError] = WeakKeyDictionary()


def of_part(cls: type[Part], work: Callable[[], T], fault: Callable[[BaseException], PluginError]) -> T:
    """What `work` returns, which calls code of that class, `apart` and within the time limit.

    Raises ZooErrors as they are, and makes one of all else by `fault`. A class that hung once is not called again:
    whoever looks at all models would wait for each of them.
    """
    if cls in _hanging:
        raise _hanging[cls]
    value, error = apart(work, timeout(), f"{cls.__name__} (from {cls.__zoo_origin__})")
    if isinstance(error, ZooError):
        raise error
    if error:
        wrong = fault(error)
        if isinstance(error, TimeoutError):
            _hanging[cls] = wrong
        raise wrong from error
    return value


def timeout() -> float:
    """Seconds that a plug-in may take to load. Raises ConfigError for a wrong ZOO_PLUGIN_TIMEOUT."""
    seconds: float = SECONDS.of_environment("ZOO_PLUGIN_TIMEOUT", TIMEOUT)
    return seconds
