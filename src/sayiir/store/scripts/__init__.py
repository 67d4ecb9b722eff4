"""What each verb of the port means, written once over single rows.

A script runs inside one transaction of the store that calls it, with `Rows` as its hands; it looks before it writes, so
a refusal leaves nothing half done. Stores with cheap row access (memory, SQLite) run these scripts as they are.

    rows.py     the hands: access to single rows, nothing decided
    basis.py    what several verbs need: finding, claims, status, requests taking effect
    start.py    create, claim
    move.py     checkpoint
    work.py     for workers: claim what is due, sweep up after the dead
    steer.py    cancel, pause, unpause, signals, heartbeats, release, reading, retry
"""

from sayiir.store.scripts.basis import lost, not_found, settle
from sayiir.store.scripts.move import checkpoint, join, output_at_hand
from sayiir.store.scripts.rows import Census, Rows
from sayiir.store.scripts.start import claim, create
from sayiir.store.scripts.steer import (
    heartbeat,
    inspect,
    load,
    purge,
    release,
    request_cancel,
    request_pause,
    retry,
    send_signal,
    unpause,
    wake_for,
)
from sayiir.store.scripts.work import (
    claim_due,
    claim_these,
    create_many,
    free,
    give_up,
    last_chance,
    most_crashes,
    register,
    sweep,
    together,
)

__all__ = [
    "Census",
    "Rows",
    "checkpoint",
    "claim",
    "claim_due",
    "claim_these",
    "create",
    "create_many",
    "free",
    "give_up",
    "heartbeat",
    "inspect",
    "join",
    "last_chance",
    "load",
    "lost",
    "most_crashes",
    "not_found",
    "output_at_hand",
    "purge",
    "register",
    "release",
    "request_cancel",
    "request_pause",
    "retry",
    "send_signal",
    "settle",
    "sweep",
    "together",
    "unpause",
    "wake_for",
]
