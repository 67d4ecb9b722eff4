"""Every hostile text through every field of a real server that one can write: real store, real workers, real pages.

Rules of this file: a text goes in as it is; where it is refused, without what is not allowed there, and that must go in.
A page with hostile texts has no kind of element or attribute that the same page with a harmless word has not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from urllib.parse import quote

from markupsafe import escape
from starlette.testclient import TestClient

from sayiir import Flow, Worker, WorkflowClient, connect, task
from sayiir.server import create_app
from sayiir.server.pages.kit import Links
from tests.server.pages.browsing import ready
from tests.server.pages.site import serving
from tests.server.pages.test_html import HOSTILE, Reading

API = "/api/v1"
WORDS = tuple(f"harmless{number}" for number in range(len(HOSTILE)))
PLAIN = ("/instances", "/instances?q=status:failed", "/inbox", "/workflows", "/workers", "/audit")
LINKS = Links("")


@dataclasses.dataclass
class Note:
    text: str
    more: dict[str, str]


class Hostile:
    """What is made of one text: a workflow whose names are the text, and an instance in every state by it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.id = text.replace("\0", "")
        name = self.name = self.id.replace("/", "").replace("||", "").replace("::", "")
        broken = type(self.id, (ValueError,), {})

        @task(name=name)
        def told(note: Note) -> Note:
            logging.getLogger(self.id).warning(text)
            return note

        @task(name=f"{name}2")
        def fails(note: Note) -> Note:
            raise broken(text)

        flow = Flow(name, metadata={text: text}).then(told).wait_for_signal(name, name=f"{name}1", type=Note).then(fails)
        self.flow = flow.build()
        self.failed, self.paused, self.cancelled = (f"{self.id}{end}" for end in ("-failed", "-paused", "-cancelled"))

    @property
    def places(self) -> list[str]:
        found = [LINKS.instance(one) for one in (self.id, self.failed, self.paused, self.cancelled)]
        found += [LINKS.instance(self.failed, tab=tab) for tab in ("timeline", "table", "logs", "graph")]
        found += [LINKS.instance(self.failed, tab="timeline", node=node) for node in (self.name, f"{self.name}1", f"{self.name}2")]
        found += [LINKS.instance(self.id, do="signal", signal=self.name, **{"as": form}) for form in ("", "json")]
        found += [LINKS.workflow(self.name), LINKS.workflow(self.name, **{"as": "json"})]
        return [*found, LINKS("audit", target=self.failed), f"/compare?id={quote(self.id, safe='')}&id={quote(self.failed, safe='')}"]

    @property
    def looked_at(self) -> list[str]:
        """The pages that show most of it."""
        shown = LINKS.instance(self.failed, tab="timeline", node=f"{self.name}2"), LINKS.instance(self.failed, tab="logs")
        return [LINKS.instance(self.id), *shown, LINKS.instance(self.id, do="signal", signal=self.name), LINKS.workflow(self.name)]


@contextlib.contextmanager
def told(path: str, texts: tuple[str, ...]) -> Iterator[tuple[str, TestClient, list[Hostile]]]:
    """Serve a store in which every text stands wherever somebody can write one."""
    all_of = [Hostile(text) for text in texts]
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(connect(f"sqlite:///{path}"))
        for one in all_of:
            stack.enter_context(Worker(one.id, store, tags=None, concurrency=1).start([one.flow]))
        flows = [one.flow for one in all_of]
        base = stack.enter_context(serving(create_app(store, flows)))
        sender = stack.enter_context(TestClient(create_app(store, flows), base_url="http://localhost"))
        for one in all_of:
            _write(one, sender, WorkflowClient(store))
        yield base, sender, all_of


def _write(one: Hostile, sender: TestClient, client: WorkflowClient) -> None:
    def sent(method: str, place: str, body: dict[str, object], **other: object) -> None:
        answer = sender.request(method, API + place, json=body)
        if answer.is_client_error and other:
            answer = sender.request(method, API + place, json=body | other)
        assert answer.is_success, answer.text

    at = {name: f"/instances/{quote(getattr(one, name), safe='')}" for name in ("id", "failed", "paused", "cancelled")}
    note = {"text": one.text, "more": {one.text: one.text}}
    for name in at:
        sent("POST", "/instances", {"workflow_id": one.name, "instance_id": getattr(one, name), "input": note})
        assert client.wait(getattr(one, name), 30, until="parked").status == "awaiting_signal"
    signal = quote(one.name, safe="")
    sent("POST", f"{at['id']}/signals/{quote(f'{one.name}-other', safe='')}", {"payload": note})
    sent("POST", f"{at['failed']}/signals/{signal}", {"payload": note})
    assert client.wait(one.failed, 30).status == "failed"
    sent("POST", f"{at['cancelled']}/cancel", {"reason": one.text}, reason=one.id)
    client.pause(one.paused, reason=one.id, paused_by=one.id)
    sent("POST", f"{at['paused']}/unpause", {"reason": one.text}, reason=one.id)
    sent("POST", f"{at['paused']}/pause", {"reason": one.text}, reason=one.id)
    name = quote("".join(char for char in one.id if char.isprintable()), safe="")
    sent("PUT", f"/views/{name}", {"where": one.text}, where="status:failed")


def shapes(path: str, texts: tuple[str, ...]) -> list[list[Reading]]:
    """The pages of all, and those of each text."""
    with told(path, texts) as (_, reader, all_of):
        found = []
        for places in (PLAIN, *(one.places for one in all_of)):
            answers = [reader.get(place) for place in places]
            assert all(answer.status_code in (200, 400) for answer in answers), [(one.url, one.status_code) for one in answers]
            found.append([Reading(answer.text) for answer in answers])
        for one in all_of:  # it is there: as a reason, as an error, as a log line, in an input
            said = str(escape(one.text.partition("\0")[0]))
            assert all(said in reader.get(place).text for place in (*one.looked_at[:4], LINKS.instance(one.paused)))
        return found


def kinds(page: Reading) -> set[tuple[str, str]]:
    return {(tag, "") for tag in page.tags} | {(tag, name) for tag, name, _ in page.attributes}


def test_no_text_that_is_stored_becomes_markup(tmp_path):
    harmless, hostile = shapes(f"{tmp_path}/harmless.db", WORDS), shapes(f"{tmp_path}/hostile.db", HOSTILE)
    for text, pages, likes in zip(("all", *HOSTILE), hostile, harmless, strict=True):
        for place, (page, like) in enumerate(zip(pages, likes, strict=True)):
            assert kinds(page) <= kinds(like), (text, place, kinds(page) - kinds(like))
            assert page.tags.count("script") == like.tags.count("script"), (text, place)
            assert not [value for _, name, value in page.attributes if name in ("href", "src", "action") and value.lower().startswith("javascript:")]


def test_no_text_that_is_stored_runs_in_a_browser(chrome, tmp_path):
    watched = "window.went = []; window.alert = () => went.push('a script'); addEventListener('securitypolicyviolation', e => went.push(e.violatedDirective))"
    with told(f"{tmp_path}/hostile.db", HOSTILE) as (base, _, all_of), chrome.page(base, expected=("Executing inline script",)) as page:
        page.add_init_script(watched)
        for place in (*PLAIN, *(place for one in all_of for place in one.looked_at)):
            ready(page, base + place)
            assert page.evaluate("went") == [], place
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'alert(1)'}))")
        page.wait_for_function("went.includes('script-src-elem')")  # what was looked for would have been seen
