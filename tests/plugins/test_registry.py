"""registry.toml -> recipes: what is right is built, what is wrong is answered with what, where and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import TINY_PLUGIN, Install
from zoo.data import config
from zoo.errors import ConfigError, PluginError, ZooError
from zoo.interfaces import Decay
from zoo.plugins import registry
from zoo.plugins.discovery import Plugins, discover


@pytest.fixture
def plugins() -> Plugins:
    return discover()


def load(tmp_path: Path, text: str, plugins: Plugins) -> registry.Registry:
    path = tmp_path / "registry.toml"
    path.write_text(text)
    return registry.load_registry(path, plugins)


def test_the_shipped_registry(plugins: Plugins) -> None:
    shipped = registry.load_registry(Path(__file__).parents[2] / "registry.toml", plugins)
    recipe = shipped.recipe("efficientnet-staged")
    assert (recipe.backbone.name, recipe.head.name) == ("efficientnet-b0", "pooled")
    assert (recipe.schedule.name, recipe.augmenter.name) == ("three-stage", "none")
    assert (recipe.batch_size, recipe.seed) == (128, 0)
    assert shipped.data.classes == ("normal", "abnormal")
    assert shipped.data.roles == {"train": "train", "validation": "test", "test": "valid"}


def test_every_shipped_model_is_a_recipe(plugins: Plugins) -> None:
    """The names are part of the contract."""
    shipped = registry.load_registry(Path(__file__).parents[2] / "registry.toml", plugins)
    efficientnets = "head top20 staged augmented augmented-wide augmented-single augmented-plain staged-adam staged-sgd"
    networks = "vgg16 vgg19 inception-v3 resnet50 xception mobilenet-v2 efficientnet-v2-b0 convnext-tiny densenet121"
    expected = {f"efficientnet-{name}" for name in (*efficientnets.split(), "tuned")}
    lites = {f"efficientnet-lite-{name}" for name in ("staged", "augmented", "augmented-wide", "tuned")}
    expected |= {*networks.split(), "scratch-cnn", "mobilenet-v2-tuned", *lites}
    assert set(shipped.names()) == expected
    tuned = [shipped.recipe(f"{name}-tuned") for name in ("mobilenet-v2", "efficientnet")]
    assert tuned[0].schedule == tuned[1].schedule
    for name in shipped.names():
        assert shipped.recipe(name).source == "registry.toml"


def test_parts_take_parameters(tmp_path: Path, plugins: Plugins) -> None:
    text = """
    [defaults]
    batch_size = 32
    [models.mine]
    head = { name = "pooled", dropout = 0.5 }
    schedule = { name = "three-stage", learning_rates = [1, 0.1, 0.01], top = "block7a", decay = { rate = 0.9 } }
    """
    recipe = load(tmp_path, text, plugins).recipe("mine")
    stages = recipe.schedule.stages()
    assert recipe.head.table() == {"name": "pooled", "dropout": 0.5}
    assert [stage.learning_rate for stage in stages] == [1, 0.1, 0.01]
    assert stages[1].unfreeze == "block7a"
    assert stages[0].decay == Decay(0.9)
    assert recipe.batch_size == 32


SCHEDULES = [
    '{ name = "three-stage", decay = { rate = 0.9, staircase = true }, class_weights = "balanced" }',
    '{ name = "three-stage", decay = { warmup_epochs = 2 }, optimizer = { name = "adamw", epsilon = 0.1 } }',
    '{ name = "stages", each = [{ name = "all", epochs = 3, patience = 2, learning_rate = 0.1, unfreeze = "all" }] }',
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_recipe_survives_being_written_down(tmp_path: Path, plugins: Plugins, schedule: str) -> None:
    """A worker process builds its recipe from the table in its job."""
    text = f'[models.mine]\nhead = {{ name = "dense", dropout = [0.5, 0.2, 0.2] }}\nschedule = {schedule}'
    recipe = load(tmp_path, text, plugins).recipe("mine")
    assert registry.build_recipe("mine", recipe.table(), plugins, recipe.source) == recipe


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[models.m]\nbackbone = 'efficientnet-b1'", "did you mean 'efficientnet-b0'"),
        ("[models.m]\nbakbone = 'efficientnet-b0'", "unknown field 'bakbone'; did you mean 'backbone'"),
        ("[models.m]\nhead = { name = 'pooled', units = 3 }", r"models.m.head \(pooled\): unknown field 'units'"),
        ("[models.m]\nhead = { dropout = 0.5 }", "needs a name, one of dense, pooled"),
        ("[models.m]\nhead = { name = 'pooled', dropout = 'much' }", "dropout: .*number, not 'much'"),
        ("[models.m]\nhead = { name = 'pooled', dropout = 1.5 }", "dropout must be 0 or more and below 1"),
        ("[models.m]\nhead = { name = 'pooled', dropout = true }", "dropout: .*number, not True"),
        ("[models.m]\nbatch_size = 0", "batch_size must be a whole number from 1"),
        ("[models.m]\nbatch_size = '8'", "batch_size: .*integer, not '8'"),
        ("[models.m]\nseed = -1", "seed must be a whole number from 0"),
        ("[models.m]\nhead = 3", "head"),
        ("[models.m]\nschedule = { name = 'three-stage', learning_rates = [0.1] }", "learning_rates"),
        ("[models.m]\nschedule = { name = 'three-stage', epochs = 0 }", "epochs must be a whole number from 1"),
        ("[models.m]\nschedule = { name = 'three-stage', decay = { rate = 2 } }", "rate must be above 0"),
        ("[models.m]\nschedule = { name = 'three-stage', optimizer = 'sdg' }", "optimizer must be one of"),
        (
            "[models.m]\nschedule = { name = 'three-stage', optimizer = { name = 'adam', momentum = 0.9 } }",
            "optimizer adam has no momentum; it has amsgrad",
        ),
        ("[models.m]\nschedule = { name = 'three-stage', count = 4 }", "count must be 1, 2 or 3"),
        ("[models.m]\nschedule = { name = 'three-stage', decay = { warmup_epochs = -1 } }", "warmup_epochs must be"),
        ("[models.m]\nschedule = { name = 'three-stage', class_weights = 'fair' }", "class_weights"),
        ("[models.m]\nschedule = { name = 'three-stage', label_smoothing = 1 }", "label_smoothing must be"),
        ("[models.m]\nschedule = 'stages'", "each must list one or more stages"),
        ("[models.m]\nschedule = { name = 'stages', each = [{ name = 'all' }] }", "epochs"),
        ("[models.m]\nhead = { name = 'dense', units = [] }", "units must be one or more"),
        ("[models.m]\nhead = { name = 'dense', units = [8, 4], dropout = [0.5] }", "one for each of the 2 layers"),
    ],
)
def test_a_wrong_model_is_refused(tmp_path: Path, plugins: Plugins, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, text, plugins).recipe("m")
    assert "registry.toml: models.m" in str(caught.value)


def test_a_wrong_model_costs_the_others_nothing(tmp_path: Path, plugins: Plugins) -> None:
    both = load(tmp_path, "[models.bad]\nseed = 'x'\n[models.good]\nseed = 7", plugins)
    assert both.recipe("good").seed == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[data", "is not TOML"),
        ("[modles.m]", "unknown table 'modles'; did you mean 'models'"),
        ("models = 3", "models must be tables"),
        ("models = { m = 3 }", "models must be tables"),
        ("[models.'../up']", "model name '../up': use at most 100 letters, digits"),
        ("[models.best]", r"registry.toml: model name 'best': a run folder has an entry of that name"),
        (f"[models.{'a' * 101}]", "at most 100 letters"),
        ("[data]\nimage_size = 8", "image_size must be a number of pixels from 32"),
        ("[data]\nimage_size = '224'", "image_size: .*integer, not '224'"),
        ("[data]\nclasses = ['one']", "two or more"),
        ("[data]\nclasses = ['a', 'a']", "different names"),
        ("[data]\nclasses = ['\u00e9', 'e\u0301']", r"two or more different names, not '\\xe9', 'e\\u0301'"),
        ("[data]\nclasses = ['normal', '']", "classes: '' is no name"),
        ("[data]\nclasses = ['normal', ' ']", "classes: ' ' is no name"),
        ("[data]\nclasses = ['normal', 'sick ']", "classes: 'sick ' has blanks at its ends"),
        ('[data]\nclasses = ["normal", "a\\nb"]', "has a line break or another control character in it"),
        ("[data]\nroles = { train = 'train', test = 'test' }", "roles must give train, validation, test"),
        (
            "[data]\nroles = { train = 'a', validation = 'b', test = 'b' }",
            "the folder b is validation and test at once",
        ),
        ("[defaults]\nepochs = 3", "unknown field 'epochs'"),
    ],
)
def test_a_wrong_registry_is_refused(tmp_path: Path, plugins: Plugins, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, text, plugins)
    assert "registry.toml" in str(caught.value)


def test_a_missing_registry_is_named(tmp_path: Path, plugins: Plugins) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        registry.load_registry(tmp_path / "nowhere.toml", plugins)


def test_here_wins_over_the_packaged_one(tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "efficientnet-staged" in registry.load_registry(None, plugins).names()
    (tmp_path / "registry.toml").write_text("[models.mine]")
    names = registry.load_registry(None, plugins).names()
    assert names[0] == "mine"
    assert "efficientnet-staged" in names[1:]


def test_one_s_own_tables_lie_over_the_shipped_ones(tmp_path: Path, plugins: Plugins) -> None:
    shipped = registry.load_registry(registry._shipped(), plugins)
    only_data = load(tmp_path, "[data]\nroot = 'images'\nclasses = ['healthy', 'ill']", plugins)
    assert only_data.names() == shipped.names()
    assert only_data.data.classes == ("healthy", "ill")
    text = "[defaults]\nbatch_size = 7\n[models]\nscratch-cnn = false\n[models.efficientnet-staged]\nseed = 3"
    edited = load(tmp_path, text, plugins)
    assert set(edited.names()) == set(shipped.names()) - {"scratch-cnn"}
    assert edited.recipe("efficientnet-staged").seed == 3
    assert edited.recipe("efficientnet-head").batch_size == 7
    with pytest.raises(ConfigError, match="unknown model 'scratch-cnn'"):
        edited.recipe("scratch-cnn")


def test_a_plug_in_s_model_can_be_hidden(tmp_path: Path, install: Install) -> None:
    plugins = discover([*discover_shipped(), install(TINY_PLUGIN)])
    assert "tiny" in load(tmp_path, "", plugins).names()
    assert "tiny" not in load(tmp_path, "[models]\ntiny = false", plugins).names()
    with pytest.raises(ConfigError, match="NAME = false to hide one"):
        load(tmp_path, "[models]\ntiny = true", plugins)


def test_data_is_found_from_the_registry(tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert load(tmp_path, "[data]\nroot = 'images'", plugins).data.root == str(tmp_path / "images")


def test_a_plugin_brings_models_and_the_registry_wins(tmp_path: Path, install: Install) -> None:
    plugins = discover([*discover_shipped(), install(TINY_PLUGIN)])
    plain = load(tmp_path, "", plugins)
    assert plain.recipe("tiny").source == "zoo-tiny"
    assert plain.recipe("tiny").head.name == "pooled"
    edited = load(tmp_path, "[models.tiny]\nbackbone = 'tiny'\nseed = 5", plugins)
    assert edited.recipe("tiny").source == "registry.toml"
    assert edited.recipe("tiny").seed == 5
    assert edited.names()[0] == "tiny"
    assert edited.names()[-2:] == ["tiny-long", "tiny-nan"]


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ("[]", "must return one or more zoo.Stage"),
        ("None", "gives no stages"),
        ("['head']", "must return one or more zoo.Stage"),
        ("1 / 0", r"'odd' \(from zoo-tiny 1\.0\) gives no stages: ZeroDivisionError: division by zero"),
        ("[zoo.Stage('a', 1, 1, 0.1), zoo.Stage('a', 1, 1, 0.1)]", "names two stages alike"),
        ("[zoo.Stage('a', 1.5, 1, 0.1)]", "gives no stages: ValueError: epochs must be a whole number .*, not 1.5"),
        ("[zoo.Stage('a', True, 1, 0.1)]", "epochs must be a whole number from 1 to 100,000, not True"),
        ("[zoo.Stage('a', 1, 1, 0.1, unfreeze=__import__('pathlib').Path('x'))]", "Path is not JSON serializable"),
        ("[zoo.Stage(None, 1, 1, 0.1)]", "name must be one line of 1 to 100 printable characters, not None"),
        ("[zoo.Stage('', 1, 1, 0.1)]", "name must be one line"),
        ("[zoo.Stage('a\\nb', 1, 1, 0.1)]", "name must be one line"),
        ("[zoo.Stage('\\x1b[31m', 1, 1, 0.1)]", "name must be one line"),
        ("[zoo.Stage('a' * 101, 1, 1, 0.1)]", "name must be one line"),
    ],
)
def test_a_schedule_of_nonsense_is_refused(tmp_path: Path, install: Install, stages: str, says: str) -> None:
    code = f"""
