"""What a user says of the data on the command line or in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from zoo.errors import ConfigError
from zoo.limits import IMAGE_SIZE

Root = str | Path | pd.DataFrame | None


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What is said of the data; it wins over [data] in registry.toml, and that over what the data say themselves.

    `data` is a folder, a manifest, or the same as a data frame, None for what the registry says; `test_data` is another
    of these, whose images are the test role. `groups` is a regular expression whose capture group takes a patient from
    an image's path. `classes` are names, the positive one last; `positive` says which of two that is. `columns` says
    which column of a manifest holds what, as {"path": "Image", "label": "Diagnosis", "group": "Patient"}; `label` is a
    column, or a condition on one that is true of the positive class, such as "grade>=2"; `labels` gives the class of
    each label that the data have, as {"0": "healthy", "1": "ill"}, and "" to what is left out. `image_size` is the
    height and width, in pixels, that images are resized to.

    Raises ConfigError for an image size out of its limits, and for columns or labels that are no mapping.
    """

    data: Root = None
    test_data: Root = None
    groups: str | None = None
    classes: Sequence[str] | None = None
    positive: str | None = None
    columns: Mapping[str, str] | None = None
    label: str | None = None
    labels: Mapping[Any, str] | None = None
    image_size: int | None = None

    def __post_init__(self) -> None:
        """Settle the types. Raises ConfigError, see the class."""
        if self.image_size is not None:
            object.__setattr__(self, "image_size", IMAGE_SIZE.check("image_size", self.image_size))
        for name in ("data", "test_data"):
            if isinstance(getattr(self, name), Path):
                object.__setattr__(self, name, str(getattr(self, name)))
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(self.classes))
        for name in ("columns", "labels"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Mapping):
                raise ConfigError(f"{name} must be a mapping of names to names, not {value!r}")
            if value is not None:
                object.__setattr__(self, name, {str(key): str(each) for key, each in value.items()})
