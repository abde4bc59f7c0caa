"""Clean foreign text for our messages, so that the text can neither flood nor forge a log."""

from __future__ import annotations

_LONGEST = 300
# Invisible characters that str.strip() leaves: zero-width characters and the byte order mark.
_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Return *text* as one line; runs of characters that are not printable become one space.

    :param text: anything; its ``str()`` is shown.
    :param longest: the most characters to keep.
    """
    # Cut first: a server may send megabytes.
    kept = str(text)[: 2 * longest]
    line = " ".join("".join(char if char.isprintable() else " " for char in kept).split())
    return line if len(line) <= longest else line[:longest] + "…"


def quoted(value: object) -> str:
    """Return the ``repr`` of *value* as one short line.

    :param value: anything.
    """
    try:
        return one_line(repr(value), 100)
    except RecursionError:  # JSON may be nested so deeply that repr() fails
        return f"a {type(value).__name__}"


def trim(text: str) -> str:
    """Remove spaces, line ends and characters without width at both ends of *text*.

    :param text: the text of a user or a server.
    """
    trimmed = text.strip().strip(_UNSEEN)
    return trimmed if trimmed == text else trim(trimmed)


def storable(text: str) -> str:
    """Replace the characters that a database refuses (NUL, lone surrogates) by question marks.

    :param text: the text of a server.
    """
    return text if text.isprintable() else text.replace("\0", "?").encode(errors="replace").decode()
