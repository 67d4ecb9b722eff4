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

from sayiir.store.scripts.basis import lost, not_found
from sayiir.store.scripts.move import checkpoint
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
)
from sayiir.store.scripts.work import claim_due, create_many, register, sweep

__all__ = [
    "Census",
    "Rows",
    "checkpoint",
    "claim",
    "claim_due",
    "create",
    "create_many",
    "heartbeat",
    "inspect",
    "load",
    "lost",
    "not_found",
    "purge",
    "register",
    "release",
    "request_cancel",
    "request_pause",
    "retry",
    "send_signal",
    "sweep",
    "unpause",
]
