"""What the user asks for, and how run.json tells it."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

import zoo
from zoo.data import splits
from zoo.data.loading import Data
from zoo.data.options import DataOptions
from zoo.data.splits import Folds
from zoo.errors import ConfigError
from zoo.evaluation.config import EvaluationConfig, OperatingPoint, point_of
from zoo.files import expand, hash_file
from zoo.interfaces import Recipe
from zoo.limits import FOLD, REPEATS, SEED, SHARE
from zoo.run import versions
from zoo.training.options import TrainingOptions

LIBRARIES = ("keras", "tensorflow", "jax", "torch", "numpy", "pandas", "scikit-learn", "opencv-python-headless")


@dataclass(frozen=True, kw_only=True)
class Request(DataOptions, TrainingOptions):
    """What the user asks for, beside what is said of the data and the training. None: what registry.toml says.

    No `models` means all that are registered. `splits` is a split file or the same as a data frame; `folds` None means
    all folds, "first" the one of the lowest number. `repeats` runs each fold so often, with other seeds. `fresh`
    deletes what the run folder holds, `redo` the jobs that it names as (model, fold). `trackers` names the plug-ins
    that are told how the run goes. `operating_point` is one field of zoo.evaluation.config.OperatingPoint, such as
    {"sensitivity": 0.95}; `prevalence` the share of positives that predictive values are for. `shard` (2, 8) runs the
    second of eight equal parts of the jobs, see zoo.run.merge.

    Raises ConfigError for a number out of its limits, see zoo.limits.
    """

    models: tuple[str, ...] = ()
    splits: Path | pd.DataFrame | None = None
    folds: Folds = "first"
    out: Path | None = None
    weights: str | None = None
    seed: int | None = None
    registry: Path | None = None
    repeats: int = 1
    fresh: bool = False
    redo: tuple[tuple[str, int], ...] = ()
    trackers: tuple[str, ...] = ()
    operating_point: OperatingPoint | Mapping[str, Any] | None = None
    prevalence: float | None = None
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a number out of its limits."""
        DataOptions.__post_init__(self)
        TrainingOptions.__post_init__(self)
        numbers = {"seed": SEED, "repeats": REPEATS, "prevalence": SHARE}
        for name, limit in numbers.items():
            if (value := getattr(self, name)) is not None or name == "repeats":
                object.__setattr__(self, name, limit.check(name, value))
        if isinstance(self.operating_point, Mapping):
            object.__setattr__(self, "operating_point", point_of(self.operating_point))
        if self.shard is not None:
            part, parts = self.shard
            object.__setattr__(self, "shard", (FOLD.check("shard", part), FOLD.check("shard", parts)))
            if not 1 <= part <= parts:
                raise ConfigError(f"shard {part}/{parts}: there are shards 1 to {parts}")
        if self.folds is not None and self.folds != "first":
            object.__setattr__(self, "folds", tuple(FOLD.check("folds", fold) for fold in self.folds))


def weights_files(recipes: Iterable[Recipe], start_from: str | None) -> set[str]:
    """The files that training starts from."""
    if start_from:
        return {start_from}
    return {recipe.backbone.weights for recipe in recipes if recipe.backbone.from_file}


def start_from_file(request: Request) -> str | None:
    """The model file that training starts from, by its absolute path. Raises ConfigError if it cannot be used."""
    if request.start_from is None:
        return None
    file = expand(request.start_from).absolute()
    if not file.is_file() or file.suffix != ".keras":
        raise ConfigError(f"start from {file}: {'not a .keras file' if file.exists() else 'no such file'}")
    if request.weights is not None:
        raise ConfigError("weights and start from exclude each other: the model file holds the backbone's weights too")
    return str(file)


def default_out(request: Request) -> Path:
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    name = request.models[0] if len(request.models) == 1 else "compare"
    return Path("runs") / f"{name}-{moment}"


def aim(request: Request, config: EvaluationConfig) -> EvaluationConfig:
    """What the tables are to say: what is asked for, else what the registry says, which is `config`."""
    said = {name: getattr(request, name) for name in ("operating_point", "prevalence")}
    return dataclasses.replace(config, **{name: value for name, value in said.items() if value is not None})


def run_record(
    request: Request, recipes: dict[str, Recipe], data: Data, options: TrainingOptions, evaluation: EvaluationConfig
) -> dict[str, Any]:
    """The content of run.json; `options` and `evaluation` as settled, of which `request` may say less."""
    return {
        "request": {key: _said(value) for key, value in vars(request).items()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipes": {name: recipe.table() for name, recipe in recipes.items()},
        "origins": {name: recipe.origins for name, recipe in recipes.items()},
        "code": {name: recipe.code for name, recipe in recipes.items()},
        "max_epochs": options.max_epochs,
        "min_learning_rate": options.min_learning_rate,
        "repeats": request.repeats,
        "trackers": list(request.trackers),
        "start_from": options.start_from and hash_file(Path(options.start_from)),
        "allow_leak": options.allow_leak,
        "precision": options.precision,
        "evaluation": evaluation.table(),
        "weights_files": {path: hash_file(Path(path)) for path in weights_files(recipes.values(), options.start_from)},
        "data": {
            **dataclasses.asdict(data.config),
            "folds": sorted(set(data.splits["fold"].tolist())),
            "split_file": data.split_file,
            "fingerprint": splits.fingerprint(data.splits),
            "notes": list(data.notes),
        },
        "versions": {"zoo": zoo.__version__, "python": platform.python_version(), **versions.installed(LIBRARIES)},
        "machine": {},
        "weights": {},
    }


def _said(value: Any) -> Any:
    """A field of the request as JSON has it."""
    if isinstance(value, pd.DataFrame):
        return f"table of {len(value)} rows"
    if isinstance(value, OperatingPoint):
        return value.table()
    return str(value) if isinstance(value, Path) else value
