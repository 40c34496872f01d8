"""Run folders of one request, each with other jobs of it -> one run folder, as if all had been run there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from zoo.errors import ConfigError, shorten
from zoo.files import is_free, new_folder, write_csv
from zoo.run import results, resume
from zoo.run.folder import JobKey, RunFolder


def merge(folders: Sequence[RunFolder], out: Path) -> tuple[RunFolder, list[str]]:
    """Copy the jobs that are done into the run folder `out`, which is not there yet; and what to know of them.

    What of a folder is not a finished job, such as pictures and tables, stays where it is.

    Raises ConfigError for folders of different requests, with files that were changed, or with a job in two of them.
    """
    if not is_free(out):
        raise ConfigError(f"{out} is there already; name another with --out DIR")
    records = [folder.read() for folder in folders]
    notes: list[str] = []
    first = records[0]
    for folder, record in zip(folders[1:], records[1:], strict=True):
        if change := resume.difference(first, record) or _other_jobs(first, record):
            raise ConfigError(f"{folders[0].path} and {folder.path} are of different requests: {change}")
        others = {name: text for name, text in record["versions"].items() if first["versions"].get(name) != text}
        if others:
            told = ", ".join(f"{name} {text}" for name, text in others.items())
            notes.append(f"{folder.path} was made with {told}, {folders[0].path} with other versions")
    places = _places(folders, records, notes)
    with new_folder(out) as draft:
        made = RunFolder(draft)
        for job, folder in places.items():
            shutil.copytree(folder.job(*job).path, made.job(*job).path)
        for name in first.get("files", {}):
            shutil.copyfile(folders[0].path / name, made.path / name)
        weights = {path: sha for record in records for path, sha in record.get("weights_files", {}).items()}
        request = {**first["request"], "shard": None, "out": str(out)}
        made.write({**first, "weights_files": weights, "request": request})
        write_csv(made.duplicates, pd.concat([folder.known_duplicates() for folder in folders]).drop_duplicates())
        results.write_results(made)
    return RunFolder(out), notes


def _other_jobs(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what two runs have other jobs, '' if in nothing; that their folds are the same is known."""
    for name, one, other in (
        ("recipes", sorted(before["recipes"]), sorted(now["recipes"])),
        ("repeats", before["repeats"], now["repeats"]),
    ):
        if one != other:
            return f"{name} was {one} and is now {other}"
    return ""


def _places(
    folders: Sequence[RunFolder], records: Sequence[Mapping[str, Any]], notes: list[str]
) -> dict[JobKey, RunFolder]:
    """Where each job that is done lies."""
    places: dict[JobKey, RunFolder] = {}
    twice = []
    for folder, record in zip(folders, records, strict=True):
        expected = RunFolder.expected(record)
        notes += folder.check(record, expected)
        folder.read_splits(record)
        for job in expected:
            if folder.job(*job).done:
                if job in places:
                    twice.append(f"{RunFolder.title(*job)}: {places[job].path} and {folder.path}")
                places[job] = folder
    if twice:
        raise ConfigError(
            f"{len(twice)} jobs are done in more than one folder; leave one of these out:\n{shorten(twice)}"
        )
    if not places:
        raise ConfigError(f"no job is done in {', '.join(str(folder.path) for folder in folders)}")
    return places
