"""FILE.zoo: the networks of a model in one file, with what is needed to decide by them, and a model card.

A zip archive of .keras files, bundle.json and model-card.md, nothing packed: a member has as many bytes as it takes.
bundle.json has the sha256 of each network; what each was trained on stands in its own file. Nothing in it is executed:
networks are loaded by Keras in safe mode, after what `zoo.load_model` looks through.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import pydantic

from zoo import __version__
from zoo.data import cache, known_copies
from zoo.errors import ConfigError, WeightsError, one_line
from zoo.evaluation.calibration import Scaling
from zoo.evaluation.config import point_of
from zoo.files import hash_file, replacing
from zoo.inference.members import Ensemble, Member
from zoo.training import archive, model_file

ENDING = ".zoo"
ABOUT, CARD = "bundle.json", "model-card.md"
CHUNK = 1 << 20  # bytes that are copied at once
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


@dataclass(frozen=True)
class _Member:
    title: str
    file: Annotated[str, pydantic.Field(pattern=r"^network-[0-9]{1,4}\.keras$")]
    sha256: str
    threshold: Share
    scaling: Scaling | None


@dataclass(frozen=True)
class _About:
    format: Literal[1]
    zoo: str
    model: str
    point: dict[str, Any]
    prevalence: Share | None
    notes: list[str]
    copies: list[dict[str, Any]]
    members: Annotated[list[_Member], pydantic.Field(min_length=1)]


_ABOUT = pydantic.TypeAdapter(_About)


def is_bundle(file: Path) -> bool:
    """Whether a file is a bundle, by what it holds."""
    try:
        with zipfile.ZipFile(file) as opened:
            return ABOUT in opened.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def write(ensemble: Ensemble, card: str, file: Path) -> None:
    """Write the networks with a model card. Raises OSError if the file cannot be written."""
    members = [
        _Member(each.title, f"network-{number}.keras", hash_file(each.file), each.threshold, each.scaling)
        for number, each in enumerate(ensemble.members)
    ]
    copies = [{str(name): value for name, value in row.items()} for row in ensemble.copies.to_dict("records")]
    about = _About(
        1, __version__, ensemble.model, ensemble.point.table(), ensemble.prevalence, [*ensemble.notes], copies, members
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr(ABOUT, json.dumps(dataclasses.asdict(about), indent=1))
        opened.writestr(CARD, card)
        for member, told in zip(ensemble.members, members, strict=True):
            opened.write(member.file, told.file)


def open_bundle(file: Path) -> Ensemble:
    """The networks of a bundle, whose files are copied into the user cache once.

    Raises WeightsError for one that is damaged, or holds what zoo would not have written, DataError if the cache cannot
    be written.
    """
    text = archive.member(file, ABOUT)
    try:
        about = _ABOUT.validate_python(archive.parse(file, ABOUT, text or b""))
        point = point_of(about.point)
        copies = pd.DataFrame(about.copies, columns=known_copies.NEAR_COLUMNS)
    except (ValueError, TypeError, ConfigError) as error:  # pydantic's is a ValueError
        raise WeightsError(f"{file}: its {ABOUT} is not what zoo wrote: {one_line(error)}") from error
    place = cache.folder("bundles", hash_file(file)[:32])
    mark = cache.use(place)
    cache.make_once(place, lambda folder: _unpack(file, about, folder), file.stat().st_size)
    members: list[Member] = []
    for told in about.members:
        network = place / told.file
        said = model_file.read_about(network)
        if said is None or (members and (said.classes, said.image_size) != _shape(members[0])):
            raise WeightsError(f"{file}: {told.file} is no network of this bundle")
        members.append(Member(told.title, network, said, told.threshold, told.scaling))
    return Ensemble(about.model, tuple(members), point, tuple(about.notes), copies, about.prevalence, mark)


def _shape(member: Member) -> tuple[list[str], int]:
    return member.about.classes, member.about.image_size


def _unpack(file: Path, about: _About, folder: Path) -> None:
    """Copy the networks out of a bundle, each with the hash that it says."""
    with zipfile.ZipFile(file) as opened:
        for member in about.members:
            try:
                info = opened.getinfo(member.file)
                if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                    raise WeightsError(f"{file}: {member.file} is packed, which zoo does not do")
                with opened.open(info) as source, (folder / member.file).open("wb") as target:
                    shutil.copyfileobj(source, target, CHUNK)
            except (KeyError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
                raise WeightsError(f"{file} is damaged: {one_line(error)}") from error
            if hash_file(folder / member.file) != member.sha256:
                raise WeightsError(f"{file} is damaged: {member.file} is not the network that {ABOUT} tells of")


def read_card(file: Path) -> str:
    """The model card of a bundle. Raises WeightsError if it has none."""
    text = archive.member(file, CARD)
    if text is None:
        raise WeightsError(f"{file} has no {CARD}")
    return text.decode("utf-8", "replace")
