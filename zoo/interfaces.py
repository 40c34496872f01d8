"""The four parts of a recipe. A plug-in subclasses one of them as a frozen dataclass.

The class variable `name` is what registry.toml calls it. The fields of the dataclass are the parameters that
registry.toml may set, with their types; raise ValueError in `__post_init__` for values out of range. Import keras
inside the methods, never at the top of a plug-in: listing models must not load it. A part that works under some
backends of Keras only names them in the class variable `backends`, such as ("torch",).
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.errors import WeightsError
from zoo.files import hash_code, keras_home
from zoo.limits import DECAY_EPOCHS, EPOCHS, STRENGTH, require

if TYPE_CHECKING:
    import keras
    import numpy as np

# How pydantic checks the fields of a dataclass: exact types, and no field that the class doesn't have.
STRICT: Mapping[str, Any] = {"extra": "forbid", "strict": True}
# Names of models become folders of a run, those of trackers files.
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAMING = "use at most 100 letters, digits, dots, dashes and underscores, a letter or digit first"
# What else is in the folder of a run; some file systems take large letters for small ones.
RUN_ENTRIES = (
    "run.json",
    "splits.csv",
    "sources.csv",
    "results.csv",
    "summary.csv",
    "comparison.csv",
    "threshold.csv",
    "missed.csv",
    "calibration.csv",
    "duplicates.csv",
    "report.html",
    "best",
    "pictures",
    "trackers",
    "lock",
)


def model_name_fault(name: str) -> str | None:
    """Why no model can have this name, and what to do; None if one can."""
    if not MODEL_NAME.fullmatch(name):
        return NAMING
    return "a run folder has an entry of that name: choose another" if name.lower() in RUN_ENTRIES else None


# The optimisers of Keras that a stage may name, and the parameters that each takes besides the learning rate.
_ANY = {"weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum"}
OPTIMIZERS = {
    "rmsprop": _ANY | {"rho", "momentum", "epsilon", "centered"},
    "adam": _ANY | {"beta_1", "beta_2", "epsilon", "amsgrad"},
    "adamw": _ANY | {"beta_1", "beta_2", "epsilon", "amsgrad"},
    "sgd": _ANY | {"momentum", "nesterov"},
}
# Parameters that Keras ignores without another.
NEEDS = {"ema_momentum": "use_ema", "nesterov": "momentum"}
OptimizerTable = dict[str, str | float | bool]
# What layers may compute in, as Keras names its dtype policies: bfloat16 needs a GPU of 2020 or later, float16 one of
# 2017, and Keras then scales the loss by itself.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# By which metric of the validation role an epoch may be chosen, and whether less or more of it is better.
MONITORS = {"loss": "min", "auc": "max"}
Monitored = Literal["loss", "auc"]
# What is predicted of an image when it is scored: the image itself, or the mean over it and its mirror image.
TestTime = Literal["none", "flips"]
# The backends of Keras.
BACKENDS = ("tensorflow", "jax", "torch")


class Part(ABC):
    """What all parts share: a name for registry.toml, and fields that can be written down as a table."""

    name: ClassVar[str]
    backends: ClassVar[tuple[str, ...]] = ()  # those of BACKENDS that it works under, such as ("torch",); () for all
    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT
    __zoo_origin__: ClassVar[str] = ""  # the distribution that it came from, once its plug-in is loaded

    def table(self) -> dict[str, Any]:
        """The part as registry.toml would hold it: its name and every field."""
        assert dataclasses.is_dataclass(self)
        return {"name": self.name, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class WeightsFile:
    """A file of pre-trained weights: what it is, and where a backbone's `load_weights` looks for it.

    `digest` is the sum that its authors give, "md5 …" or "sha256 …"; "" where they give none. `licence` is theirs,
    `megabytes` its size. It is downloaded from `url` into `folder` (None: where Keras keeps such files), or comes with
    the Python distribution `package`.
    """

    name: str
    digest: str
    licence: str
    megabytes: float
    url: str = ""
    package: str = ""
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """Where it lies, or would."""
        return (self.folder or keras_home() / "models") / self.name


@dataclass(frozen=True)
class Backbone(Part):
    """A network from images to features.

    `weights` is "auto" (the first of `starts` that can be had, else random, with a warning), one of `starts` (insist),
    "none" (random) or the path of a weights file. The core acts on it, once for all backbones; a backbone only says how
    its network is built and how weights get into it.

    `starts` names what `load_weights` can begin with, the best first: "imagenet" are weights of this very network, any
    other name those of a network like it, after which batch-norm statistics are fitted on training images.
    """

    starts: ClassVar[tuple[str, ...]] = ("imagenet",)
    weights: str = field(default="auto", kw_only=True)

    @property
    def from_file(self) -> bool:
        """Whether `weights` is the path of a file."""
        return self.weights not in ("auto", "none", *self.starts)

    def pretrained(self) -> dict[str, WeightsFile]:
        """The files that `starts` come from, for `zoo weights`; those that come from no file are left out."""
        return {}

    @abstractmethod
    def build(self, image_shape: tuple[int, int, int]) -> keras.Model:
        """A functional model with random weights: float RGB 0..255 of (n, height, width, 3) to a feature map.

        Normalisation belongs inside the model. The feature map may have any shape that the head accepts,
        usually (n, h, w, channels).
        """

    def load_weights(self, model: keras.Model, source: str) -> None:
        """Fill `model`, as built by `build`, from one of `starts` or from the file at path `source`.

        Whatever this raises is reported as a WeightsError. This default knows no ImageNet weights and reads
        a file with Keras.
        """
        if source == "imagenet":
            raise WeightsError(f"backbone {self.name!r} brings no ImageNet weights")
        model.load_weights(source)


@dataclass(frozen=True)
class Head(Part):
    """The layers between the feature map and the class probabilities."""

    @abstractmethod
    def build(self, features: keras.KerasTensor, classes: int) -> keras.KerasTensor:
        """Probabilities: (n, 1) through a sigmoid for two classes, (n, classes) through a softmax for more."""


@dataclass(frozen=True)
class Decay:
    """Exponential decay of the learning rate: lr(step) = lr0 * rate ** (step / decay_steps).

    `decay_steps` is `every_steps` if that is given, else `every_epochs` times the steps of an epoch. With
    `staircase` the exponent is rounded down, so that the rate drops in steps.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    rate: float
    every_epochs: float = 1.0
    every_steps: int | None = None
    staircase: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate must be above 0 and at most 1, not {self.rate}")
        if not 0 < self.every_epochs <= DECAY_EPOCHS.most:
            raise ValueError(f"every_epochs must be above 0 and at most {DECAY_EPOCHS.most:,}, not {self.every_epochs}")
        if self.every_steps is not None and self.every_steps < 1:
            raise ValueError(f"every_steps must be at least 1, not {self.every_steps}")


