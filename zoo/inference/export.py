"""The networks of a model as one file for a foreign runtime, compared there with what they say here.

A folder with the network (ONNX, LiteRT or SavedModel), with normalisation and the mean of several networks inside;
about.json, which says what goes in, comes out, and is called positive; and predict.py, which runs it without zoo.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from zoo import __version__
from zoo.data import demo
from zoo.errors import ConfigError, DataError, WeightsError, line, one_line, shorten, unknown
from zoo.evaluation import metrics, statistics
from zoo.files import check_writable, hash_file, write_json
from zoo.inference import reading, standalone
from zoo.inference.members import Ensemble
from zoo.inference.reading import Picture
from zoo.training import backend, logs

if TYPE_CHECKING:
    import keras

FILES = {"onnx": "model.onnx", "litert": "model.tflite", "savedmodel": "savedmodel"}
QUANTIZED = {"onnx": "model-int8.onnx", "litert": "model-int8.tflite"}
# Modules that write and run each, and their distributions; the extra of zoo has the name of the format.
NEEDED = {
    "onnx": {"onnx": "onnx", "tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"},
    "litert": {"ai_edge_litert": "ai-edge-litert", "ai_edge_quantizer": "ai-edge-quantizer"},
    "savedmodel": {"tensorflow": "tensorflow"},
}
LARGEST = 1e-4  # difference of a probability that is taken for rounding
BATCH = 32
OF_DEMO = 32  # images of the demo that are compared, where none are named
CALIBRATED_ON = 200  # images that the ranges of activations are taken from, at most
# What an ONNX file itself says, of what about.json says.
DESCRIBED = ("model", "classes", "image_size", "threshold", "input", "output", "zoo")
OPSET = 18  # the newest that tf2onnx knows

Tell = Callable[[str, int, int], None]
About = dict[str, Any]  # of about.json


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
    if form not in FILES:
        raise ConfigError(unknown("format", form, [*FILES]))
    if quantize and form not in QUANTIZED:
        raise ConfigError(f"a {form} is not quantised; {' and '.join(QUANTIZED)} are")
    if quantize and not labelled:
        raise ConfigError("quantising changes what a network says: name labelled images to see how much, --data DIR")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already; name another with --out DIR")
    check_writable(folder.parent)
    missing = [name for module, name in NEEDED[form].items() if importlib.util.find_spec(module) is None]
    if missing:
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as place:
        draft = Path(place) / "export"
        draft.mkdir()
        made = _fill(draft, ensemble, networks, reference, form, quantize, tell)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    return dataclasses.replace(made, folder=folder)


def _fill(
    folder: Path,
    ensemble: Ensemble,
    networks: Sequence[keras.Model],
    reference: Reference,
    form: str,
    quantize: bool,
    tell: Tell,
) -> Exported:
    file, runtime, steps = folder / FILES[form], _runtime(form), 4 if quantize else 2
    network = _together(networks, ensemble.image_size, ensemble.flips)
    about = _about(ensemble, form, network.output_shape[-1])
    tell(f"writing {form}", 0, steps)
    try:
        WRITERS[form](network, file, about)
    except Exception as error:  # of converters, for layers of whoever made them
        raise WeightsError(f"{ensemble.model} cannot be written as {form}: {one_line(error)}") from error
    tell(f"writing {form}", 1, steps)
    rows = [_row(file, ensemble, reference)]
    tell(f"writing {form}", 2, steps)
    if not rows[0]["difference"] <= LARGEST:
        raise WeightsError(
            f"{ensemble.model} says something else under {runtime} than here: probabilities differ by up to "
            f"{rows[0]['difference']:.2g}, more than {LARGEST:g}; nothing is written"
        )
    if quantize:
        small = folder / QUANTIZED[form]
        try:
            QUANTIZERS[form](file, small, _batches(reference.pictures[:CALIBRATED_ON], ensemble.image_size), about)
        except Exception as error:
            raise WeightsError(f"{ensemble.model} cannot be quantised as {form}: {one_line(error)}") from error
        tell(f"writing {form}", 3, steps)
        rows.append(_row(small, ensemble, reference))
        tell(f"writing {form}", 4, steps)
    table, notes = pd.DataFrame(rows), [*ensemble.notes, *reference.notes, *_seen(reference)]
    compared = {"images": len(reference.pictures), "runtime": runtime, "files": table.to_dict("records")}
    sums = {name: hash_file(folder / name) for name in table["file"] if (folder / name).is_file()}
    write_json(folder / "about.json", {**about, "sha256": sums, "compared": compared, "notes": notes})
    shutil.copyfile(standalone.__file__, folder / "predict.py")
    return Exported(folder, table, len(reference.pictures), runtime, notes)


def _together(networks: Sequence[keras.Model], size: int, flips: bool) -> keras.Model:
    """One network that gives the mean of these, float32 (n, 1) or (n, classes), of images (n, size, size, 3)."""
    import keras

    images = keras.Input((size, size, 3), name="images")
    views = [images, keras.ops.flip(images, axis=2)] if flips else [images]
    outputs = [network(view) for view in views for network in networks]
    return keras.Model(images, keras.ops.mean(keras.ops.stack(outputs), axis=0))


def _write_savedmodel(network: keras.Model, folder: Path, about: About) -> None:
    network.export(folder, format="tf_saved_model", verbose=False)


def _write_litert(network: keras.Model, file: Path, about: About) -> None:
    network.export(file, format="litert", verbose=False)


def _write_onnx(network: keras.Model, file: Path, about: About) -> None:
    """Through a SavedModel: Keras' own export makes the constants of a Normalization into inputs (3.15)."""
    with tempfile.TemporaryDirectory() as place:
        network.export(place, format="tf_saved_model", verbose=False)
        words = ["--saved-model", place, "--tag", "serve", "--signature_def", "serving_default"]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tf2onnx.convert", *words, "--opset", str(OPSET), "--output", str(file)],
            capture_output=True,
            text=True,
            errors="replace",
            env=logs.environment(logs.ERRORS),
        )
    if done.returncode:
        raise RuntimeError(f"tf2onnx: {line(done.stderr[-400:])}")
    _describe(file, about)


