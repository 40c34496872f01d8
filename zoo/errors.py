"""Every error that zoo raises on purpose. The CLI prints them as one or two lines, without a traceback."""

import contextlib
import errno
import os
import signal


class ZooError(Exception):
    """What went wrong, where, and what to do about it, in one or two lines."""


class ConfigError(ZooError):
    """A registry, recipe or command-line option that cannot be used as it stands."""


class DataError(ZooError):
    """Images or folders that cannot be used as they stand."""


class PluginError(ZooError):
    """A plug-in that cannot be loaded, clashes with another, or returned something unusable."""


class LeakError(ZooError):
    """An image that would be scored has been trained or selected on."""


class WeightsError(ZooError):
    """Pre-trained weights that cannot be had, or don't fit the network."""


class TrainingError(ZooError):
    """A training run that cannot go on, such as a loss that is no longer a number."""


class UnwrittenError(ZooError):
    """Jobs are done and kept, and the tables made of them cannot be written."""


def debugging() -> bool:
    """Whether the environment variable ZOO_DEBUG, which --debug sets, asks for tracebacks."""
    return os.environ.get("ZOO_DEBUG", "0") not in ("", "0")


def shorten(items: list[str], most: int = 10) -> str:
    """The first items, one a line, and how many more there are."""
    lines = [f"  {item}" for item in items[:most]]
    if len(items) > most:
        lines.append(f"  … and {len(items) - most} more")
    return "\n".join(lines)


def printable(text: str, keep: str = "") -> str:
    """The text without what would move the cursor, colour the terminal or turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character in keep else "�" for character in text)


def line(text: str, most: int = 500) -> str:
    """The text on one line of at most so many characters, all of them printable."""
    text = printable(" ".join(text[: 10 * most].split()))
    return text if len(text) <= most else f"{text[: most - 2]} …"


def one_line(error: BaseException) -> str:
    """An error on one line of at most 500 characters: its kind and message, the message alone of one of zoo's own.

    A text that cannot be made, which is the doing of whoever made the error, is none.
    """
    text = "no message"
    with contextlib.suppress(Exception):
        text = line(str(error)) or text
    return text if isinstance(error, ZooError) else line(f"{type(error).__name__}: {text}")


REMEDIES = {
    errno.ENOSPC: "free some room, or name another place",
    errno.EDQUOT: "free some room, or name another place",
    errno.EROFS: "name another place to write to",
    errno.EEXIST: "name another place to write to",
    errno.ENOTDIR: "name another place",
    errno.EISDIR: "name a file",
    errno.EACCES: "name another place, or ask for the right to",
    errno.EPERM: "name another place, or ask for the right to",
}


def reason(error: OSError) -> str:
    """What the system says is wrong with a file, and what to do if that is known."""
    remedy = REMEDIES.get(error.errno or 0)
    return "; ".join(filter(None, [error.strerror or one_line(error), remedy]))


def of_system(error: OSError) -> str:
    """What the system says of a file, on one line: which, and the reason."""
    place = error.filename if error.filename2 is None else error.filename2
    # Files that zoo writes are named: see zoo.files.replacing.
    told = os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else "standard output or a file"
    return line(f"{told}: {reason(error)}")


def ended(code: int) -> str:
    """How a process ended, of which subprocess gives that code."""
    if code >= 0:
        return f"ended with status {code}"
    known = -code in set(signal.Signals)  # those for real time have no names
    return f"was killed by {signal.Signals(-code).name if known else f'signal {-code}'}"


def unknown(kind: str, name: str, known: list[str]) -> str:
    """A sentence for a name that nobody knows: the nearest match if there is one, and all known names."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r};{hint} known: {', '.join(sorted(known)) or 'none'}"
