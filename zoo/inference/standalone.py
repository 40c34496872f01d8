"""What an exported network says of pictures, without zoo.

    pip install numpy opencv-python-headless RUNTIME
    python predict.py IMAGE...

RUNTIME is onnxruntime for model.onnx, ai-edge-litert for model.tflite, tensorflow for a SavedModel. A line an image:
its path, what it is called, and the probability of that, or of two classes always that of the positive one. Pictures
are read by OpenCV as 8-bit colour and stretched as they were for training; about.json says what goes in and comes out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

# float32 RGB images (n, size, size, 3) of 0 to 255 -> float32 (n, 1) of the positive class, or (n, classes)
Network = Callable[[np.ndarray], np.ndarray]


def load(file: Path) -> Network:
    """The network in a .onnx file, a .tflite file or the folder of a SavedModel."""
    if file.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return lambda images: np.asarray(session.run(None, {"images": images})[0])
    if file.suffix == ".tflite":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(file), num_threads=os.cpu_count())
        interpreter.allocate_tensors()
        run = interpreter.get_signature_runner()
        return lambda images: np.asarray(next(iter(run(images=images).values())))
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    layer = keras.layers.TFSMLayer(str(file), call_endpoint="serve")
    return lambda images: np.asarray(layer(images))


def read(file: str, size: int) -> np.ndarray:
    """A picture as the network takes it: float32 RGB (size, size, 3). Raises ValueError for what is none."""
    pixels = cv2.imread(file, cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{file} is no picture that OpenCV can read")
    shrinks = pixels.shape[0] * pixels.shape[1] > size * size
    pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.float32)


def main(folder: Path, files: list[str]) -> None:
    """Print what the network of a folder says of each file."""
    about = json.loads((folder / "about.json").read_text("utf-8"))
    network, classes = load(folder / about["file"]), about["classes"]
    for file in files:
        try:
            picture = read(file, about["image_size"])
        except ValueError as error:
            print(error, file=sys.stderr)
            continue
        said = network(picture[None])[0]
        if len(classes) == 2:  # of two classes there may be one output, that of the positive one
            print(file, classes[int(said[-1] >= about["threshold"])], f"{said[-1]:.6f}", sep="\t")
        else:
            print(file, classes[int(said.argmax())], f"{said.max():.6f}", sep="\t")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(__file__).parent, sys.argv[1:])
