"""What of an instance's values and texts is secret: by the marks that are stored with its definition, and by key names.

Rules of this file: the marks of a definition are read from the store, so that a server without its code masks too; where
the code is known here, what it says now counts as well.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sayiir.core.marks import Marks
from sayiir.core.records import Failure
from sayiir.errors import BackendError
from sayiir.service.desk import Desk
from sayiir.service.masking import scrubbed
from sayiir.store.port import Instance

_LOOKED_AT = 20
"""Of so many nodes, and so many attempts of each, the outputs are read to know the secrets in texts."""


class Veiled(Desk):
    """The part of `Service` that knows secrets."""

    def _marks(self, instance: Instance) -> Marks:
        """Return what is declared secret of an instance's values."""
        name, version = instance.workflow_id, instance.definition_hash
        known = self.registered(name, version)
        here = () if known is None else (known.program.stored().secrets,)
        return Marks((self.store.secrets(name, version), *here))

    def _scrubber(self, instance: Instance) -> Callable[[str], str]:
        """Return what takes the instance's secrets out of texts; they are read when the first text comes."""
        known: list[set[str]] = []

        def scrub(text: str) -> str:
            if text and not known:
                known.append(self._secrets(instance))
            return scrubbed(text, known[0]) if text else text

        return scrub

    def _secrets(self, instance: Instance) -> set[str]:
        marks = self._marks(instance)
        found = self.mask.secrets(instance.input, marks.output(""))
        for node in marks.givers[:_LOOKED_AT]:
            for line in self.store.lines(instance.number, _LOOKED_AT, node):
                if line.status == "completed":
                    found |= self._secrets_at(instance, line.ref, marks, node)
        return found

    def _secrets_at(self, instance: Instance, ref: int, marks: Marks, node: str) -> set[str]:
        try:
            return self.mask.secrets(self.store.value(instance.number, ref), marks.output(node))
        except BackendError:  # replaced meanwhile, or a run that keeps no history
            return set()


def scrubbed_failure(failure: Failure, scrub: Callable[[str], str]) -> Failure:
    """Return a failure without secrets in its texts."""
    return msgspec.structs.replace(failure, message=scrub(failure.message), traceback=scrub(failure.traceback))
