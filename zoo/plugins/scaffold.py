"""Write a new plug-in: a package that can be installed and passes its tests, to be edited into what it is to be."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo
from zoo.errors import ConfigError, reason
from zoo.files import is_free
from zoo.interfaces import PART_KINDS, model_name_fault

if TYPE_CHECKING:
    from zoo.plugins.registry import Registry

KINDS = (*PART_KINDS, "tracker")
LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", "none")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# A parameter of each part as it is written, for its README.
PARAMETERS = {
    "backbone": "width = 32",
    "head": "dropout = 0.5",
    "schedule": "epochs = 10",
    "augmenter": "contrast = 0.5",
}
LONGEST = 30  # characters of a name: lines of code hold it


def create(name: str, kind: str, spdx: str, author: str, out: Path | None, registry: Registry) -> Path:
    """Write the package of a plug-in called `name` into folder `out`, by default ./zoo-NAME; that folder.

    `spdx` is one of LICENSES; `author` may be "NAME <EMAIL>"; `registry` knows the names that are taken. Raises
    ConfigError for a name that cannot be used or is taken, and for a folder that exists and isn't empty.
    """
    name = name.removeprefix("zoo-")
    _check_name(name)
    for owner in _owners(name, registry):
        raise ConfigError(f"{owner}: choose another name")
    if not author.isprintable():
        raise ConfigError(f"author {author!r} must be one line of text, such as 'Your Name <you@example.org>'")
    folder = out or Path(f"zoo-{name}")
    files = _render(name, kind, spdx, author)
    try:
        if not is_free(folder):
            raise ConfigError(f"{folder} exists and isn't empty: name another folder with --out DIR")
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {reason(error)}") from error
    return folder


def module_of(name: str) -> str:
    """The module of a plug-in called `name`."""
    return f"zoo_{name.replace('-', '_')}"


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        alike = "-".join(re.findall("[a-z0-9]+", name.lower()))[:LONGEST]
        raise ConfigError(
            f"plug-in name {name!r} must be lower-case letters, digits and single dashes, begin with a letter and have "
            f"at most {LONGEST} characters, such as {alike if NAME.fullmatch(alike) else 'retina-net'!r}"
        )
    if fault := model_name_fault(name):
        raise ConfigError(f"plug-in name {name!r}: {fault}")
    if keyword.iskeyword(_class(name)):
        raise ConfigError(f"plug-in name {name!r} would make a class named {_class(name)}: choose another")


def _class(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _owners(name: str, registry: Registry) -> Iterator[str]:
    """Who has that name already, a sentence for each."""
    for kind in (*PART_KINDS, "tracker", "model"):
        if name in registry.plugins.names(kind):
            yield f"the {kind} {name!r} is offered by plug-in {registry.plugins.get(kind, name).plugin}"
    for plugin in registry.plugins.found:
        if name == plugin.name or module_of(name) == plugin.module or f"zoo-{name}" == plugin.distribution:
            yield f"the plug-in {plugin} is installed"
    if name in registry.models:
        yield f"the model {name!r} stands in {registry.path}"


def _render(name: str, kind: str, spdx: str, author: str) -> dict[str, str]:
    """The text of every file, by its path in the package."""
    import jinja2

    module = module_of(name)
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        ".github/workflows/test.yml": "test.yml",
        f"{module}.py": f"{kind}.py",
        f"tests/test_{module.removeprefix('zoo_')}.py": f"test_{kind}.py",
    }
    if spdx != "none":
        templates["LICENSE"] = f"LICENSE-{spdx}"
    values: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "license": spdx,
        "module": module,
        "distribution": f"zoo-{name}",
        "cls": _class(name),
        "function": module.removeprefix("zoo_"),
        "about": f"{kind.capitalize()} {name}",
        "authors": _authors(author),
        "owner": author or f"the authors of zoo-{name}",
        "year": date.today().year,
        "parameter": PARAMETERS.get(kind, ""),
        "api": zoo.API_VERSION,
        "version": zoo.__version__,
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("zoo.plugins", "templates/plugin"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return {path: environment.get_template(f"{file}.jinja").render(values) for path, file in templates.items()}


def _authors(author: str) -> str:
    """An entry of `authors` in pyproject.toml; '' for nobody. JSON writes strings as TOML reads them."""
    found = re.fullmatch(r"(.*?)\s*<(\S+@\S+)>", author)
    name, email = (found[1], found[2]) if found else (author, "")
    fields = {"name": name, "email": email}
    told = ", ".join(f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in fields.items() if text)
    return f"{{ {told} }}" if told else ""
