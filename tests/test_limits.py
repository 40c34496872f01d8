"""Numbers that nobody can mean are refused in one sentence, wherever they come from."""

from __future__ import annotations

import dataclasses
import math
import typing
from pathlib import Path
from typing import Any

import pytest

import zoo
from tests.conftest import TINY_PLUGIN, Install, Main
from zoo.data import cache, decoding
from zoo.errors import ConfigError, PluginError
from zoo.interfaces import OPTIMIZERS, PART_KINDS, Cosine, Decay, Stage
from zoo.plugins import isolation, registry
from zoo.plugins.discovery import discover
from zoo.run import results
from zoo.run.folder import RunFolder
from zoo.run.request import Request

LONG = "9" * 5000


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        ("compare", "--repeats", ["0", "1000000000", LONG, "1.5", "nan"]),
        ("compare", "--workers", ["0", "1000000000", "-1"]),
        ("run m", "--max-epochs", ["0", f"1{'0' * 30}"]),
        ("run m", "--image-size", ["8", "1000000000"]),
        ("run m", "--seed", ["-1", "4294967296", LONG, "²"]),
        ("run m", "--folds", ["-1", "0,1000000000000", LONG, "0,²"]),
        ("compare", "--redo", [f"m:{LONG}", "m:-1", "m:²", ":1", "m:"]),
        ("compare", "--rope", ["nan", "inf", "-1", "1e400"]),
        ("report r", "--rope", ["nan", "inf", "-1"]),
        ("report r", "--threshold", ["nan", "inf", "-inf", "2", "-0.1"]),
        ("data split", "--folds", ["1000000000", "1", LONG]),
        ("data split", "--repeats", ["1000000000", "1", "0"]),
        ("data split", "--combinations", ["0", "1000000000", "some", LONG]),
        ("data split", "--seed", ["-1", "2147483648", LONG]),
        ("data audit", "--image-size", ["32", "1000000000"]),
    ],
)
def test_on_the_command_line(main: Main, command: str, option: str, values: list[str]) -> None:
    for value in values:
        status, _, errors = main(*command.split(), option, value)
        assert status == 2
        assert f"Invalid value for '{option}': " in errors
        assert len(errors) < 500


def test_of_a_request_from_python() -> None:
    wrong: dict[str, list[Any]] = {
        "repeats": [10**9, 0, None, True, 1.0],
        "seed": [-1, 2**32, 10**5000],
        "max_epochs": [10**30],
        "image_size": [10**9, math.nan],
        "folds": [(-1,), (0, 10**5000), ("0",)],
    }
    for field, values in wrong.items():
        for value in values:
            with pytest.raises(ConfigError, match=rf"^{field} must be a .{{5,120}}, not .{{1,80}}$"):
                Request(**{field: value})
    assert [Request(folds=folds).folds for folds in ("first", None, (3, 0))] == ["first", None, (3, 0)]


def test_of_a_comparison_or_an_audit_from_python(tmp_path: Path) -> None:
    for name, value in (("rope", math.nan), ("rope", math.inf), ("rope", -1), ("workers", 0), ("workers", 10**9)):
        with pytest.raises(ConfigError, match=f"^{name} must be"):
            zoo.compare(**{name: value}, out=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"^rope must be"):
        results.compare(RunFolder(tmp_path / "run"), rope=math.nan)
    for name, value in (
        ("threshold", math.nan),
        ("threshold", 2),
        ("threshold", "0.5"),
        ("sensitivity", 1),
        ("cost", {"missed": -1}),
    ):
        with pytest.raises(ConfigError, match=r"^operating point: \w+ must be a "):
            zoo.compare(operating_point={name: value}, out=tmp_path / "run")
    for wrong in ({}, {"sensitivity": 0.9, "youden": True}, {"sensitivty": 0.9}, {"cost": {"mised": 2}}):
        with pytest.raises(ConfigError, match=r"^operating point: "):
            zoo.compare(operating_point=wrong, out=tmp_path / "run")
    for size in (10**9, 32, math.nan):
        with pytest.raises(ConfigError, match=r"^image_size must be"):
            zoo.audit(image_size=size)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_of_a_split_from_python() -> None:
    for how in ({"folds": 10**9}, {"repeats": 10**9, "method": "repeated"}, {"seed": -1}, {"seed": 10**5000}):
        with pytest.raises(ConfigError, match=f"{next(iter(how))} must be"):
            zoo.make_splits(**how)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="that is 999,000 folds, and 10,000 are the most"):
        zoo.make_splits(folds=1000, combinations="all")


