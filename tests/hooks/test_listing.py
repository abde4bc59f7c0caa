"""Every row exactly once, however the server pages: each product, both drivers, over real sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointError, AvePointPayloadError, AvePointUnavailable
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.products import PRODUCTS
from airflow_provider_avepoint.simulator import Simulator
from tests.hooks.drivers import DRIVERS, Triggerer, Worker

Driver = Worker | Triggerer

pytestmark = [
    pytest.mark.parametrize("product", PRODUCTS),
    pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS),
]

FAULTY_LISTINGS = {
    "repeated link": {"repeat_link": True, "link": "absolute", "max_page_size": 5},
    "link to another host": {"foreign_link": True, "link": "absolute", "max_page_size": 5},
}


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.01)


def ids_of(simulator: Simulator, product: str) -> Counter[str]:
    return Counter(job["job_id"] for job in simulator.jobs(product, limit=100_000))


@pytest.mark.parametrize("count", [0, 1, 10, 11, 999, 2500])
def test_every_job_comes_once(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str, count: int
) -> None:
    connect()
    if count:
        simulator.generate(product, count, every_seconds=60)

    jobs = driver.list_jobs(product)

    assert Counter(job.job_id for job in jobs) == ids_of(simulator, product)
    assert {job.product for job in jobs} <= {product}


@pytest.mark.parametrize("first_index", [0, 1])
@pytest.mark.parametrize(
    "link", ["none", "empty", "null", "absolute", "relative", "relative_without_prefix", "query", "token"]
)
def test_every_form_of_link(
    simulator: Simulator,
    connect: Callable[..., str],
    driver: Driver,
    product: str,
    link: str,
    first_index: int,
) -> None:
    connect()
    simulator.set_quirks(product, link=link, first_index=first_index, max_page_size=20)
    simulator.generate(product, 95, every_seconds=60)

    jobs = driver.list_jobs(product)

    assert Counter(job.job_id for job in jobs) == ids_of(simulator, product)


@pytest.mark.parametrize("oversize", ["clamp", "refuse"])
@pytest.mark.parametrize("total", ["match", "page", "absent"])
@pytest.mark.parametrize("link", ["none", "absolute"])
def test_a_limit_on_the_page_size(
    simulator: Simulator,
    connect: Callable[..., str],
    driver: Driver,
    product: str,
    oversize: str,
    total: str,
    link: str,
) -> None:
    """A server may refuse a large page, or send less than was asked; its total may count a page only."""
    connect()
    simulator.set_quirks(product, max_page_size=50, oversize=oversize, total=total, link=link)
    simulator.generate(product, 333, every_seconds=60)

    jobs = driver.list_jobs(product)

    assert Counter(job.job_id for job in jobs) == ids_of(simulator, product)


@pytest.mark.parametrize("first_index", [0, 1])
@pytest.mark.parametrize("link", ["none", "absolute", "token"])
def test_jobs_that_arrive_meanwhile_cost_no_row(
    simulator: Simulator,
    connect: Callable[..., str],
    driver: Driver,
    product: str,
    link: str,
    first_index: int,
) -> None:
    """Three new jobs before every page push the others down; those of the start come exactly once."""
    connect()
    simulator.generate(product, 333, every_seconds=60)
    before = ids_of(simulator, product)
    simulator.set_quirks(product, arrivals_per_page=3, link=link, first_index=first_index, max_page_size=20)

    found = Counter(job.job_id for job in driver.list_jobs(product))

    assert {job_id: found[job_id] for job_id in before} == before
    assert max(found.values()) == 1


def test_rows_that_the_server_repeats_come_once(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """The vendor's own Dynamics sample lists one job four times."""
    connect()
    simulator.set_quirks(product, repeat_rows=4, max_page_size=20)
    simulator.generate(product, 33, every_seconds=60)

    found = Counter(job.job_id for job in driver.list_jobs(product))

    assert found == ids_of(simulator, product)


@pytest.mark.parametrize("quirks", FAULTY_LISTINGS.values(), ids=FAULTY_LISTINGS)
def test_a_listing_that_does_not_add_up_raises(
    simulator: Simulator,
    connect: Callable[..., str],
    driver: Driver,
    product: str,
    quirks: dict[str, Any],
) -> None:
    connect()
    simulator.set_quirks(product, **quirks)
    simulator.generate(product, 25, every_seconds=60)

    with pytest.raises(AvePointPayloadError, match="Listing jobs of"):
        driver.list_jobs(product)


