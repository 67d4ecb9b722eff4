"""The style sheet of pictures, light and dark.

Rules of this file: every name starts with `sy-`, as a picture may stand in the midst of a foreign page; all colours
are variables, set for light and again for dark; text keeps at least 4.5:1, status rims and taken lines 3:1.
"""

from __future__ import annotations

from sayiir.picture.bands import BAND
from sayiir.picture.state import Status

FONTS = (
    "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','Noto Sans',Arial,sans-serif,"
    "'Apple Color Emoji','Segoe UI Emoji','Noto Color Emoji'"
)

_LIGHT = {
    "bg": "#f7f8fa",
    "card": "#ffffff",
    "ink": "#172033",
    "soft": "#566176",
    "edge": "#7f8a9e",
    "rim": "#cfd6e1",
    "group": "#4c5bd10a",
    "head": "#4c5bd112",
    "tile": "#eceffd",
    "accent": "#4450c8",
}
_DARK = {
    "bg": "#10141c",
    "card": "#1a202c",
    "ink": "#e9edf5",
    "soft": "#a3aec2",
    "edge": "#77839a",
    "rim": "#384356",
    "group": "#a5b0ff0b",
    "head": "#a5b0ff14",
    "tile": "#272e52",
    "accent": "#a5b0ff",
}
# Status: the colour of text, icon and rim, and the tint behind the icon; light, then dark.
_STATUS: dict[Status, tuple[str, str, str, str]] = {
    "completed": ("#17743f", "#e2f5e9", "#5fd38d", "#153826"),
    "failed": ("#bf2331", "#fdeaeb", "#ff8f94", "#45191f"),
    "running": ("#1c5fd4", "#e4eefe", "#7fb2ff", "#17305a"),
    "waiting": ("#8a5a00", "#fdf1d7", "#f0bd5b", "#3d2f10"),
    "awaiting_signal": ("#7839c4", "#f2e9fd", "#c79bff", "#33204f"),
    "paused": ("#47566e", "#e7ebf1", "#b3c0d6", "#2a3445"),
    "cancelled": ("#7a4d35", "#f6ebe4", "#e0ab8d", "#3d2a20"),
    "skipped": ("#5b667a", "#eef0f4", "#9aa6ba", "#242c39"),
    "pending": ("#5b667a", "#eef0f4", "#9aa6ba", "#242c39"),
}

_RULES = f"""
.sy-pic{{font-family:{FONTS};color:var(--sy-ink)}}
.sy-band{{content-visibility:auto;contain-intrinsic-block-size:auto {BAND}px}}
.sy-band>svg{{display:block;margin:0 auto;max-width:100%;height:auto}}
.sy-pic text{{fill:var(--sy-ink)}}
.sy-pic path,.sy-pic polyline{{fill:none;stroke-linecap:round;stroke-linejoin:round}}
.sy-pic .sy-bg{{fill:var(--sy-bg)}}
.sy-pic .sy-card{{fill:var(--sy-card);stroke:var(--sy-line,var(--sy-rim));stroke-width:1.25}}
.sy-pic .sy-group{{fill:var(--sy-group);stroke:var(--sy-line,var(--sy-rim));stroke-width:1.25;stroke-opacity:.7}}
.sy-pic .sy-head{{fill:var(--sy-head)}}
.sy-pic .sy-child>.sy-group{{stroke:var(--sy-line,var(--sy-edge));stroke-dasharray:6 4}}
.sy-pic .sy-tile{{fill:var(--sy-tint,var(--sy-tile))}}
.sy-pic .sy-icon{{stroke:var(--sy-line,var(--sy-accent));stroke-width:1.6}}
.sy-pic .sy-name{{font-size:13.5px;font-weight:600}}
.sy-pic .sy-line{{font-size:11.5px;fill:var(--sy-soft)}}
.sy-pic .sy-word{{font-size:11.5px;font-weight:600;fill:var(--sy-line)}}
.sy-pic .sy-mark{{stroke:var(--sy-line);stroke-width:1.7}}
.sy-pic .sy-round{{fill:var(--sy-ink)}}
.sy-pic .sy-round-text{{font-size:12px;font-weight:600;fill:var(--sy-bg);text-anchor:middle}}
.sy-pic .sy-edge{{stroke:var(--sy-edge);stroke-width:1.6}}
.sy-pic .sy-again{{stroke-dasharray:5 4}}
.sy-pic .sy-tip{{fill:var(--sy-edge);stroke:var(--sy-edge);stroke-width:1}}
.sy-pic .sy-quiet{{stroke:var(--sy-rim)}}
.sy-pic .sy-tip.sy-quiet{{fill:var(--sy-rim)}}
.sy-pic .sy-pill{{fill:var(--sy-card);stroke:var(--sy-rim)}}
.sy-pic .sy-pill-text{{font-size:11px;font-weight:500;fill:var(--sy-soft);text-anchor:middle}}
.sy-pic .sy-pending>.sy-name,.sy-pic .sy-skipped>.sy-name{{fill:var(--sy-soft)}}
.sy-pic .sy-pending>.sy-card,.sy-pic .sy-pending>.sy-group{{stroke:var(--sy-rim)}}
.sy-pic .sy-skipped>.sy-card,.sy-pic .sy-skipped>.sy-group{{stroke:var(--sy-rim);stroke-dasharray:3 4}}
.sy-pic .sy-running>.sy-card,.sy-pic .sy-failed>.sy-card{{stroke-width:2}}
""".strip()


def _colours(names: dict[str, str]) -> str:
    return "".join(f"--sy-{name}:{value};" for name, value in names.items())


def _statuses(first: int) -> str:
    return "\n".join(
        f".sy-{status}{{--sy-line:{pair[first]};--sy-tint:{pair[first + 1]}}}" for status, pair in _STATUS.items()
    )


PICTURE_CSS = f"""{_RULES}
.sy-theme{{color-scheme:light dark;{_colours(_LIGHT)}}}
{_statuses(0)}
@media (prefers-color-scheme:dark){{
.sy-theme{{{_colours(_DARK)}}}
{_statuses(2)}
}}
"""
"""Everything a picture needs; a page that shows many pictures can serve it once."""


def inline_css() -> str:
    """Return the same for a page that chooses between light and dark itself: the colours follow its `color-scheme`."""
    both = "".join(f"--sy-{name}:light-dark({value},{_DARK[name]});" for name, value in _LIGHT.items())
    statuses = "\n".join(
        f".sy-{status}{{--sy-line:light-dark({line},{dark_line});--sy-tint:light-dark({tint},{dark_tint})}}"
        for status, (line, tint, dark_line, dark_tint) in _STATUS.items()
    )
    return f"{_RULES}\n.sy-theme{{{both}}}\n{statuses}\n"
