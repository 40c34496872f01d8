"""Under which backend Keras runs, known before it is loaded, and which parts are for it. Loads no keras itself."""

from __future__ import annotations

import json
import os

from zoo.errors import PluginError
from zoo.files import keras_home
from zoo.interfaces import PART_KINDS, Part, Recipe, title

DEFAULT = "tensorflow"


def chosen() -> str:
    """What Keras will choose when a process loads it: KERAS_BACKEND, else what keras.json says, else tensorflow."""
    return os.environ.get("KERAS_BACKEND") or _configured() or DEFAULT


def _configured() -> str:
    """The backend in keras.json, '' for none."""
    try:
        told = json.loads((keras_home() / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(told.get("backend", "")) if isinstance(told, dict) else ""


def check_backend(part: Part, backend: str) -> None:
    """Raise PluginError if a part isn't for this backend."""
    if part.backends and backend not in part.backends:
        raise PluginError(
            f"{title(part)} works under Keras' backend {' or '.join(part.backends)} only, and this is {backend}: "
            f"set KERAS_BACKEND={part.backends[0]}"
        )


def check_recipe(recipe: Recipe) -> None:
    """Raise PluginError if a part of it isn't for the backend that a process will choose which loads Keras for it."""
    for kind in PART_KINDS:
        check_backend(getattr(recipe, kind), chosen())
