"""The run folder: where each file is, written so that nobody ever reads half of one, and read on no trust.

run.json and each status.json hold a hash of themselves, and the hashes of the files that numbers are made of: whatever
has changed since zoo wrote it is named, and nothing is computed from it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import pydantic
from filelock import FileLock, Timeout

from zoo.data import known_copies, splits
from zoo.errors import ConfigError, shorten, unknown
from zoo.files import DRAFT, delete, hash_file, read_csv, read_json, read_record, write_csv, write_record
from zoo.interfaces import RUN_ENTRIES, model_name_fault

FOLDERS = ("best", "pictures", "trackers")  # of RUN_ENTRIES; the others are files
JOB_FOLDER = re.compile(r"fold-([0-9]+)(?:-repeat-[0-9]+)?")
# What zoo may have written before run.json, if it was killed then.
BEGUN = ("lock", "splits.csv", DRAFT)

# (model, fold, repeat)
JobKey = tuple[str, int, int]


@dataclass(frozen=True)
class _Data:
    classes: list[str]
    roles: dict[str, str]
    folds: list[int]
    fingerprint: str


@dataclass(frozen=True)
class _Run:
    """What run.json must hold to be one, and what it may; the rest is for people."""

    request: dict[str, Any]
    started: str
    versions: dict[str, str]
    recipes: dict[str, dict[str, Any]]
    data: _Data
    repeats: pydantic.PositiveInt = 1
    trackers: tuple[str, ...] = ()
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    weights_files: dict[str, str] = field(default_factory=dict)
    origins: dict[str, dict[str, str]] = field(default_factory=dict)
    code: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Unfinished:
    """What status.json must hold to be one."""

    state: Literal["running", "failed"]
    job: str = ""
    error: str = ""
    refused: bool = False


@dataclass(frozen=True)
class _Done:
    state: Literal["done"]
    weights: str
    machine: dict[str, Any]
    job: str = ""
    leaked: int = 0
    files: dict[str, str] = field(default_factory=dict)


# Made once: to make one takes longer than to read the file of a job, and there may be thousands.
_RUN = pydantic.TypeAdapter(_Run)
_STATUS: pydantic.TypeAdapter[_Unfinished | _Done] = pydantic.TypeAdapter(
    Annotated[_Unfinished | _Done, pydantic.Field(discriminator="state")]
)


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
    def heatmaps(self) -> Path:
        """What the network looked at; not every job has it."""
        return self.path / "heatmaps.csv"

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

    @property
    def files(self) -> tuple[Path, ...]:
        """What a job that is done is made of."""
        return (self.best, self.history, self.predictions, self.metrics, self.provenance)

    def status(self) -> dict[str, Any]:
        """status.json: state (done, failed or running) and what goes with it; empty before the job began.

        Raises ConfigError if it isn't as zoo wrote it, or that of another job.
        """
        path = self.path / "status.json"
        status = read_record(path, _STATUS) if path.exists() else {}
        if status.get("job", self._name) != self._name:
            raise ConfigError(f"{path} is that of {status['job']}")
        return status

    @property
    def _name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"

    def set_status(self, state: str, **details: Any) -> None:
        """Write status.json; once the job is done the hashes of its files are part of it."""
        self.path.mkdir(parents=True, exist_ok=True)
        hashes = {"files": {file.name: hash_file(file) for file in self.files}} if state == "done" else {}
        write_record(self.path / "status.json", {"state": state, "job": self._name, **details, **hashes})

    def scores(self) -> dict[str, Any]:
        """metrics.json: for each role its metrics, see zoo.evaluation.metrics.score."""
        scores: dict[str, Any] = read_json(self.metrics)
        return scores

    def remove(self) -> None:
        """Delete the job, as if it had never been run."""
        delete(self.path)

    @property
    def done(self) -> bool:
        """Whether the job has ended and all its files are there."""
        return self.status().get("state") == "done" and not self.missing()

    def missing(self) -> list[str]:
        """The names of those of its files that aren't there."""
        return [file.name for file in self.files if not file.is_file()]

    def altered(self) -> list[Path]:
        """What of a job that is done is no longer as zoo wrote it, or cannot be read; what is missing aside."""
        if self.path.exists() and not self.path.is_dir():
            return [self.path]
        try:
            recorded = self.status().get("files", {})
        except ConfigError:
            return [self.path / "status.json"]
        return [file for file in self.files if file.exists() and recorded.get(file.name, "") not in ("", _hash(file))]

    @property
    def recorded(self) -> bool:
        """Whether it can be told that its files are as zoo wrote them."""
        return "files" in self.status()


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
        return (
            read_csv(self.duplicates) if self.duplicates.exists() else pd.DataFrame(columns=known_copies.NEAR_COLUMNS)
        )

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

    def create(self, models: Iterable[str] = ()) -> None:
        """Make the folder, for these models.

        Raises ConfigError if it cannot be written to, or something else is where zoo would write.
        """
        self._check_places(models)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f"{DRAFT}probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"run folder {self.path} cannot be written: {error.strerror}; name another with --out DIR"
            ) from error

    def _check_places(self, models: Iterable[str]) -> None:
        for name in (*RUN_ENTRIES, *models):
            path = self.path / name
            if path.exists() and path.is_dir() != (name in FOLDERS or name not in RUN_ENTRIES):
                what = "folder" if path.is_dir() else "file"
                raise ConfigError(
                    f"{path} is a {what}, and zoo would write there; move it away, or name another folder with --out"
                )

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

    def read(self) -> dict[str, Any]:
        """run.json. Raises ConfigError if the folder holds none, or one that isn't as zoo wrote it."""
        if not self.request.exists():
            raise ConfigError(f"{self.path} is no run folder: it has no {self.request.name}")
        try:
            record = read_record(self.request, _RUN)
            for model in record["recipes"]:
                if fault := model_name_fault(model):
                    raise ConfigError(f"{self.request} is not what zoo wrote: a model is called {model!r}; {fault}")
        except ConfigError as error:
            raise ConfigError(
                f"{error}; put back what was there, or delete the folder yourself and train again"
            ) from error
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_record(self.request, record)

    def write_splits(self, table: pd.DataFrame, sources: Mapping[str, str]) -> dict[str, str]:
        """Write splits.csv, and sources.csv if any are known; the `files` of run.json, by which they are known again.

        `sources` has the source of each path.
        """
        write_csv(self.splits, table)
        if sources:
            write_csv(self._own("sources.csv"), pd.DataFrame({"path": sources.keys(), "source": sources.values()}))
        written = [self.splits, *([self._own("sources.csv")] if sources else [])]
        return {file.name: hash_file(file) for file in written}

    def sources(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The source of each path, as sources.csv has it; none if it is not as zoo wrote it. `record` as run.json."""
        file = self._own("sources.csv")
        if record.get("files", {}).get(file.name) != _hash(file):
            return {}
        table = read_csv(file, text=["path", "source"])
        return dict(zip(table["path"], table["source"], strict=True))

    def read_splits(self, record: Mapping[str, Any]) -> pd.DataFrame:
        """splits.csv, with class numbers as labels; `record` is the content of run.json.

        Raises ConfigError if it is missing or no longer as zoo wrote it, DataError for a table that cannot be read.
        """
        if not self.splits.exists():
            raise ConfigError(f"{self.splits} is missing; the run's own command writes it anew")
        changed = record.get("files", {}).get(self.splits.name) not in (None, _hash(self.splits))
        table = None if changed else splits.read_splits(self.splits, record["data"]["classes"])
        # An earlier version kept no hash, and wrote labels as numbers, which may be other classes where names are
        # numbers.
        if table is None or splits.fingerprint(table) != record["data"]["fingerprint"]:
            raise ConfigError(
                f"{self.splits} has been changed since zoo wrote it; put back what was there, or delete it: the run's "
                "own command writes it anew"
            )
        return table

    @staticmethod
    def expected(record: Mapping[str, Any]) -> list[JobKey]:
        """Every job that a run is made of; `record` is the content of run.json."""
        return [
            (model, fold, repeat)
            for model in record["recipes"]
            for fold in record["data"]["folds"]
            for repeat in range(record.get("repeats", 1))
        ]

    def require_models(self, record: Mapping[str, Any], models: Iterable[str]) -> None:
        """Raise ConfigError for a model that the run, of which `record` is run.json, doesn't have."""
        for model in models:
            if model not in record["recipes"]:
                raise ConfigError(f"{self.path}: {unknown('model', model, list(record['recipes']))}")

    def check(self, record: Mapping[str, Any], jobs: Iterable[JobKey]) -> list[str]:
        """Refuse files of these jobs that have been changed since zoo wrote them; what else to know of them.

        Raises ConfigError naming every such file, and how to go on.
        """
        self._check_places(record["recipes"])
        altered, again, unrecorded = [], [], False
        for job in jobs:
            folder = self.job(*job)
            if files := folder.altered():
                altered += [file.relative_to(self.path).as_posix() for file in files]
                again.append(f"--redo {job[0]}:{job[1]}")
            else:
                unrecorded |= folder.done and not folder.recorded
        if altered:
            those = "1 file is not as zoo wrote it" if len(altered) == 1 else f"{len(altered)} files are not as written"
            raise ConfigError(
                f"{self.path}: {those}; put back what was there, or train again: the run's own command with "
                f"{' '.join(dict.fromkeys(again))}\n{shorten(altered)}"
            )
        if unrecorded:
            return [f"{self.path} is of an earlier version of zoo: whether its files were changed cannot be told"]
        return []

    def check_begun(self, models: Iterable[str]) -> None:
        """Refuse jobs of these models in a folder without run.json: nobody knows what they were trained on.

        Raises ConfigError.
        """
        for model in models:
            if jobs := [path.name for path in (self.path / model).glob("fold-*") if JOB_FOLDER.fullmatch(path.name)]:
                raise ConfigError(
                    f"{self.path} has no {self.request.name}, but {model}/{min(jobs)}, which it would tell of; put it "
                    "back, or name another folder with --out DIR"
                )

    def clear(self) -> None:
        """Delete all that earlier runs wrote into the folder, and nothing else.

        Raises ConfigError if it holds something and isn't a run folder, and for what cannot be deleted.
        """
        from zoo.evaluation.metrics import METRICS

        if not self.request.exists():
            others = sorted(path.name for path in self.path.iterdir() if not path.name.startswith(BEGUN))
            if others:
                raise ConfigError(
                    f"{self.path} has no {self.request.name}, so nothing in it is zoo's to delete (it holds "
                    f"{', '.join(others[:3])}{', …' * (len(others) > 3)}); leave --fresh out, or name another folder "
                    "with --out DIR"
                )
            return
        record = self.read()
        for model in record["recipes"]:
            self._clear_model(self.path / model)
        roles = ("validation", "test")
        pictures = [f"{name}-{role}" for name in ("confusion", *METRICS) for role in roles] + ["roc", "verdicts"]
        of_models = ("threshold", "missed", "alarm", "confused", "calibration")
        pictures += [f"{name}-{model}" for name in of_models for model in record["recipes"]]
        for name, own in (
            ("best", {f"fold-{fold}.{ending}" for fold in record["data"]["folds"] for ending in ("keras", "json")}),
            ("pictures", {f"{picture}.{ending}" for picture in pictures for ending in ("png", "svg")}),
            ("trackers", {f"{tracker}.log" for tracker in record.get("trackers", ())}),
        ):
            _clear_folder(self._own(name), own)
        for name in RUN_ENTRIES:
            if name.endswith((".csv", ".html")):
                delete(self._own(name))
        delete(self.request)

    @staticmethod
    def _clear_model(folder: Path) -> None:
        if folder.is_symlink():  # zoo makes none: what it leads to is the user's
            delete(folder)
        for job in folder.glob("fold-*"):
            if JOB_FOLDER.fullmatch(job.name):
                delete(job)
        _clear_folder(folder, {f"{name}.{ending}" for name in ("curves", "roc") for ending in ("png", "svg")})


def _clear_folder(folder: Path, own: Collection[str]) -> None:
    """Delete files that zoo wrote into a folder, and the folder if nothing else is in it."""
    if folder.is_symlink():
        return
    for name in own:
        delete(folder / name)
    with contextlib.suppress(OSError):  # not there, or something of the user's is in it
        folder.rmdir()


def _hash(file: Path) -> str:
    """sha256 of a file, "unreadable" if there is none."""
    try:
        return hash_file(file)
    except OSError:
        return "unreadable"
