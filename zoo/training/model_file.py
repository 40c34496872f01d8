"""What a model file says of itself, and how it is loaded.

A .keras file is a zip archive, of which Keras reads the members that it knows; zoo adds members of its own. One holds
the recipe and the distributions that brought its parts, so that whoever has nothing but the file learns what to
install.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

import zoo
from zoo.errors import WeightsError, ZooError, one_line
from zoo.files import expand
from zoo.interfaces import PART_KINDS, Recipe, distribution
from zoo.plugins import discovery, registry
from zoo.plugins.discovery import Plugins
from zoo.training import archive

if TYPE_CHECKING:
    import keras

MEMBER = "zoo-model.json"
LARGEST = 10_000  # pixels a side, and classes
# The parts whose code a network may need when it is loaded; the others only trained it.
NETWORK = ("backbone", "head")


@dataclass(frozen=True)
class About:
    """What a model file says of itself.

    `recipe` is as run.json has it, but for the folder of a weights file; `origins` has the distribution and version
    that brought each part, and `versions` those of zoo and keras, and the keras backend.
    """

    model: str
    recipe: dict[str, Any]
    origins: dict[str, str]
    classes: list[str]
    image_size: int
    versions: dict[str, str]

    def __post_init__(self) -> None:
        if not all(isinstance(self.recipe.get(kind), dict) and "name" in self.recipe[kind] for kind in PART_KINDS):
            raise ValueError("recipe must give each part a table with a name")
        if not (0 < self.image_size <= LARGEST and len(self.classes) <= LARGEST):
            raise ValueError("no network is for so many pixels or classes")

    @classmethod
    def of(cls, recipe: Recipe, classes: Sequence[str], image_size: int) -> About:
        """What to say of a network of this recipe."""
        table = recipe.table()
        if recipe.backbone.from_file:
            table["backbone"]["weights"] = Path(recipe.backbone.weights).name
        return cls(recipe.name, table, recipe.origins, list(classes), image_size, _versions())


def add_member(file: Path, name: str, text: str) -> None:
    """Put one more member into a .keras file."""
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(name, text)


def write_about(file: Path, about: About) -> None:
    """Put it into a .keras file that has none yet."""
    add_member(file, MEMBER, json.dumps(dataclasses.asdict(about)))


def read_about(file: Path) -> About | None:
    """What the file says of itself; None if it says nothing, or nothing that makes sense."""
    try:
        text = archive.member(file, MEMBER)
        return None if text is None else pydantic.TypeAdapter(About).validate_python(archive.parse(file, MEMBER, text))
    except (OSError, ValueError, WeightsError):  # pydantic's is a ValueError
        return None


def load_model(path: str | Path) -> keras.Model:
    """The network in a model file: one that zoo has trained, or any other that Keras has saved. It is not compiled.

    A network of zoo takes images of its size as RGB 0..255, float or uint8 (n, size, size, 3), and gives
    probabilities, see `Head.build`. This is `keras.saving.load_model` in safe mode, after the plug-ins that the
    network came from have made their layers known to Keras: each part of its recipe is built once for that.

    Raises WeightsError for a file that cannot be loaded, or is refused since it would take far more memory than it has
    bytes or refers to others; where a plug-in is missing it names the distribution.
    """
    import keras

    file = expand(path)
    classes = custom_classes(file)
    about, found, failed = read_about(file), discovery.discover(), ""
    if about and _unknown(classes):
        failed = _register_layers(about, found)
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except (Exception, SystemExit) as error:
        lost = _unknown(classes)
        reasons = [f"nobody here has its {', '.join(lost)}" if lost else one_line(error), failed]
        if about:
            # Who has this function has zoo, whose own parts bring no classes.
            foreign = [kind for kind in NETWORK if distribution(about.origins.get(kind, "")) != "zoo"]
            absent = missing(about.recipe, about.origins, found, foreign) if lost else []
            reasons += absent or _changes(about, found, backend="KERAS_BACKEND=" not in failed)
        raise WeightsError(f"{file} cannot be loaded: {'; '.join(filter(None, reasons))}") from error


def custom_classes(file: Path) -> list[str]:
    """Under which names the classes of its layers are registered with Keras, its own left out.

    Raises WeightsError for what is no model file, or refused.
    """
    try:
        archive.check_archive(file)
        text = archive.member(file, "config.json")
        config = archive.parse(file, "config.json", text) if text is not None else None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} is damaged: {one_line(error)}") from error
    if config is None:
        raise WeightsError(f"{file}: {'no model file of Keras' if file.exists() else 'no such file'}")
    return sorted(set(_registered_names(config)))


def _registered_names(config: Any) -> Iterator[str]:
    if isinstance(config, dict) and "class_name" in config:
        module, name = str(config.get("module")), config.get("registered_name")
        if isinstance(name, str) and module.partition(".")[0] != "keras":
            yield name
    for item in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _registered_names(item)


def _unknown(classes: Iterable[str]) -> list[str]:
    import keras

    return [name for name in classes if keras.saving.get_registered_object(name) is None]


def _register_layers(about: About, found: Plugins) -> str:
    """Build what there is of the recipe's network, which registers its layers; why that cannot be done, or ''."""
    from zoo.training import model

    parts = {kind: about.recipe[kind] for kind in NETWORK if about.recipe[kind]["name"] in found.names(kind)}
    if "backbone" not in parts:
        return ""
    try:
        made = {kind: registry.build_part(kind, table, found, "its recipe") for kind, table in parts.items()}
        backbone = dataclasses.replace(made["backbone"], weights="none")
        shape = (about.image_size, about.image_size, 3)
        if "head" in made:
            model.assemble(backbone, made["head"], shape, len(about.classes))
        else:
            model.build(backbone, shape)
    except ZooError as error:
        return str(error)
    return ""


