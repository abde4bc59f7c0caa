"""Clean foreign text for our messages: one short, printable line, which cannot flood or forge a log."""

from __future__ import annotations

_LONGEST = 300
# Invisible characters that str.strip() keeps: zero-width characters and the byte order mark.
_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Return a value as one line of text without unprintable characters.

    :param text: any value; its ``str()`` is used.
    :param longest: the largest number of characters; a longer line is cut and ends with ``…``.
    """
    # Cut first, because a server may send megabytes.
    kept = str(text)[: 2 * longest]
    line = " ".join("".join(char if char.isprintable() else " " for char in kept).split())
    return line if len(line) <= longest else line[:longest] + "…"


def quoted(value: object) -> str:
    """Return the ``repr()`` of a value on one line of at most 100 characters.

    :param value: any value.
    """
    try:
        return one_line(repr(value), 100)
    except RecursionError:  # JSON may be nested so deeply that repr() fails
        return f"a {type(value).__name__}"


def trim(text: str) -> str:
    """Remove spaces, line ends and zero-width characters from both ends of a text.

    :param text: the text.
    """
    trimmed = text.strip().strip(_UNSEEN)
    return trimmed if trimmed == text else trim(trimmed)


def storable(text: str) -> str:
    """Replace each character that a database refuses (NUL, lone surrogates) by a question mark.

    :param text: the text.
    """
    return text if text.isprintable() else text.replace("\0", "?").encode(errors="replace").decode()
