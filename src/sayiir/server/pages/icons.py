"""The icons of the pages, drawn for a grid of 16 by 16 with a round pen; those of nodes and statuses are the picture's.

Rules of this file: our own paths, constants only.
"""

from __future__ import annotations

ICONS = {
    "instances": "M2.5 4h11M2.5 8h11M2.5 12h7",
    "inbox": "M2 9.5 4 3h8l2 6.5V13H2zM2 9.5h3.5a2.5 2.5 0 0 0 5 0H14",
    "workflows": "M3 2.5h4v3.5H3zM9 10h4v3.5H9zM5 6v3.2q0 2.6 2.6 2.6H9M11 10V8.4q0-2.1-2.1-2.1H7",
    "workers": "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5v.1M5 11v.1M8 5h3M8 11h3",
    "audit": "M4 2h6l2.5 2.5V14H4zM6.2 7h4M6.2 9.5h4M6.2 12h2.4",
    "search": "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.4 10.4 13.5 13.5",
    "view": "M4 2.5h8V14L8 11l-4 3z",
    "close": "M4 4l8 8M12 4l-8 8",
    "chevron": "M4 6l4 4 4-4",
    "right": "M6 4l4 4-4 4",
    "cancel": "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M3.8 12.2l8.4-8.4",
    "pause": "M5.5 3.5v9M10.5 3.5v9",
    "unpause": "M5 3l8 5-8 5z",
    "retry": "M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3",
    "signal": "M8 2a4 4 0 0 1 4 4c0 3.6 1.4 4.4 1.4 5.2H2.6C2.6 10.4 4 9.6 4 6a4 4 0 0 1 4-4M6.8 13.8h2.4",
    "submit": "M8 13V3M3.5 7.5 8 3l4.5 4.5",
    "compare": "M5.5 2.5v11M10.5 2.5v11M2 5.5h3.5M10.5 10.5H14",
    "theme": "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
    "keys": "M1.8 4.5h12.4v7H1.8zM4 7v.1M6.6 7v.1M9.2 7v.1M12 7v.1M5 9.5h6",
    "trace": "M2 3.5h6M5 8h7M8.5 12.5H14",
    "warn": "M8 2 14.5 13.5h-13zM8 6.5v3.2M8 11.6v.1",
    "info": "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M8 7.4v3.8M8 4.9v.1",
    "done": "M3 8.5l3.2 3.2L13 4.6",
    "out": "M6 2.5H3v11h3M7 8h7M11 5l3 3-3 3",
    "live": "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
}
"""Path by name."""
