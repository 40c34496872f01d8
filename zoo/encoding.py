"""Text for terminals, pipes and logs of any encoding: what one cannot hold is written in letters that it can."""

from __future__ import annotations

import codecs
import sys

# For processes whose output is a log: UTF-8, whatever the terminal of their parent.
OF_LOGS = {"PYTHONIOENCODING": "utf-8:backslashreplace"}

ERRORS = "zoo.plain"  # the handler below, by the name that streams take
PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "±": "+/-",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "·": "*",
    "×": "x",
    "→": "->",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\N{REPLACEMENT CHARACTER}": "?",
    **dict.fromkeys("─━═", "-"),
    **dict.fromkeys("│┃║", "|"),
}


def make_streams_plain() -> None:
    """Let standard output and standard error write any text, whatever their encoding."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # click takes a stream in ASCII to be misconfigured, and writes UTF-8 to it.
            is_ascii = codecs.lookup(stream.encoding or "ascii").name == "ascii"
            stream.reconfigure(encoding="plain_ascii" if is_ascii else None, errors=ERRORS)


def plain(text: str, encoding: str) -> str:
    """The text as a stream of that encoding shows it."""
    return text.encode(encoding, ERRORS).decode(encoding)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_written, error.object[error.start : error.end])), error.end


def _written(character: str) -> str:
    box = "+" if "\u2500" <= character <= "\u257f" else None  # what else tables are drawn with
    return PLAIN.get(character) or box or character.encode("ascii", "backslashreplace").decode()


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    """ASCII under another name."""
    known = codecs.lookup("ascii")
    return (
        codecs.CodecInfo(
            known.encode,
            known.decode,
            known.streamreader,
            known.streamwriter,
            known.incrementalencoder,
            known.incrementaldecoder,
            name=name,
        )
        if name == "plain_ascii"
        else None
    )


codecs.register_error(ERRORS, _replace)
codecs.register(_plain_ascii)
