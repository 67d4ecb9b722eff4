"""Small vector icons, drawn for a grid of 16 by 16 with a round pen of 1.6.

Rules of this file: our own paths, no fill, constants only; a path is `d` text without quotes or angle brackets.
"""

from __future__ import annotations

from sayiir.picture.blocks import BlockKind
from sayiir.picture.state import Status

KIND_ICONS: dict[BlockKind, str] = {
    # A prompt: the task is code that somebody wrote.
    "task": "M3 4.5 6.5 8 3 11.5M8.5 12H13",
    # Lines that run together.
    "join": "M3.5 2.5V5Q3.5 8 8 8.5 12.5 8 12.5 5V2.5M8 8.5V13.5M5.6 11.2 8 13.6l2.4-2.4",
    # An hourglass.
    "delay": "M4 2h8M4 14h8M5 2v2.6L8 8l3-3.4V2M5 14v-2.6L8 8l3 3.4V14",
    # A source with waves.
    "signal": "M8 8.1v.1M5.2 10.8a4 4 0 0 1 0-5.6M10.8 5.2a4 4 0 0 1 0 5.6M3 13a7 7 0 0 1 0-10M13 3a7 7 0 0 1 0 10",
    # A crossroads.
    "route": "M8 14V9.5L3.5 5M8 9.5 12.5 5M3.2 8V4.7h3.3M12.8 8V4.7H9.5",
    # A line that runs apart.
    "fork": "M8 2v4M8 6Q3.5 6.5 3.5 10.5v3M8 6Q12.5 6.5 12.5 10.5v3",
    # A round arrow.
    "loop": "M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3",
    # A box in a box.
    "child": "M4.5 2h7A2.5 2.5 0 0 1 14 4.5v7A2.5 2.5 0 0 1 11.5 14h-7A2.5 2.5 0 0 1 2 11.5v-7A2.5 "
    "2.5 0 0 1 4.5 2M5.8 7h4.4v4.2H5.8z",
}

_CIRCLE = "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8"

STATUS_ICONS: dict[Status, str] = {
    "completed": _CIRCLE + "M5.2 8.2l2 2 3.6-4.1",
    "failed": _CIRCLE + "M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
    "running": "M8 1.8A6.2 6.2 0 1 1 2.6 5M6.6 5.4 10.6 8l-4 2.6z",
    "waiting": _CIRCLE + "M8 4.8V8l2.2 1.6",
    # A bell.
    "awaiting_signal": "M8 2a4 4 0 0 1 4 4c0 3.6 1.4 4.4 1.4 5.2H2.6C2.6 10.4 4 9.6 4 6a4 4 0 0 1 4-4M6.8 13.8h2.4",
    "paused": _CIRCLE + "M6.3 5.8v4.4M9.7 5.8v4.4",
    "cancelled": _CIRCLE + "M3.8 12.2l8.4-8.4",
    "skipped": "M3 4.5 6.5 8 3 11.5M7.5 4.5 11 8l-3.5 3.5M13.4 4v8",
    "pending": "M8 1.8a6.2 6.2 0 0 1 3 .8M13.4 5a6.2 6.2 0 0 1 0 6M11 13.4a6.2 6.2 0 0 1-6 0M2.6 11a6.2 6.2 0 0 1 0-6"
    "M5 2.6a6.2 6.2 0 0 1 3-.8",
}
