"""zoo: a plug-in based model zoo for image classification. A plug-in imports only from here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Before anything imports pydantic, whose own plug-ins nobody needs here: its search for them reads the metadata of
# every installed distribution, and fails if those of a single one are damaged.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from zoo.errors import ConfigError, DataError, LeakError, PluginError, TrainingError, WeightsError, ZooError
from zoo.hookspecs import API_VERSION, hookimpl
from zoo.interfaces import Augmenter, Backbone, Cosine, Decay, Head, Schedule, Stage, WeightsFile

if TYPE_CHECKING:
    from zoo.api import audit as audit
    from zoo.api import compare as compare
    from zoo.api import make_splits as make_splits
    from zoo.api import merge as merge
    from zoo.api import read_data as read_data
    from zoo.auditing.run import Audit as Audit
    from zoo.inference.predictor import Predictor as Predictor
    from zoo.inference.predictor import load as load
    from zoo.run.results import Comparison as Comparison
    from zoo.training.model_file import load_model as load_model

__version__ = "0.1.0"
"""The version of zoo, as of its distribution."""

__all__ = [
    "API_VERSION",
    "Audit",
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
    "Predictor",
    "Schedule",
    "Stage",
    "TrainingError",
    "WeightsError",
    "WeightsFile",
    "ZooError",
    "__version__",
    "audit",
    "compare",
    "hookimpl",
    "load",
    "load_model",
    "make_splits",
    "merge",
    "read_data",
]


def __getattr__(name: str) -> Any:
    """What needs pandas is loaded when it is asked for: a plug-in needs none of it."""
    if name in ("audit", "compare", "make_splits", "merge", "read_data"):
        from zoo import api

        return getattr(api, name)
    if name in ("load", "Predictor"):
        from zoo.inference import predictor

        return getattr(predictor, name)
    if name == "load_model":
        from zoo.training.model_file import load_model

        return load_model
    if name == "Comparison":
        from zoo.run.results import Comparison

        return Comparison
    if name == "Audit":
        from zoo.auditing.run import Audit

        return Audit
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
