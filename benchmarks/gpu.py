"""Training all layers of EfficientNetB0 on a GPU: zoo in mixed precision under JAX, against timm under PyTorch.

    pip install "jax[cuda12]" torch timm
    KERAS_BACKEND=jax python benchmarks/gpu.py
    KERAS_BACKEND=jax python benchmarks/gpu.py --batch 4 --image-size 64 --images 40 --steps 2    # that it runs at all

Both train the same network on batches of uint8 images from the host's memory, on the same card, taking turns, each in
its own process: `zoo run` with everything it does (validation and checkpoint of each epoch too), zoo's network alone on
one batch again and again, and timm's efficientnet_b0 with automatic mixed precision and channels_last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from study import HERE, Bench, draw_folds

MIXED = "mixed_bfloat16"


def timm_step(batch: int, size: int, steps: int, rounds: int) -> dict[str, float | str]:
    """Seconds of a training step of timm's network: the median of several rounds of `steps`, after one not counted."""
    import timm
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = timm.create_model("efficientnet_b0", num_classes=1).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.RMSprop(network.parameters(), 1e-5, alpha=0.9)
    loss_of = torch.nn.BCEWithLogitsLoss()
    mean, std = (
        torch.tensor(values, device=device).view(1, 3, 1, 1) * 255
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (batch, 3, size, size), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, 2, (batch, 1)).astype(np.float32)).to(device)
    if device == "cuda":
        images = images.pin_memory()
    network.train()

    def step() -> None:
        inputs = images.to(device, non_blocking=True).to(memory_format=torch.channels_last)
        with torch.autocast(device, dtype=torch.bfloat16):
            outputs = network((inputs.float() - mean) / std)
        loss = loss_of(outputs.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        for _ in range(steps):
            step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - started) / steps)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return {"step": float(np.median(seconds[1:])), "device": name}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=1707)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timm", action="store_true", help="only timm's half, as JSON")
    options = parser.parse_args()
    if options.timm:
        print(json.dumps(timm_step(options.batch, options.image_size, options.steps, options.rounds)))
        return
    sizes = ["--batch", str(options.batch), "--image-size", str(options.image_size)]
    times = ["--steps", str(options.steps), "--rounds", str(options.rounds)]
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), options.image_size, options.batch)
        data = Path(scratch) / "data"
        counts = draw_folds(data, options.images, options.image_size, 1)
        said = bench.python(__file__, "--timm", *sizes, *times)[1]
        theirs = json.loads(said.splitlines()[-1])  # libraries may print before it
        network = [str(HERE / "network.py"), "--stage", "all", *sizes, *times]
        alone = {
            precision: json.loads(bench.python(*network, "--precision", precision)[1])
            for precision in ("float32", MIXED)
        }
        whole = bench.zoo("all", data, "--max-epochs", "5", "--precision", MIXED)
    mixed = alone[MIXED]
    rates = {
        "timm, AMP, channels_last": options.batch / theirs["step"],
        f"zoo's network, {MIXED}": options.batch / mixed["step"],
        "zoo's network, float32": options.batch / alone["float32"]["step"],
        f"zoo run, {MIXED}, validation and checkpoint included": counts["train"] / whole["epoch"],
    }
    print(f"{theirs['device']}, batch {options.batch}, {options.image_size} px")
    for name, rate in rates.items():
        print(f"{name}: {rate:,.0f} images/s, {rate / rates['timm, AMP, channels_last']:.2f} of timm")
    steps = counts["train"] / options.batch * mixed["step"]
    validation = counts["validation"] / options.batch * mixed["scoring_step"]
    print(
        f"an epoch of zoo run: {whole['epoch']:.2f} s, of which steps {steps / whole['epoch']:.0%}, validation "
        f"{validation / whole['epoch']:.0%}, the rest (input, checkpoint) "
        f"{1 - (steps + validation) / whole['epoch']:.0%}; "
        f"forward {mixed['scoring_step'] / mixed['step']:.0%} of a step"
    )


if __name__ == "__main__":
    main()
