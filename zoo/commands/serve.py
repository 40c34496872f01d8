"""zoo serve: trained networks on a page of this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo import limits
from zoo.commands.options import Command, Number, console, point_options, say
from zoo.commands.predict import model_options, opened
from zoo.errors import ConfigError, reason

if TYPE_CHECKING:
    from zoo.data.splits import Folds
    from zoo.evaluation.config import OperatingPoint

HOST = "127.0.0.1"  # this machine alone
NEEDED = ("starlette", "uvicorn")


@click.command(cls=Command)
@model_options
@point_options
@click.option(
    "--port", type=Number(limits.PORT), default=8000, show_default=True, help="Where it listens; 0 takes a free one."
)
@click.option(
    "--max-mb", type=Number(limits.MEGABYTES), default=50, show_default=True, help="The largest file that is taken."
)
def serve(
    place: Path,
    model: str | None,
    folds: Folds,
    operating_point: OperatingPoint | None,
    prevalence: float | None,
    port: int,
    max_mb: int,
) -> None:
    """Put MODEL, as zoo predict takes it, on a page of this machine: drop pictures on it, and see what they are called.

    Nobody else's machine reaches it, and nothing is stored. Programs ask it too, a picture at a time:
    curl --data-binary @FILE http://127.0.0.1:8000/predict
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"zoo serve needs {' and '.join(missing)}: pip install 'zoo[serve]'")
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(f"port {port} cannot be had: {reason(error)}; --port 0 takes a free one") from error
    with contextlib.closing(listening):
        predictor = opened(place, model, folds, operating_point, prevalence)
        import uvicorn

        from zoo.serving import app

        app.warm_up(predictor)
        server = uvicorn.Server(
            uvicorn.Config(
                app.app(predictor, max_mb * 1_000_000), log_level="warning", access_log=False, lifespan="off"
            )
        )
        say(console(), f"http://{HOST}:{listening.getsockname()[1]} (Ctrl-C ends it)", style="bold")
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
