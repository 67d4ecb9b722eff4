"""User text made safe and measurable: escaping for XML and HTML, width estimates, cutting.

Rules of this file: pure string functions. Nothing user-given reaches a picture or a page except through `xml`.
Widths are estimates: the reader's font is unknown, so they lean to the wide side.
"""

from __future__ import annotations

import re
from unicodedata import combining, east_asian_width

ELLIPSIS = "…"

# What XML 1.0 cannot carry even as a character reference; lone surrogates are in it, as UTF-8 cannot carry them.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile("[&<>\"']")
# A reference keeps tabs and line ends of an attribute, which parsers turn into spaces otherwise.
_ESCAPES = {ord(char): f"&#{ord(char)};" for char in "\t\n\r\"'"} | {38: "&amp;", 60: "&lt;", 62: "&gt;"}


class _Widths(dict[str, float]):
    """Widths in em; what is not known is estimated once, so that to measure a text is one pass without a call of ours."""

    def __missing__(self, char: str) -> float:
        return self.setdefault(char, _estimated(char))


_WIDTHS = _Widths(
    dict.fromkeys(" ijl.,:;|!'`", 0.34)
    | dict.fromkeys('frtIJ()[]{}/\\-"*°·', 0.44)
    | dict.fromkeys("mwMW@%—…", 0.97)
    | dict.fromkeys("ABCDEFGHKNOPQRSTUVXYZ&#<>=+~", 0.74)
    | dict.fromkeys("0123456789bdghnopqu_", 0.66)
)


def clean(text: str) -> str:
    """Return the text with every character that XML forbids replaced by U+FFFD.

    >>> clean("a" + chr(0) + "b")
    'a�b'
    """
    return _FORBIDDEN.sub("\ufffd", text)


def xml(text: object) -> str:
    """Return text for an element or a quoted attribute, of XML or of HTML.

    >>> xml('<a href="x">')
    '&lt;a href=&#34;x&#34;&gt;'
    """
    plain = str(text)
    if plain.isprintable() and not _SPECIAL.search(plain):  # nearly always, and much sooner said than done
        return plain
    return clean(plain).translate(_ESCAPES)


def one_line(text: str) -> str:
    """Return the text on one line: runs of white space become one space."""
    if text.isprintable() and "  " not in text and text == text.strip():
        return text
    return " ".join(clean(text).split())


def char_width(char: str) -> float:
    """Return the estimated width of one character in em."""
    return _WIDTHS[char]


def _estimated(char: str) -> float:
    if char < "\u0300":
        return 0.62
    if combining(char) or char in "\u200b\u200c\u200d\ufe0e\ufe0f":
        return 0.0
    if char >= "\U0001f000":
        return 1.3
    return 1.05 if east_asian_width(char) in "WF" else 0.7


def text_width(text: str, size: float) -> int:
    """Return the estimated width of a line in pixels, rounded up.

    >>> text_width("", 13)
    0
    """
    return -int(-_width(text) * size // 1)


def cut(text: str, size: float, limit: int) -> str:
    """Return the text, or as much of its start as fits into `limit` pixels and an ellipsis.

    >>> cut("a long name", 10, 40)
    'a lon…'
    """
    room = limit / size
    if _width(text) <= room:
        return text
    used, last = 0.0, room - _WIDTHS[ELLIPSIS]
    for keep, char in enumerate(text):
        used += _WIDTHS[char]
        if used > last:
            return text[:keep].rstrip(" \u200d") + ELLIPSIS
    return text


def _width(text: str) -> float:
    """Return the estimated width of a line in em."""
    return sum(map(_WIDTHS.__getitem__, text))