def missing(
    recipe: Mapping[str, Any], origins: Mapping[str, str], found: Plugins, kinds: Iterable[str] = tuple(PART_KINDS)
) -> list[str]:
    """A sentence for each part of a recipe that no plug-in offers any more: what brought it, and what to do."""
    return [
        f"{kind} {recipe[kind]['name']!r} was brought by {origins[kind]}, {_whereabouts(origins[kind], found)}"
        for kind in kinds
        if kind in origins and recipe[kind]["name"] not in found.names(kind)
    ]


def _whereabouts(origin: str, found: Plugins) -> str:
    name = distribution(origin)
    try:
        installed = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return f"which is not installed: pip install {name}"
    loaded = {plugin.name for plugin in found.found if plugin.distribution == name}
    setting = os.environ.get("ZOO_PLUGINS", "")
    if setting and {point.name for point in installed.entry_points.select(group=discovery.GROUP)} - loaded:
        return f"which is switched off by ZOO_PLUGINS={setting}" + " or --no-plugin" * ("-" in setting)
    return f"and {name} {installed.version} is installed, but does not offer it here: see zoo plugins list"


def _changes(about: About, found: Plugins, backend: bool) -> list[str]:
    """What is different here from where the network was made; `backend`: what Keras runs under too."""
    origins = {
        kind: found.get(kind, name).plugin.origin
        for kind in NETWORK
        if (name := about.recipe[kind]["name"]) in found.names(kind)
    }
    changes = [
        f"{kind} {about.recipe[kind]['name']!r} was of {about.origins[kind]} and is of {origin} here"
        for kind, origin in origins.items()
        if about.origins.get(kind) not in (None, origin)
    ]
    then, now = about.versions, _versions()
    if then.get("keras") != now["keras"]:
        changes.append(f"it was made with keras {then.get('keras')}, and here is {now['keras']}")
    if backend and then.get("backend") != now["backend"]:
        changes.append(
            f"it was made under the backend {then.get('backend')}, and this is {now['backend']}: "
            f"KERAS_BACKEND={then.get('backend')} may load it"
        )
    return changes


def _versions() -> dict[str, str]:
    import keras

    return {"zoo": zoo.__version__, "keras": keras.__version__, "backend": keras.backend.backend()}
