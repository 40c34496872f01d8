"""zoo.load_model: the network of a file, or why it cannot be had here, and nothing besides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Install
from zoo.plugins import discovery, registry
from zoo.training import model_file
from zoo.training.model import assemble

HERE = os.environ.get("KERAS_BACKEND", "tensorflow")
OTHER = "jax" if HERE != "jax" else "tensorflow"
# A backbone with a layer of its own.
PLUGIN = '''
from dataclasses import dataclass

import zoo


@dataclass(frozen=True)
class Mine(zoo.Backbone):
    """A layer of its own."""

    name = "mine"
    weights: str = "none"

    def build(self, image_shape):
        import keras

        @keras.saving.register_keras_serializable("zoo-mine")
        class Twice(keras.layers.Layer):
            def call(self, x):
                return x * 2

        inputs = keras.Input(image_shape)
        return keras.Model(inputs, Twice()(inputs))


@zoo.hookimpl
def zoo_backbones():
    return [Mine]


@zoo.hookimpl
def zoo_models():
    return {"mine": {"backbone": "mine"}}
'''
LOAD = "import sys, zoo; zoo.load_model(sys.argv[1])"


def python(code: str, site: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code, str(site / "mine.keras")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(site), **environment},
    )


@pytest.fixture
def site(install: Install, tmp_path: Path) -> Path:
    """Where a plug-in is installed, and a model file lies of which it has brought the backbone."""
    install(PLUGIN, "zoo-mine", "mine", module="zoo_mine")
    recipe = registry.load_registry(None, discovery.discover()).recipe("mine")
    file = tmp_path / "site/mine.keras"
    assemble(recipe.backbone, recipe.head, (32, 32, 3), 2).model.save(file)
    model_file.write_about(file, model_file.About.of(recipe, ["a", "b"], 32))
    return file.parent


def said(site: Path, **environment: str) -> str:
    """Why it cannot be loaded."""
    done = python(LOAD, site, **environment)
    assert done.returncode != 0
    return done.stderr.splitlines()[-1].partition("cannot be loaded: ")[2]


LOST = "nobody here has its zoo-mine>Twice; backbone 'mine' was brought by zoo-mine 1.0, which is "


def test_it_is_loaded_with_the_plugins_that_it_needs(site: Path) -> None:
    for chosen in ("", "zoo-mine"):  # zoo's own head isn't needed
        done = python(LOAD, site, ZOO_PLUGINS=chosen)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_plugin_that_is_switched_off(site: Path) -> None:
    """Not a word of the head, which zoo has brought."""
    assert said(site, ZOO_PLUGINS="none") == LOST + "switched off by ZOO_PLUGINS=none"
    assert said(site, ZOO_PLUGINS="-mine") == LOST + "switched off by ZOO_PLUGINS=-mine or --no-plugin"


def test_a_plugin_that_is_not_installed(site: Path) -> None:
    (site / "zoo_mine-1.0.dist-info/METADATA").unlink()
    (site / "zoo_mine-1.0.dist-info/entry_points.txt").unlink()
    (site / "zoo_mine-1.0.dist-info").rmdir()
    assert said(site) == LOST + "not installed: pip install zoo-mine"


def test_a_plugin_that_is_faulty(site: Path) -> None:
    (site / "zoo_mine.py").write_text("1 / 0")
    assert said(site) == LOST.removesuffix("which is ") + (
        "and zoo-mine 1.0 is installed, but does not offer it here: see zoo plugins list"
    )


@pytest.mark.slow
def test_another_backend_is_told_once(site: Path) -> None:
    """By the part that is for another, else as what has changed since."""
    code = (site / "zoo_mine.py").read_text()
    (site / "zoo_mine.py").write_text(code.replace('"mine"\n', f'"mine"\n    backends = ("{OTHER}",)\n', 1))
    text = said(site)
    assert text.count("KERAS_BACKEND") == 1
    assert f"backbone 'mine' (from zoo-mine 1.0) works under Keras' backend {OTHER} only, and this is {HERE}" in text
    (site / "zoo_mine.py").write_text(code.replace("@keras.saving.register_keras_serializable", "(lambda _: id)"))
    pytest.importorskip(OTHER)
    text = said(site, KERAS_BACKEND=OTHER)
    assert text.count("backend") == 1
    assert text.endswith(f"it was made under the backend {HERE}, and this is {OTHER}: KERAS_BACKEND={HERE} may load it")
