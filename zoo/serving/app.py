"""The page to drop pictures on, and the endpoint behind it. Pictures stay in memory, and are forgotten when answered.

GET /           the page
GET /about      JSON: which networks answer, and the limits
POST /predict   the bytes of one picture file -> JSON: what the networks say of it; with ?heat=1 what they looked at too
"""

from __future__ import annotations

import base64
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

from zoo.data import decoding
from zoo.data.images import resize
from zoo.errors import ZooError, one_line
from zoo.inference.predictor import Predictor
from zoo.report import plots

SHOWN = 480  # pixels of the longer side of what the page shows
AT_ONCE = 500  # pictures that the page takes
WAITING = 32  # pictures that may wait for their turn
FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
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
        name, kind = FILES[request.url.path]
        text = resources.files("zoo.serving").joinpath(name).read_text("utf-8")
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
    table = predictor.predict([content])
    row = table.iloc[0].to_dict()
    if row["fault"]:
        return {"fault": row["fault"]}
    classes = predictor.classes
    if len(classes) == 2:
        chances = [1 - row["probability"], row["probability"]]
    else:
        chances = [row[f"probability_{name}"] for name in classes]
    pixels = decoding.read_bytes(content).pixels
    picture = _small(pixels)
    said: dict[str, Any] = {
        "decision": row["decision"],
        "probabilities": dict(zip(classes, map(float, chances), strict=True)),
        **{name: None if math.isnan(row[name]) else float(row[name]) for name in ("calibrated", "spread")},
        "seen": int(row["seen"]),
        "notes": table.attrs["notes"],
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
    """A picture as the URL of a JPEG."""
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _refused(status: int, why: str, more: dict[str, str] | None = None) -> Response:
    return JSONResponse({"fault": why}, status, headers=HEADERS | (more or {}))
