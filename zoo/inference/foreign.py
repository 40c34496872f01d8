"""Formats of other runtimes: how a network of Keras is written as each, and made smaller.

Loads none of their libraries by itself. What runs a file that is written here is zoo.inference.standalone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import line
from zoo.training import logs

if TYPE_CHECKING:
    import keras
    import numpy as np

About = dict[str, Any]  # of about.json
# What an ONNX file itself says, of what about.json says.
DESCRIBED = ("model", "classes", "image_size", "threshold", "input", "output", "zoo")
OPSET = 18  # the newest that tf2onnx knows


@dataclass(frozen=True)
class Format:
    """How networks are written for a runtime.

    `file` is the name of what is written, a file or a folder, `runtime` the distribution that runs it, `modules` are
    needed for that. `small` is the name of the file with 8 bits that `quantize` makes, '' if none is made.
    """

    file: str
    runtime: str
    write: Callable[[keras.Model, Path, About], None]
    modules: Sequence[str] = ()
    small: str = ""
    quantize: Callable[[Path, Path, Iterator[np.ndarray], About], None] = field(default=lambda *arguments: None)

    def missing(self) -> list[str]:
        """Distributions that are needed and not installed."""
        return [name.replace("_", "-") for name in self.modules if importlib.util.find_spec(name) is None]

    def version(self) -> str:
        """The runtime and its version."""
        return f"{self.runtime} {metadata.version(self.runtime)}"


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


FORMATS = {
    "onnx": Format(
        "model.onnx", "onnxruntime", _write_onnx, ("onnx", "tf2onnx", "onnxruntime"), "model-int8.onnx", _quantize_onnx
    ),
    "litert": Format(
        "model.tflite",
        "ai-edge-litert",
        _write_litert,
        ("ai_edge_litert", "ai_edge_quantizer"),
        "model-int8.tflite",
        _quantize_litert,
    ),
    "savedmodel": Format("savedmodel", "tensorflow", _write_savedmodel),
}
