"""What trained networks say of any pictures: a row an image, in batches, decoded ahead."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from zoo.data import known_copies, remarks
from zoo.data.options import DataOptions
from zoo.data.splits import as_folds
from zoo.errors import ConfigError, unknown
from zoo.evaluation import metrics
from zoo.evaluation.config import point_of
from zoo.files import expand
from zoo.inference import evaluation, export, opening, reading
from zoo.inference.evaluation import Evaluation
from zoo.inference.export import Exported
from zoo.inference.members import Ensemble
from zoo.inference.reading import Read
from zoo.run import provenance
from zoo.run.provenance import Provenance
from zoo.training import model_file

if TYPE_CHECKING:
    import keras

BATCH = 32  # images that a network takes at once
AHEAD = 4 * BATCH  # images that are decoded before their turn
COLUMNS = ("path", "image", "decision", "probability", "calibrated", "spread", "seen", "fault")
VIEWS = ("none", "flips")

# Called with a step, how much of it is done, and of how much.
Listen = Callable[[str, int, int], None]


class Predictor:
    """Trained networks that answer together for any pictures: what `zoo.load` gives.

    `ensemble` says which they are and what their thresholds were chosen for, `notes` what a reader of their answers
    must know.
    """

    def __init__(self, ensemble: Ensemble, networks: Sequence[keras.Model], seen: Sequence[Provenance]) -> None:
        from zoo.training import trainer

        self.ensemble = ensemble
        self.networks = [*networks]
        self.seen = [*seen]
        self._together = trainer.scorer(_side_by_side(self.networks))
        self._images = frozenset[str]().union(*(each.images for each in seen))
        files = dict.fromkeys(name for each in seen for name in each.unknown)
        untold = [f"{name}: it cannot be told which images these weights have seen" for name in files]
        self.notes = [*ensemble.notes, *untold]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, the positive one last."""
        return self.ensemble.classes

    @property
    def image_size(self) -> int:
        """Pixels a side of what the networks take; other images are stretched to it."""
        return self.ensemble.image_size

    @property
    def threshold(self) -> float | None:
        """The probability from which an image is called positive; None for more than two classes."""
        return self.ensemble.threshold

    def predict(self, images: Any, *, tta: str | None = None, listen: Listen | None = None) -> pd.DataFrame:
        """What the networks say of images: a row for each, in order.

        `images` are a path or several, of image files, of folders of them or of tables with a column `path`; or bytes,
        what a file holds; or uint8 RGB arrays, (height, width, 3) each, or (n, height, width, 3). They are read and
        stretched as for training. `tta` "flips" averages each with its mirror image and "none" does not; None is as the
        model was trained for. `listen` is called with a step, how much of it is done, and of how much.

        Columns: `path` (of bytes or an array its number); `image`, the hash of its pixels as in predictions.csv;
        `decision`, a class; `probability`, the mean over networks: that of the positive class, and of more than two
        that of the decision, with a column `probability_<class>` for each. `calibrated` is the mean after each
        network's scaling, see calibration.csv, NaN if none is known; `spread` the standard deviation of `probability`
        over networks, NaN of a single one. `seen` counts the networks that were trained or selected on this picture or
        a known near-duplicate: such a number says nothing of new images. `fault` says why a file has no numbers, '' if
        it has. `attrs["notes"]` says what to know of the files.

        Raises DataError for folders and tables without images and for arrays of other kinds, ConfigError for a `tta`
        that is none.
        """
        if tta not in (None, *VIEWS):
            raise ConfigError(unknown("tta", str(tta), list(VIEWS)))
        wanted, tell = reading.pictures(images), listen or _silent
        told: list[Read] = []
        answers: list[np.ndarray] = []
        for batch in _batches(reading.read(wanted, self.image_size, AHEAD)):
            whole = [each.pixels for each in batch if each.pixels is not None]
            if whole:
                answers.append(self._answers(np.stack(whole), tta, padded=len(wanted) > BATCH))
            told += [dataclasses.replace(each, pixels=None) for each in batch]
            tell("predicting", len(told), len(wanted))
        empty = np.zeros((len(self.networks), 0, len(self.classes)))
        return self._table(told, np.concatenate([empty, *answers], axis=1))

    def evaluate(
        self,
        data: str | Path | pd.DataFrame,
        *,
        by: str | None = None,
        allow_leak: bool = False,
        tta: str | None = None,
        listen: Listen | None = None,
        **options: Any,
    ) -> Evaluation:
        """How the networks do on labelled images of another place: `zoo evaluate`.

        `data` is a folder or a table as for `zoo.compare`, of the classes that the networks know; of data in folds or
        roles each image is taken once. `by` is a column of a table, whose values get a row each, in place of `source`.
        `options` are other fields of `zoo.data.options.DataOptions`: columns, label, labels, groups. Thresholds and
        scalings are those that were chosen before: nothing is fitted to these images. `tta` and `listen` as for
        `predict`.

        Raises LeakError where networks were trained or selected on some of the images, unless `allow_leak`: then every
        number is marked. Raises DataError and ConfigError for data that cannot be used.
        """
        found = evaluation.labelled(DataOptions(data=data, **options), self.ensemble, by)
        files = [found.root / path for path in found.table["path"]]
        answers = self.predict(files, tta=tta, listen=listen)
        if known_copies.unseen({*answers["image"], *self._images} - {""}):
            answers.attrs["notes"].append(
                "nobody has looked for changed copies of what the networks were trained on among these images: "
                "zoo data audit --data TRAINING --test-data THESE looks, and then they are refused too"
            )
        return evaluation.evaluate(self.ensemble, found, answers, allow_leak)

    def export(
        self,
        folder: str | Path,
        form: str,
        *,
        data: str | Path | pd.DataFrame | None = None,
        quantize: bool = False,
        listen: Listen | None = None,
        **options: Any,
    ) -> Exported:
        """The networks as one, for a runtime that needs neither zoo nor Keras: `zoo export`.

        `form` is "onnx", "litert" or "savedmodel". The folder, which must not be there yet, gets the network, which
        gives the mean probabilities of what `predict` stretches images to, with normalisation and mirror images inside;
        about.json, which says what goes in and comes out; and predict.py, which runs it. What it says under its runtime
        is compared with what is said here, on the labelled images of `data`, see `evaluate` for these and `options`, or
        on photographs that zoo draws. `quantize` adds a file with weights of 8 bits.

        What comes back has `files`, a row a file: its `mb`, the largest `difference` of a probability, how many
        `decisions` differ, and with `data` its `auc` and that of the networks, `auc_before`; of two classes the 95 %
        interval of their difference, from `low` to `high`. `notes` says what a reader must know.

        Raises ConfigError for what cannot be asked for or is not installed, DataError for images that cannot be used,
        WeightsError where probabilities differ by more than 1e-4 or nothing can be written: then there is no folder.
        """
        folder = expand(folder)
        export.check(form, quantize, data is not None, folder)
        images: list[Any] = export.demo_images()
        labels = None
        if data is not None:
            found = evaluation.labelled(DataOptions(data=data, **options), self.ensemble)
            labels = found.table
            images = [found.root / path for path in labels["path"]]
        answers = self.predict(images, listen=listen)
        reference = export.Reference.of(reading.pictures(images), answers, labels)
        return export.export(self.ensemble, self.networks, reference, form, folder, quantize, listen or _silent)

    def heat_maps(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What the networks looked at, on average: float32 (n, rows, columns), see `zoo.training.heatmap.heat_maps`.

        `images` are uint8 RGB (n, image_size, image_size, 3), `labels` (n,) the class asked about for each.
        """
        from zoo.training import heatmap

        return np.mean([heatmap.heat_maps(network, images, labels) for network in self.networks], axis=0)

    def _answers(self, images: np.ndarray, tta: str | None, padded: bool) -> np.ndarray:
        """Probabilities (networks, n, classes) of uint8 images (n, size, size, 3).

        Those of fewer than BATCH are `padded`, so that a network is not compiled again for the last batch.
        """
        from zoo.training.batches import predict_batch

        flips = self.ensemble.flips if tta is None else tta == "flips"
        views = [images, images[:, :, ::-1]] if flips else [images]
        size = BATCH if padded else len(images)
        outputs = np.mean([predict_batch(self._together, view, size) for view in views], axis=0)
        return np.stack([metrics.per_class(outputs[:, number]) for number in range(len(self.networks))])

    def _table(self, told: list[Read], answers: np.ndarray) -> pd.DataFrame:
        """The table of `predict`; `answers` (networks, images without a fault, classes)."""
        mean, threshold = answers.mean(axis=0), self.threshold
        called = metrics.predict(mean, metrics.THRESHOLD if threshold is None else threshold)
        shown = np.ones(len(mean), dtype=int) if threshold is not None else called
        rows = np.arange(len(mean))
        several = len(self.networks) > 1
        scaled = [
            member.scaling.apply(each[:, 1])
            for member, each in zip(self.ensemble.members, answers, strict=True)
            if member.scaling and threshold is not None
        ]
        images = [each.image for each in told if not each.fault]
        values: dict[str, Any] = {
            "decision": np.asarray(self.classes, dtype=object)[called],
            "probability": mean[rows, shown],
            "calibrated": np.mean(scaled, axis=0) if len(scaled) == len(self.networks) else np.nan,
            "spread": answers[:, rows, shown].std(axis=0, ddof=1) if several else np.nan,
            "seen": self._seen(images),
        }
        if threshold is None:
            values |= {f"probability_{name}": mean[:, number] for number, name in enumerate(self.classes)}
        answered = pd.DataFrame(values, index=[row for row, each in enumerate(told) if not each.fault])
        table = pd.DataFrame({name: [getattr(each, name) for each in told] for name in ("path", "image", "fault")})
        table = table.join(answered)
        table["seen"] = table["seen"].fillna(0).astype(int)
        table["decision"] = table["decision"].fillna("").astype(object)
        table.attrs["notes"] = [str(remark) for remark in remarks.told({each.path: each.remarks for each in told})]
        return table[[*COLUMNS, *(name for name in table if name not in COLUMNS)]]

    def _seen(self, images: Sequence[str]) -> list[int]:
        """How many networks have seen each picture, itself or as a near-duplicate that some audit knows."""
        copies = pd.concat([self.ensemble.copies, known_copies.known({*images, *self._images})])
        leaks = [{*provenance.leaked(images, each.images, copies)} for each in self.seen]
        return [sum(image in of_network for of_network in leaks) for image in images]


def load(
    path: str | Path,
    *,
    model: str | None = None,
    folds: str | int | Sequence[int] = "all",
    listen: Listen | None = None,
    **point: Any,
) -> Predictor:
    """The trained networks of a run folder, of a bundle or of one .keras file, ready to answer: `zoo predict`.

    Of a run folder `model` names the model whose folds answer together, which may be left out where there is one, and
    `folds` some of them. Images are called positive at the operating point that the run aims at, chosen on validation,
    or at another `point`: one of `threshold`, `sensitivity`, `specificity`, `youden`, `cost`. A bundle brings its own,
    a .keras file has none, and both take no other than `threshold`. `listen` is called with each step, and how much of
    it is done.

    Raises ConfigError for what is none of these, WeightsError for networks that cannot be loaded.
    """
    ensemble = opening.open_model(path, model, as_folds(folds), point_of(point) if point else None)
    return ready(ensemble, listen)


def ready(ensemble: Ensemble, listen: Listen | None = None) -> Predictor:
    """The networks of an ensemble, loaded. Raises WeightsError for one that cannot be."""
    tell = listen or _silent
    networks, seen = [], []
    for number, member in enumerate(ensemble.members):
        tell("loading networks", number, len(ensemble.members))
        networks.append(model_file.load_model(member.file))
        seen.append(provenance.read_provenance(member.file))
    tell("loading networks", len(networks), len(networks))
    return Predictor(ensemble, networks, seen)


def _side_by_side(networks: Sequence[keras.Model]) -> keras.Model:
    """One network that gives what each of these makes of images (n, networks, …): compiled once, not each by itself."""
    import keras

    inputs = keras.Input(networks[0].inputs[0].shape[1:])
    for number, network in enumerate(networks):
        network.name = f"network_{number}"  # all of one recipe have one name, and Keras wants them to differ
    return keras.Model(inputs, keras.ops.stack([network(inputs) for network in networks], axis=1))


def _silent(step: str, done: int, total: int) -> None:
    """Nobody listens."""


def _batches(read: Iterator[Read]) -> Iterator[list[Read]]:
    while batch := [*islice(read, BATCH)]:
        yield batch
