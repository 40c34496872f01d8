"""Checks that need a fresh process: what a module does when imported, a saved model loaded again, another backend.

`python -m zoo.testing.elsewhere` reads a task as JSON from standard input and writes what came of it to standard
output as JSON.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from zoo.errors import PluginError, one_line
from zoo.plugins import hooks, isolation, registry
from zoo.testing.subject import Subject
from zoo.training import logs

LIMIT = 600.0  # seconds


class ElsewhereError(AssertionError):
    """What another process says went wrong; `text` is the error on one line, `trace` its traceback."""

    def __init__(self, subject: Subject, text: str, trace: str) -> None:
        super().__init__("\n\n".join(filter(None, [text if str(subject) in text else f"{subject}: {text}", trace])))
        self.text, self.trace = text, trace


def call(subject: Subject, task: str, backend: str | None = None, **arguments: Any) -> Any:
    """What the function `task` below returns in a fresh process, under `backend` or the one at hand.

    Raises ElsewhereError if it raises anything or the process ends.
    """
    environment = {**logs.environment(logs.FATAL), "PYTHONPATH": os.pathsep.join(_path())}
    if backend:
        environment["KERAS_BACKEND"] = backend
    part = {"module": subject.module} if task == "imports" else subject.described()
    order = json.dumps({"task": task, "part": part, "arguments": arguments})
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "zoo.testing.elsewhere"],
            input=order,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise ElsewhereError(subject, f"{task} in a fresh process took longer than {LIMIT:g} s", "") from None
    try:
        told = json.loads(done.stdout)
    except ValueError:
        text = f"{task} ended the whole process (status {done.returncode})"
        raise ElsewhereError(subject, text, done.stderr[-3000:]) from None
    if "error" in told:
        raise ElsewhereError(subject, told["error"], told["trace"])
    return told["value"]


def _path() -> Iterator[str]:
    """Where this process looks for modules: a test file's folder is among them."""
    for folder in sys.path:
        yield folder or os.getcwd()  # noqa: PTH109


def imports(part: dict[str, Any]) -> dict[str, Any]:
    """What importing the module does besides; see `zoo.plugins.isolation.Outcome`."""
    outcome = isolation.run(functools.partial(importlib.import_module, part["module"]), isolation.timeout())
    if outcome.error:
        raise outcome.error
    return {"heavy": outcome.heavy, "printed": outcome.printed, "changed": outcome.changed}


def stages(part: dict[str, Any]) -> dict[str, Any]:
    """The stages of a schedule, asked for twice, and what that has loaded."""
    schedule = make(part)
    before = set(sys.modules)
    tables = [[vars(stage) for stage in registry.checked_stages(schedule)] for _ in range(2)]
    heavy = [name for name in isolation.HEAVY if name in sys.modules and name not in before]
    return {"heavy": heavy, "same": tables[0] == tables[1]}


def reload(part: dict[str, Any], sizes: list[int], file: str, images: str, outputs: str) -> None:
    """Load a model file as zoo does: in safe mode, once building the part has made its layers known to Keras."""
    import keras
    import numpy as np

    from zoo.testing import networks

    networks.network(Subject(make(part), (sizes[0], sizes[1])))
    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    np.save(outputs, networks.run(model, np.load(images)))


def works(part: dict[str, Any], sizes: list[int]) -> None:
    """Build, run and train the part for one step under the backend of this process."""
    from zoo.testing import networks

    networks.works(Subject(make(part), (sizes[0], sizes[1])))


def track(part: dict[str, Any], folder: str, calls: list[tuple[str, dict[str, Any]]]) -> tuple[str, str, str] | None:
    """Call the hooks of a tracker in a folder; the first that raises something, with what and its traceback."""
    os.chdir(folder)
    caller = hooks.registered(importlib.import_module(part["module"])).hook
    for name, arguments in calls:
        try:
            getattr(caller, name)(**arguments)
        except BaseException as error:  # sys.exit included, as in zoo.run.tracker_process
            state = arguments.get("result", {}).get("state")
            return name, f" ({state}): {one_line(error)}" if state else f": {one_line(error)}", traceback.format_exc()
    return None


def make(part: dict[str, Any]) -> Any:
    """The part that `Subject.described` describes."""
    module = importlib.import_module(part["module"])
    found: Any = module
    for name in part["class"].split("."):
        found = getattr(found, name, None)
    if found is None:  # a class that a hook makes
        for kind, name, value in hooks.read_hooks(module):
            if (kind, name) == (part["kind"], part["name"]):
                found = value
    if found is None:
        raise PluginError(
            f"{part['module']} has no {part['class']}: put the class at the top of its module, or let a hook return it"
        )
    return registry.from_table(found, part["fields"], part["name"])


def main() -> None:
    """Do the task on standard input, and end at once whatever threads the plug-in has started."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the part prints
    order = json.load(sys.stdin)
    try:
        told = {"value": globals()[order["task"]](order["part"], **order["arguments"])}
    except AssertionError as error:  # of a check, whose text says it all
        told = {"error": str(error), "trace": ""}
    except BaseException as error:
        told = {"error": one_line(error), "trace": traceback.format_exc()}
    json.dump(told, answer)
    answer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
