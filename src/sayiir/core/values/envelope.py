"""The envelope around stored values.

A stored value is bare JSON text (format 1), or an envelope: a NUL byte, which no JSON text starts with, the version
of the envelope, the length and the ASCII name of a codec, then the codec's payload.

Rules of this file: every change is a new version, and every version stays readable.
"""

from __future__ import annotations

from sayiir.errors import DeserializationError

_MARK = b"\x00"
_VERSION = 1
_HEAD = 3  # mark, version, length of the codec's name


def pack(raw: bytes, codec: str = "json") -> bytes:
    """Return the bytes to store for a codec's payload; JSON text is stored bare.

    >>> pack(b"[1]")
    b'[1]'
    """
    if codec == "json":
        return raw
    name = codec.encode("ascii")
    if not 0 < len(name) < 256:
        raise ValueError(f"a codec's name has 1 to 255 ASCII characters, not {codec!r}")
    return _MARK + bytes((_VERSION, len(name))) + name + raw


def unpack(stored: bytes | str) -> bytes:
    """Return the JSON text of a stored value.

    Raises:
        DeserializationError: the envelope is cut off, or of a version or codec that this release does not know.
    """
    if isinstance(stored, str):
        try:
            stored = stored.encode()
        except UnicodeEncodeError as error:
            raise DeserializationError("the stored value is not UTF-8 text", path="$") from error
    if stored[:1] != _MARK:
        return stored
    if len(stored) < _HEAD or len(stored) < _HEAD + stored[2]:
        raise DeserializationError("the stored value is cut off inside its envelope", path="$")
    if stored[1] != _VERSION:
        raise _newer(f"has envelope version {stored[1]}, this release reads version {_VERSION}")
    name = stored[_HEAD : _HEAD + stored[2]].decode("ascii", "backslashreplace")
    if name != "json":
        raise _newer(f"was written with the codec {name!r}, this release knows only 'json'")
    return stored[_HEAD + stored[2] :]


def _newer(what: str) -> DeserializationError:
    return DeserializationError(f"the stored value {what}: a newer release wrote it; upgrade to read it", path="$")