def test_repeats_never_run_out_of_seeds_or_of_hand(
    install: Install, folds: Path, tmp_path: Path, no_warm_workers: None
) -> None:
    install(TINY_PLUGIN)
    options: dict[str, Any] = {"data": folds, "image_size": 32, "out": tmp_path / "run"}
    with pytest.raises(ConfigError, match=r"^tiny: the seed of its last repeat must be .* not 4294967296$"):
        zoo.compare(["tiny"], **options, seed=2**32 - 1, repeats=2)
    many = "\n".join(f"[models.m{number}]\nbackbone = 'tiny'" for number in range(60))
    (tmp_path / "registry.toml").write_text(many)
    names = [f"m{number}" for number in range(60)]
    with pytest.raises(ConfigError, match=r"^60 models x 2 folds x 1000 repeats are 120,000 jobs, and 100,000 are"):
        zoo.compare(names, **options, repeats=1000, registry=tmp_path / "registry.toml")
    assert not (tmp_path / "run").exists()


def floats(cls: type) -> list[str]:
    """The fields that may hold a float, itself or in a tuple."""
    hints = typing.get_type_hints(cls)
    return [field.name for field in dataclasses.fields(cls) if "float" in str(hints[field.name])]


STAGE = "name = 'all', epochs = 1, patience = 1"
PLACES = {
    "learning_rate": f"{STAGE}, learning_rate = {{}}",
    "label_smoothing": f"{STAGE}, learning_rate = 0.1, label_smoothing = {{}}",
    "class_weights": f"{STAGE}, learning_rate = 0.1, class_weights = {{{{ a = {{}} }}}}",
    **{
        f"decay {name}": f"{STAGE}, learning_rate = 0.1, decay = {{{{ rate = 0.5, {name} = {{}} }}}}"
        for name in floats(Decay)
        if name != "rate"
    },
    "decay rate": f"{STAGE}, learning_rate = 0.1, decay = {{{{ rate = {{}} }}}}",
    **{f"decay {name}": f"{STAGE}, learning_rate = 0.1, decay = {{{{ {name} = {{}} }}}}" for name in floats(Cosine)},
    **{
        f"{kind} {name}": f"{STAGE}, learning_rate = 0.1, optimizer = {{{{ name = '{kind}', {name} = {{}} }}}}"
        for kind, names in OPTIMIZERS.items()
        for name in sorted(names)
    },
}


def test_of_a_stage_in_the_registry(tmp_path: Path) -> None:
    """Each float of a stage, its decay and its optimiser."""
    values = ("nan", "inf", "-inf", "1e400", "9223372036854775808")
    cases = [fields.format(value) for fields in PLACES.values() for value in values]
    each = [f"[models.m{n}]\nschedule = {{ name = 'stages', each = [{{ {case} }}] }}" for n, case in enumerate(cases)]
    (tmp_path / "registry.toml").write_text("\n".join(each))
    models = registry.load_registry(tmp_path / "registry.toml", discover())
    for number, _ in enumerate(cases):
        with pytest.raises(ConfigError, match=rf"models.m{number}: schedule.each.0.* must be a (finite n|n)umber"):
            models.recipe(f"m{number}")


