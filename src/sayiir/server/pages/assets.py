"""Style sheets, scripts and vendored files, as they lie in the package.

Rules of this file: stable names; a request that names a version may be kept for a year, any other is asked about each
time. The picture's colours come from the picture's own table, so that they are written once.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sayiir.picture.style import inline_css

STATIC = Path(__file__).parent.parent / "static"
_KEPT = "public, max-age=31536000, immutable"


class Assets(StaticFiles):
    """Files that are kept as long as their version is named."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file with how long it may be kept."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = _KEPT if b"v=" in scope["query_string"] else "no-cache"
        return answer


def _picture(request: Request) -> Response:
    kept = _KEPT if request.query_params.get("v") else "no-cache"
    return Response(inline_css(), media_type="text/css", headers={"Cache-Control": kept})


def asset_routes() -> list[BaseRoute]:
    """Return the routes below /static."""
    return [
        Route("/static/picture.css", _picture, include_in_schema=False),
        Mount("/static", Assets(directory=STATIC), name="static"),
    ]
