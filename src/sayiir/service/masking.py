"""Stored values made fit for people's eyes: secrets masked by their key names, long texts cut, never raw.

Rules of this file: pure; what cannot be read as JSON is shown as its size, never guessed at. A masked value shows that
there is one, and nothing of it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from sayiir.core.values import plain, unpack
from sayiir.errors import WorkflowError
from sayiir.service.model import Payload

MASK = "••••••"
MAX_SHOWN = 64 * 1024
_READ = 1024 * 1024
"""Beyond this a value is not read at all: its size is what is shown of it."""

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

    def show(self, raw: bytes) -> Payload:
        """Return a stored value for people to read."""
        size = len(raw)
        if size > _READ:
            return Payload(f"{size:,} bytes of JSON: too long to be shown here", size, truncated=True)
        try:
            value = plain(unpack(raw))
        except WorkflowError:
            return Payload(f"{size:,} bytes that are no plain JSON", size, truncated=True)
        text = msgspec.json.format(msgspec.json.encode(self.masked(value)), indent=2).decode()
        return Payload(text[: self.max_shown], size, truncated=len(text) > self.max_shown)

    def masked(self, value: Any) -> Any:
        """Return a JSON value with its secrets masked."""
        if isinstance(value, dict):
            return {
                key: MASK if inner is not None and self.is_secret(str(key)) else self.masked(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self.masked(inner) for inner in value]
        return value


DEFAULT_MASKING = Masking()


def _words(key: str) -> tuple[str, ...]:
    """Return the words of a name, however it separates them, each without case; "apiKey" and "api_key" are the same."""
    return tuple(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()))
