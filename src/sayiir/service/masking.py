"""Stored values made fit for people's eyes: secrets masked by key names and declared types, long texts cut, never raw.

Rules of this file: pure; what cannot be read as JSON is shown as its size, never guessed at. A masked value shows that
there is one, and nothing of it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sayiir.core.marks import NO_VEIL, Veil
from sayiir.core.values import plain, unpack
from sayiir.errors import WorkflowError
from sayiir.service.model import Payload

MASK = "••••••"
MAX_SHOWN = 64 * 1024
_READ = 1024 * 1024
"""Beyond this a value is not read at all: its size is what is shown of it."""
_TOLD = 4
"""Characters that a secret has at least to be looked for in texts."""

_NAMES = (
    "password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "authorization", "auth", "credential",
    "credentials", "private_key", "access_key", "secret_key", "client_secret", "cookie", "set_cookie", "session_id", "pin",
    "cvv", "cvc", "card_number", "iban", "ssn",
)  # fmt: skip


class Masking(msgspec.Struct, frozen=True):
    """What is masked, and how much is shown.

    Args:
        names: keys whose values are masked, in any case, with any separators, also as the end of a longer name
            ("db_password" and "dbPassword" are passwords).
        max_shown: characters of a value that are shown.
    """

    names: tuple[str, ...] = _NAMES
    max_shown: int = MAX_SHOWN

    def is_secret(self, key: str) -> bool:
        """Return whether a key's value is masked.

        >>> DEFAULT_MASKING.is_secret("DB-Password"), DEFAULT_MASKING.is_secret("tokens_used")
        (True, False)
        """
        words = _words(key)
        return any(words[-len(name) :] == name for name in map(_words, self.names))

    def show(self, raw: bytes, veil: Veil = NO_VEIL) -> Payload:
        """Return a stored value for people to read; `veil` says what of it is declared secret."""
        size = len(raw)
        if size > _READ:
            return Payload(f"{size:,} bytes of JSON: too long to be shown here", size, truncated=True)
        try:
            value = plain(unpack(raw))
        except WorkflowError:
            return Payload(f"{size:,} bytes that are no plain JSON", size, truncated=True)
        text = msgspec.json.format(msgspec.json.encode(self.masked(value, veil)), indent=2).decode()
        return Payload(text[: self.max_shown], size, truncated=len(text) > self.max_shown)

    def masked(self, value: Any, veil: Veil = NO_VEIL) -> Any:
        """Return a JSON value with its secrets masked."""
        if value is None:
            return None
        if veil.is_secret:
            return MASK
        if isinstance(value, dict):
            return {
                key: MASK if inner is not None and self.is_secret(str(key)) else self.masked(inner, veil.key(key))
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self.masked(inner, veil.item(index)) for index, inner in enumerate(value)]
        return value

    def secrets(self, raw: bytes, veil: Veil = NO_VEIL) -> set[str]:
        """Return the texts and numbers that are masked in a stored value, but those too short to be told from others."""
        if len(raw) > _READ:
            return set()
        try:
            value = plain(unpack(raw))
        except WorkflowError:
            return set()
        found = set[str]()
        todo: list[tuple[Any, Veil, bool]] = [(value, veil, False)]
        while todo:
            one, over, hidden = todo.pop()
            hidden = hidden or over.is_secret
            if isinstance(one, dict):
                todo += [(inner, over.key(key), hidden or self.is_secret(key)) for key, inner in one.items()]
            elif isinstance(one, list):
                todo += [(inner, over.item(index), hidden) for index, inner in enumerate(one)]
            elif hidden and not isinstance(one, bool) and one is not None and len(str(one)) >= _TOLD:
                found.add(str(one))
        return found


def scrubbed(text: str, secrets: set[str]) -> str:
    """Return a text, such as an error's, without the secrets that stand in it.

    >>> scrubbed("no card 4111 of 'ann'", {"4111"})
    "no card •••••• of 'ann'"
    """
    for secret in sorted(secrets, key=len, reverse=True):
        for spelled in dict.fromkeys((secret, repr(secret)[1:-1], msgspec.json.encode(secret).decode()[1:-1])):
            text = text.replace(spelled, MASK)
    return text


DEFAULT_MASKING = Masking()


def _words(key: str) -> tuple[str, ...]:
    """Return the words of a name, however it separates them, each without case; "apiKey" and "api_key" are the same."""
    return tuple(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()))
