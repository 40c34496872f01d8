"""Run the code of a plug-in so that the rest goes on if it fails, exits, hangs, prints, or changes settings.

This is protection from faults, no sandbox: a crash in C code takes the process with it (`zoo plugins doctor`, which
looks from another process, names the culprit), and code that hangs goes on in its thread until the process ends.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from zoo.errors import PluginError, ZooError, one_line
from zoo.limits import SECONDS

# Libraries that take seconds to import, or hundreds of megabytes.
HEAVY = ("keras", "tensorflow", "jax", "torch", "sklearn", "pandas", "matplotlib", "scipy")
# Seconds that a plug-in may take to load, and a part to be made, unless ZOO_PLUGIN_TIMEOUT says otherwise.
TIMEOUT = 20.0
# Settings of Keras, read as keras.config.NAME(), that every network which is built later would follow.
KERAS = ("dtype_policy", "floatx", "epsilon", "image_data_format")

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What came of the code: its `value`, or the `error` that ended it, sys.exit included.

    `printed` is what it printed, `changed` names the settings that it changed and that were put back, `heavy` the
    libraries of HEAVY that it was the first to import.
    """

    value: Any
    error: BaseException | None
    seconds: float
    printed: str
    changed: list[str]
    heavy: list[str]


def run(work: Callable[[], Any], limit: float) -> Outcome:
    """Call `work` as `apart` does, catch what it prints and put back what it changes."""
    imported = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()) as printed, restoring(settings) as changed:
        started = time.perf_counter()
        value, error = apart(work, limit)
        seconds = time.perf_counter() - started
    heavy = [name for name in HEAVY if name in sys.modules and name not in imported]
    return Outcome(value, error, seconds, printed.getvalue(), changed, heavy)


def apart(work: Callable[[], Any], limit: float) -> tuple[Any, BaseException | None]:
    """Call `work` in a thread, and wait for it at most `limit` seconds: what it returns, or the error that ended it.

    Too late is a TimeoutError. Ctrl-C reaches the caller, if that is the main thread, and never the code.
    """
    values: list[Any] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            values.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(limit)
    if values:
        return values[0], None
    return None, errors[0] if errors else TimeoutError(f"not done after {limit:g} s")


_hanging: dict[type, PluginError] = {}


def of_part(cls: type, who: str, what: str, work: Callable[[], T]) -> T:
    """What `work` returns, which calls code of that class, `apart` and within the time limit.

    Raises ZooErrors as they are, and makes a PluginError of all else: `who` it is, `what` it couldn't do, and why. A
    class that hung once is not called again: whoever looks at all models would wait for each of them.
    """
    if cls in _hanging:
        raise _hanging[cls]
    value, error = apart(work, timeout())
    if isinstance(error, ZooError):
        raise error
    if error:
        blamed = PluginError(f"{who} {what}: {one_line(error)}")
        if isinstance(error, TimeoutError):
            _hanging[cls] = blamed
        raise blamed from error
    return value


@contextmanager
def blaming(who: str, what: str) -> Iterator[None]:
    """Within, whatever the code of a part raises becomes a PluginError: who it is, what it couldn't do, and why."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise PluginError(f"{who} {what}: {one_line(error)}") from error


@contextmanager
def restoring(read: Callable[[], dict[str, Any]]) -> Iterator[list[str]]:
    """Put back those of the settings that are changed within; the names of these, once it ends."""
    before = read()
    changed: list[str] = []
    try:
        yield changed
    finally:
        now = read()
        changed += [
            name
            for name in {**before, **now}
            if before.get(name) != now.get(name) and (name in before or name.startswith("$"))  # not: Keras was loaded
        ]
        for name in changed:
            _put(name, before.get(name))


def settings() -> dict[str, Any]:
    """The working folder, the environment as $NAME, and the settings of Keras if that is loaded."""
    folder = None
    with contextlib.suppress(OSError):  # it was deleted
        folder = os.getcwd()  # noqa: PTH109
    return {"the working folder": folder, **{f"${name}": os.environ[name] for name in os.environ}, **keras_settings()}


def keras_settings() -> dict[str, Any]:
    """The settings of Keras that a part must not change; none while Keras isn't loaded."""
    config = getattr(sys.modules.get("keras"), "config", None)
    return {f"keras.config.{name}": getattr(config, name)() for name in KERAS} if config else {}


def _put(name: str, value: Any) -> None:
    if name.startswith("keras."):
        getattr(sys.modules["keras"].config, f"set_{name.rpartition('.')[2]}")(value)
    elif not name.startswith("$"):
        with contextlib.suppress(OSError, TypeError):
            os.chdir(value)
    elif value is None:
        del os.environ[name[1:]]
    else:
        os.environ[name[1:]] = value


def timeout() -> float:
    """Seconds that a plug-in may take to load. Raises ConfigError for a wrong ZOO_PLUGIN_TIMEOUT."""
    seconds: float = SECONDS.of_environment("ZOO_PLUGIN_TIMEOUT", TIMEOUT)
    return seconds
