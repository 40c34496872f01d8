"""Checks of every part: it is offered, described, light to import, and plain data."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
from typing import Any

from zoo.errors import ConfigError
from zoo.interfaces import PART_KINDS
from zoo.plugins import discovery, doctor, isolation, registry
from zoo.plugins.discovery import Plugins
from zoo.testing import elsewhere
from zoo.testing.subject import Subject


def is_offered(subject: Subject) -> None:
    """An installed plug-in offers this very class under its name, and no other plug-in claims that."""
    found = discovery.discover()
    kind, cls, name = subject.kind, type(subject.part), subject.part.name
    clashes = {(kind, name): offers for kind, name, offers in found.clashes}
    if (kind, name) in clashes:
        found.get(kind, name)  # raises the error that names both
    if name not in found.names(kind):
        raise subject.wrong(why_absent(subject, found, f"zoo_{kind}s() doesn't return {cls.__name__}: add it there"))
    offer = found.get(kind, name)
    theirs = offer.value
    if (theirs.__module__, theirs.__qualname__) != (cls.__module__, cls.__qualname__):
        raise subject.wrong(
            f"the plug-in {offer.plugin} offers {theirs.__module__}.{theirs.__qualname__} under this name, "
            f"not {cls.__module__}.{cls.__qualname__}: give yours another `name`"
        )


def why_absent(subject: Subject, found: Plugins, otherwise: str) -> str:
    """Why a part isn't on offer, and what to do; `otherwise` if its plug-in is there and faultless."""
    mine = [plugin for plugin in found.found if plugin.module.partition(".")[0] == subject.package]
    if not mine:
        off = os.environ.get("ZOO_PLUGINS")
        return (
            f"no installed plug-in declares the module {subject.package}: put this into pyproject.toml and install the "
            f'package again with pip install -e .\n\n[project.entry-points.zoo]\n{subject.name} = "{subject.package}"\n'
            + (f"\nIf it is installed: ZOO_PLUGINS={off} switches plug-ins off here.\n" if off else "")
        )
    for plugin in mine:
        if plugin.error:
            return f"the plug-in {plugin} is left out: {plugin.problem}\n{doctor.remedy(plugin, plugin.error)}"
    return f"the plug-in {' and '.join(map(str, mine))} is installed, but {otherwise}"


def has_docs(subject: Subject) -> None:
    """The class has a docstring; every parameter stands in it as a word, or has a comment on or above its line."""
    cls = type(subject.part)
    doc = vars(cls).get("__doc__") or ""
    if not doc.strip() or doc.startswith(f"{cls.__name__}("):  # which dataclass writes where there is none
        raise subject.wrong(f"class {cls.__name__} has no docstring: say in a sentence what it is, it stands in docs")
    bases = [base for base in cls.__mro__ if base.__module__.partition(".")[0] != "zoo" and base is not object]
    text = "\n".join([inspect.getdoc(base) or "" for base in bases])
    sources = "\n".join(_source(base) for base in bases)
    of_zoo = {field.name for field in dataclasses.fields(PART_KINDS[subject.kind])}  # type: ignore[arg-type]
    untold = [
        field.name
        for field in dataclasses.fields(cls)
        if field.name not in of_zoo
        and not re.search(rf"\b{field.name}\b", text)
        and not _commented(field.name, sources)
    ]
    if untold:
        raise subject.wrong(
            f"nothing says what {', '.join(untold)} {'is' if len(untold) == 1 else 'are'} for: "
            f"name each parameter in the docstring of {cls.__name__}, or put a comment behind it"
        )


def _source(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):  # made by a function, say
        return ""


def _commented(name: str, source: str) -> bool:
    return re.search(rf"^[ \t]*(#.*\n[ \t]*{name}[ \t]*:|{name}[ \t]*:.*#)", source, re.MULTILINE) is not None


def imports_nothing_heavy(subject: Subject) -> None:
    """Importing its module in a fresh process loads no keras, pandas or the like, prints and changes nothing."""
    told = elsewhere.call(subject, "imports")
    faults = [f"imports {', '.join(told['heavy'])}"] if told["heavy"] else []
    faults += [f"prints {told['printed'][:60]!r}"] if told["printed"] else []
    faults += [f"changes {', '.join(told['changed'])}"] if told["changed"] else []
    if faults:
        raise subject.wrong(
            f"importing {subject.module} {' and '.join(faults)}, which whoever lists models would wait for or wonder "
            f"at: import {', '.join(isolation.HEAVY[:4])} and the like inside methods, and do all work there"
        )


def has_plain_parameters(subject: Subject) -> None:
    """Its fields are plain data that registry.toml can hold, give an equal part back, and are those of a dataclass."""
    part = subject.part
    cls = type(part)
    if "__dataclass_params__" not in vars(cls):
        raise subject.wrong(f"class {cls.__name__} has no fields of its own: decorate it with @dataclass(frozen=True)")
    table = part.table()
    fields = {key: value for key, value in table.items() if key != "name"}
    try:
        json.dumps(table)
    except (TypeError, ValueError) as error:
        raise subject.wrong(
            f"its parameters are not plain data ({error}): use numbers, text, true and false, lists (as tuple) and "
            "tables, as registry.toml holds them; make all else of them inside methods"
        ) from error
    try:
        again: Any = registry.from_table(cls, fields, f"registry.toml with the parameters of {part!r}")
    except ConfigError as error:
        raise subject.wrong(
            f"it refuses its own parameters: {error}. Give each field the type of its default (float for 1e-3 and 1.0, "
            "tuple[int, ...] for a list)"
        ) from error
    if again != part:
        raise subject.wrong(
            f"registry.toml with its parameters makes another part, {again!r} instead of {part!r}: __post_init__ must "
            "leave the fields as they are"
        )


CHECKS = (is_offered, has_docs, imports_nothing_heavy, has_plain_parameters)
