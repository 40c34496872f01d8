"""Whether the packages of another process are those of this one: `python -m zoo.run.versions` there, told on its input.

Loads nothing but what Python brings, so that asking takes a moment.
"""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version

PYTHON = "Python"


def installed(names: Collection[str]) -> dict[str, str]:
    """The versions of those of these packages that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def here(names: Collection[str]) -> dict[str, str]:
    """The versions of these packages in this process, "" for one that isn't installed, and Python's."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {PYTHON: python, **dict.fromkeys(names, ""), **installed(names)}


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
