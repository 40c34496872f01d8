"""What is said of the images: the [data] table of registry.toml."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from zoo import limits
from zoo.errors import unknown
from zoo.files import names_fault
from zoo.interfaces import STRICT

# Each role and the folder that plays it unless the registry says otherwise, as in the study.
ROLE_FOLDERS = {"train": "train", "validation": "test", "test": "valid"}
DEMO = "demo"

METHODS = ("rotate", "stratified", "grouped", "repeated", "leave-one-source-out")
MANIFEST_COLUMNS = ("path", "label", "group", "source", "fold", "role")


@dataclass(frozen=True)
class SplitConfig:
    """How images that are in no folds are divided: the `split` of the [data] table; see docs/data.md."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    method: str = "rotate"
    folds: int = 10
    repeats: int | None = None
    combinations: int | Literal["all"] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        limits.require(self, folds=limits.FOLDS, repeats=limits.FOLDS, seed=limits.SPLIT_SEED)
        if self.method not in METHODS:
            raise ValueError(unknown("method", self.method, [*METHODS]))
        least = 3 if self.method == "rotate" else 2
        if self.folds < least:
            raise ValueError(f"folds must be at least {least} for method {self.method}, not {self.folds}")
        if self.repeats is not None and (self.method != "repeated" or self.repeats < 2):
            raise ValueError("repeats must be at least 2, and goes with method repeated")
        if self.combinations is not None and self.method != "rotate":
            raise ValueError("combinations goes with method rotate")
        most = self.folds * (self.folds - 1)
        if isinstance(self.combinations, int) and not 1 <= self.combinations <= most:
            raise ValueError(f"combinations must be all, or 1 to {most} with {self.folds} folds")
        made = most if self.combinations == "all" else self.combinations or self.folds * (self.repeats or 1)
        if made > limits.FOLDS_MADE:
            raise ValueError(f"that is {made:,} folds, and {limits.FOLDS_MADE:,} are the most")

    def __str__(self) -> str:
        shown = [f"{self.folds} folds", *(f"{k} {v}" for k in ("repeats", "combinations") if (v := getattr(self, k)))]
        return f"method {self.method}, {', '.join(shown)}, seed {self.seed}"


@dataclass(frozen=True)
class DataConfig:
    """The [data] table.

    `test_root` is a second folder or manifest, whose images are the test role, '' for none. `groups` is a regular
    expression whose capture group takes a patient from an image's path, '' for none. `columns` says which column of a
    manifest holds what, where it isn't of the same name. `label` is a column, or a condition on one that is true of the
    last of two classes, such as "grade>=2". `labels` gives the class of each label that the data have (a cell of the
    column, or a folder), '' to leave out what has it.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    root: str = DEMO
    test_root: str = ""
    image_size: int = 224
    classes: tuple[str, ...] = ("normal", "abnormal")
    roles: dict[str, str] = dataclasses.field(default_factory=lambda: dict(ROLE_FOLDERS))
    groups: str = ""
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    label: str = ""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    split: SplitConfig = dataclasses.field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        if not self.root:
            raise ValueError('root is empty; name a folder, a manifest, or "demo"')
        limits.require(self, image_size=limits.IMAGE_SIZE)
        if fault := names_fault(self.classes):
            raise ValueError(f"classes: {fault}")
        if sorted(self.roles) != sorted(ROLE_FOLDERS):
            raise ValueError(f"roles must give {', '.join(ROLE_FOLDERS)} a folder each, not {self.roles}")
        for folder in self.roles.values():
            if len(both := [role for role, name in self.roles.items() if name == folder]) > 1:
                raise ValueError(
                    f"roles: the folder {folder} is {' and '.join(both)} at once, so that what is scored would be "
                    "trained or selected on; give each role a folder of its own"
                )
        if self.groups and not _capture_groups(self.groups):
            raise ValueError(f"groups must hold a capture group, as in ([0-9]+)_left, not {self.groups!r}")
        for column in self.columns:
            if column not in MANIFEST_COLUMNS:
                raise ValueError(f"columns: {unknown('column', column, [*MANIFEST_COLUMNS])}")
        if len(set(self.columns.values())) < len(self.columns):
            raise ValueError(f"columns must be different, not {self.columns}")
        if self.label and self.labels:
            raise ValueError("label and labels are two answers to one question; give one")

    @property
    def own_labels(self) -> tuple[str, ...]:
        """What the data call the classes, and what else they may hold: the names of `labels` if there are any."""
        return tuple(self.labels) or self.classes


def _capture_groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"groups is no regular expression: {error}") from None


def data_lines(**fields: str | Sequence[str] | Mapping[str, str]) -> str:
    """Lines of a [data] table that say this, to be shown or written."""
    return "\n".join(["[data]", *(f"{name} = {toml_value(value)}" for name, value in fields.items())])


def toml_value(value: str | Sequence[str] | Mapping[str, str]) -> str:
    """A value as TOML has it, whose strings are those of JSON but for one character."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        keys = (key if re.fullmatch("[A-Za-z0-9_-]+", key) else toml_value(key) for key in value)
        pairs = (f"{key} = {toml_value(each)}" for key, each in zip(keys, value.values(), strict=True))
        return f"{{ {', '.join(pairs)} }}"
    return f"[{', '.join(map(toml_value, value))}]"
