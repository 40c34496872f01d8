"""Model files, read within limits: whoever made one, it takes no more than it holds and leads nowhere outside itself.

A .keras file is a zip archive with an HDF5 file of weights in it; both formats can state a thousand times what is
stored. Keras stores weights as they are. Packed, weights that were trained shrink by a tenth, and slots of an optimiser
that are still zero to nothing: these are at most three of four arrays. So nothing real unpacks to ten times the file.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from zoo.errors import WeightsError, one_line

if TYPE_CHECKING:
    import h5py

WEIGHTS = "model.weights.h5"
RATIO = 10  # bytes unpacked, for each byte of the file
FREE = 32_000_000  # bytes that a file may unpack to whatever its size
TEXT = 64_000_000  # bytes of a member that is read as text: the hashes of 900,000 pictures
DEPTH = 200  # brackets within brackets; a network within a network takes four
BRACKETS = 1_000_000
PIECE = 1 << 20  # bytes
ENTRIES = 100_000  # members of an archive, groups and arrays of an HDF5 file

_TOKENS = re.compile(rb'"(?:[^"\\]+|\\.)*+"?|[\[\]{}]', re.DOTALL)


def check_archive(file: Path) -> None:
    """Look through a file before it is handed to Keras.

    What is neither an archive nor HDF5 passes: whoever reads it has to say what it is.

    Raises WeightsError for one that would take far more memory than it has bytes, or that refers to other files.
    """
    import h5py

    if zipfile.is_zipfile(file):
        with _opened(file) as archive, file.open("rb") as stored:
            for info in archive.infolist():
                if info.compress_type == zipfile.ZIP_DEFLATED:
                    for _ in _unpack(file, stored, info):
                        pass
        for name in ("config.json", "metadata.json"):
            if (text := member(file, name)) is not None:
                _check_nesting(file, name, text)
    if zipfile.is_zipfile(file) or h5py.is_hdf5(file):
        for _ in arrays(file):
            pass


def member(file: Path, name: str) -> bytes | None:
    """A member of a file; None if it has none of that name or is no archive.

    Raises WeightsError for an archive that is damaged or refused.
    """
    if not zipfile.is_zipfile(file):
        return None
    with _opened(file) as archive, file.open("rb") as stored:
        if name not in archive.namelist():
            return None
        info = archive.getinfo(name)
        if info.file_size > TEXT:
            raise _refused(file, f"its member {name!r} has {info.file_size:,} bytes, more than {TEXT:,}")
        return b"".join(_unpack(file, stored, info))


def parse(file: Path, name: str, text: bytes) -> Any:
    """A member as JSON. Raises ValueError if it is none, WeightsError if it is nested too deep."""
    _check_nesting(file, name, text)
    return json.loads(text)


def arrays(file: Path) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every array of numbers in a .keras or HDF5 file, and its name; none if there are none to be read.

    Raises WeightsError for a file that is damaged or refused.
    """
    import h5py

    most = max(FREE, RATIO * file.stat().st_size)
    with _weights(file) as source:
        try:
            opened = h5py.File(source, "r") if source else None
        except OSError:  # no HDF5, for whoever reads it to say
            opened = None
        if opened:
            with opened:
                walked = _arrays(file, opened, most)
                while (found := _next(file, walked)) is not None:
                    yield found


@contextmanager
def _weights(file: Path) -> Iterator[Any]:
    """What h5py reads: the file itself, or the weights in an archive."""
    if not zipfile.is_zipfile(file):
        yield file
        return
    with _opened(file) as archive, file.open("rb") as stored:
        if WEIGHTS not in archive.namelist():
            yield None
        elif (info := archive.getinfo(WEIGHTS)).compress_type == zipfile.ZIP_STORED:
            yield _Window(stored, info)
        else:
            yield io.BytesIO(b"".join(_unpack(file, stored, info)))


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # whatever damage makes of it
        raise _damaged(file, error) from error
    with archive:
        _check_members(file, archive.infolist())
        yield archive