@dataclass(frozen=True)
class Cosine:
    """The learning rate rises evenly from 0 over `warmup_epochs`, then falls along half a cosine.

    It reaches `final` times the stage's learning rate in the stage's last epoch (Loshchilov and Hutter, SGDR,
    2017, without restarts).
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    warmup_epochs: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        require(self, warmup_epochs=DECAY_EPOCHS)
        if not 0 <= self.final <= 1:
            raise ValueError(f"final must be between 0 and 1, not {self.final}")


@dataclass(frozen=True)
class Stage:
    """One stretch of training, from the best weights of the stage before.

    `name` is what tables call it, in one line of at most 100 characters. `epochs` is how many epochs it has at most,
    `learning_rate` the optimiser's. `patience` is the number of epochs without a better one, by what the recipe
    monitors, after which the stage ends.
    `optimizer` is the name of one of Keras' optimisers, or a table with its name and parameters. With `use_ema` an
    epoch is judged by, and ends with, the average of the weights over the steps.
    `decay` lets the learning rate fall. `layer_decay` lowers it with depth: the layers of the backbone are ten groups
    by depth, and each has that share of the rate of the group above it; the head has all of it (layer-wise
    learning-rate decay, Howard and Ruder, ULMFiT, 2018).
    `unfreeze` is 0 (the head only), n (the last n layers of the assembled model, head included), the prefix of
    a layer name such as "block7a" (from the first such layer on), or "all". The head always trains.
    `batchnorm` is "frozen" (BatchNormalization layers of the backbone stay in inference mode) or "train".
    `label_smoothing` moves that share of each training label evenly to all classes. `class_weights` multiplies the
    training loss of an image by the weight of its class: a table by class name, or "balanced" for weights in
    inverse proportion to how often each class occurs. `focal_gamma` above 0 makes images that are already right count
    less (focal loss, Lin et al., 2017). `mixup` (Zhang et al., 2018) and `cutmix` (Yun et al., 2019) above 0 blend
    each training image with another one, or paste a box of it in, and their labels by the same shares, drawn from
    Beta(a, a) with that number for a; with both, each image is changed in one of the two ways. The validation loss
    knows none of these.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    name: str
    epochs: int
    patience: int
    learning_rate: float
    optimizer: str | OptimizerTable = "rmsprop"
    decay: Decay | Cosine | None = None
    unfreeze: int | str = 0
    batchnorm: Literal["frozen", "train"] = "frozen"
    label_smoothing: float = 0.0
    class_weights: Literal["balanced"] | dict[str, float] | None = None
    layer_decay: float = 1.0
    focal_gamma: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        require(self, epochs=EPOCHS, patience=EPOCHS, focal_gamma=STRENGTH, mixup=STRENGTH, cutmix=STRENGTH)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if isinstance(self.unfreeze, int) and self.unfreeze < 0:
            raise ValueError(f"unfreeze must be 0 or more layers, not {self.unfreeze}")
        if self.batchnorm not in ("frozen", "train"):
            raise ValueError(f"batchnorm must be 'frozen' or 'train', not {self.batchnorm!r}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be 0 or more and below 1, not {self.label_smoothing}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay must be above 0 and at most 1, not {self.layer_decay}")
        if isinstance(self.class_weights, dict) and not all(weight > 0 for weight in self.class_weights.values()):
            raise ValueError(f"class_weights must be above 0, not {self.class_weights}")
        if not (isinstance(self.name, str) and self.name.strip() and self.name.isprintable() and len(self.name) <= 100):
            raise ValueError(f"name must be one line of 1 to 100 printable characters, not {short(self.name)}")
        self._check_optimizer()

    def _check_optimizer(self) -> None:
        name, parameters = self.optimizer_parts()
        if name not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {name!r}")
        unknown = sorted(set(parameters) - OPTIMIZERS[name])
        if unknown:
            raise ValueError(
                f"optimizer {name} has no {', '.join(unknown)}; it has {', '.join(sorted(OPTIMIZERS[name]))}"
            )
        for parameter, needed in NEEDS.items():
            if parameter in parameters and not parameters.get(needed):
                raise ValueError(f"optimizer {name}: {parameter} does nothing without {needed}")
        if self.layer_decay < 1 and "global_clipnorm" in parameters:
            raise ValueError("global_clipnorm and layer_decay don't go together: each group would be clipped by itself")

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed with each other."""
        return self.mixup > 0 or self.cutmix > 0

    def optimizer_parts(self) -> tuple[str, OptimizerTable]:
        """The optimiser's name and its parameters."""
        table: OptimizerTable = {"name": self.optimizer} if isinstance(self.optimizer, str) else dict(self.optimizer)
        return str(table.pop("name", "")), table


