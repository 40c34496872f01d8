"""Where training stands after an epoch, on the disk, so that a killed job goes on as if nothing had happened.

Two files hold it: stage-<n>.npz, the weights that stage n started from, written once; and epoch.npz, which is
replaced after epochs and holds whatever differs from them. What a stage leaves frozen is thus written once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.errors import one_line
from zoo.files import delete, replacing

Arrays = list[np.ndarray]


@dataclass
class State:
    """All that decides how training goes on, after `epoch` epochs of stage number `stage`.

    `weights` are the network's, `others` its variables that are no weights (the states of its random
    generators), `optimizer` the optimiser's variables, empty before its first epoch, both as of the last time that the
    state was saved. `best` and `stage_best` are the weights of the best epoch of all and of the stage. `ended`: early
    stopping has ended the stage.
    """

    stage: int
    epoch: int
    weights: Arrays
    others: Arrays
    stage_best: Arrays
    best: Arrays
    optimizer: Arrays = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history of the stage at hand."""
        return self.history[len(self.history) - self.epoch :]


def others(model: keras.Model) -> list[keras.Variable]:
    """The variables of a model that are no weights."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def values(variables: Sequence[keras.Variable]) -> Arrays:
    """Copies of the variables' values; what get_weights gives may share memory with them under torch."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Sequence[keras.Variable], arrays: Arrays) -> None:
    """Put values back into the variables that they came from."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


class Checkpoint:
    """The state of a job in a folder of its own.

    `origin` is plain data about what made the state, such as the backend and its version: `load` gives back
    only a state of the same origin, since another would not go on in the same way, and only one that is whole.
    """

    # Fields of a state that are the weights of some epoch, of which only those that the stage changed are written.
    WEIGHTS = ("weights", "stage_best", "best")
    WHOLE = ("others", "optimizer")

    def __init__(self, folder: Path, origin: dict[str, Any]) -> None:
        self.folder = folder
        self.origin = json.loads(json.dumps(origin))  # as it will be read
        self.fault = ""
        self._base: Arrays = []
        self._base_hash = ""

    def begin_stage(self, state: State) -> None:
        """Save the state before the first epoch of a stage."""
        self.folder.mkdir(exist_ok=True)
        self._base, self._base_hash = state.weights, _hash(state.weights)
        with replacing(self._stage_file(state.stage)) as draft, draft.open("wb") as file:
            np.savez(file, **_numbered("base", state.weights))  # type: ignore[arg-type]  # names are no arguments of savez
        self.save(state)
        for old in self.folder.glob("stage-*.npz"):
            if old != self._stage_file(state.stage):
                old.unlink()

    def save(self, state: State) -> None:
        """Save the state after an epoch of the stage begun last."""
        arrays: dict[str, np.ndarray] = {}
        for name in self.WHOLE:
            arrays |= _numbered(name, getattr(state, name))
        for name in self.WEIGHTS:
            arrays |= {
                f"{name}-{number}": array
                for number, (array, base) in enumerate(zip(getattr(state, name), self._base, strict=True))
                if array is not base and not np.array_equal(array, base)
            }
        about = {
            "origin": self.origin,
            "stage": state.stage,
            "epoch": state.epoch,
            "ended": state.ended,
            "history": state.history,
            "counts": {name: len(getattr(state, name)) for name in self.WHOLE},
            "base": self._base_hash,
            "shapes": _shapes(arrays),
        }
        with replacing(self._epoch_file) as draft, draft.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]

    def load(self) -> State | None:
        """The state saved last; None if there is none that training can go on from: where there is one all the same,
        `fault` then says what is wrong with it."""
        self.fault = ""
        if not self.folder.is_file() and not any(self.folder.glob("[!.]*")):
            return None
        try:
            arrays = _read(self._epoch_file)
            about = json.loads(str(arrays.pop("about")))
            if (origin := about.pop("origin")) != self.origin:
                self.fault = f"begun {_differently(origin, self.origin)}"
                return None
            return self._state(about, arrays)
        except Exception as error:  # whatever damage makes of the files
            self.fault = f"its checkpoint is damaged ({one_line(error)})"
            return None

    def _state(self, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> State:
        stage = _read(self._stage_file(about["stage"]))
        base = [stage[f"base-{number}"] for number in range(len(stage))]
        if about.pop("shapes") != _shapes(arrays) or about.pop("base") != _hash(base):
            raise ValueError("epoch.npz and the file of the stage don't belong together")
        counts = about.pop("counts")
        parts: dict[str, Any] = {
            name: [arrays[f"{name}-{number}"] for number in range(counts[name])] for name in self.WHOLE
        }
        for name in self.WEIGHTS:
            parts[name] = [arrays.get(f"{name}-{number}", array) for number, array in enumerate(base)]
        state = State(**about, **parts)
        self._base, self._base_hash = base, _hash(base)
        return state

    def remove(self) -> None:
        """Delete the state."""
        delete(self.folder, strict=False)

    @property
    def _epoch_file(self) -> Path:
        return self.folder / "epoch.npz"

    def _stage_file(self, number: int) -> Path:
        return self.folder / f"stage-{number}.npz"


def _differently(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In what way another origin made a state, as the rest of a sentence that begins with "begun"."""
    for name, preposition, what in (("device", "on", ""), ("backend", "under", ""), ("keras", "with", "Keras ")):
        if before.get(name) != now.get(name):
            return f"{preposition} {what}{before.get(name)}, and this is {what}{now.get(name)}"
    if before.get("precision") != now.get("precision"):
        return f"in {before.get('precision')}, and this is {now.get('precision')}"
    for name, what in (("parts", "another version"), ("code", "other code")):
        old, new = before.get(name) or {}, now.get(name) or {}
        if changed := [kind for kind in new if old.get(kind) != new[kind]]:
            return f"with {what} of the {' and the '.join(changed)}"
    return "with weights that have seen other images" if before.get("seen") != now.get("seen") else "differently"


def _numbered(name: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"{name}-{number}": array for number, array in enumerate(arrays)}


def _read(file: Path) -> dict[str, np.ndarray]:
    with file.open("rb") as opened, np.load(opened) as archive:  # which checks a sum over all bytes
        return dict(archive)


def _shapes(arrays: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    return {name: [array.dtype.str, *array.shape] for name, array in arrays.items()}


def _hash(arrays: Arrays) -> str:
    """sha256 of arrays in order, their shapes included."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
