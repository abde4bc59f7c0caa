"""Foreign text in our messages: one line, bounded, printable, so that it cannot flood or forge a log."""

from __future__ import annotations

_LONGEST = 300
# What nobody sees and str.strip() leaves: zero-width characters and the byte order mark.
_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Return *text* on one line of at most *longest* characters, without what no terminal prints."""
    # Cut first: a server may send megabytes.
    kept = str(text)[: 2 * longest]
    line = " ".join("".join(char if char.isprintable() else " " for char in kept).split())
    return line if len(line) <= longest else line[:longest] + "…"


def quoted(value: object) -> str:
    """Return *value* as code would write it, on one short line."""
    try:
        return one_line(repr(value), 100)
    except RecursionError:  # JSON that is nested as deep as can just be read
        return f"a {type(value).__name__}"


def trim(text: str) -> str:
    """Return *text* without spaces, line ends and characters of no width at its ends."""
    trimmed = text.strip().strip(_UNSEEN)
    return trimmed if trimmed == text else trim(trimmed)


def storable(text: str) -> str:
    """Return *text* with a query mark for each character that a database refuses: NUL, lone surrogates."""
    return text if text.isprintable() else text.replace("\0", "?").encode(errors="replace").decode()
