"""Ids for instances that nobody named: UUIDs of version 7, which sort by their time."""

from __future__ import annotations

import os
import uuid

from sayiir.clock import Clock


def new_id(clock: Clock) -> str:
    """Return a new id.

    >>> from sayiir.clock import SYSTEM_CLOCK
    >>> new_id(SYSTEM_CLOCK)[14]
    '7'
    """
    chance = int.from_bytes(os.urandom(10), "big")
    number = (clock.now() // 1000 & (1 << 48) - 1) << 80 | chance
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62))
