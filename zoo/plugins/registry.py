"""registry.toml and the plug-ins' models -> recipes, every field checked before anything is trained."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from reprlib import repr as short
from typing import Any, ClassVar, TypeVar

import pydantic

from zoo import limits
from zoo.data.config import DEMO, DataConfig, SplitConfig
from zoo.errors import ConfigError, PluginError, one_line, unknown
from zoo.evaluation.config import EvaluationConfig
from zoo.files import expand
from zoo.interfaces import (
    PART_KINDS,
    STRICT,
    Monitored,
    Part,
    Recipe,
    Schedule,
    Stage,
    TestTime,
    model_name_fault,
    title,
)
from zoo.plugins import isolation
from zoo.plugins.discovery import Plugins

SHIPPED = "registry.toml"
TABLES = ("data", "evaluation", "defaults", "models")
NO_STAGES = "gives no stages"

T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """A [models.NAME] table, and [defaults]: each part a name, or a table with a name and parameters."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    backbone: str | dict[str, Any] = "efficientnet-b0"
    head: str | dict[str, Any] = "pooled"
    schedule: str | dict[str, Any] = "three-stage"
    augmenter: str | dict[str, Any] = "none"
    batch_size: int = 128
    seed: int = 0
    monitor: Monitored = "loss"
    tta: TestTime = "none"

    def __post_init__(self) -> None:
        limits.require(self, batch_size=limits.BATCH_SIZE, seed=limits.SEED)


@dataclass(frozen=True)
class Registry:
    """The models that can be trained: of registry.toml, of the one that zoo ships, and of plug-ins, none hidden.

    `shipped` names those of `models` that zoo ships.
    """

    path: Path
    data: DataConfig
    evaluation: EvaluationConfig
    defaults: dict[str, Any]
    models: dict[str, dict[str, Any]]
    plugins: Plugins
    shipped: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    def names(self) -> list[str]:
        """All models by name, those of registry.toml first and in its order."""
        others = {*self.models, *self.hidden}
        return [*self.models, *(name for name in self.plugins.names("model") if name not in others)]

    def recipe(self, name: str) -> Recipe:
        """The recipe of that name; registry.toml wins over a plug-in's model.

        Raises ConfigError, or PluginError if plug-ins clash over one of its parts.
        """
        if name in self.models:
            table, source = self.models[name], SHIPPED if name in self.shipped else self.path.name
        elif name in self.names():
            offer = self.plugins.get("model", name)
            table, source = offer.value, offer.plugin.distribution
        else:
            raise self.plugins.unknown("model", name, self.names())
        return build_recipe(name, {**self.defaults, **table}, self.plugins, source)


def load_registry(path: Path | None, plugins: Plugins) -> Registry:
    """Read a registry file: `path`, else ./registry.toml, else the one that zoo ships.

    Its models and defaults are laid over those that zoo ships: a table replaces the one of its name, `NAME = false`
    under [models] hides one, wherever it comes from.

    Raises ConfigError for a file that is missing, no TOML, or holds an unknown or mistyped field outside the
    models; a faulty model is only an error when its recipe is asked for.
    """
    path = path or find()
    tables = _tables(path)
    shipped = {} if path == _shipped() else _tables(_shipped())
    models = tables.get("models", {})
    hidden = frozenset(name for name, table in models.items() if table is False)
    kept = {name: table for name, table in models.items() if name not in hidden}
    others = {name: table for name, table in shipped.get("models", {}).items() if name not in models}
    data = from_table(DataConfig, tables.get("data", {}), f"{path}: data")
    if data.root != DEMO:
        data = dataclasses.replace(data, root=str(path.parent / expand(data.root)))
    if data.test_root:
        data = dataclasses.replace(data, test_root=str(path.parent / expand(data.test_root)))
    defaults = {**shipped.get("defaults", {}), **tables.get("defaults", {})}
    evaluation = from_table(EvaluationConfig, tables.get("evaluation", {}), f"{path}: evaluation")
    return Registry(path, data, evaluation, defaults, {**kept, **others}, plugins, frozenset(others), hidden)


def _tables(path: Path) -> dict[str, Any]:
    """What a registry file holds, checked as `load` says but for its data."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"registry {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # Python reads no number of thousands of digits either
        raise ConfigError(f"registry {path} is not TOML: {error}") from error
    for name in tables:
        if name not in TABLES:
            raise ConfigError(f"{path}: {unknown('table', name, [*TABLES])}")
    models = tables.get("models", {})
    if not isinstance(models, dict) or not all(isinstance(table, dict) or table is False for table in models.values()):
        raise ConfigError(f"{path}: models must be tables, each as [models.NAME], or NAME = false to hide one")
    for name in models:
        if fault := model_name_fault(name):
            raise ConfigError(f"{path}: model name {short(name)}: {fault}")
    from_table(ModelConfig, tables.get("defaults", {}), f"{path}: defaults")
    return tables


def split_config(base: SplitConfig, **given: Any) -> SplitConfig:
    """What is given (None: not), and the rest as in `base`; of another method only its folds and seed.

    Raises ConfigError for what doesn't go together.
    """
    given = {key: value for key, value in given.items() if value is not None}
    if given.get("method", base.method) == base.method:
        given = {**{key: value for key, value in vars(base).items() if value is not None}, **given}
    return from_table(SplitConfig, {"folds": base.folds, "seed": base.seed, **given}, "split")


def find() -> Path:
    """./registry.toml, else the one that zoo ships."""
    own = Path("registry.toml")
    return own if own.is_file() else _shipped()


def _shipped() -> Path:
    """The packaged registry.toml, else (in a checkout) the one at the project's top."""
    package = Path(__file__).parents[1]
    for candidate in (package / SHIPPED, package.parent / SHIPPED):
        if candidate.is_file():
            return candidate
    raise ConfigError("no registry.toml in the installed package: install zoo again")


