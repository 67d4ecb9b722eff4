"""The dashboard: pages of a store with very many instances, large graphs, the first page, and what open pages cost."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from urllib.parse import quote

from benchmarks.browser import Browser, Loaded, chromium
from benchmarks.crowd import fill
from benchmarks.environments import OURS, ROOT, Peer
from benchmarks.flows import chain
from benchmarks.measure import Budget, Case, Group
from benchmarks.served import Served, server
from benchmarks.setting import Setting
from benchmarks.workers import Crew, throughput
from sayiir import SqliteBackend, run_durable_workflow

_FORGOTTEN_SECS = 2.1
"""The server keeps its counts for two seconds; nobody is to profit from them here."""
_PAGE, _GRAPH, _FIRST = Budget(100.0), Budget(1_000.0), Budget(1_000.0)

# --- lists and instances ------------------------------------------------------------------------------------------

_FILTERS = {
    "all": "",
    "failed": "status:failed",
    "waiting": "status:waiting,awaiting_signal",
    "workflow": "workflow:order",
    "workflow and status": "workflow:payout status:failed",
    "an id's begin that 143,000 have": "order-",
    "an id's begin that few have": "order-00001",
    "the last week": "since:7d",
    "a week long ago": "since:50d until:{}",
    "metadata that a third has": "meta.region:eu",
    "metadata that 200 have": "meta.customer:customer-31",
    "metadata of a workflow that none has": "workflow:reminder meta.customer:nobody",
}
_STANDING = ("completed", "failed", "awaiting_signal", "in_progress", "paused")
_INSTANCE = r"/instances/[a-z]+-\d+"


class Store:
    """A full store behind a server, filled and started when it is first asked."""

    def __init__(self, setting: Setting, engine: str) -> None:
        self._setting = setting
        self._engine = engine
        self._stack = ExitStack()
        self._served: Served | None = None
        self._paths: dict[Callable[[Served], str], str] = {}
        self._asked: dict[str, float] = {}

    def served(self) -> Served:
        """Return the server."""
        if self._served is None:
            folder = self._setting.fresh()
            url = self._setting.database() if self._engine == "PostgreSQL" else f"sqlite:///{folder / 'crowd.db'}"
            fill(url, self._setting.scale.crowd)
            self._served = self._stack.enter_context(server(url, folder))
        return self._served

    def millis(self, path: Callable[[Served], str]) -> float:
        """Return the milliseconds of a page that was not asked for a moment ago."""
        served = self.served()
        if path not in self._paths:
            self._paths[path] = path(served)
        place = self._paths[path]
        time.sleep(max(0.0, self._asked.get(place, 0.0) + _FORGOTTEN_SECS - time.monotonic()))
        took = served.millis(place)
        self._asked[place] = time.monotonic()
        return took

    def cases(self) -> list[Case]:
        """Return the cases of this store."""
        found: list[tuple[str, Callable[[Served], str]]] = []
        found += [(f"list, {name}", partial(_list, where)) for name, where in _FILTERS.items()]
        found.append(("list, its second page", _second))
        found += [(f"instance, {status}", partial(_one, status)) for status in _STANDING]
        found.append(("instance, table", lambda served: f"{_one('failed', served)}?tab=table"))
        found.append(("API, one instance", lambda served: f"/api/v1{_one('failed', served)}"))
        found.append(("API, 50 instances", lambda _: "/api/v1/instances?limit=50"))
        return [
            Case(f"{self._engine} {name}", f"{self._engine}: {name}", partial(self.millis, path), "millis", None, (_PAGE,))
            for name, path in found
        ]

    def close(self) -> None:
        """End the server."""
        self._stack.close()


def _list(where: str, _: Served) -> str:
    long_ago = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 43 * 86_400))
    return f"/instances?q={quote(where.format(long_ago))}"


def _second(served: Served) -> str:
    return served.link("/instances", r"/instances\?[^\"]*cursor=[^\"]+")


def _one(status: str, served: Served) -> str:
    return served.link(f"/instances?q=status:{status}", _INSTANCE)


def _lists(setting: Setting) -> Group:
    stores = [Store(setting, engine) for engine in ("PostgreSQL", "SQLite")]

    def close() -> None:
        for store in stores:
            store.close()

    return Group(
        "pages-lists",
        f"Pages of a store with {setting.scale.crowd:,} instances",
        "Milliseconds from the request until the last byte, one request at a time over loopback, answered by `sayiir "
        "server` in a process of its own; the counts beside the list are in it, and counted anew. The instances are of ten "
        "workflows, created evenly over 60 days; in 1,000 there are 10 failed, 10 cancelled and 30 unfinished ones.",
        [case for store in stores for case in store.cases()],
        close,
    )


# --- large graphs -------------------------------------------------------------------------------------------------


def _graphs(setting: Setting) -> Group:
    browser, stack, last = Browser(), ExitStack(), dict[int, Loaded]()
    base: list[str] = []

    def start() -> None:
        folder = setting.fresh()
        with SqliteBackend(folder / "graphs.db") as backend:
            for nodes in setting.scale.nodes:
                run_durable_workflow(chain(nodes), f"of-{nodes}", 0, backend)
        base.append(stack.enter_context(server(f"sqlite:///{folder / 'graphs.db'}", folder)).base)

    def load(nodes: int) -> float:
        if not base:
            start()
        last[nodes] = browser.load(f"{base[0]}/instances/of-{nodes}", f"{base[0]}/instances")
        return last[nodes].load

    def cold(nodes: int) -> float:
        return browser.load(f"{base[0]}/instances/of-{nodes}").load

    def first(nodes: int) -> float:
        return last[nodes].first_paint

    def painted(nodes: int) -> float:
        return last[nodes].painted

    def close() -> None:
        browser.close()
        stack.close()

    cases = []
    for nodes in setting.scale.nodes:
        budgets = (_GRAPH,) if nodes == max(setting.scale.nodes) else ()
        cases += [
            Case(f"{nodes} load", f"{nodes:,} nodes, load event", partial(load, nodes), "millis", None, budgets),
            Case(f"{nodes} first", f"{nodes:,} nodes, first paint", partial(first, nodes), "millis"),
            Case(f"{nodes} painted", f"{nodes:,} nodes, painted after it", partial(painted, nodes), "millis", None, budgets),
            Case(f"{nodes} cold", f"{nodes:,} nodes, load event, nothing in the cache", partial(cold, nodes), "millis", None,
                 budgets),
        ]  # fmt: skip
    return Group(
        "pages-graphs",
        "Large graphs in Chromium",
        "Milliseconds by the browser's own clock from the navigation to the page of an instance, from the list of instances "
        "on, until its load event, until something is painted, and until a frame was painted after the load event; and "
        "the same as the first page of a new browser. The server is `sayiir server` over SQLite.",
        cases if chromium() else [],
        close,
    )


# --- the first page -----------------------------------------------------------------------------------------------

_SHOP = """from sayiir import Flow