from dataclasses import dataclass
import zoo

@dataclass(frozen=True)
class S(zoo.Schedule):
    name = "odd"
    def stages(self):
        return {stages}

@zoo.hookimpl
def zoo_schedules():
    return [S]
"""
    plugins = discover([*discover_shipped(), install(code)])
    with pytest.raises(PluginError, match=says):
        load(tmp_path, "[models.m]\nschedule = 'odd'", plugins).recipe("m")


def discover_shipped() -> list:  # type: ignore[type-arg]
    from importlib.metadata import entry_points

    return [point for point in entry_points(group="zoo") if point.dist and point.dist.name == "zoo"]


DATA = """
[data]
groups = "([0-9]+)_left"
columns = { path = "file", group = "patient" }
split = { method = "rotate", folds = 5, combinations = "all", seed = 2 }
"""


def test_how_data_are_read_and_divided(tmp_path: Path, plugins: Plugins) -> None:
    data = load(tmp_path, DATA, plugins).data
    assert data.groups == "([0-9]+)_left"
    assert data.columns == {"path": "file", "group": "patient"}
    assert data.split == config.SplitConfig("rotate", 5, combinations="all", seed=2)
    assert str(data.split) == "method rotate, 5 folds, combinations all, seed 2"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("groups = '('", "groups is no regular expression: missing"),
        ("groups = 'left'", "groups must hold a capture group"),
        ("columns = { file = 'path' }", "unknown column 'file'; known: fold, group, label, path, role, source"),
        ("columns = { path = 'a', label = 'a' }", "columns must be different"),
        ("split = { method = 'k-fold' }", "unknown method 'k-fold'; .*known: grouped, leave-one-source-out, repeated"),
        ("split = { fold = 3 }", "split.fold: Unexpected keyword argument"),
        ("split = { folds = 2 }", "folds must be at least 3 for method rotate, not 2"),
        ("split = { method = 'stratified', folds = 1 }", "folds must be a whole number from 2"),
        ("split = { repeats = 3 }", "repeats must be at least 2, and goes with method repeated"),
        ("split = { method = 'repeated', repeats = 1 }", "repeats must be a whole number from 2"),
        ("split = { method = 'stratified', combinations = 3 }", "combinations goes with method rotate"),
        ("split = { folds = 4, combinations = 13 }", "combinations must be all, or 1 to 12 with 4 folds"),
        ("split = { combinations = 'some' }", "split.combinations"),
        ("split = { seed = -1 }", "seed must be a whole number from 0"),
        ("split = 'rotate'", "split: Input should be"),
    ],
)
def test_wrong_data_fields(tmp_path: Path, plugins: Plugins, line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, f"[data]\n{line}", plugins)


def test_what_is_given_wins_over_the_split_of_the_registry() -> None:
    base = config.SplitConfig("rotate", 7, combinations=9, seed=4)
    assert registry.split_config(base, folds=None, seed=5) == config.SplitConfig("rotate", 7, None, 9, 5)
    assert registry.split_config(base, method="stratified") == config.SplitConfig("stratified", 7, seed=4)
    with pytest.raises(ConfigError, match=r"split: .*repeats must be at least 2, and goes with method repeated"):
        registry.split_config(base, repeats=3)


FIELDS = [
    "root",
    "classes",
    "roles",
    "groups",
    "columns",
    "split",
    "backbone",
    "head",
    "schedule",
    "name",
    "seed",
    "each",
]
KEYS = st.one_of(st.sampled_from(FIELDS), st.text(max_size=3))
WORDS = st.sampled_from(["pooled", "stages", "~x"])
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=5), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=5,
)


def toml(value: object) -> str:
    """A value in TOML; JSON's strings are TOML's, its numbers nearly so."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {toml(item)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.binary(max_size=100),
        st.tuples(st.sampled_from(["data", "defaults", "models.m", "models"]), KEYS, VALUES).map(
            lambda line: f"[{line[0]}]\n{json.dumps(line[1], ensure_ascii=False)} = {toml(line[2])}\n".encode()
        ),
    )
)
def test_any_bytes_are_a_registry_or_an_error(tmp_path: Path, plugins: Plugins, text: bytes) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(text)
    try:
        loaded = registry.load_registry(path, plugins)
        for name in loaded.models:
            loaded.recipe(name)
    except ZooError as error:
        assert str(error)


def test_a_registry_too_deep_to_read(tmp_path: Path, plugins: Plugins) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        load(tmp_path, f"a = {'[' * 5000}{']' * 5000}", plugins)
