"""Whether a run folder can go on with a request: what run.json holds must not have changed."""

from __future__ import annotations

import json
from typing import Any

from zoo.errors import ConfigError
from zoo.store import RunFolder

# What of the data a run folder cannot go on without.
SETTLED = ("image_size", "classes", "roles", "folds", "fingerprint")

# What run.json means where it was written by a version of zoo that knew no such field.
UNLESS_SAID: dict[str, Any] = {
    "recipes": {},
    "weights_files": {},
    "start_from": None,
    "allow_leak": False,
    "precision": "float32",
}


def refuse_changes(folder: RunFolder, before: dict[str, Any], described: dict[str, Any]) -> None:
    """A run folder goes on only with the recipes and data that it was begun with; where the data lie, and how the
    folds were come by, is no matter.

    Further models are welcome.
    """
    now = json.loads(json.dumps(described))  # tuples become lists, as in the file
    before = {**UNLESS_SAID, **before}
    if "data" in before:
        before["data"] = {**now["data"], **{key: before["data"].get(key) for key in SETTLED}}
    for key in ("recipes", "weights_files"):  # what is new changes nothing
        known = before[key]
        now[key] = {**known, **{name: value for name, value in now[key].items() if name in known}}
    for key in ("recipes", "max_epochs", "start_from", "allow_leak", "precision", "weights_files", "data"):
        change = _first_change(key, before.get(key), now[key])
        if change:
            raise ConfigError(
                f"{folder.path} was begun with another request: {change}; name a new folder with --out, or start "
                "over with --fresh"
            )


def _first_change(where: str, before: Any, now: Any) -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**now, **before}:
            change = _first_change(f"{where}.{key}", before.get(key), now.get(key))
            if change:
                return change
        return None
    return None if before == now else f"{where} was {before!r} and is now {now!r}"
