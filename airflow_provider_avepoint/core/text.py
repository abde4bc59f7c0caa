"""Clean foreign text for our messages, so that the text can neither flood nor forge a log."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 300
# The non-joiner shapes Persian words, the joiner Indic letters and families of emoji.
_JOINERS = "\u200c\u200d"
# Invisible characters that str.strip() leaves: zero-width characters and the byte order mark.
_UNSEEN = _JOINERS + "\u200b\u2060\ufeff"


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Return *text* as one line; runs of characters that are not printable become one space.

    The zero-width joiner and non-joiner stay where they join something.

    :param text: anything; its ``str()`` is shown.
    :param longest: the most characters to keep.
    """
    # Cut first: a server may send megabytes.
    kept = str(text)[: 2 * longest]
    if not kept.isprintable():
        kept = "".join(char if char.isprintable() or char in _JOINERS else " " for char in kept)
    line = " ".join(word for word in kept.split() if word.strip(_JOINERS))
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


def list_some(texts: Iterable[str], most: int = 20) -> str:
    """Join *texts* into one line; after *most* of them, say how many more there are.

    :param texts: the texts.
    :param most: how many texts to show.
    """
    listed = list(texts)
    more = [f"and {len(listed) - most} more"] if len(listed) > most else []
    return "; ".join(listed[:most] + more)


def storable(text: str) -> str:
    """Replace the characters that a database refuses (NUL, lone surrogates) by question marks.

    :param text: the text of a server.
    """
    return text if text.isprintable() else text.replace("\0", "?").encode(errors="replace").decode()
