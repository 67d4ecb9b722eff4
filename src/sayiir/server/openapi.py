"""The OpenAPI 3.1 document, made from the endpoints and the Structs that they take and give. Nothing is written twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sayiir.server.problems import MEDIA, STATUS_BY_CODE, Problem
from sayiir.server.routing import Api, Endpoint
from sayiir.service.access import READS, WRITES

_REF = "#/components/schemas/{name}"
_ALWAYS = ("bad_request", "unauthorized", "forbidden", "unknown_host", "backend_error")
_DESCRIPTION = (
    "Submit, watch and steer durable workflow instances. Times are RFC 3339 in UTC. Errors are problem+json with a stable "
    "`code`. Lists have keyset pages: give `next` back as `cursor`. Ids stand percent-encoded in paths, slashes too."
)


def document(endpoints: Sequence[Endpoint], version: str) -> Any:
    """Return the document."""
    answers = [one.answer for one in endpoints if one.answer is not None]
    bodies = [one.body for one in endpoints if one.body is not None]
    queries = [one.query for one in endpoints if one.query is not None]
    schemas, components = msgspec.json.schema_components([Problem, *answers, *bodies, *queries], ref_template=_REF)
    problem, rest = schemas[0], schemas[1:]
    told = _Told(
        problem, dict(enumerate(rest[: len(answers)])), dict(enumerate(rest[len(answers) : len(answers) + len(bodies)]))
    )
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    answered = bodied = 0
    for one in endpoints:
        answer = told.answers[answered] if one.answer is not None else None
        body = told.bodies[bodied] if one.body is not None else None
        answered += one.answer is not None
        bodied += one.body is not None
        paths[one.path][one.method.lower()] = _operation(one, answer, body, problem, components)
    for one in queries:
        components.pop(one.__name__, None)
    return _simple({
        "openapi": "3.1.0",
        "info": {"title": "Sayiir", "version": version, "description": _DESCRIPTION, "license": {"name": "MIT"}},
        "servers": [{"url": Api.prefix}],
        "security": [{"token": []}],
        "paths": dict(paths),
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })


def _simple(value: Any) -> Any:
    """Return schemas with pairs of one type as arrays of two, which every reader understands."""
    if isinstance(value, list):
        return [_simple(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {name: _simple(inner) for name, inner in value.items()}
    parts = found.get("prefixItems")
    if parts and all(part == parts[0] for part in parts):
        del found["prefixItems"]
        found["items"] = parts[0]
    return found


class _Told(msgspec.Struct):
    problem: dict[str, Any]
    answers: dict[int, dict[str, Any]]
    bodies: dict[int, dict[str, Any]]


def _operation(
    one: Endpoint, answer: dict[str, Any] | None, body: dict[str, Any] | None, problem: dict[str, Any],
    components: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    role = READS.get(one.needs) or WRITES[one.needs]
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"Needs the role {role.value}.",
        "tags": [one.segments[0]],
        "parameters": [*_path_parameters(one), *_query_parameters(one, components), *_key(one)],
        "responses": _responses(one, answer, problem),
    }
    if body is not None:
        # With nothing that must be said, nothing need be sent.
        required = any(field.required for field in msgspec.structs.fields(one.body))
        found["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
    return found


def _responses(one: Endpoint, answer: dict[str, Any] | None, problem: dict[str, Any]) -> dict[str, Any]:
    content = {one.media: {"schema": answer if answer is not None else {"type": "string"}}}
    words = {200: "Done.", 201: "Made.", 202: "Accepted.", 204: "Done."}
    found: dict[str, Any] = {
        str(status): {"description": words[status], **({} if status == 204 else {"content": content})}
        for status in one.statuses
    }
    for status, codes in _by_status((*_ALWAYS, *_more(one), *one.problems)):
        found[str(status)] = {
            "description": f"Problem: {', '.join(codes)}.", "content": {MEDIA: {"schema": problem}},
        }  # fmt: skip
    return found


def _more(one: Endpoint) -> tuple[str, ...]:
    return ("body_too_large", "unsupported_media_type", "invalid_value") if one.body is not None else ("invalid_value",)


def _by_status(codes: Iterable[str]) -> list[tuple[int, list[str]]]:
    found: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        found[STATUS_BY_CODE[code]].append(code)
    return sorted(found.items())


def _path_parameters(one: Endpoint) -> list[dict[str, Any]]:
    about = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": about} for name in one.parameters]


def _query_parameters(one: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    schema = components[one.query.__name__]
    needed = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": _plain(about)}
        for name, about in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without null, which a query cannot say."""
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        if len(kinds) == 1:
            return dict(kinds[0])
    return {name: value for name, value in schema.items() if not (name == "default" and value is None)}


def _key(one: Endpoint) -> list[dict[str, Any]]:
    if not one.keyed:
        return []
    return [
        {
            "name": "Idempotency-Key", "in": "header", "required": False,
            "description": "A request that is sent again with the same key is done once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
        }
    ]  # fmt: skip
