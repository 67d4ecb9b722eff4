"""A process of its own: it holds a claim, and is killed or stopped by the test."""

from __future__ import annotations

import sys

from sayiir.store.postgres import PostgresBackend
from tests.postgres.common import begin

with PostgresBackend(sys.argv[1], listen=sys.argv[3] == "listen") as store:
    store.use_claim_ttl(float(sys.argv[2]))
    begin(store)
    print("holds", flush=True)
    sys.stdin.read()