def _describe(file: Path, about: About) -> None:
    """Put what about.json says into an ONNX file too, as JSON each."""
    import onnx

    model = onnx.load(file)
    onnx.helper.set_model_props(model, {name: json.dumps(about[name]) for name in DESCRIBED})
    onnx.save(model, file)


def _quantize_onnx(file: Path, target: Path, images: Iterator[np.ndarray], about: About) -> None:
    """Weights and activations of 8 bits, as onnxruntime advises for convolutions."""
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(images, None)
            return None if batch is None else {"images": batch}

    with tempfile.TemporaryDirectory() as place:
        ready = Path(place) / "ready.onnx"
        shape_inference.quant_pre_process(file, ready, skip_symbolic_shape=True)
        quantization.quantize_static(ready, target, Reader(), per_channel=True)
    _describe(target, about)


def _quantize_litert(file: Path, target: Path, images: Iterator[np.ndarray], about: About) -> None:
    """Weights of 8 bits; activations are quantised as they come, so that no images are needed."""
    from ai_edge_quantizer import quantizer, recipe

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # its own progress
        work = quantizer.Quantizer(str(file))
        work.load_quantization_recipe(recipe.dynamic_wi8_afp32())
        work.quantize().export_model(str(target))


WRITERS = {"onnx": _write_onnx, "litert": _write_litert, "savedmodel": _write_savedmodel}
QUANTIZERS = {"onnx": _quantize_onnx, "litert": _quantize_litert}


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
    names = ["probability"] if len(classes) == 2 else [f"probability_{name}" for name in classes]
    here = metrics.per_class(answers[names].to_numpy())
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


def _runtime(form: str) -> str:
    """What answers are compared under, and its version."""
    name = {"onnx": "onnxruntime", "litert": "ai-edge-litert", "savedmodel": "tensorflow"}[form]
    return f"{name} {metadata.version(name)}"


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
        "file": FILES[form],
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
