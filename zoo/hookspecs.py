"""The hooks that a plug-in may implement, each with `@zoo.hookimpl`, and the version of this interface."""

from collections.abc import Mapping, Sequence
from typing import Any

import pluggy

from zoo.interfaces import Augmenter, Backbone, Head, Schedule

# The version of hooks and part classes together: the first number grows when a plug-in must be changed to go on
# working, the second when something is added. A plug-in may say ZOO_API = ">=1,<2" at the top of its module.
API_VERSION = "1.0"

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def zoo_backbones() -> Sequence[type[Backbone]]:  # type: ignore[empty-body]
    """Backbone classes that recipes may name."""


@hookspec
def zoo_heads() -> Sequence[type[Head]]:  # type: ignore[empty-body]
    """Head classes that recipes may name."""


@hookspec
def zoo_schedules() -> Sequence[type[Schedule]]:  # type: ignore[empty-body]
    """Schedule classes that recipes may name."""


@hookspec
def zoo_augmenters() -> Sequence[type[Augmenter]]:  # type: ignore[empty-body]
    """Augmenter classes that recipes may name."""


@hookspec
def zoo_models() -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Ready-made models: name to table, as under [models] in registry.toml."""
