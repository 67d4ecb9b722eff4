"""Gathers what `why` and the views of nodes are made from: a handful of narrow reads, whatever the instance's size."""

from __future__ import annotations

from sayiir.core.outline import Item
from sayiir.core.records import Failure
from sayiir.core.values import unpack
from sayiir.runtime.failure import read_failure
from sayiir.service.desk import worker_rows
from sayiir.service.nodes import Standing
from sayiir.service.veiled import Veiled, scrubbed_failure
from sayiir.service.why import Facts
from sayiir.store.observe_port import OwnerFacts
from sayiir.store.port import Instance, Token, View

MAX_LINES = 20_000
"""Of an instance's history the newest so many are read."""
_AHEAD = 10_000
_MANY = 200
"""Of an instance's tokens so many are asked about one by one."""


class Gathering(Veiled):
    """Reads facts from the store."""

    def _failure(self, instance: Instance) -> Failure | None:
        if instance.error is None:
            return None
        return scrubbed_failure(read_failure(unpack(instance.error)), self._scrubber(instance))

    def _owners(self, tokens: tuple[Token, ...]) -> dict[int, OwnerFacts]:
        wanted = sorted({token.owner for token in tokens if token.owner is not None})
        return {owner.owner: owner for owner in self.store.owner_facts(wanted)} if wanted else {}

    def _standing(self, view: View) -> Standing:
        return Standing(
            view.instance, view.tokens, self.store.lines(view.instance.number, MAX_LINES), self._failure(view.instance),
            {number: owner.worker for number, owner in self._owners(view.tokens).items()}, self.store.now(),
        )  # fmt: skip

    def _facts(self, view: View, root: Item) -> Facts:
        instance, tokens, now = view.instance, view.tokens, self.store.now()
        some = tokens[:_MANY]
        owners = self._owners(tokens)
        mine = [token for token in some if token.owner is None and token.state not in ("joining", "done")]
        stuck = [token for token in mine if token.wake_at is not None and token.wake_at <= now]
        gone = any(token.owner is not None and not _is_alive(owners.get(token.owner), token, now) for token in some)
        workers = tuple(row for row in worker_rows(self.store.owner_facts(), {}) if row.alive) if mine or gone else ()
        return Facts(
            now, instance, tokens, self._failure(instance), owners, workers,
            {token.node: text for token in some if token.state == "backoff" and (text := self._last_error(instance, token))},
            self._allowed(instance, some),
            {token.number: self.store.ahead(token, _AHEAD) for token in mine[:5] if token in stuck},
            {item.number: item.name for item in root.walk() if item.number},
        )  # fmt: skip

    def _last_error(self, instance: Instance, token: Token) -> str | None:
        lines = self.store.lines(instance.number, 5, token.node)
        failed = [line for line in lines if line.error is not None]
        if not failed:
            return None
        return scrubbed_failure(read_failure(unpack(failed[-1].error or b"")), self._scrubber(instance)).text

    def _allowed(self, instance: Instance, tokens: tuple[Token, ...]) -> dict[str, int]:
        """Return how many attempts the tasks have in all: as their code here says, or as it said when it was registered."""
        if not any(token.state in ("backoff", "ready") for token in tokens):
            return {}
        known = self.registered(instance.workflow_id, instance.definition_hash)
        if known is not None:
            return known.program.stored().attempts
        return self.store.attempts(instance.workflow_id, instance.definition_hash)


def _is_alive(owner: OwnerFacts | None, token: Token, now: int) -> bool:
    return owner is not None and owner.alive and (token.until or 0) > now
