"""Foreign text in our messages: one line, bounded, printable, so that it cannot flood or forge a log."""

from __future__ import annotations

_LONGEST = 300


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Return *text* on one line of at most *longest* characters, without what no terminal prints."""
    # Cut first: a server may send megabytes.
    kept = str(text)[: 2 * longest]
    line = " ".join("".join(char if char.isprintable() else " " for char in kept).split())
    return line if len(line) <= longest else line[:longest] + "…"


def quoted(value: object) -> str:
    """Return *value* as code would write it, on one short line."""
    return one_line(repr(value), 100)
