"""``python -m tests.faults`` prints the document, ``--write`` puts it where it belongs."""

from __future__ import annotations

import sys

from .document import PATH, write

if sys.argv[1:] == ["--write"]:
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(write(), encoding="utf-8")
else:
    sys.stdout.write(write())
