"""The command line: the one place where errors are printed.

Exit status: 0 all done; 1 some jobs failed, the rest finished and kept, or an audit found something wrong; 2 the
request itself is wrong.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import sys
import traceback
from typing import NoReturn

import click

from zoo import __version__
from zoo.commands import (
    bundle,
    cache,
    data,
    evaluate,
    explain,
    export,
    init,
    merge,
    plugins,
    predict,
    report,
    serve,
    show,
    threshold,
    train,
    weights,
)
from zoo.commands.options import Group, echo
from zoo.encoding import make_streams_plain
from zoo.errors import ZooError, debugging, of_system, one_line
from zoo.training import logs


@click.group(cls=Group)
@click.version_option(__version__, prog_name="zoo")
def cli() -> None:
    """A model zoo for image classification: staged fine-tuning, honest folds, plug-in parts."""


GROUPS = (plugins.plugins, data.data, weights.weights, cache.cache)
ALONE = (
    train.run,
    train.compare,
    merge.merge,
    report.report,
    threshold.threshold,
    explain.explain,
    predict.predict,
    evaluate.evaluate,
    bundle.bundle,
    export.export,
    serve.serve,
    show.show,
    show.list_,
    init.init,
)
for command in (*ALONE, *GROUPS):
    cli.add_command(command)


def main() -> int:
    """Run the command line; the exit status."""
    make_streams_plain()
    logs.quieten()
    stdout = sys.stdout
    try:
        code = cli.main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        said = io.StringIO()
        error.show(said)  # which quotes what was typed
        echo(said.getvalue().rstrip(), err=True)
        return 2
    except ZooError as error:
        return _fail(str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; what was finished is kept, and the same command with its --out goes on", 1)
    except BaseException as error:  # a part may call sys.exit
        # Where nobody reads any more rich raises an exit from that, and click one of its own, with stdout wrapped.
        if BrokenPipeError in (type(error), type(error.__context__)) or sys.stdout is not stdout:
            return 1
        if isinstance(error, OSError):
            return _fail(of_system(error), 2)
        return _fail(f"unexpected {one_line(error)} (--debug shows where)", 1)


def _fail(text: str, status: int) -> int:
    if debugging():
        echo(traceback.format_exc().rstrip(), err=True)
    echo(f"zoo: {text}", err=True)
    locale = sys.getfilesystemencoding()
    if locale != "utf-8" and not text.isascii():
        echo(f"In this locale names of files are read as {locale}; PYTHONUTF8=1 reads them as UTF-8", err=True)
    return status


def entry() -> NoReturn:
    """Run the command line, and end at once: plug-ins may have left threads that never end, and exit handlers."""
    status = 1
    with contextlib.suppress(AttributeError, OSError, ValueError, RuntimeError):  # there may be no standard error
        faulthandler.enable()  # of a crash in the C code of a plug-in it tells where it was
    try:
        status = main()
        for stream in (sys.stdout, sys.stderr):
            if stream:
                stream.flush()
    except (OSError, ValueError):  # nobody reads any more, or the disk is full
        status = status or 1
    finally:
        os._exit(status)


if __name__ == "__main__":
    entry()
