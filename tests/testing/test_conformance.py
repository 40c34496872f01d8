"""Every shipped part passes the conformance kit. A new one joins by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import zoo.testing
from zoo.interfaces import PART_KINDS
from zoo.plugins.discovery import discover
from zoo.testing.every import CHECKS as LIGHT

# What a part needs that its defaults don't give, and the sizes of images for those that take no smaller ones.
PARAMETERS: dict[str, dict[str, Any]] = {
    "stages": {"each": (zoo.Stage("head", 3, 3, 0.01, decay=zoo.Cosine(1.0)), zoo.Stage("all", 3, 3, 1e-3))}
}
SIZES = {"inception-v3": (75, 96), "xception": (75, 96)}
QUICK = ("scratch-cnn", "pooled")  # networks that are tried in every run of the suite
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")


def is_slow(check: Any) -> bool:
    if check.function in LIGHT or check.subject.kind == "tracker":
        return check.name == "takes_a_run"  # MLflow takes its time
    if check.name.startswith("works_with"):
        return check.name != f"works_with_{BACKEND}" or check.subject.name not in QUICK
    return check.subject.name not in QUICK and (check.subject.kind == "backbone" or check.name == "saves_and_reloads")


def cases() -> Iterator[Any]:
    found = discover()
    for kind in (*PART_KINDS, "tracker"):
        for name in found.names(kind):
            offer = found.get(kind, name)
            if offer.plugin.distribution == "zoo":
                part = offer.value if kind == "tracker" else offer.value(**PARAMETERS.get(name, {}))
                for check in zoo.testing.checks(part, SIZES.get(name, (32, 48))):
                    yield pytest.param(check, id=check.__name__, marks=[pytest.mark.slow] * is_slow(check))


@pytest.mark.parametrize("check", [*cases()])
def test_shipped(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    check()
