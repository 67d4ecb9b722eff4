"""Errors as pages: what happened, in one sentence, and what to do next.

Rules of this file: the code of an error decides status and words; a message of the service is shown, for it is made
for people; an error that nobody foresaw is logged with a number, and the page shows that number only.
"""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sayiir.errors import BackendError, SerializationError, WorkflowError

if TYPE_CHECKING:
    from sayiir.server.pages.kit import Kit, Page

log = logging.getLogger("sayiir.server")


class Said(NamedTuple):
    """The status of an answer, and its words."""

    status: int
    title: str
    advice: str


_AWAY = Said(
    503, "The database does not answer", "Nothing is lost: workers go on as soon as it is back. Load the page again."
)
_BY_CODE: dict[str, Said] = {
    "forbidden": Said(403, "You may not do that", "Ask somebody with another role, or sign in with another token."),
    "instance_not_found": Said(
        404, "There is no such instance", "It may have been purged, or its id is written otherwise."
    ),
    "unknown_workflow": Said(404, "There is no such workflow", "Nobody has submitted an instance of it here."),
    "invalid_state": Said(409, "That is not possible now", "The instance has moved on since this page was drawn."),
    "instance_busy": Said(409, "That is not possible now", "Somebody else is at it. Try again in a moment."),
    "instance_already_exists": Said(409, "This id is taken", "Choose another id, or leave it empty."),
    "body_too_large": Said(413, "That is too large", "Go back and send less, or raise max_body of the server."),
    "bad_filter": Said(400, "The filter cannot be read", "Correct it, or start with an empty one."),
    "schema_version": Said(503, "The database has another version", "Run `sayiir db migrate`, or update this program."),
}
_WRONG = Said(400, "That cannot be done", "Go back and correct what was sent.")
_MISSING = Said(404, "There is nothing here", "The address may be mistyped, or what it showed is gone.")
_UNSEEN = Said(500, "Something went wrong here", "It was written to the server's log, under the number below.")


def guarded(kit: Kit, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """Return the page with its errors made into pages."""

    @functools.wraps(page)
    async def endpoint(request: Request) -> Response:
        try:
            return await page(kit, request)
        except Exception as error:  # noqa: BLE001 -- every error has its page
            return error_page(kit, request, error)

    # Starlette looks at what is wrapped to tell functions from classes.
    del endpoint.__wrapped__
    return endpoint


def said_of(error: Exception) -> Said | None:
    """Return the words for an error that was foreseen."""
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return _MISSING
        return Said(error.status_code, "That cannot be done", error.detail)
    code = getattr(error, "code", None)
    if isinstance(code, str) and code in _BY_CODE:
        return _BY_CODE[code]
    if isinstance(error, BackendError):
        return _AWAY
    if isinstance(error, WorkflowError | SerializationError | ValueError):
        return _WRONG
    return None


def error_page(kit: Kit, request: Request, error: Exception) -> Response:
    """Return the page that tells of an error."""
    said = said_of(error)
    if said is not None:
        message = "" if isinstance(error, HTTPException) else str(error)
        return kit.page(request, "error.html", said.status, told=said, message=message, number="")
    number = secrets.token_hex(4)
    log.error("error %s at %s %s", number, request.method, request.url.path, exc_info=error)
    return kit.page(request, "error.html", _UNSEEN.status, told=_UNSEEN, message="", number=number)
