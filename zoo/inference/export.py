"""The networks of a model as one file for a foreign runtime, compared there with what they say here.

A folder with the network (ONNX, LiteRT or SavedModel), with normalisation and the mean of several networks inside;
about.json, which says what goes in, comes out, and is called positive; and predict.py, which runs it without zoo.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from zoo import __version__
from zoo.data import demo
from zoo.errors import ConfigError, DataError, WeightsError, one_line, shorten, unknown
from zoo.evaluation import comparison, metrics, statistics
from zoo.files import check_writable, hash_file, is_free, new_folder, write_json
from zoo.inference import reading, standalone
from zoo.inference.foreign import FORMATS
from zoo.inference.members import Ensemble
from zoo.inference.reading import Picture
from zoo.training import backend, logs

if TYPE_CHECKING:
    import keras

LARGEST = 1e-4  # difference of a probability that is taken for rounding
BATCH = 32
OF_DEMO = 32  # images of the demo that are compared, where none are named
CALIBRATED_ON = 200  # images that the ranges of activations are taken from, at most

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Exported:
    """Where an exported network is, and how it does.

    `files` has a row a file: its name, megabytes, the largest difference of a probability from what the networks said
    before, and how many `decisions` differ; with labels its `auc`, the one before, and of two classes `low` and `high`,
    the 95 % interval of their difference. `images` are those compared on, under `runtime`; `notes` is what a reader
    must know.
    """

    folder: Path
    files: pd.DataFrame
    images: int
    runtime: str
    notes: list[str]


@dataclass(frozen=True)
class Reference:
    """What an exported network is held against: pictures, `answers` of `Predictor.predict` to them, and, where they are
    known, `labels` with their classes and groups. `notes` says what was left out."""

    pictures: list[Picture]
    answers: pd.DataFrame
    labels: pd.DataFrame | None
    notes: list[str]

    @classmethod
    def of(cls, pictures: Sequence[Picture], answers: pd.DataFrame, labels: pd.DataFrame | None) -> Reference:
        """Of the pictures that could be read. Raises DataError if that is none."""
        fine = (answers["fault"] == "").to_numpy()
        if not fine.any():
            raise DataError("none of these images can be read: there is nothing to compare on")
        read = [picture for picture, good in zip(pictures, fine, strict=True) if good]
        bad = [f"{path}: {fault}" for path, fault in answers.loc[~fine, ["path", "fault"]].itertuples(index=False)]
        notes = (
            [f"{len(bad):,} of {len(fine):,} images cannot be read and are left out:\n{shorten(bad)}"] if bad else []
        )
        return cls(read, answers[fine], None if labels is None else labels[fine], notes)


def check(form: str, quantize: bool, labelled: bool, folder: Path) -> None:
    """Raise ConfigError for what cannot be asked for, or where something is missing for it."""
    if form not in FORMATS:
        raise ConfigError(unknown("format", form, [*FORMATS]))
    if quantize and not FORMATS[form].small:
        able = [name for name, each in FORMATS.items() if each.small]
        raise ConfigError(f"a {form} is not quantised; {' and '.join(able)} are")
    if quantize and not labelled:
        raise ConfigError("quantising changes what a network says: name labelled images to see how much, --data DIR")
    if not is_free(folder):
        raise ConfigError(f"{folder} is there already; name another with --out DIR")
    check_writable(folder.parent)
    if missing := FORMATS[form].missing():
        raise ConfigError(f"to write {form}, {' and '.join(missing)} must be installed: pip install 'zoo[{form}]'")
    if backend.chosen() != "tensorflow":
        raise ConfigError(
            f"networks are exported by Keras on TensorFlow, whatever trained them, and this is {backend.chosen()}: set "
            "KERAS_BACKEND=tensorflow"
        )


def demo_images() -> list[np.ndarray]:
    """Photographs that zoo draws, to compare on where no others are named."""
    return [demo.draw(ratio, seed) for seed, ratio in enumerate(demo.plan_images(OF_DEMO)["cup_to_disc"])]


def export(
    ensemble: Ensemble,
    networks: Sequence[keras.Model],
    reference: Reference,
    form: str,
    folder: Path,
    quantize: bool,
    tell: Tell,
) -> Exported:
    """Write the networks into a folder that is not there yet, all of it or nothing, see `Predictor.export`."""
    chosen, steps = FORMATS[form], 4 if quantize else 2
    runtime = chosen.version()
    network = _together(networks, ensemble.image_size, ensemble.flips)
    about = _about(ensemble, form, network.output_shape[-1])
    with new_folder(folder) as draft:
        tell(f"writing {form}", 0, steps)
        file = draft / chosen.file
        with _named(f"{ensemble.model} cannot be written as {form}"):
            chosen.write(network, file, about)
            tell(f"writing {form}", 1, steps)
            rows = [_row(file, ensemble, reference)]
        tell(f"writing {form}", 2, steps)
        if not rows[0]["difference"] <= LARGEST:
            raise WeightsError(
                f"{ensemble.model} says something else under {runtime} than here: probabilities differ by up to "
                f"{rows[0]['difference']:.2g}, more than {LARGEST:g}; nothing is written"
            )
        if quantize:
            small = draft / chosen.small
            some = reference.pictures[:: math.ceil(len(reference.pictures) / CALIBRATED_ON)]  # they lie class by class
            with _named(f"{ensemble.model} cannot be quantised as {form}"):
                chosen.quantize(file, small, _batches(some, ensemble.image_size), about)
                tell(f"writing {form}", 3, steps)
                rows.append(_row(small, ensemble, reference))
            tell(f"writing {form}", 4, steps)
        table, notes = pd.DataFrame(rows), [*ensemble.notes, *reference.notes, *_seen(reference)]
        compared = {"images": len(reference.pictures), "runtime": runtime, "files": table.to_dict("records")}
        sums = {name: hash_file(draft / name) for name in table["file"] if (draft / name).is_file()}
        write_json(draft / "about.json", {**about, "sha256": sums, "compared": compared, "notes": notes})
        shutil.copyfile(standalone.__file__, draft / "predict.py")
    return Exported(folder, table, len(reference.pictures), runtime, notes)


@contextmanager
def _named(fault: str) -> Iterator[None]:
    """What fails within, in converters and runtimes of others, is this fault."""
    try:
        yield
    except Exception as error:
        raise WeightsError(f"{fault}: {one_line(error)}") from error


def _together(networks: Sequence[keras.Model], size: int, flips: bool) -> keras.Model:
    """One network that gives the mean of these, float32 (n, 1) or (n, classes), of images (n, size, size, 3)."""
    import keras

    images = keras.Input((size, size, 3), name="images")
    views = [images, keras.ops.flip(images, axis=2)] if flips else [images]
    outputs = [network(view) for view in views for network in networks]
    return keras.Model(images, keras.ops.mean(keras.ops.stack(outputs), axis=0))


def _batches(pictures: Sequence[Picture], size: int) -> Iterator[np.ndarray]:
    """Pictures as an exported network takes them: float32 (n, size, size, 3)."""
    read = reading.read(pictures, size, BATCH)
    while batch := [each.pixels for each in islice(read, BATCH) if each.pixels is not None]:
        yield np.stack(batch).astype(np.float32)


def _row(file: Path, ensemble: Ensemble, reference: Reference) -> dict[str, Any]:
    """How a file does under its runtime, beside the networks that it was made of."""
    answers, labels, classes = reference.answers, reference.labels, ensemble.classes
    with logs.loading():
        network = standalone.load(file)
    batches = _batches(reference.pictures, ensemble.image_size)
    said = np.concatenate([metrics.per_class(network(batch)) for batch in batches])
    here = comparison.probabilities(answers)
    threshold = metrics.THRESHOLD if ensemble.threshold is None else ensemble.threshold
    parts = [file] if file.is_file() else [part for part in file.rglob("*") if part.is_file()]
    row: dict[str, Any] = {
        "file": file.name,
        "mb": sum(part.stat().st_size for part in parts) / 1e6,
        "difference": float(np.abs(said - here).max()),
        "decisions": int((metrics.predict(said, threshold) != metrics.predict(here, threshold)).sum()),
    }
    if labels is not None:
        truth = labels["label"].to_numpy()
        row |= {"auc": metrics.auc(truth, said), "auc_before": metrics.auc(truth, here)}
        if len(classes) == 2:
            known = (labels["group"] != "").all()
            paired = statistics.delong(truth, said[:, 1], here[:, 1], labels["group"] if known else None)
            row |= {"low": paired.low, "high": paired.high}
    return row


def _seen(reference: Reference) -> list[str]:
    seen = int((reference.answers["seen"] > 0).sum())
    if not seen or reference.labels is None:
        return []
    return [f"SEEN: networks were trained or selected on {seen:,} of these images, and each AUC is too high"]


def _about(ensemble: Ensemble, form: str, outputs: int) -> dict[str, Any]:
    size, classes, two = ensemble.image_size, ensemble.classes, len(ensemble.classes) == 2
    values = f"probability of {classes[-1]}" if outputs == 1 else f"probabilities of {', '.join(classes)}"
    first = ensemble.members[0].about
    return {
        "format": form,
        "file": FORMATS[form].file,
        "model": ensemble.model,
        "classes": classes,
        "image_size": size,
        "threshold": ensemble.threshold,
        "operating_point": ensemble.point.table() if two else None,
        "input": {
            "name": "images",
            "shape": [None, size, size, 3],
            "dtype": "float32",
            "values": "RGB, 0 to 255, not normalised; stretched to the size, by areas where that shrinks",
        },
        "output": {"shape": [None, outputs], "dtype": "float32", "values": values},
        "mirrored": ensemble.flips,
        "networks": [
            {
                "name": each.title,
                "sha256": hash_file(each.file),
                "threshold": each.threshold,
                "scaling": vars(each.scaling) if each.scaling else None,
            }
            for each in ensemble.members
        ],
        "recipe": first.recipe,
        "versions": first.versions,
        "zoo": __version__,
    }
