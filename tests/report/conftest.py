"""A ledger in a SQLite file of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_avepoint.ledger.store import Ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Return an empty ledger, which the connection ``ledger`` is."""
    file = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps(file))
    with Ledger("ledger") as ledger:
        yield ledger
