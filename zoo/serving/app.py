"""The page to drop pictures on, and the endpoint behind it. Pictures stay in memory, and are forgotten when answered.

GET /           the page
GET /about      JSON: which networks answer, and the limits
POST /predict   the bytes of one picture file -> JSON: what the networks say of it; with ?heat=1 what they looked at too
"""

from __future__ import annotations

import contextlib
import math
from importlib import resources
from typing import Any

import anyio
import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zoo.data import decoding, remarks
from zoo.data.images import resize
from zoo.errors import DataError, ZooError, one_line
from zoo.evaluation import comparison
from zoo.inference.predictor import Predictor
from zoo.report import plots

SHOWN = 480  # pixels of the longer side of what the page shows
AT_ONCE = 500  # pictures that the page takes
JPEG_QUALITY = 88
WAITING = 32  # pictures that may wait for their turn
FILES = {
    "/": ("zoo.serving", "page.html", "text/html"),
    "/base.css": ("zoo.report", "base.css", "text/css"),  # the colours of report.html
    "/page.css": ("zoo.serving", "page.css", "text/css"),
    "/page.js": ("zoo.serving", "page.js", "text/javascript"),
}
HEADERS = {
    # What is shown is nobody's business tomorrow, and no other page's today.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def app(predictor: Predictor, most_bytes: int) -> Starlette:
    """The application; a file may have `most_bytes`."""
    ensemble = predictor.ensemble
    about = {
        "model": ensemble.model,
        "networks": [member.title for member in ensemble.members],
        "classes": predictor.classes,
        "threshold": predictor.threshold,
        "operating_point": None if predictor.threshold is None else str(ensemble.point),
        "notes": predictor.notes,
        "most_bytes": most_bytes,
        "most_files": AT_ONCE,
    }
    one_by_one, waiting = anyio.CapacityLimiter(1), 0

    async def predict(request: Request) -> Response:
        nonlocal waiting
        if waiting >= WAITING:
            return _refused(503, f"{WAITING} pictures are waiting already; try again", {"Retry-After": "1"})
        waiting += 1
        try:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    return _refused(413, f"more than {most_bytes / 1e6:.0f} MB, which is as much as is taken")
            heat = request.query_params.get("heat") == "1"
            said = await anyio.to_thread.run_sync(answer, predictor, bytes(body), heat, limiter=one_by_one)
        finally:
            waiting -= 1
        return _refused(422, said["fault"]) if "fault" in said else JSONResponse(said, headers=HEADERS)

    async def tell(request: Request) -> Response:
        return JSONResponse(about, headers=HEADERS)

    async def show(request: Request) -> Response:
        room, name, kind = FILES[request.url.path]
        text = resources.files(room).joinpath(name).read_text("utf-8")
        return Response(text, media_type=kind, headers=HEADERS)

    routes = [Route(path, show) for path in FILES]
    routes += [Route("/about", tell), Route("/predict", predict, methods=["POST"])]
    # A page of another name that leads here (DNS rebinding) is not answered.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def warm_up(predictor: Predictor) -> None:
    """Have the networks compiled, so that the first picture takes no longer than the next."""
    nothing = np.zeros((1, predictor.image_size, predictor.image_size, 3), np.uint8)
    predictor.predict(nothing)
    with contextlib.suppress(ZooError):
        predictor.heat_maps(nothing, np.array([0]))


def answer(predictor: Predictor, content: bytes, heat: bool) -> dict[str, Any]:
    """What the networks say of what a picture file holds, as JSON; `fault` alone where it is none.

    `picture` and `heat` are data URLs of the picture, small, without and with what the networks looked at.
    """
    try:
        decoded = decoding.read_bytes(content)
    except DataError as error:
        return {"fault": str(error)}
    pixels = decoded.pixels
    table = predictor.predict([pixels])
    row = table.iloc[0].to_dict()
    classes, (chances,) = predictor.classes, comparison.probabilities(table)
    picture = _small(pixels)
    said: dict[str, Any] = {
        "decision": row["decision"],
        "probabilities": dict(zip(classes, chances.tolist(), strict=True)),
        **{name: None if math.isnan(row[name]) else float(row[name]) for name in ("calibrated", "spread")},
        "seen": int(row["seen"]),
        "notes": [str(remark) for remark in remarks.told({row["path"]: decoded.remarks})],
        "picture": _data(picture),
        "heat": None,
    }
    if heat:
        asked = classes[1] if len(classes) == 2 else row["decision"]
        try:
            (seen,) = predictor.heat_maps(resize(pixels, predictor.image_size)[None], np.array([classes.index(asked)]))
        except ZooError as error:  # of networks without a map of features
            said["notes"].append(one_line(error))
        else:
            said |= {"heat": _data(plots.coloured(picture, seen)), "heat_of": asked}
    return said


def _small(pixels: np.ndarray) -> np.ndarray:
    """An image with a longer side of at most SHOWN, its shape as it was."""
    height, width = pixels.shape[:2]
    share = min(1.0, SHOWN / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _data(pixels: np.ndarray) -> str:
    return f"data:image/jpeg;base64,{plots.jpeg(pixels, JPEG_QUALITY)}"


def _refused(status: int, why: str, more: dict[str, str] | None = None) -> Response:
    return JSONResponse({"fault": why}, status, headers=HEADERS | (more or {}))
