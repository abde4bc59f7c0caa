"""Where the clocks differ, the newest backup must not be out of sight: the one before may have been good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from airflow_provider_avepoint.core.verdict import Reason
from airflow_provider_avepoint.products import PRODUCTS
from airflow_provider_avepoint.simulator import Simulator
from tests.hooks.drivers import DRIVERS, Triggerer, Worker, required_by


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
def test_a_failure_in_our_future_is_seen(
    simulator: Simulator, connect: Callable[..., str], product: str, driver: Worker | Triggerer
) -> None:
    """The API's clock is an hour ahead of ours: its last ten minutes have not begun here."""
    simulator.set_clock(ahead_seconds=3600)
    for ago, state in ((6 * 3600, "success"), (600, "failed")):
        simulator.add_job(product, started_ago=ago, state=state)
    connect()
    organizations = list(required_by(product).values()) or None

    verdict = driver.judge(product=product, max_age=timedelta(days=1), organization_ids=organizations)

    assert Reason.CLOCK_SKEW is verdict.reason
    assert not verdict.passed