def _check_members(file: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > ENTRIES:
        raise _refused(file, f"it has {len(members):,} members")
    names = set()
    for info in members:
        parts = re.split(r"[/\\]", info.orig_filename)
        if not parts[0] or ".." in parts or ":" in parts[0] or "\0" in info.orig_filename:
            raise _refused(file, f"its member {info.orig_filename!r} leads out of it")
        if info.filename in names:
            raise _refused(file, f"it has two members {info.filename!r}")
        if info.filename == "model.weights.npz":  # an archive in the archive, which zoo does not look through
            raise _refused(file, f"its weights are in {info.filename!r} and not in {WEIGHTS!r}")
        names.add(info.filename)
        if info.flag_bits & 1:
            raise _refused(file, f"its member {info.filename!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(file, f"its member {info.filename!r} is packed by method {info.compress_type}")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise _refused(file, f"its member {info.filename!r} states two sizes")
    stored, unpacked = file.stat().st_size, sum(info.file_size for info in members)
    if unpacked > max(FREE, RATIO * stored):
        raise _refused(file, f"its {stored:,} bytes would unpack to {unpacked:,}")


def _unpack(file: Path, stored: IO[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a member, a piece at a time: zipfile would unpack all that there is, whatever size is stated."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
    size = checksum = 0
    try:
        packed = _Window(stored, info)
        while data := packed.read(PIECE):
            while data:
                piece = unpacker.decompress(data, PIECE) if unpacker else data
                data = unpacker.unconsumed_tail if unpacker else b""
                size, checksum = size + len(piece), zlib.crc32(piece, checksum)
                if size > info.file_size:
                    raise _refused(
                        file, f"its member {info.filename!r} is larger than the {info.file_size:,} bytes stated"
                    )
                yield piece
        if (size, checksum) != (info.file_size, info.CRC):
            raise zipfile.BadZipFile(f"the member {info.filename!r} is not as it was stored")
    except (zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise _damaged(file, error) from error


def _check_nesting(file: Path, name: str, text: bytes) -> None:
    brackets = text.count(b"[") + text.count(b"{")
    if brackets <= DEPTH:
        return
    if brackets > BRACKETS:
        raise _refused(file, f"its member {name!r} holds more than {BRACKETS:,} lists and tables")
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > DEPTH:
            raise _refused(file, f"its member {name!r} is nested deeper than {DEPTH}")


def _arrays(file: Path, opened: h5py.File, most: int) -> Iterator[tuple[str, h5py.Dataset]]:
    """Groups are walked without recursion, each once: one may hold itself."""
    import h5py

    total = 0
    waiting, seen = [("", opened["/"])], {h5py.h5o.get_info(opened["/"].id).addr}
    while waiting:
        above, group = waiting.pop()
        for key in group:
            name = f"{above}{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise _refused(file, f"{name!r} in it is a link to elsewhere")
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > ENTRIES or name.count("/") > DEPTH:
                raise _refused(file, f"it has more than {ENTRIES:,} arrays, or is nested deeper than {DEPTH}")
            if isinstance(item, h5py.Group):
                waiting.append((f"{name}/", item))
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise _refused(file, f"{name!r} in it lies in another file")
                if item.dtype.hasobject:
                    raise _refused(file, f"{name!r} in it holds no numbers")
                total += math.prod(item.shape or ()) * item.dtype.itemsize
                if total > most:
                    raise _refused(file, f"its {file.stat().st_size:,} bytes would unpack to {total:,} or more")
                yield name, item


def _next(file: Path, walked: Iterator[tuple[str, h5py.Dataset]]) -> tuple[str, h5py.Dataset] | None:
    try:
        return next(walked, None)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # what h5py raises for damage
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{file} is damaged: {one_line(error)}")


def _refused(file: Path, why: str) -> WeightsError:
    return WeightsError(f"{file} is refused: {why}")


class _Window(io.RawIOBase):
    """The bytes of a member as they lie in the archive."""

    def __init__(self, file: IO[bytes], info: zipfile.ZipInfo) -> None:
        super().__init__()
        self._file = file
        self._size = info.compress_size
        self._position = 0
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
        self._start = info.header_offset + 30 + name + extra

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        self._file.seek(self._start + self._position)
        count = self._file.readinto(view)  # type: ignore[attr-defined]
        self._position += count
        return count