def test_of_every_shipped_part() -> None:
    """Whatever field may hold a float, in a list as well."""
    plugins = discover()
    seen = set()
    for kind in PART_KINDS:
        for name in plugins.names(kind):
            for field in floats(plugins.get(kind, name).value):
                for value in (math.nan, math.inf, [math.nan], [0.5, -math.inf]):
                    with pytest.raises(ConfigError, match=rf"models.m \({name}\): {field}\S* must be a finite number"):
                        registry.build_part(kind, {"name": name, field: value}, plugins, "models.m")
                seen.add(f"{name}.{field}")
    assert {"pooled.dropout", "dense.dropout", "mobilenet-v2.alpha", "study.zoom", "study.shift"} <= seen


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[models.m]\nseed = 4294967296", "seed must be a whole number from 0 to 4,294,967,295"),
        (f"[models.m]\nseed = {'9' * 100}", "seed must be a number of 64 bits, not one of about 100 digits"),
        ("[models.m]\nbatch_size = 1000000000", "batch_size must be a whole number from 1 to 65,536"),
        (
            "[models.m]\naugmenter = { name = 'keras-layers', layers = [{ name = 'RandomZoom', height_factor = nan }]}",
            "layers.0.height_factor must be a finite number, not nan",
        ),
        ("[models.m]\nschedule = { name = 'three-stage', epochs = 1000000 }", "epochs must be a .* from 1 to 100,000"),
        ("[models.m]\nbackbone = { name = 'scratch-cnn', depth = 1000000 }", "depth must be at least 1 and at most 12"),
        ("[models.m]\nhead = { name = 'dense', units = [1000000000] }", "units must be .* from 1 to 65536"),
        ("[data]\nimage_size = 1000000000", "image_size must be a number of pixels from 32 to 4,096"),
        ("[data]\nimage_size = nan", "image_size must be a finite number"),
        ("[data]\nsplit = { folds = 1000000000 }", "folds must be a whole number from 2 to 1,000"),
        ("[data]\nsplit = { seed = inf }", "split.seed must be a finite number"),
        (f"[models.m]\nseed = {LONG}", "is not TOML: Exceeds the limit"),
    ],
)
def test_of_the_registry(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "registry.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        registry.load_registry(tmp_path / "registry.toml", discover()).recipe("m")


def test_of_a_plugin_s_own_values(tmp_path: Path, install: Install) -> None:
    """A default that is no number, and stages that its code makes."""
    install("""
from dataclasses import dataclass
import zoo

@dataclass(frozen=True)
class H(zoo.Head):
    name = "odd"
    scale: float = float("inf")
    def build(self, features, classes): ...

@dataclass(frozen=True)
class S(zoo.Schedule):
    name = "odd"
    def stages(self):
        return [zoo.Stage("a", 1, 1, float("inf"))]

@zoo.hookimpl
def zoo_heads():
    return [H]

@zoo.hookimpl
def zoo_schedules():
    return [S]
""")
    plugins = discover()
    with pytest.raises(PluginError, match=r"head 'odd' .* cannot be made: .*scale must be a finite number, not inf"):
        registry.build_part("head", "odd", plugins, "m")
    with pytest.raises(PluginError, match=r"'odd' .*stage 'a': learning_rate must be a finite number, not inf"):
        registry.checked_stages(registry.build_part("schedule", "odd", plugins, "m"))


def test_an_epoch_count_that_fits(tmp_path: Path) -> None:
    assert Stage("all", epochs=100_000, patience=100_000, learning_rate=1e-3).epochs == 100_000


@pytest.mark.parametrize(
    ("variable", "read", "wrong", "right"),
    [
        ("ZOO_CACHE_LIMIT", cache.limit, ["inf", "nan", "-1", "abc", "1e400"], {"": 20e9, "0": 0, "0.5": 5e8}),
        ("ZOO_MAX_PIXELS", decoding.max_pixels, ["-1", "0", "1e9", "²", LONG, "nan"], {"": 10**8, "77": 77}),
        ("ZOO_PLUGIN_TIMEOUT", isolation.timeout, ["nan", "-1", "0", "abc", "inf"], {"": 20, "0.5": 0.5}),
    ],
)
def test_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, read: Any, wrong: list[str], right: dict[str, float]
) -> None:
    for value in wrong:
        monkeypatch.setenv(variable, value)
        with pytest.raises(ConfigError, match=rf"^{variable} is '.{{1,80}}; it must be a number of "):
            read()
    for value, expected in right.items():
        monkeypatch.setenv(variable, value)
        assert read() == expected


@pytest.mark.parametrize("variable", ["ZOO_CACHE_LIMIT", "ZOO_MAX_PIXELS"])
def test_of_the_environment_where_images_are_decoded(
    main: Main, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "registry.toml").write_text("")
    for is_cached in (False, True):
        if is_cached:
            monkeypatch.delenv(variable)
            assert main("data", "show", "--data", folds)[0] == 0
        monkeypatch.setenv(variable, "-1")
        status, _, errors = main("data", "show", "--data", folds)
        assert status == 2
        assert errors.startswith(f"zoo: {variable} is '-1'; it must be")
