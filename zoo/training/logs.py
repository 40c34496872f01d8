"""What the libraries beneath Keras write to standard error of their own accord: how much, unless the user has said it.

They read it from the environment: TensorFlow, with XLA, absl and what it says of CUDA, and jaxlib the first of
VARIABLES, torch the second. What goes wrong there is a Python exception too.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("TF_CPP_MIN_LOG_LEVEL", "TORCH_CPP_LOG_LEVEL")
ERRORS, FATAL = "2", "3"  # and worse; both count alike
# A line of absl's log, as in "I0000 00:00:1795645350.244836    5153 port.cc:153] oneDNN …", or what comes before it.
LOGGED = re.compile(
    rb"[IWE]\d{4} [\d:.]+ +\d+ \S+:\d+\] .*|WARNING: All log messages before absl::InitializeLog.*"
    rb"|INFO: Created TensorFlow Lite .* delegate.*"
)

_own: set[str] = set()  # the variables that `quieten` has set


def quieten() -> None:
    """In this process, which people look at, only what ends it: of a machine without a GPU they know."""
    for name in VARIABLES:
        if name not in os.environ:
            os.environ[name] = FATAL
            _own.add(name)


def environment(level: str) -> dict[str, str]:
    """The environment for a process to be started whose libraries log at that level, unless the user has set one."""
    return {**os.environ, **{name: level for name in VARIABLES if name in _own or name not in os.environ}}


@contextmanager
def loading() -> Iterator[None]:
    """Within, where Keras is loaded after `quieten`: TensorFlow logs while it is loaded, before it reads how much.

    Lines of its log never reach standard error if that ends well, and all else does in the end.
    """
    if not _own.issuperset(VARIABLES[:1]):
        yield
        return
    try:
        real = os.dup(2)
    except OSError:  # a program may have no standard error
        yield
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        noise = None
        try:
            yield
            noise = LOGGED
        finally:
            if sys.stderr:
                sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            file.seek(0)
            for line in file:
                if not (noise and noise.fullmatch(line.rstrip(b"\r\n"))):
                    os.write(2, line)
