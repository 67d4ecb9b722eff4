"""A standalone page about one instance: facts, picture, timeline.

Rules of this file: pure; one document without script and without any outside resource, guarded by a content
security policy that names the hash of its only style sheet. Everything user-given passes through `xml`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

from sayiir.core.graph import Graph
from sayiir.picture.icons import KIND_ICONS
from sayiir.picture.layout import Picture, layout
from sayiir.picture.page_style import PAGE_CSS
from sayiir.picture.state import NodeState
from sayiir.picture.style import PICTURE_CSS
from sayiir.picture.svg import counts_of, draw, nodes_of
from sayiir.picture.text import one_line, xml
from sayiir.picture.timeline import TimelineBar, icon, status_words, timeline_table

# Wide pictures shrink to this part of their size before they scroll; less cannot be read.
_SMALLEST = 0.75


def run_page(
    graph: Graph,
    states: Mapping[str, NodeState] | None,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    timeline: Sequence[TimelineBar],
) -> str:
    """Return the HTML page of an instance.

    Args:
        graph: the definition.
        states: state by full node id, as for `to_svg`.
        title: heading of the page.
        facts: name and value, in the order in which they are shown.
        timeline: attempts and waits, in the order in which they are shown.
    """
    picture = layout(graph, states)
    css = f"{PICTURE_CSS}{PAGE_CSS}.sy-canvas svg{{min-width:{_least_width(picture)}px}}\n"
    body = "\n".join(
        (
            _header(graph, picture, title),
            '<main id="main">',
            _facts(facts),
            _canvas(graph, picture),
            _timeline(timeline),
            "</main>",
        )
    )
    return (
        '<!doctype html>\n<html lang="en" class="sy-theme">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(css)}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{xml(one_line(title))}</title>\n<style>{css}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _policy(css: str) -> str:
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _least_width(picture: Picture) -> int:
    return min(picture.width, max(440, int(picture.width * _SMALLEST)))


def _header(graph: Graph, picture: Picture, title: str) -> str:
    chips = "".join(f"<li>{status_words(status, f'{count:,}')}</li>" for status, count in counts_of(picture))
    return (
        '<a class="sy-skip" href="#main">Skip to content</a>\n'
        f'<header><p class="sy-over">{icon(KIND_ICONS["fork"], "sy-kind")}<span>{xml(one_line(graph.name))}</span></p>'
        f"<h1>{xml(one_line(title))}</h1>"
        + (f'<ul class="sy-chips" aria-label="Nodes by status">{chips}</ul>' if chips else "")
        + "</header>"
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    rows = "".join(f'<tr><th scope="row">{xml(name)}</th><td>{xml(value)}</td></tr>' for name, value in facts)
    return f'<section class="sy-panel sy-facts"><h2>Facts</h2><table>{rows}</table></section>'


def _canvas(graph: Graph, picture: Picture) -> str:
    drawing = draw(picture, f"Picture of {graph.name}", standalone=False)
    return (
        '<section class="sy-panel sy-picture"><h2>Picture</h2>\n'
        f'<div class="sy-canvas" tabindex="0" role="region" aria-label="Picture, may scroll">\n{drawing}</div>\n'
        f"{_node_table(picture)}</section>"
    )


def _node_table(picture: Picture) -> str:
    """Return the same as the picture in words, from top to bottom."""
    rows = []
    for block in sorted(nodes_of(picture), key=lambda block: (block.y, block.x)):
        words = block.words.line if block.words else ""
        state = status_words(block.state.status) if block.state else ""
        detail = block.state.detail if block.state and block.state.detail else ""
        about = " · ".join(filter(None, (words, detail)))
        kind = icon(KIND_ICONS[block.kind], "sy-kind")
        rows.append(f'<tr><th scope="row">{kind}{xml(block.id)}</th><td>{state}</td><td>{xml(about)}</td></tr>')
    head = '<tr><th scope="col">Node</th><th scope="col">Status</th><th scope="col">About</th></tr>'
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    summary = "<summary>The same as a table</summary>"
    return f'<details class="sy-nodes">{summary}<div class="sy-scroll">{table}</div></details>'


def _timeline(bars: Sequence[TimelineBar]) -> str:
    table = timeline_table(bars) if bars else '<p class="sy-note">Nothing has run yet.</p>'
    return f'<section class="sy-panel sy-time"><h2>Timeline</h2>\n{table}</section>'
