"""Wheels, and fresh virtual environments as a user has them: nothing of the checkout is seen there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[1]


def build(project: Path, folder: Path, kind: str = "wheel") -> Path:
    """The wheel of a project (or its "sdist"), made without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    (file,) = folder.iterdir()
    return file


@dataclass(frozen=True)
class Venv:
    """A virtual environment that sees the third-party libraries of this one, and what is installed in itself."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Venv:
        """Without any zoo; `install` a wheel of it."""
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        venv = cls(folder)
        # Of the folders in a .pth file no .pth file is read: an editable install of the checkout stays out of sight.
        here = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (venv.site / "libraries.pth").write_text("\n".join(here))
        return venv

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def site(self) -> Path:
        """Its own site-packages."""
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder), "platbase": str(self.folder)}))

    def install(self, *wheels: Path) -> None:
        """Install wheels, whatever is installed where the libraries are."""
        self.run("-m", "pip", "install", "--no-index", "--no-deps", "--ignore-installed", *wheels).check_returncode()

    def uninstall(self, distribution: str) -> None:
        self.run("-m", "pip", "uninstall", "--yes", distribution).check_returncode()

    def run(self, *arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run its Python, in an empty folder unless told otherwise."""
        return subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=self._here(cwd),
            capture_output=True,
            text=True,
            timeout=500,
            env=self.environment(**environment),
        )

    def zoo(self, *arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run its command line."""
        return self.run(self.python.with_name("zoo"), *arguments, cwd=cwd, **environment)

    def shell(self, line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a line as in a shell where it is active. Builds use the tools at hand, for want of a network."""
        scripts = self.python.parent
        for command in ("pytest", "twine"):  # of the libraries; its own have a script there already
            (scripts / command).write_text(f'#!/bin/sh\nexec "{self.python}" -P -m {command} "$@"\n')
            (scripts / command).chmod(0o755)
        active = {"VIRTUAL_ENV": str(self.folder), "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
        pip = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # "0" is how pip is told of no isolation
        return subprocess.run(
            line,
            shell=True,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=1000,
            env=self.environment(**active, **pip),
        )

    def popen(self, *arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start its command line; what it says can be read line by line."""
        return subprocess.Popen(
            [str(self.python), str(self.python.with_name("zoo")), *map(str, arguments)],
            cwd=self._here(cwd),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(PYTHONUNBUFFERED="1"),
        )

    def environment(self, **changes: str) -> dict[str, str]:
        """The variables of this process, but for what Python would find modules by."""
        return {**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **changes}

    def _here(self, cwd: Path | None) -> Path:
        here = cwd or self.folder / "here"
        here.mkdir(exist_ok=True)
        return here