@dataclass(frozen=True)
class Schedule(Part):
    """The stages of training, as pure data."""

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """At least one stage, in order, each with a name of its own."""


@dataclass(frozen=True)
class Augmenter(Part):
    """Random changes to training images. Never applied to validation or test images."""

    # False promises that `augment` returns its images as they are, so that it need not be called.
    changes_images: ClassVar[bool] = True

    @abstractmethod
    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """uint8 RGB (n, height, width, 3) to the same shape and type; all randomness from `rng`."""


@dataclass(frozen=True)
class Recipe:
    """A model that can be trained: four parts under a name. `source` says who registered it.

    `monitor` is what the best epoch is chosen by, one of MONITORS, of the validation role; `tta`, test-time
    augmentation, is what is predicted of an image when it is scored, one of TestTime.
    """

    name: str
    backbone: Backbone
    head: Head
    schedule: Schedule
    augmenter: Augmenter
    batch_size: int
    seed: int
    source: str
    monitor: Monitored = "loss"
    tta: TestTime = "none"

    def table(self) -> dict[str, Any]:
        """The recipe with every parameter spelt out, as registry.toml would hold it."""
        parts: dict[str, Part] = {kind: getattr(self, kind) for kind in PART_KINDS}
        tables = {kind: part.table() for kind, part in parts.items()}
        own = {name: getattr(self, name) for name in ("batch_size", "seed", "monitor", "tta")}
        return {**tables, **own}

    @property
    def origins(self) -> dict[str, str]:
        """The distribution and version that brought each part."""
        return {kind: getattr(self, kind).__zoo_origin__ for kind in PART_KINDS}

    @property
    def code(self) -> dict[str, str]:
        """sha256 of the source that each part is of."""
        return {kind: hash_code(type(getattr(self, kind)).__module__) for kind in PART_KINDS}


PART_KINDS: dict[str, type[Part]] = {"backbone": Backbone, "head": Head, "schedule": Schedule, "augmenter": Augmenter}


def title(part: Part) -> str:
    """How errors name a part: its kind and name, and the distribution that it came from."""
    kind = next(kind for kind, base in PART_KINDS.items() if isinstance(part, base))
    return f"{kind} {part.name!r}" + (f" (from {part.__zoo_origin__})" if part.__zoo_origin__ else "")


def distribution(origin: str) -> str:
    """The distribution of an origin, which is its name and its version."""
    return origin.rpartition(" ")[0]
