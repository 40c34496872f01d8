"""What numbers may be that people give: on the command line, from Python, in registry.toml and in the environment."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import ConfigError, line

WHOLE = "a whole number"


@dataclass(frozen=True)
class Limit:
    """Numbers from `least` to `most`, both included; infinity, as `most`, means any number that is finite.

    `what` is what errors call them; `whole` ones have no fraction. `why` says why there are no more.
    """

    what: str
    least: float
    most: float = math.inf
    why: str = ""
    whole: bool = True

    def __str__(self) -> str:
        most = f" from {self.least:,} to {self.most:,}" if math.isfinite(self.most) else f" of {self.least:,} or more"
        return f"{self.what}{most}" + (f" ({self.why})" if self.why else "")

    def holds(self, value: Any) -> bool:
        """Whether a value is such a number."""
        kind = numbers.Integral if self.whole else numbers.Real
        # Not a number is neither more nor less than any.
        known = isinstance(value, kind) and not isinstance(value, bool)
        return known and self.least <= value <= self.most and (self.whole or math.isfinite(value))

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value, as the rest of a sentence that begins with its name; None if nothing is."""
        return None if self.holds(value) else f"must be {self}, not {shown(value)}"

    def check(self, name: str, value: Any) -> Any:
        """The value as a plain int or float. Raises ConfigError if it is no such number."""
        if fault := self.fault(value):
            raise ConfigError(f"{name} {fault}")
        return int(value) if self.whole else float(value)

    def read(self, text: str) -> Any:
        """The number that a text is. Raises ValueError, with `fault`, if it is none of these."""
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:  # Python reads no number of thousands of digits either
            value = math.nan
        if not self.holds(value):
            raise ValueError(self.fault(text))
        return value

    def of_environment(self, name: str, otherwise: Any) -> Any:
        """The number in an environment variable; `otherwise` where it is empty or not set.

        Raises ConfigError if it holds anything else.
        """
        text = os.environ.get(name)
        if not text:
            return otherwise
        try:
            return self.read(text)
        except ValueError:
            raise ConfigError(f"{name} is {shown(text)}; it must be {self}") from None


SEED = Limit(WHOLE, 0, 2**32 - 1, "the seeds that NumPy takes")
SPLIT_SEED = Limit(WHOLE, 0, 2**31 - 1)
FOLD = Limit(WHOLE, 0, 10**9)
FOLDS = Limit(WHOLE, 2, 1000, "each is trained on by itself")
COMBINATIONS = Limit("all, or a whole number", 1, 10_000)
FOLDS_MADE = 10_000
REPEATS = Limit(WHOLE, 1, 1000, "each is a training of every fold")
JOBS = 100_000  # of a run: models times folds times repeats
WORKERS = Limit(WHOLE, 1, 256, "each is a process that loads Keras")
CPUS = Limit(WHOLE, 1, 1024)
GPUS = Limit("a number of GPUs", 0, 64, whole=False)
MEMORY = Limit("a number of gigabytes", 0.1, 10_000, whole=False)
EPOCHS = Limit(WHOLE, 1, 100_000)
STAGES = 1000  # of a schedule, which could go on for ever
DECAY_EPOCHS = Limit("a number of epochs", 0, EPOCHS.most, whole=False)
MIN_LEARNING_RATE = Limit("a finite number", 0, whole=False)
STRENGTH = Limit("a number", 0, 100, whole=False)  # of what a stage does to labels and losses
BATCH_SIZE = Limit(WHOLE, 1, 65_536, "a batch is in memory as a whole")
IMAGE_SIZE = Limit("a number of pixels", 32, 4096, "a batch is in memory as a whole")
AUDIT_SIZE = Limit("a number of pixels", 64, 4096)
ROPE = Limit("a finite number", 0, whole=False)
THRESHOLD = Limit("a probability", 0, 1, whole=False)
SHARE = Limit("a share", 0.001, 0.999, whole=False)
COST = Limit("a cost", 0.001, 10**6, whole=False)
MAX_PIXELS = Limit("a number of pixels", 1, 2**30, "OpenCV decodes no more")
PORT = Limit("a port", 0, 65_535)
MEGABYTES = Limit("a number of megabytes", 1, 10_000)
CACHE_SIZE = Limit("a number of gigabytes", 0, 10**9, whole=False)
SECONDS = Limit("a number of seconds", 0.001, 10**6, whole=False)


def require(holder: object, **fields: Limit) -> None:
    """Raise ValueError for a field of that name that is set and outside its limit."""
    for name, limit in fields.items():
        value = getattr(holder, name)
        if value is not None and (fault := limit.fault(value)):
            raise ValueError(f"{name} {fault}")


def shown(value: Any) -> str:
    """A value as errors show it: short, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 128:  # Python writes none of thousands of digits
        return f"one of about {int(value.bit_length() * math.log10(2))} digits"
    return line(repr(value), 60)


def unusable(value: Any, place: str = "") -> Iterator[str]:
    """What is wrong with the numbers in a table, each with its place: infinite, not a number, or beyond 64 bits.

    None of them survives being written down for a worker or in run.json.
    """
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place} must be a finite number, not {value}"
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield f"{place} must be a number of 64 bits, not {shown(value)}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from unusable(item, f"{place}.{key}".removeprefix("."))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from unusable(item, f"{place}.{number}".removeprefix("."))
