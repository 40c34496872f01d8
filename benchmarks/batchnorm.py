"""What trained batch normalisation costs a step of the third stage on a CPU, and what could be done about it.

    python benchmarks/batchnorm.py                  # about six minutes on two CPU cores

Times a training step of EfficientNetB0 at 224 px under TensorFlow, each variant in a process of its own, taking turns:
batch normalisation frozen; trained, as Keras computes it; trained with the moments as matrix products, which is all
that Keras' public operations offer; and trained by TensorFlow's own fused operation, which Keras has no public way to.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any

import keras
import numpy as np
from keras import ops

ORIGINAL = keras.layers.BatchNormalization.call


def matrix_products(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Mean and mean square by multiplying with a row of ones, which linear algebra libraries do well."""
    if not (training and self.trainable):
        return ORIGINAL(self, inputs, training=training)
    flat = ops.reshape(inputs, (-1, inputs.shape[-1]))
    ones = ops.ones((1, ops.shape(flat)[0]), flat.dtype) / ops.cast(ops.shape(flat)[0], flat.dtype)
    mean = ops.matmul(ones, flat)[0]
    variance = ops.matmul(ones, flat * flat)[0] - mean * mean
    return _normalise(self, inputs, mean, variance)


def fused(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """TensorFlow's FusedBatchNormV3."""
    import tensorflow as tf

    if not (training and self.trainable) or len(inputs.shape) < 4:
        return ORIGINAL(self, inputs, training=training)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=ops.convert_to_tensor(self.gamma),
        offset=ops.convert_to_tensor(self.beta),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=self.epsilon,
        is_training=True,
    )
    _remember(self, mean, variance)
    return outputs


def _normalise(layer: Any, inputs: Any, mean: Any, variance: Any) -> Any:
    _remember(layer, mean, variance)
    scale = layer.gamma / ops.sqrt(variance + layer.epsilon)
    return inputs * scale + (layer.beta - mean * scale)


def _remember(layer: Any, mean: Any, variance: Any) -> None:
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1 - layer.momentum))


VARIANTS = {
    "frozen": ORIGINAL,
    "trained": ORIGINAL,
    "trained, matrix products": matrix_products,
    "trained, fused": fused,
}


def step_seconds(variant: str, batch: int, steps: int) -> float:
    """Of the median training step."""
    keras.layers.BatchNormalization.call = VARIANTS[variant]
    base = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg")
    model = keras.Model(base.input, keras.layers.Dense(1, activation="sigmoid")(base.output))
    for layer in model.layers:
        if variant == "frozen" and isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    model.compile(keras.optimizers.RMSprop(1e-5), "binary_crossentropy")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8)
    labels = rng.integers(0, 2, (batch, 1)).astype("float32")
    seconds = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        model.train_on_batch(images, labels)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])  # the first compiles


def main() -> None:
    """Measure and print; with --variant only one of them, in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(step_seconds(options.variant, options.batch, options.steps))
        return
    rounds = []
    for _ in range(options.rounds):
        found = {}
        for variant in VARIANTS:
            again = [sys.executable, __file__, "--variant", variant, "--batch", options.batch, "--steps", options.steps]
            done = subprocess.run([*map(str, again)], capture_output=True, text=True, check=True)
            found[variant] = float(done.stdout.split()[-1])
        rounds.append(found)
    for variant in VARIANTS:
        rates = [options.batch / found[variant] for found in rounds]
        ratios = [found[variant] / found["frozen"] for found in rounds]
        print(
            f"{variant:26} {statistics.median(rates):6.1f} images/s ({min(rates):.1f} to {max(rates):.1f})   "
            f"a step takes {statistics.median(ratios):.2f} times a frozen one ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
