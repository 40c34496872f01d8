"""Checks of a tracker: a module with lifecycle hooks."""

from __future__ import annotations

import tempfile

from zoo.plugins import discovery, hooks
from zoo.testing import elsewhere, every, sample_run
from zoo.testing.subject import Subject


def is_offered(subject: Subject) -> None:
    """An installed plug-in declares this very module, which then is the tracker named as its entry point."""
    found = discovery.discover()
    mine = {plugin.name for plugin in found.found if plugin.module == subject.module}
    names = [name for name in found.names("tracker") if name in mine]
    if not names:
        for name in mine:
            found.get("tracker", name)  # raises the error that names both if plug-ins clash over it
        raise subject.wrong(every.why_absent(subject, found, f"it offers no tracker: {_which_hooks()}"))


def has_docs(subject: Subject) -> None:
    """The module has a docstring: what it records, and where."""
    if not (subject.part.__doc__ or "").strip():
        raise subject.wrong("the module has no docstring: say in a sentence what it records, and where")


def has_hooks(subject: Subject) -> None:
    """It has one or more lifecycle hooks, each decorated, a plain function, and with arguments that the hook has."""
    callers = hooks.registered(subject.part).get_hookcallers(subject.part) or []
    if not any(hooks.HOOKS[caller.name] for caller in callers):
        raise subject.wrong(f"it has no lifecycle hook: {_which_hooks()}")


def _which_hooks() -> str:
    known = [f"{name}({', '.join(arguments)})" for name, arguments in hooks.HOOKS.items() if arguments]
    return f"define {' or '.join(known)}, decorated with @zoo.hookimpl"


def takes_a_run(subject: Subject) -> None:
    """It takes a sample run twice in processes of its own: jobs that are done, fail, are skipped or interrupted.

    Metrics are None where there are none, and mappings hold a key that a later zoo may add. The current folder and the
    run's are temporary.
    """
    with tempfile.TemporaryDirectory() as folder:
        for session, resumed in (("first", False), ("second", True)):
            told = elsewhere.call(subject, "track", folder=folder, calls=sample_run.calls(folder, resumed))
            if told:
                hook, result, trace = told
                raise subject.wrong(
                    f"{hook} fails in the {session} session of a sample run{result}. It must take whatever a run may "
                    f"be: None for metrics that there are none of, jobs that failed or were skipped, further keys\n\n"
                    f"{trace}"
                )


CHECKS = (is_offered, has_docs, every.imports_nothing_heavy, has_hooks, takes_a_run)
