"""Where the clocks differ, the API's is right: no backup is out of sight, and none looks newer than it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle

import pytest

from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.verdict import Reason, Verdict
from airflow_provider_avepoint.simulator import Simulator
from tests.hooks.drivers import DRIVERS, Triggerer, Worker, required_by

pytestmark = pytest.mark.no_cover

AN_HOUR = 3600

#: The clock is the driver's, the window's form the product's: each product with one of the drivers, in turn.
for_each_product = pytest.mark.parametrize(
    ("product", "driver"),
    [
        pytest.param(product, DRIVERS[driver], id=f"{product}-{driver}")
        for product, driver in zip(PRODUCTS, cycle(DRIVERS), strict=False)
    ],
)


def judge(driver: Worker | Triggerer, product: str) -> Verdict:
    organizations = list(required_by(product).values()) or None
    return driver.judge(product=product, max_age=timedelta(days=1), organization_ids=organizations)


@for_each_product
@pytest.mark.parametrize(
    ("date_header", "reason"), [(0, Reason.FAILED), (None, Reason.CLOCK_SKEW)], ids=["its-date", "no-date"]
)
def test_a_failure_in_our_future_is_seen(
    simulator: Simulator,
    connect: Callable[..., str],
    product: str,
    driver: Worker | Triggerer,
    date_header: int | None,
    reason: Reason,
) -> None:
    """The API's clock is an hour ahead of ours: its last ten minutes have not begun here."""
    simulator.set_clock(ahead_seconds=AN_HOUR, date_header=date_header)
    for ago, state in ((6 * AN_HOUR, "success"), (600, "failed")):
        simulator.add_job(product, started_ago=ago, state=state)
    connect()

    verdict = judge(driver, product)

    assert (False, reason) == (verdict.passed, verdict.reason)


@for_each_product
@pytest.mark.parametrize(("ahead", "said"), [(3, "behind"), (-3, "ahead of")], ids=["behind", "ahead"])
def test_a_backup_is_as_old_as_the_api_says(
    simulator: Simulator,
    connect: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    product: str,
    driver: Worker | Triggerer,
    ahead: int,
    said: str,
) -> None:
    """By a clock that is three hours wrong, one of the two backups would be a day old and not the other."""
    simulator.set_clock(ahead_seconds=ahead * AN_HOUR)
    simulator.add_job(product, started_ago=25 * AN_HOUR)
    connect()
    assert Reason.STALE is judge(driver, product).reason
    simulator.add_job(product, started_ago=23 * AN_HOUR)

    assert Reason.PASSED is judge(driver, product).reason
    # The header has whole seconds only.
    assert re.search(rf"This machine's clock is (2:59|3:00):\d\d {said} the API's\.", caplog.text)
