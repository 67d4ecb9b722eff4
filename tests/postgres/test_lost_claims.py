"""A claim that a crash of the server has swallowed (docs/adr/0018): its checkpoint is refused, the next claim's is not."""

from __future__ import annotations

import pytest

from sayiir import ClaimLostError
from tests.postgres.common import ask, begin, opened, works
from tests.servers.ground import until

CRASHES = 20
HELD = "SELECT owner IS NOT NULL FROM sayiir.tokens t JOIN sayiir.instances i ON i.number = t.instance WHERE instance_id = %s"


@pytest.fixture
def url(durable_postgres):
    """A database of a server that writes in the background as seldom as it can."""
    ask(durable_postgres.url(), "ALTER SYSTEM SET wal_writer_delay = '10s'")
    durable_postgres.restart()
    with durable_postgres.database() as url:
        yield url
    ask(durable_postgres.url(), "ALTER SYSTEM RESET wal_writer_delay")
    durable_postgres.restart()


def swallowed(durable_postgres, url, store):
    """Return a claim that a crash has undone; a beat of anybody may have brought it to the disk before."""
    for number in range(CRASHES):
        name = f"i{number}"
        begin(store, name).release()
        (hand,) = works(store)
        durable_postgres.restart("immediate")
        until(lambda: ask(url, "SELECT 1"), "the server")
        if not ask(url, HELD, name)[0][0]:
            return hand
        hand.release()
        for other in works(store):
            other.complete()
    raise AssertionError("no crash swallowed a claim: claims wait for the disk")


def test_a_swallowed_claim_is_not_taken_for_the_next_one(durable_postgres, url):
    with opened(url, acquire_timeout_secs=20) as first, opened(url, acquire_timeout_secs=20) as second:
        lost = swallowed(durable_postgres, url, first)
        (found,) = works(second)
        assert found.claim.fence.instance == lost.claim.fence.instance
        assert found.claim.fence.epoch > lost.claim.fence.epoch
        with pytest.raises(ClaimLostError):
            lost.complete()
        assert found.complete().kind == "finished"


def test_a_swallowed_claim_that_nobody_has_taken_since_is_refused(durable_postgres, url):
    with opened(url, acquire_timeout_secs=20) as store:
        lost = swallowed(durable_postgres, url, store)
        with pytest.raises(ClaimLostError):
            lost.run()
        assert lost.beat().lost
        (found,) = works(store)
        assert found.complete().kind == "finished"
