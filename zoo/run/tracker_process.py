"""One tracker, in a process of its own: the hooks of one plug-in, called as a run goes on.

`python -m zoo.run.tracker_process` reads JSON objects, one a line, from standard input: first which plug-in it is and
the run, then hooks and what to call them with. It answers each on standard output, with the hook's error if there was
one; whatever else is printed goes to standard error, which the parent sends to the tracker's log. It ends when standard
input does and all is told; a hook that then takes too long is cut off.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import IO, Any

from zoo.errors import one_line
from zoo.plugins import discovery, hooks, isolation


def main() -> int:
    """Call the hooks that standard input names. 0 when it has ended."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    told = os.fdopen(os.dup(0))
    os.dup2(2, 1)  # prints of libraries and plug-ins go to the log
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    who = json.loads(told.readline())
    messages: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(told, messages, isolation.timeout()), daemon=True).start()
    hook = load(who["name"], who["distribution"]).hook
    while (line := messages.get()) is not None:
        message: dict[str, Any] = json.loads(line)
        error = None
        try:
            getattr(hook, message.pop("hook"))(run=who["run"], **message)
        except BaseException as raised:  # sys.exit included: the hooks to come may fare better
            traceback.print_exc()
            error = one_line(raised)
        with contextlib.suppress(BrokenPipeError):  # nobody listens any more: the parent was killed
            print(json.dumps({"error": error}), file=answers)
    return 0


def load(name: str, distribution: str) -> Any:
    """The hooks of the tracker that a plug-in of that name and distribution offers; no other is loaded.

    Raises whatever it does when it is loaded, and ConfigError if it is there no more.
    """
    points = [point for point in discovery.chosen() if point.name == name]
    mine = [point for point in points if discovery.plugin_of(point).distribution == distribution]
    found = discovery.discover(mine[:1])
    for plugin in found.found:
        if plugin.error:
            raise plugin.error
    return hooks.registered(found.get("tracker", name).value)


def _receive(told: IO[str], messages: SimpleQueue[str | None], limit: float) -> None:
    for line in told:
        if line.endswith("\n"):  # else the parent was killed while it wrote
            messages.put(line)
    faulthandler.dump_traceback_later(limit, exit=True)
    messages.put(None)


if __name__ == "__main__":
    sys.exit(main())
