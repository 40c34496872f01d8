"""The run folder: where each file is, written so that nobody ever reads half of one."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from zoo.data import audited
from zoo.errors import ConfigError
from zoo.files import read_csv, write_text
from zoo.interfaces import RUN_ENTRIES


def write_json(path: Path, value: Any) -> None:
    """Replace the file's content as a whole; NaN becomes null, since JSON has none."""
    write_text(path, json.dumps(_without_nan(value), indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Replace the file's content as a whole; the table's index is left out."""
    write_text(path, table.to_csv(index=False))


def read_json(path: Path) -> Any:
    """A JSON file of a run, or ConfigError if it is there but unusable."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not the JSON that zoo wrote: {error}") from error


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


@dataclass(frozen=True)
class JobFolder:
    """<model>/fold-<k> of a run."""

    path: Path

    @property
    def best(self) -> Path:
        return self.path / "best.keras"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.csv"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    @property
    def checkpoint(self) -> Path:
        """Folder of the state of an unfinished job."""
        return self.path / "checkpoint"

    @property
    def log(self) -> Path:
        return self.path / "job.log"

    def status(self) -> dict[str, Any]:
        """status.json: state (done, failed or running) and what goes with it; empty before the job began."""
        path = self.path / "status.json"
        status: dict[str, Any] = read_json(path) if path.exists() else {}
        return status

    def set_status(self, state: str, **details: Any) -> None:
        """Write status.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "status.json", {"state": state, **details})

    def remove(self) -> None:
        """Delete the job, as if it had never been run."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def done(self) -> bool:
        """Whether the job has ended and all its files are there."""
        return self.status().get("state") == "done"


@dataclass(frozen=True)
class RunFolder:
    """A run: its request, its splits, and a folder per model and fold.

    What is in it besides the folders of models stands in RUN_ENTRIES: no model has such a name.
    """

    path: Path

    def _own(self, name: str) -> Path:
        assert name in RUN_ENTRIES, f"a model could be called {name}"
        return self.path / name

    @property
    def request(self) -> Path:
        return self._own("run.json")

    @property
    def splits(self) -> Path:
        return self._own("splits.csv")

    @property
    def results(self) -> Path:
        return self._own("results.csv")

    @property
    def summary(self) -> Path:
        return self._own("summary.csv")

    @property
    def comparison(self) -> Path:
        return self._own("comparison.csv")

    @property
    def duplicates(self) -> Path:
        """The near-duplicates among its images and those that its weights have seen, as far as audits know them."""
        return self._own("duplicates.csv")

    def known_duplicates(self) -> pd.DataFrame:
        """The table of duplicates.csv; without rows if there is none."""
        return read_csv(self.duplicates) if self.duplicates.exists() else pd.DataFrame(columns=audited.COLUMNS)

    def tracker_log(self, name: str) -> Path:
        """What a tracker has printed."""
        return self._own("trackers") / f"{name}.log"

    def best(self, fold: int) -> Path:
        """The best model of a fold; the choice stands beside it as .json."""
        return self._own("best") / f"fold-{fold}.keras"

    def job(self, model: str, fold: int, repeat: int = 0) -> JobFolder:
        """The folder of one job."""
        return JobFolder(self.path / model / (f"fold-{fold}-repeat-{repeat}" if repeat else f"fold-{fold}"))

    @staticmethod
    def title(model: str, fold: int, repeat: int = 0) -> str:
        """How people are told of a job."""
        return f"{model}, fold {fold}, repeat {repeat}" if repeat else f"{model}, fold {fold}"

    def create(self) -> None:
        """Make the folder. Raises ConfigError if it cannot be written to."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".draft-probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"run folder {self.path} cannot be written: {error.strerror}; name another with --out DIR"
            ) from error

    def lock(self) -> FileLock:
        """Claim the folder for this process, until the lock is released or the process ends, however it does.

        Raises ConfigError if another process works in it.
        """
        lock = FileLock(self._own("lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"another zoo process is at work in {self.path}; wait for it, or name another folder with --out DIR"
            ) from None
        return lock

    def clear(self) -> None:
        """Delete all that earlier runs wrote into the folder, and nothing else."""
        models = read_json(self.request)["recipes"] if self.request.exists() else ()
        for model in models:
            for job in (self.path / model).glob("fold-*"):
                shutil.rmtree(job)
            for picture in ("curves", "roc"):
                for ending in ("png", "svg"):
                    (self.path / model / f"{picture}.{ending}").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not there, or something of the user's is in it
                (self.path / model).rmdir()
        for name in ("best", "pictures", "trackers"):
            shutil.rmtree(self._own(name), ignore_errors=True)
        for file in (self.request, self.splits, self.results, self.summary, self.comparison, self.duplicates):
            file.unlink(missing_ok=True)
