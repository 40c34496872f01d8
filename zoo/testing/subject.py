"""What a check is given: the part, and the sizes to try it at."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from zoo.errors import one_line
from zoo.interfaces import BACKENDS, PART_KINDS, Backbone, Part, title


@dataclass(frozen=True)
class Subject:
    """A part under test, and the two image sizes to build it for."""

    part: Any
    sizes: tuple[int, int]

    @property
    def name(self) -> str:
        """What test ids begin with."""
        return self.part.__name__.rpartition(".")[2] if isinstance(self.part, ModuleType) else self.part.name

    @property
    def kind(self) -> str:
        """ "backbone", "head", "schedule", "augmenter" or, of a module, "tracker"."""
        return next((kind for kind, base in PART_KINDS.items() if isinstance(self.part, base)), "tracker")

    @property
    def module(self) -> str:
        """The module that defines it."""
        return self.part.__name__ if isinstance(self.part, ModuleType) else type(self.part).__module__

    @property
    def package(self) -> str:
        """The package that this module is in, or the module itself."""
        return self.module.partition(".")[0]

    @property
    def backends(self) -> list[str]:
        """The installed backends that it is for."""
        wanted = self.part.backends or BACKENDS
        return [name for name in BACKENDS if name in wanted and importlib.util.find_spec(name)]

    def bare(self) -> Part:
        """The part; a backbone with random weights, which need no network."""
        part: Part = self.part
        return dataclasses.replace(part, weights="none") if isinstance(part, Backbone) else part

    def described(self) -> dict[str, Any]:
        """What another process needs to know to make the part again, as JSON; see `zoo.testing.elsewhere`."""
        if isinstance(self.part, ModuleType):
            return {"module": self.module}
        table = self.part.table()
        name = table.pop("name")
        known = {"module": self.module, "class": type(self.part).__qualname__, "kind": self.kind}
        return json.loads(json.dumps({**known, "name": name, "fields": table}))

    def wrong(self, what: str) -> AssertionError:
        """The error to raise: the part, what is wrong with it, and what to do."""
        return AssertionError(f"{self}: {what}")

    def __str__(self) -> str:
        return f"tracker {self.module}" if isinstance(self.part, ModuleType) else title(self.part)


@dataclass(frozen=True)
class Check:
    """One check of one part. Calling it raises AssertionError if the part doesn't pass."""

    subject: Subject
    function: Callable[..., None]
    arguments: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """What the part is to do, such as "saves_and_reloads"."""
        return "_".join([self.function.__name__, *map(str, self.arguments)])

    @property
    def __name__(self) -> str:
        return f"{self.subject.name}-{self.name}"

    def __call__(self) -> None:
        try:
            self.function(self.subject, *self.arguments)
        except AssertionError:
            raise
        except (Exception, SystemExit) as error:  # of the part, or of zoo about the part
            text = one_line(error)
            raise AssertionError(text if str(self.subject) in text else f"{self.subject}: {text}") from error
