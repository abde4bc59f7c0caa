"""The document is the table."""

from __future__ import annotations

import subprocess
import sys

from .document import PATH, write
from .table import FAULTS, READING_FAULTS, RESTORE_FAULTS


def test_the_document_says_what_the_table_says() -> None:
    """``python -m tests.faults --write`` writes it anew."""
    assert write() == PATH.read_text(encoding="utf-8")


def test_every_row_is_shown() -> None:
    document = write()
    for fault in (*FAULTS, *READING_FAULTS):
        assert fault.happens in document
        assert fault.advice in document
        assert fault.remedy in document
    for row in RESTORE_FAULTS:
        assert row.happens in document
        assert row.says in document


def test_the_command_prints_it() -> None:
    root = PATH.parent.parent
    command = [sys.executable, "-m", "tests.faults"]
    assert write() == subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
