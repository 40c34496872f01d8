"""zoo: a plug-in based model zoo for image classification. A plug-in imports only from here."""

from zoo.errors import ConfigError, DataError, LeakError, PluginError, TrainingError, WeightsError, ZooError
from zoo.hookspecs import hookimpl
from zoo.interfaces import Augmenter, Backbone, Cosine, Decay, Head, Schedule, Stage

__version__ = "0.1.0"

__all__ = [
    "Augmenter",
    "Backbone",
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
    "hookimpl",
]
