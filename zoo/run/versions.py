"""Whether the packages of another process are those of this one: `python -m zoo.run.versions` there, told on its input.

Loads nothing but what Python brings, so that asking takes a moment.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

PYTHON = "Python"


def here(names: Iterable[str]) -> dict[str, str]:
    """The versions of these packages in this process, "" for one that isn't installed, and Python's."""
    found = {PYTHON: ".".join(platform.python_version_tuple()[:2])}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def differences(expected: Mapping[str, str]) -> list[str]:
    """How the packages of a process that is started on this machine differ from these."""
    asked = [name for name in expected if name != PYTHON]
    command = [sys.executable, "-P", "-m", "zoo.run.versions"]
    told = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(told.stdout)
    return [
        f"{name} {wanted} is missing" if not found[name] else f"{name} is {found[name]} instead of {wanted}"
        for name, wanted in expected.items()
        if wanted and found[name] != wanted
    ]


if __name__ == "__main__":
    print(json.dumps(here(json.load(sys.stdin))))
