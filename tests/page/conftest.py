"""The page's app on a socket, with Airflow's own authentication, and a ledger of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow import settings
from airflow.api_fastapi.app import init_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.base import Base

from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.page.app import create_app
from airflow_provider_avepoint.simulator.server import ServerThread
from tests.report import histories

CONN_ID = "ledger"
# A slow machine may take longer than a reader would wait.
PATIENCE = 60.0
SECRET = "a secret of these tests, longer than sixty-four characters of plain text"


class Tokens:
    """Tokens of Airflow's simple authentication."""

    def __init__(self) -> None:
        self._manager = init_auth_manager()

    def make(self, role: str = "viewer", **options: int) -> str:
        return self._manager.generate_jwt(SimpleAuthManagerUser(username=role, role=role), **options)


@pytest.fixture(scope="session")
def tokens() -> Iterator[Tokens]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", SECRET)
        if (revoked := Base.metadata.tables.get("revoked_token")) is not None:
            Base.metadata.create_all(settings.engine, tables=[revoked])
        yield Tokens()


@dataclass(frozen=True)
class Site:
    """The app, its address, and a client that is logged in."""

    app: Any
    url: str
    client: httpx.Client

    def get(self, path: str, status: int = 200) -> dict:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def site(tokens: Tokens, database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("AIRFLOW__AVEPOINT__LEDGER_CONN_ID", CONN_ID)
    app = create_app(PATIENCE)
    server = ServerThread(app, host="127.0.0.1", port=0)
    server.start()
    try:
        with httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {tokens.make()}"}, timeout=2 * PATIENCE
        ) as client:
            yield Site(app, server.url, client)
    finally:
        server.stop()


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a ledger, which does not exist yet and to which the connection leads."""
    file = tmp_path / "ledger.db"
    connection = {"conn_type": "sqlite", "host": str(file)}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    return file


@pytest.fixture
def ledger(database: Path) -> Iterator[Ledger]:
    with Ledger(CONN_ID) as ledger:
        yield ledger


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the page live at the moment at which the histories end."""
    from airflow_provider_avepoint.page import reading

    class Clock:
        @staticmethod
        def now(_zone: object) -> object:
            return histories.NOW

    monkeypatch.setattr(reading, "datetime", Clock)
