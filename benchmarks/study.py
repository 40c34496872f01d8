"""The study's three stages with zoo and as a notebook, in one run on one machine, as ratios.

    python benchmarks/study.py                                  # about half an hour on two CPU cores
    python benchmarks/study.py --write docs/performance.md      # and put the table there
    python benchmarks/study.py --image-size 64 --images 200 --rounds 1    # a quick look
    python benchmarks/study.py --only head                      # stage 1 alone, in a quarter of the time

Draws a data set of the study's size (1707 images at 224 px in ten folds, as the demo's) and lets both train on it, each
in its own process, taking turns: `zoo` from the command line with an empty cache, `benchmarks/notebook.py` beside it.
zoo trains all 200 epochs of the first stage. The notebook, whose epochs all take the same, trains two, and its time for
200 is worked out from them: until the end of the first, and 199 times the second. Weights are random, and zoo reads
them from a file as it would ImageNet's: time does not depend on them. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import augmentation
import cv2
import numpy as np
import pandas as pd

import zoo
from zoo.data import demo, images

HERE = Path(__file__).parent
EPOCHS = 200  # of the study's first stage
PARTS = ("head", "top", "all", "augmenter", "start")  # what can be measured by itself
REGISTRY = """
[data]
image_size = {size}
[defaults]
batch_size = {batch}
[models.head]
schedule = {{ name = "three-stage", count = 1, patience = 200 }}
[models.top]
schedule = {{ name = "stages", each = [{top}] }}
[models.all]
schedule = {{ name = "stages", each = [{everything}] }}
[models.all-augmented]
augmenter = "study"
schedule = {{ name = "stages", each = [{everything}] }}
"""
TOP = '{ name = "top", epochs = 200, patience = 200, learning_rate = 1e-4, unfreeze = 20 }'
EVERYTHING = (
    '{ name = "all", epochs = 200, patience = 200, learning_rate = 1e-5, unfreeze = "all", batchnorm = "train" }'
)

# The command line, in a process that says how much memory it and the largest of its workers took, in KB.
WITH_MEMORY = """
import os, resource, sys
from zoo.cli import main
status = main()
both = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
open(os.environ["PEAK"], "w").write(str(sum(both)))
sys.exit(status)
"""
SAVE_WEIGHTS = """
import sys, keras
keras.applications.EfficientNetB0(include_top=False, weights=None).save_weights(sys.argv[1])
"""
BEGIN, END = "<!-- measured -->", "<!-- end -->"
CPUINFO = Path("/proc/cpuinfo")


def draw_folds(root: Path, count: int, size: int, folds: int) -> dict[str, int]:
    """`count` images in the study's layout: how many there are, and how many fold 0 trains and validates on.

    Fold k tests on part k and chooses its epoch on part k + 1.
    """
    table = demo.plan_images(count)
    root.mkdir()
    for row, (name, ratio) in enumerate(zip(table["file"], table["cup_to_disc"], strict=True)):
        picture = images.resize(demo.draw(ratio, seed=row), size)
        cv2.imwrite(str(root / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    for fold in range(folds):
        roles = {fold: "valid", (fold + 1) % demo.FOLDS: "test"}
        for name, label, part in zip(table["file"], table["label"], table["part"], strict=True):
            path = root / f"Fold{fold}" / roles.get(part, "train") / demo.CLASSES[label] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(root / name, path)
    parts = table["part"].value_counts()
    return {"images": count, "train": count - int(parts[0] + parts[1]), "validation": int(parts[1])}


class Bench:
    """A data set, a registry and a scratch folder, and what is run on them."""

    def __init__(self, scratch: Path, size: int, batch: int = 128) -> None:
        self.scratch = scratch
        self.size = size
        self.registry = scratch / "registry.toml"
        self.registry.write_text(
            REGISTRY.format(size=size, batch=batch, top=TOP, everything=EVERYTHING), encoding="utf-8"
        )
        self.weights = scratch / "random.weights.h5"
        self.python("-c", SAVE_WEIGHTS, str(self.weights))
        self._number = 0

    def python(self, *arguments: str, **environment: str) -> tuple[float, str]:
        """Seconds and output of a Python process."""
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
        return time.perf_counter() - started, done.stdout

    def notebook(self, data: Path, stage: str, *options: str) -> dict[str, Any]:
        """What benchmarks/notebook.py says of two epochs. The first compiles: the second is what others take."""
        arguments = [str(data), "--stage", stage, "--image-size", str(self.size), *options]
        result: dict[str, Any] = json.loads(self.python(str(HERE / "notebook.py"), *arguments)[1])
        epoch = result["epochs"][1]
        return {**result, "epoch": epoch, "seconds": result["first"] + (EPOCHS - 1) * epoch}

    def network(self, stage: str) -> dict[str, float]:
        """What benchmarks/network.py says."""
        return dict(
            json.loads(self.python(str(HERE / "network.py"), "--stage", stage, "--image-size", str(self.size))[1])
        )

    def zoo(self, model: str, data: Path, *options: str, cache: str = "") -> dict[str, Any]:
        """Train from the command line: seconds in all, those of the median epoch, and the memory of both processes.

        `cache` names one that was used before; without it the cache is empty.
        """
        self._number += 1
        out, place = self.scratch / f"run{self._number}", cache or f"cache{self._number}"
        command = "compare" if "--workers" in options else "run"
        arguments = [
            command,
            model,
            "--data",
            str(data),
            "--registry",
            str(self.registry),
            "--weights",
            str(self.weights),
            *options,
            "--out",
            str(out),
        ]
        environment = {"ZOO_CACHE": str(self.scratch / place), "PEAK": str(self.scratch / f"peak{self._number}")}
        seconds, _ = self.python("-c", WITH_MEMORY, *arguments, **environment)
        history = pd.read_csv(out / model / "fold-0/history.csv")
        return {
            "seconds": seconds,
            "epoch": float(history["seconds"].iloc[1:].median()),
            "memory": int(Path(environment["PEAK"]).read_text()) * 1024,
        }


def measure(bench: Bench, full: Path, small: Path, parts: Collection[str]) -> dict[str, dict[str, Any]]:
    """All of these PARTS once, the two sides of each ratio one after the other."""
    ten = ("--folds", "all", "--workers", str(os.cpu_count()))
    work: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
        "head": {
            "notebook head": lambda: bench.notebook(full, "head"),
            "zoo head": lambda: bench.zoo("head", full),
            "zoo ten": lambda: bench.zoo("head", full, *ten),
            "network head": lambda: bench.network("head"),
            "zoo cold": lambda: bench.zoo("head", full, "--max-epochs", "1", cache="first"),
            "zoo warm": lambda: bench.zoo("head", full, "--max-epochs", "1", cache="first"),
        },
        "top": {
            "notebook top": lambda: bench.notebook(full, "top"),
            "zoo top": lambda: bench.zoo("top", full, "--max-epochs", "4"),
            "network top": lambda: bench.network("top"),
        },
        "all": {
            "notebook all": lambda: bench.notebook(small, "all"),
            "zoo all": lambda: bench.zoo("all", small, "--max-epochs", "3"),
            "notebook augmented": lambda: bench.notebook(small, "all", "--augment"),
            "zoo augmented": lambda: bench.zoo("all-augmented", small, "--max-epochs", "3"),
            "network all": lambda: bench.network("all"),
        },
        "start": {
            "help": lambda: {"seconds": bench.python("-m", "zoo.cli", "--help")[0]},
            "keras": lambda: {"seconds": bench.python("-c", "import keras")[0]},
        },
    }
    return {name: once() for part in work if part in parts for name, once in work[part].items()}


def ratios(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How many times better zoo is in each respect that was measured."""
    wanted = {
        f"head, {EPOCHS} epochs, one fold: time": (1, "notebook head", "seconds", "zoo head", "seconds"),
        f"head, {EPOCHS} epochs, ten folds: time": (10, "notebook head", "seconds", "zoo ten", "seconds"),
        "head: time of an epoch": (1, "notebook head", "epoch", "zoo head", "epoch"),
        "last 20 layers: time of an epoch": (1, "notebook top", "epoch", "zoo top", "epoch"),
        "all layers: time of an epoch": (1, "notebook all", "epoch", "zoo all", "epoch"),
        "all layers, augmented: time of an epoch": (1, "notebook augmented", "epoch", "zoo augmented", "epoch"),
        "time to the end of the first epoch, nothing cached": (1, "notebook head", "first", "zoo cold", "seconds"),
        "time to the end of the first epoch, features cached": (1, "notebook head", "first", "zoo warm", "seconds"),
        "head: memory": (1, "notebook head", "memory", "zoo head", "memory"),
        "last 20 layers: memory": (1, "notebook top", "memory", "zoo top", "memory"),
        "all layers: memory": (1, "notebook all", "memory", "zoo all", "memory"),
        "ten folds against ten times one fold of zoo": (10, "zoo head", "seconds", "zoo ten", "seconds"),
        "`zoo --help` against `import keras`": (1, "keras", "seconds", "help", "seconds"),
    }
    return {
        title: times * found[other][theirs] / found[ours][own]
        for title, (times, other, theirs, ours, own) in wanted.items()
        if other in found and ours in found
    }


