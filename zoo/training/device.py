"""What Keras computes on, and how it should compile for it."""

from __future__ import annotations

import os

import keras


def device_type() -> str:
    """ "tpu", "gpu" or "cpu": where the backend puts a tensor that is told nothing else."""
    place = str(keras.ops.zeros(()).device).lower()
    if "tpu" in place:
        return "tpu"
    return "gpu" if "gpu" in place or "cuda" in place else "cpu"


def cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jit() -> str | bool:
    """The `jit_compile` to use: XLA makes these networks 5 to 15 times slower under TensorFlow on a CPU."""
    return False if keras.backend.backend() == "tensorflow" and device_type() == "cpu" else "auto"


def describe_machine() -> dict[str, str]:
    """Backend, versions, device and precision, as they stand in run.json."""
    return {
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "device": device_type(),
        "precision": str(keras.config.dtype_policy().name),
    }