@pytest.mark.parametrize("skip", [0, 1, 3], ids=["first page", "second page", "later page"])
@pytest.mark.parametrize(
    "kind", ["drop", "broken_json", "html", "error_body", "missing_rows", "redirect", "empty_body"]
)
def test_a_listing_cut_short_raises(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str, kind: str, skip: int
) -> None:
    """A fault for good, on whichever page, is an error and never a shorter list."""
    connect()
    simulator.set_quirks(product, max_page_size=20)
    simulator.generate(product, 95, every_seconds=60)
    fields = {"location": f"{simulator.url}/elsewhere"} if kind == "redirect" else {}
    simulator.add_fault(kind, path=PRODUCTS[product].path, skip=skip, count=None, **fields)

    with pytest.raises(AvePointError):
        driver.list_jobs(product)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429},
        {"kind": "retry_after", "seconds": 0},
        {"kind": "drop"},
        {"kind": "expire_token"},
    ],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}".strip(),
)
@pytest.mark.parametrize("skip", [0, 1, 3], ids=["first page", "second page", "later page"])
def test_a_passing_fault_costs_no_row(
    simulator: Simulator,
    connect: Callable[..., str],
    driver: Driver,
    product: str,
    fault: dict[str, Any],
    skip: int,
) -> None:
    connect()
    simulator.set_quirks(product, max_page_size=20)
    simulator.generate(product, 95, every_seconds=60)
    simulator.add_fault(path=PRODUCTS[product].path, skip=skip, **fault)

    found = Counter(job.job_id for job in driver.list_jobs(product))

    assert found == ids_of(simulator, product)


def test_the_api_down_for_good_is_said(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    connect()
    simulator.add_fault("status", path=PRODUCTS[product].path, status=503, count=None)

    with pytest.raises(AvePointUnavailable, match="503"):
        driver.list_jobs(product)


def test_the_window_is_about_the_start(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """Whatever the server's window means: start included, end excluded, by the job's start."""
    connect()
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    for hour in range(-3, 4):
        begun = noon + timedelta(hours=hour)
        simulator.add_job(
            product,
            job_id=f"JOB{hour}",
            started_at=begun.isoformat(),
            finished_at=(begun + timedelta(days=2)).isoformat(),
        )
    expected = {"JOB0", "JOB1"}

    for meaning in ("start", "finish", "overlap"):
        simulator.set_quirks(product, window_filters_by=meaning)
        jobs = driver.list_jobs(product, started_after=noon, started_before=noon + timedelta(hours=2))

        assert {job.job_id for job in jobs} == expected, meaning


def test_states_are_filtered_by_word(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    connect()
    simulator.generate(product, 40, every_seconds=60, states=["success", "failed", "partial"])

    assert {job.state for job in driver.list_jobs(product, state="failed")} == {JobState.FAILED}
    assert {job.state for job in driver.list_jobs(product, state=["failed", "partial"])} == {
        JobState.FAILED,
        JobState.PARTIAL,
    }
    assert len(driver.list_jobs(product, state=["failed", "partial", "success"])) == 40


def test_job_types_are_asked_for_by_word(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    connect()
    for word in ("backup", "restore", "export"):
        simulator.add_job(product, job_id=f"A{word}", job_type=word)

    assert [job.job_type for job in driver.list_jobs(product)] == ["backup"]
    assert {job.job_id for job in driver.list_jobs(product, job_type=["restore", "export"])} == {
        "Arestore",
        "Aexport",
    }
    assert len(driver.list_jobs(product, job_type="all")) == 3


def test_both_drivers_give_the_same_jobs(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """All fields alike, the raw rows too."""
    connect()
    simulator.generate(product, 120, every_seconds=600, states=["success", "failed", "partial", "running"])
    other = next(each for each in DRIVERS.values() if each is not driver)

    assert [job.as_dict() for job in driver.list_jobs(product)] == [
        job.as_dict() for job in other.list_jobs(product)
    ]