def bounds(found: dict[str, dict[str, Any]], full: dict[str, int], small: dict[str, int]) -> dict[str, float]:
    """Shares of an epoch spent in the network, and how far stage 1 is from what no implementation can go below."""
    shares = {}
    for stage, title, counts in (("head", "head", full), ("top", "last 20 layers", full), ("all", "all layers", small)):
        if network := found.get(f"network {stage}"):
            seconds = counts["train"] * network["step"] + counts["validation"] * network["scoring_step"]
            network["epoch"] = seconds / 128
            shares[f"{title}: share of an epoch in the network"] = network["epoch"] / found[f"zoo {stage}"]["epoch"]
    if "network all" in found:
        shares["all layers, augmented: share of an epoch in the network"] = (
            found["network all"]["epoch"] / found["zoo augmented"]["epoch"]
        )
    if "network head" in found:
        head = found["network head"]
        forward = full["images"] / head["prefix_images_per_second"]
        for folds, ours in ((1, "zoo head"), (10, "zoo ten")):
            least = forward + folds * EPOCHS * head["epoch"]
            title = f"head, {EPOCHS} epochs, {folds} fold{'s' * (folds > 1)}: time against its lower bound"
            shares[title] = found[ours]["seconds"] / least
    return shares


def table(rows: list[dict[str, float]], heads: tuple[str, str], form: str) -> str:
    """Markdown: median, and the least and most of several rounds."""
    lines = [f"| {heads[0]} | {heads[1]} | least and most |", "|---|---|---|"]
    for name in rows[0]:
        values = [row[name] for row in rows]
        least, middle, most = (format(value, form) for value in (min(values), np.median(values), max(values)))
        lines.append(f"| {name} | {middle} | {least} to {most} |")
    return "\n".join(lines)


