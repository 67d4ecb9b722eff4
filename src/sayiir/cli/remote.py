"""The methods of `Service` over a server's HTTP API, so that a command need not know where it works.

Rules of this file: standard library only; answers are decoded into the values of `service.model`, strictly; a refusal
becomes an `ApiError` with the server's own code and sentence. The token goes to the host it was given for and no other:
redirects are not followed. Who asks is known by the token, so `access` is not sent.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any, Literal, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from sayiir.cli.codes import ERROR, FORBIDDEN, RefusedError
from sayiir.cli.stream import Stream
from sayiir.errors import WorkflowError
from sayiir.service.model import (
    Access,
    Action,
    Attempt,
    BulkResult,
    InstancePage,
    InstanceRow,
    InstanceView,
    Selection,
    Trouble,
    WorkerRow,
    WorkflowRow,
)

T = TypeVar("T")
_PATIENCE_SECS = 30.0
_BY_STATUS = {401: "unauthorized", 403: "forbidden", 408: "timeout", 413: "body_too_large", 504: "timeout"}
"""For answers without a code: those of a proxy."""


class ApiError(WorkflowError):
    """The server refused; `code` is its own."""

    def __init__(self, message: str = "", /, *, code: str = "", **data: Any) -> None:
        super().__init__(message, **data)
        self.code = code  # type: ignore[misc]


class _Items(msgspec.Struct):
    items: msgspec.Raw


class _Output(msgspec.Struct):
    instance: InstanceRow
    output: msgspec.Raw = msgspec.Raw(b"null")
    error: Trouble | None = None


class _Problem(msgspec.Struct):
    code: str = ""
    title: str = ""
    detail: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        return None


class Remote:
    """A server's API.

    Args:
        url: the server's, with its prefix if it has one.
        token: what it asks for.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._base = self._url + "/api/v1"
        self._token = token
        self._stream: Stream | None = None
        self._opener = urllib.request.build_opener(_NoRedirect())

    def find(self, access: Access, where: str = "", *, cursor: str | None = None, limit: int = 50) -> InstancePage:
        return self._get("/instances", InstancePage, where=where, cursor=cursor, limit=limit)

    def show(self, access: Access, instance_id: str) -> InstanceView:
        return self._get(_instance(instance_id), InstanceView)

    def attempts(self, access: Access, instance_id: str) -> tuple[Attempt, ...]:
        return self._items(_instance(instance_id, "attempts"), tuple[Attempt, ...])

    def graph_svg(
        self, access: Access, instance_id: str | None = None, *, workflow_id: str | None = None,
        definition_hash: str | None = None,
    ) -> str:  # fmt: skip
        if instance_id is not None:
            path = _instance(instance_id, "graph.svg")
        else:
            path = f"/workflows/{quote(workflow_id or '', safe='')}/graph.svg"
        return self._ask("GET", path + _query({"definition_hash": definition_hash})).decode()

    def graph_text(
        self, access: Access, workflow_id: str, *, definition_hash: str | None = None,
        form: Literal["mermaid", "text"] = "mermaid",
    ) -> str:  # fmt: skip
        path = f"/workflows/{quote(workflow_id, safe='')}/graph.{'mermaid' if form == 'mermaid' else 'txt'}"
        return self._ask("GET", path + _query({"definition_hash": definition_hash})).decode()

    def result(self, access: Access, instance_id: str, *, timeout: float = 0) -> InstanceView:
        return self._get(_instance(instance_id, "result"), InstanceView, patience=timeout, timeout=f"{timeout:.3f}")

    def output(self, access: Access, instance_id: str) -> tuple[InstanceRow, Any, Trouble | None]:
        found = self._get(_instance(instance_id, "output"), _Output)
        return found.instance, found.output, found.error

    def submit(
        self, access: Access, workflow_id: str, instance_id: str | None, input_json: bytes, *,
        priority: int | None = None, policy: Any = None, definition_hash: str | None = None,
    ) -> tuple[InstanceRow, bool]:  # fmt: skip
        asked = {
            "workflow_id": workflow_id, "instance_id": instance_id, "input": msgspec.Raw(input_json),
            "priority": priority, "policy": policy, "definition_hash": definition_hash,
        }  # fmt: skip
        status, body = self._exchange("POST", "/instances", _given(asked))
        return self._decode(body, InstanceRow), status == http.client.CREATED

    def cancel(self, access: Access, instance_id: str, *, reason: str | None = None) -> InstanceRow:
        return self._post(_instance(instance_id, "cancel"), InstanceRow, reason=reason)

    def pause(self, access: Access, instance_id: str, *, reason: str | None = None) -> InstanceRow:
        return self._post(_instance(instance_id, "pause"), InstanceRow, reason=reason)

    def unpause(self, access: Access, instance_id: str, *, reason: str | None = None) -> InstanceRow:
        return self._post(_instance(instance_id, "unpause"), InstanceRow, reason=reason)

    def retry(
        self, access: Access, instance_id: str, *, from_task: str | None = None, input_json: bytes | None = None,
        reason: str | None = None,
    ) -> InstanceRow:  # fmt: skip
        raw = None if input_json is None else msgspec.Raw(input_json)
        return self._post(_instance(instance_id, "retry"), InstanceRow, from_task=from_task, input=raw, reason=reason)

    def signal(
        self, access: Access, instance_id: str, name: str, payload_json: bytes, *, dedup_key: str | None = None
    ) -> bool:
        path = _instance(instance_id, "signals", name)
        answer = self._post(path, dict[str, Any], payload=msgspec.Raw(payload_json), dedup_key=dedup_key)
        return bool(answer.get("accepted", True))

    def bulk(
        self, access: Access, action: Action, selection: Selection, *, dry_run: bool = False,
        reason: str | None = None, cursor: str | None = None,
    ) -> BulkResult:  # fmt: skip
        return self._post(
            "/bulk", BulkResult, action=action, selection=selection, dry_run=dry_run, reason=reason, cursor=cursor
        )

    def purge(self, access: Access, older_than: Any, *, dry_run: bool = False) -> int:
        return int(self._post("/purge", dict[str, Any], older_than=older_than, dry_run=dry_run)["count"])

    def workflows(self, access: Access) -> tuple[WorkflowRow, ...]:
        return self._items("/workflows", tuple[WorkflowRow, ...])

    def workflow(self, access: Access, workflow_id: str) -> WorkflowRow:
        return self._get(f"/workflows/{quote(workflow_id, safe='')}", WorkflowRow)

    def workers(self, access: Access) -> tuple[WorkerRow, ...]:
        return self._items("/workers", tuple[WorkerRow, ...])

    def stats(self, access: Access) -> dict[str, Any]:
        return self._get("/stats", dict[str, Any])

    def check(self, access: Access) -> list[str]:
        return self._items("/check", list[str])

    def changed(self, seen: int, timeout: float) -> int:
        """Block until the server says that something may have changed, or the timeout; return the new mark."""
        if self._stream is None:
            self._stream = Stream(f"{self._base}/events", self._headers())
        return self._stream.wait(seen, timeout)

    def close(self) -> None:
        """End the stream of changes, if there is one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _get(self, path: str, kind: type[T], *, patience: float = 0.0, **query: Any) -> T:
        return self._decode(self._ask("GET", path + _query(query), patience=patience), kind)

    def _items(self, path: str, kind: type[T]) -> T:
        return self._decode(bytes(self._get(path, _Items).items), kind)

    def _post(self, path: str, kind: type[T], **asked: Any) -> T:
        return self._decode(self._ask("POST", path, _given(asked)), kind)

    def _decode(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise RefusedError(
                f"{self._url} answers in a form that this release does not know ({error}); is it a sayiir server of "
                "about the same release?", ERROR,
            ) from error  # fmt: skip

    def _ask(self, method: str, path: str, asked: dict[str, Any] | None = None, *, patience: float = 0.0) -> bytes:
        return self._exchange(method, path, asked, patience=patience)[1]

    def _exchange(
        self, method: str, path: str, asked: dict[str, Any] | None = None, *, patience: float = 0.0
    ) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", **self._headers()}
        if asked is not None:
            headers["Content-Type"] = "application/json"
        body = None if asked is None else msgspec.json.encode(asked)
        request = urllib.request.Request(self._base + path, body, headers, method=method)  # noqa: S310 -- see Place.is_server
        try:
            with self._opener.open(request, timeout=_PATIENCE_SECS + patience) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                self._refuse(error.code, error.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "reason", None) or error
            said = f"no server answers at {self._url} ({why}); check --url, or start one: sayiir server"
            raise RefusedError(said, ERROR) from error

    def _refuse(self, status: int, body: bytes) -> NoReturn:
        try:
            problem = msgspec.json.decode(body, type=_Problem)
        except msgspec.MsgspecError:
            problem = _Problem()
        code = problem.code or _BY_STATUS.get(status, "")
        said = problem.detail or problem.title or f"{self._url} answered {status}; is it the address of a sayiir server?"
        if status == http.client.UNAUTHORIZED:
            hint = "is the token right?" if self._token else "give --token or set SAYIIR_TOKEN"
            raise RefusedError(f"{said.rstrip('.')}; {hint}", FORBIDDEN)
        raise ApiError(said, code=code, status=status)


def _instance(instance_id: str, *more: str) -> str:
    return "/instances/" + "/".join(quote(part, safe="") for part in (instance_id, *more))


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _query(words: dict[str, Any]) -> str:
    given = {name: value for name, value in words.items() if value not in (None, "")}
    return "?" + urlencode(given) if given else ""
