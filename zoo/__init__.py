"""zoo: a plug-in based model zoo for image classification. A plug-in imports only from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError, DataError, LeakError, PluginError, TrainingError, WeightsError, ZooError
from zoo.hookspecs import hookimpl
from zoo.interfaces import Augmenter, Backbone, Cosine, Decay, Head, Schedule, Stage

if TYPE_CHECKING:
    from zoo.api import compare as compare
    from zoo.comparison import Comparison as Comparison

__version__ = "0.1.0"

__all__ = [
    "Augmenter",
    "Backbone",
    "Comparison",
    "ConfigError",
    "Cosine",
    "DataError",
    "Decay",
    "Head",
    "LeakError",
    "PluginError",
    "Schedule",
    "Stage",
    "TrainingError",
    "WeightsError",
    "ZooError",
    "__version__",
    "compare",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    """compare and Comparison are loaded when they are asked for: they need pandas, which a plug-in does not."""
    if name == "compare":
        from zoo.api import compare

        return compare
    if name == "Comparison":
        from zoo.comparison import Comparison

        return Comparison
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
