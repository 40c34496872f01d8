"""One model on one fold, as plain data: what a worker process is told."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.interfaces import distribution
from zoo.run.folder import JobFolder, RunFolder
from zoo.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class Job(TrainingOptions):
    """What a worker needs to know, as plain data.

    `images` is the folder of the decoded images. `origins` are the distributions, with versions, that brought the
    parts: no other plug-in is loaded. `start` is what another job of this model and run found that weights "auto" come
    to, with its warning: all folds start alike, and a download that is refused is tried once.

    Where the job runs on another machine, `files` says where files lie there that training starts from, by the path
    that they have where the run was planned, and `code` the sha256 of the source of each part there.
    """

    model: str
    fold: int
    repeat: int
    recipe: dict[str, Any]
    source: str
    classes: list[str]
    image_size: int
    images: str
    run: str
    origins: dict[str, str] = dataclasses.field(default_factory=dict)
    start: dict[str, str | None] | None = None
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    code: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """How people are told of the job."""
        return RunFolder.title(self.model, self.fold, self.repeat)

    @property
    def folder(self) -> JobFolder:
        """Where its files are."""
        return RunFolder(Path(self.run)).job(self.model, self.fold, self.repeat)

    def place(self, path: str) -> Path:
        """Where a file that training starts from lies on this machine."""
        return Path(self.files.get(path, path))

    def suspects(self, error: str) -> str:
        """What to add to an error that doesn't name the parts it may come from: those that zoo has not brought."""
        parts = [
            f"{kind} {self.recipe[kind]['name']!r} (from {origin})"
            for kind, origin in self.origins.items()
            if distribution(origin) != "zoo" and origin not in error
        ]
        return f"; with {', '.join(parts)}" if parts else ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        return cls(**json.loads(text))
