"""Errors as problem+json (RFC 9457): a stable `code`, the same one that the library's errors carry, and a sentence.

Rules of this file: what is not one of our errors is told as "internal_error" and logged, never shown.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.responses import Response

from sayiir.errors import WorkflowError

MEDIA = "application/problem+json"
STATUS_BY_CODE: dict[str, int] = {
    "bad_request": 400,
    "bad_filter": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "cross_site": 403,
    "not_found": 404,
    "instance_not_found": 404,
    "unknown_workflow": 404,
    "method_not_allowed": 405,
    "invalid_state": 409,
    "instance_already_exists": 409,
    "definition_mismatch": 409,
    "instance_busy": 409,
    "claim_lost": 409,
    "idempotency_conflict": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "unknown_host": 421,
    "invalid_value": 422,
    "serialization_error": 422,
    "deserialization_error": 422,
    "definition_error": 422,
    "internal_error": 500,
    "backend_error": 503,
    "schema_version": 503,
}
_TITLES = {
    400: "The request cannot be read",
    401: "Say who you are",
    403: "That is not allowed",
    404: "There is no such thing",
    405: "That cannot be done here",
    409: "It does not stand so",
    413: "That is too large",
    415: "Send JSON",
    421: "This host name is not served here",
    422: "That value does not fit",
    500: "Something broke here",
    503: "The store cannot be used now",
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong.

    Attributes:
        title: in short.
        status: the HTTP status.
        code: a stable name of the cause.
        detail: one sentence, mostly with the fix.
        type: always about:blank; the code tells.
        instance_id: the instance that it is about.
        state: how that instance stands, where that is why.
    """

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"
    instance_id: str | None = None
    state: str | None = None


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.headers = headers or {}


def problem_of(error: Exception) -> Problem:
    """Return what a caller is told about an error."""
    code, instance_id, state = "internal_error", None, None
    detail = "an error that nobody foresaw; the server's log has it"
    if isinstance(error, ProblemError):
        code, detail = error.code, str(error)
    elif isinstance(error, WorkflowError) and error.code in STATUS_BY_CODE:
        code, detail = error.code, str(error)
        instance_id, state = _text(error, "instance_id"), _text(error, "status")
    elif isinstance(error, ValueError | TypeError) and not isinstance(error, UnicodeError):
        code, detail = "invalid_value", str(error)
    else:
        logging.getLogger("sayiir").error("a request failed", exc_info=error)
    status = STATUS_BY_CODE[code]
    return Problem(_TITLES[status], status, code, detail, instance_id=instance_id, state=state)


def _text(error: Exception, name: str) -> str | None:
    found = getattr(error, name, None)
    return found if isinstance(found, str) else None


def answer_of(error: Exception) -> Response:
    """Return the answer that tells an error."""
    problem = problem_of(error)
    headers = dict(error.headers) if isinstance(error, ProblemError) else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(encoded(problem), problem.status, headers, MEDIA)


def encoded(value: Any) -> bytes:
    """Return a value as JSON; half surrogate pairs, which no JSON text may hold, as question marks."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value)
        return msgspec.json.encode(_whole(plain))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list | tuple) else value