def machine() -> str:
    """What it was measured on, in words."""
    cpu = (
        next(
            (line.split(":")[1].strip() for line in CPUINFO.read_text().splitlines() if line.startswith("model name")),
            platform.processor(),
        )
        if CPUINFO.exists()
        else platform.processor()
    )
    return (
        f"{date.today()}, {os.cpu_count()} cores ({cpu}), zoo {zoo.__version__}, Python {platform.python_version()}, "
        f"{', '.join(f'{name} {version(name)}' for name in ('keras', 'tensorflow', 'opencv-python-headless'))}"
    )


def report(rounds: list[dict[str, dict[str, Any]]], counts: list[dict[str, int]], options: argparse.Namespace) -> str:
    """The tables as markdown."""
    last = rounds[-1]
    taken = {name: found for name, found in last.items() if found.get("epoch", 0) > 0 and "memory" in found}
    lines = ["| | whole, s | an epoch, s | memory, GB |", "|---|---|---|---|"] + [
        f"| {name} | {found['seconds']:,.0f} | {found['epoch']:.3f} | {found['memory'] / 1e9:.2f} |"
        for name, found in taken.items()
    ]
    only = "".join(f" --only {part}" for part in options.only or ())
    said = [
        f"Measured by `python benchmarks/study.py --image-size {options.image_size} --images {options.images} "
        f"--rounds {options.rounds}{only}` on {machine()}. The data: {counts[0]['images']} images, of which fold 0 "
        f"trains on {counts[0]['train']} and validates on {counts[0]['validation']}; for all layers "
        f"{counts[1]['train']} and {counts[1]['validation']}."
    ]
    parts = options.only or PARTS
    if ratio := [ratios(found) for found in rounds if found]:
        said.append(table(ratio, ("zoo against the notebook", "times as good"), ",.1f"))
    if "augmenter" in parts:
        said.append(table(augmenters(options.rounds), ("`study` augmenter", "times as fast"), ",.1f"))
    if near := [each for found in rounds if (each := bounds(found, *counts))]:
        said.append(table(near, ("how close to the network", "ratio"), ".2f"))
    if taken:
        said.append(
            f"What the last round took. The notebook's whole is what came before its second epoch, and {EPOCHS - 1} "
            "times that epoch; zoo's is what was really trained: 200 epochs of the head, in one fold and in ten, and a "
            "few of the others."
        )
        said.append("\n".join(lines))
    return "\n\n".join(said)


def augmenters(rounds: int) -> list[dict[str, float]]:
    """How many times faster the augmenter of the study is than others, a row a round."""
    rates = augmentation.measure(max(3, rounds), 3.0)
    ours = rates.pop("zoo, study")
    return [
        {f"augmentation against {name}: images/s": value / theirs[number] for name, theirs in rates.items()}
        for number, value in enumerate(ours)
    ]


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=1707)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be given again")
    parser.add_argument("--write", type=Path, help="replace what stands between the markers in this file")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("--write puts all parts there: leave out --only")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), options.image_size)
        full, small = Path(scratch) / "full", Path(scratch) / "small"
        counts = [
            draw_folds(full, options.images, options.image_size, demo.FOLDS),
            draw_folds(small, min(320, options.images), options.image_size, 1),
        ]
        rounds = []
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            shutil.rmtree(bench.scratch / "first", ignore_errors=True)
            rounds.append(measure(bench, full, small, options.only or PARTS))
    text = report(rounds, counts, options)
    print(text)
    if options.write:
        before = options.write.read_text(encoding="utf-8")
        start, end = before.index(BEGIN) + len(BEGIN), before.index(END)
        options.write.write_text(f"{before[:start]}\n\n{text}\n\n{before[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
