"""One Airflow for all tests here, and one simulator beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_avepoint.simulator import Simulator
from demo.stack import AirflowStack
from tests.airflow.gate import DAG_ID, POKE_INTERVAL, Gate, connection_to
from tests.mail import MailServer

# A triggerer that was killed gives up its waits after 8 s; Airflow's default is 30.
QUICK_FAILOVER = {
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
}


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    directory = tmp_path_factory.mktemp("gate")
    warehouse = directory / "warehouse.db"
    with (
        Simulator() as simulator,
        MailServer() as mail_server,
        AirflowStack(
            home=directory / "airflow",
            connections={
                "avepoint_default": connection_to(simulator),
                "avepoint_warehouse": {"conn_type": "sqlite", "host": str(warehouse)},
                "avepoint_ledger": {"conn_type": "sqlite", "host": str(directory / "ledger.db")},
                "smtp_default": mail_server.connection,
                # Tenants of the weekly audit: two good ones, one with a wrong secret.
                "good": connection_to(simulator),
                "partner": connection_to(simulator),
                "bad": connection_to(simulator, password="wrong"),
                # A tenant whose app may not read unusual activity.
                "limited": connection_to(simulator, login="limited", password="limited-secret"),
            },
            retry_delay=1,
            environment={
                "AVEPOINT_GATE_POKE_INTERVAL": str(POKE_INTERVAL.seconds),
                "AVEPOINT_GATE_TIMEOUT": "120",
                "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
                **QUICK_FAILOVER,
            },
        ) as stack,
    ):
        stack.unpause(DAG_ID)
        yield Gate(stack, simulator, warehouse, mail_server)
