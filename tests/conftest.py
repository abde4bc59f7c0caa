"""What every test shares: an Airflow home of its own, a simulator over real sockets, a connection to it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Before the first import of Airflow: it reads its settings then.
_HOME = Path(tempfile.mkdtemp(prefix="avepoint-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parent.parent / "dags"),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME / 'airflow.db'}",
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
)

import json  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402

import pytest  # noqa: E402
from airflow.sdk._shared.secrets_masker import _secrets_masker  # noqa: E402

from airflow_provider_avepoint.core.auth import TOKENS  # noqa: E402
from airflow_provider_avepoint.simulator import Simulator  # noqa: E402


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that start Airflow on one of pytest's processes: they share one Airflow."""
    for item in items:
        if item.get_closest_marker("airflow"):
            item.add_marker(pytest.mark.xdist_group("airflow"))


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: Simulator) -> Simulator:
    """Return the simulator as it is at its start: the demo client, no jobs, no faults."""
    running_simulator.reset()
    return running_simulator


@pytest.fixture(autouse=True)
def _no_tokens_of_other_tests() -> Iterator[None]:
    """Forget tokens, here and in Airflow's masker, which would grow slower with each one it has seen."""
    TOKENS.clear()
    yield
    TOKENS.clear()
    _secrets_masker().reset_masker()


@pytest.fixture
def connect(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that defines an Airflow connection to the simulator and returns its id."""

    def define(conn_id: str = "avepoint_default", *, extra: dict | None = None, **fields: object) -> str:
        connection = {
            "conn_type": "avepoint",
            "host": simulator.url,
            "login": simulator.client_id,
            "password": simulator.client_secret,
            "extra": {"identity_endpoint": simulator.token_url, **(extra or {})},
            **fields,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    return define
