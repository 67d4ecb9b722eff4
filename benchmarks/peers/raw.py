"""A worker by hand on PostgreSQL: a row, a notice, and one statement that takes the row. It is what others are compared to.

Started as `python raw.py URL`.
"""

# mypy: ignore-errors
# It speaks as the other programs of this folder do.

from __future__ import annotations

import sys
import threading

import psycopg
from serve import reactions, ring, serve

_TABLE = "CREATE TABLE IF NOT EXISTS waiting (number int, taken boolean NOT NULL DEFAULT false)"
_TAKE = """UPDATE waiting SET taken = true WHERE ctid = (
    SELECT ctid FROM waiting WHERE NOT taken LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING number"""


def main() -> None:
    """Answer until the input ends."""
    url = sys.argv[1]
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)

    def submit(number: int) -> None:
        with connection.transaction():
            connection.execute("INSERT INTO waiting VALUES (%s)", (number,))
            connection.execute("NOTIFY waiting")

    listens = threading.Event()

    def listen() -> None:
        listening = psycopg.connect(url, autocommit=True)
        listening.execute("LISTEN waiting")
        listens.set()
        for _ in listening.notifies():
            while taken := connection.execute(_TAKE).fetchone():
                ring(taken[0])

    def work() -> None:
        threading.Thread(target=listen, daemon=True).start()
        listens.wait()  # a notice that nobody hears yet would be lost, and its row never be taken

    serve(
        ready=lambda: connection.execute(_TABLE) and 0,
        work=work,
        pick_up=lambda count: reactions(count, submit),
    )


if __name__ == "__main__":
    main()