def double(x: int) -> int:
    return x * 2


flow = Flow("double").then(double).build()
"""


def _starts(setting: Setting) -> Group:
    browser, loads = Browser(), list[float]()

    def first(*words: str) -> float:
        folder = setting.fresh()
        (folder / "shop.py").write_text(_SHOP, "utf-8")
        SqliteBackend(folder / "shop.db").close()  # a server wants it to be there
        if chromium():
            browser.start()
        with Served([*words, "--url", f"sqlite:///{folder / 'shop.db'}"], folder) as served:
            served.page("/instances")
            took = (time.perf_counter() - served.began) * 1e3
        if chromium():
            with Served([*words, "--url", f"sqlite:///{folder / 'shop.db'}"], folder) as served:
                between = (time.perf_counter() - served.began) * 1e3
                loads.append(between + browser.load(f"{served.base}/instances").load)
        return took

    cases = []
    for key, label, words in (
        ("server", "`sayiir server`", ("server", "shop:flow")),
        ("dev", "`sayiir dev`", ("dev", "shop:flow")),
    ):
        cases.append(Case(key, f"{label}, the page is there", partial(first, *words), "millis", None, (_FIRST,)))
        if chromium():
            in_sight = f"{label}, load event in Chromium"
            cases.append(Case(f"{key} load", in_sight, lambda: loads[-1], "millis", None, (_FIRST,)))
    return Group(
        "pages-start",
        "The first page after a start",
        "Milliseconds from starting the process, over a SQLite file, until the list of instances has come whole, and, for "
        "another start, until the load event of the same page in a browser that was open already.",
        cases,
        browser.close,
    )


# --- open pages ---------------------------------------------------------------------------------------------------


def _open(setting: Setting) -> Group:
    scale = setting.scale

    def rate(engine: str, pages: int | None) -> float:
        folder = setting.fresh()
        url = setting.database() if engine == "PostgreSQL" else f"sqlite:///{folder / 'open.db'}"
        with Crew(OURS, "ours", url, 1) as crew, ExitStack() as stack:
            crew[0].ask(f"submit {scale.watched}")
            if pages is not None:
                port = stack.enter_context(server(url, folder)).base.rpartition(":")[2]
                readers = Peer(OURS, "readers", port)
                stack.callback(readers.close)
                readers.ask(f"open {pages}")
            return throughput(crew, scale.watched)

    cases = []
    for engine in ("PostgreSQL", "SQLite"):
        cases += [
            Case(f"{engine} none", f"{engine}: no page open, no server", partial(rate, engine, None), "rate"),
            Case(f"{engine} 0", f"{engine}: a server, no page open", partial(rate, engine, 0), "rate", f"{engine} none"),
            Case(f"{engine} {scale.pages}", f"{engine}: {scale.pages} pages open and live",
                 partial(rate, engine, scale.pages), "rate", f"{engine} none",
                 (Budget(0.95, to=f"{engine} none", at_least=True),)),
        ]  # fmt: skip
    return Group(
        "pages-open",
        "What open pages cost a worker",
        f"Steps per second of one worker process with {scale.watched:,} instances of four trivial steps, without a "
        "dashboard, with `sayiir server` beside it, and with so many pages open at it, each with its stream, asking for the "
        "list of instances again once a second, as browsers do with a page in sight.",
        cases,
    )


# --- what is installed --------------------------------------------------------------------------------------------


def _weight(setting: Setting) -> Group:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    taken: list[float] = []

    def wheels(requirements: list[str]) -> dict[str, int]:
        folder = setting.fresh()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *requirements]
        subprocess.run(command, check=True, capture_output=True)
        return {wheel.name: wheel.stat().st_size for wheel in folder.iterdir()}

    def more() -> float:
        if not taken:  # the same in each round
            core = wheels(project["dependencies"])
            every = wheels([*project["dependencies"], *project["optional-dependencies"]["ui"]])
            taken.append(sum(size for name, size in every.items() if name not in core))
        return taken[0]

    return Group(
        "pages-weight",
        "What `sayiir[ui]` installs",
        "Bytes of the wheels, as pip downloads them for this interpreter, beyond those of `sayiir` alone.",
        [Case("wheels", "wheels of the extra `ui`", more, "bytes", None, (Budget(2_000_000.0),))],
    )


GROUPS: dict[str, Callable[[Setting], Group]] = {
    "pages-lists": _lists, "pages-graphs": _graphs, "pages-start": _starts, "pages-open": _open,
    "pages-weight": _weight,
}  # fmt: skip