def build_recipe(name: str, table: Mapping[str, Any], plugins: Plugins, source: str) -> Recipe:
    """A recipe from the table that describes it, every part built and its stages checked."""
    where = f"{source}: models.{name}"
    config = from_table(ModelConfig, table, where)
    parts = {kind: build_part(kind, getattr(config, kind), plugins, f"{where}.{kind}") for kind in PART_KINDS}
    others = {name: value for name, value in vars(config).items() if name not in PART_KINDS}
    recipe = Recipe(name, **parts, **others, source=source)
    checked_stages(recipe.schedule)
    return recipe


def checked_stages(schedule: Schedule) -> list[Stage]:
    """The stages of a schedule, or PluginError if it returns anything else, too many, or hangs."""
    return isolation.of_part(type(schedule), title(schedule), NO_STAGES, lambda: _stages(schedule))


def _stages(schedule: Schedule) -> list[Stage]:
    with isolation.blaming(title(schedule), NO_STAGES):
        stages = list(islice(schedule.stages(), limits.STAGES + 1))
    if len(stages) > limits.STAGES:
        raise PluginError(f"{title(schedule)} gives more than {limits.STAGES} stages")
    if not stages or not all(isinstance(stage, Stage) for stage in stages):
        raise PluginError(f"{title(schedule)} must return one or more zoo.Stage, not {short(stages)}")
    for stage in stages:
        try:
            table = json.loads(json.dumps(dataclasses.asdict(stage)))
            from_table(type(stage), table, f"stage {short(stage.name)}")
        except Exception as error:
            advice = "give each field the type that zoo.Stage says, as plain data"
            raise PluginError(f"{title(schedule)}: {one_line(error)}: {advice}") from error
    if len({stage.name for stage in stages}) < len(stages):
        raise PluginError(f"{title(schedule)} names two stages alike")
    return stages


def build_part(kind: str, table: str | dict[str, Any], plugins: Plugins, where: str) -> Any:
    """A part from its name or the table that describes it; `where` is what errors name."""
    fields = {"name": table} if isinstance(table, str) else dict(table)
    name = fields.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{where}: a table needs a name, one of {', '.join(plugins.names(kind))}")
    try:
        offer = plugins.get(kind, name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error

    def make() -> Part:
        part: Part = from_table(offer.value, fields, f"{where} ({name})")
        json.dumps(part.table())  # as its job will hold it
        if faults := [*limits.unusable(part.table())]:
            raise ValueError("; ".join(faults))
        return part

    return isolation.of_part(offer.value, f"{kind} {name!r} (from {offer.plugin.origin})", "cannot be made", make)


def from_table(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """An instance of dataclass `cls` from a table, each field strictly of its type.

    Raises ConfigError with the place of every fault, and the known names for an unknown field.
    """
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if wrong := [*limits.unusable(table)]:
        raise ConfigError(f"{where}: {'; '.join(wrong)}")
    try:
        # Through JSON, because there a list may fill a tuple, as TOML has no other sequence.
        return adapter_of(cls).validate_json(json.dumps(table, default=str), strict=True)
    except pydantic.ValidationError as error:
        faults = "; ".join(_fault(fault, known) for fault in error.errors())
        raise ConfigError(f"{where}: {faults}") from None


def adapter_of(cls: type[T]) -> pydantic.TypeAdapter[T]:
    """What checks tables for dataclass `cls`. Raises PluginError for fields of types that cannot be checked."""
    try:
        adapter = pydantic.TypeAdapter(cls)
        adapter.rebuild()  # raises if a type is unknown, which is put off otherwise
        return adapter
    except (pydantic.PydanticUserError, pydantic.errors.PydanticUndefinedAnnotation) as error:
        reason = error.message.partition(". ")[0]
        raise PluginError(f"its fields have types that zoo cannot check: {reason}") from error


def _fault(fault: Any, known: list[str]) -> str:
    place = ".".join(str(step) for step in fault["loc"])
    if fault["type"] == "unexpected_keyword_argument" and len(fault["loc"]) == 1:
        return unknown("field", place, known)
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}, not {fault['input']!r}" if place else message
