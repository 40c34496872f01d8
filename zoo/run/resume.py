"""Whether a run folder can go on with a request: what run.json holds must not have changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ConfigError
from zoo.files import expand
from zoo.plugins.discovery import Plugins
from zoo.run.folder import JobKey, RunFolder
from zoo.training import model_file

# What of the data a run folder cannot go on without.
SETTLED = ("image_size", "classes", "roles", "folds", "fingerprint")

# What run.json means where it was written by a version of zoo that knew no such field.
RECIPE_UNLESS_SAID = {"monitor": "loss", "tta": "none"}
UNLESS_SAID: dict[str, Any] = {
    "min_learning_rate": 0.0,
    "weights_files": {},
    "start_from": None,
    "allow_leak": False,
    "precision": "float32",
}
SETTINGS = ("recipes", "max_epochs", *UNLESS_SAID, "data")


def refuse_changes(folder: RunFolder, before: dict[str, Any], described: dict[str, Any]) -> None:
    """A run folder goes on only with the recipes and data that it was begun with; where the data lie, and how the
    folds were come by, is no matter.

    Further models are welcome.
    """
    if change := difference(before, described):
        raise ConfigError(
            f"{folder.path} was begun with another request: {change}; name a new folder with --out, or start over "
            "with --fresh"
        )


def difference(before: dict[str, Any], described: dict[str, Any]) -> str:
    """The first thing in which two contents of run.json are of different runs, '' if there is none.

    Where data lie, and models that only one of them has, make none.
    """
    now = json.loads(json.dumps(described))  # tuples become lists, as in the file
    before = {**UNLESS_SAID, **before}
    before["recipes"] = {name: {**RECIPE_UNLESS_SAID, **table} for name, table in before["recipes"].items()}
    if "data" in before:
        before["data"] = {**now["data"], **{key: before["data"].get(key) for key in SETTLED}}
    for key in ("recipes", "weights_files"):  # what is new changes nothing
        known = before[key]
        now[key] = {**known, **{name: value for name, value in now[key].items() if name in known}}
    return next((change for key in SETTINGS if (change := _first_change(key, before.get(key), now[key]))), "")


def _first_change(where: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**now, **before}:
            change = _first_change(f"{where}.{key}", before.get(key), now.get(key))
            if change:
                return change
        return ""
    return "" if before == now else f"{where} was {before!r} and is now {now!r}"


def other_origins(before: dict[str, Any], described: dict[str, Any]) -> list[str]:
    """A note for each part that comes from another distribution, version or code than when the folder was begun."""
    notes = {}
    for model, now in described["origins"].items():
        code, begun = described["code"][model], f"when {model} was begun in this run folder"
        for kind, origin in before.get("origins", {}).get(model, {}).items():
            part = f"{kind} {described['recipes'][model][kind]['name']!r}"
            if now[kind] != origin:
                notes[kind, model] = f"{part} was of {origin} {begun}, and is of {now[kind]} here"
            elif before.get("code", {}).get(model, {}).get(kind, code[kind]) != code[kind]:
                notes[kind, model] = (
                    f"{part} is of {origin}, whose code was another {begun}: what is unfinished starts over; what is "
                    f"done stays as it is, or add --redo {model}:FOLD"
                )
    return list(dict.fromkeys(notes.values()))


def lost(folder: RunFolder, jobs: Iterable[JobKey]) -> list[str]:
    """A note for each job that was done and has to be trained again, since files of it are missing."""
    return [
        f"{RunFolder.title(*job)}: {', '.join(missing)} missing; it is trained again"
        for job in jobs
        if (one := folder.job(*job)).status().get("state") == "done" and (missing := one.missing())
    ]


def missing_parts(
    out: Path | None, models: Sequence[str], files: Iterable[Path | str | None], found: Plugins
) -> list[str]:
    """What run folder `out` and these model files tell of parts that no plug-in offers any more.

    Of the run folder only what it tells of these models, if there are any.
    """
    told = [(about.recipe, about.origins) for file in files if file and (about := model_file.read_about(expand(file)))]
    if out and RunFolder(out).request.exists():
        record = RunFolder(out).read()
        told += [
            (recipe, record.get("origins", {}).get(model, {}))
            for model, recipe in record["recipes"].items()
            if not models or model in models
        ]
    return list(dict.fromkeys(line for each in told for line in model_file.missing(*each, found)))
