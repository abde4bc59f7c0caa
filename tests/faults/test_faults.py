"""Play the table: each listing is complete or ends in the right error, in bounds, and gives nothing away."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product as combinations
from typing import Any

import pytest

from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.paging import MAX_EMPTY
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.retry import MAX_ATTEMPTS
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.faults import Fault as SimulatedFault
from tests.hooks.drivers import DRIVERS, path_of
from tests.transports.server import Server

from . import table
from .conftest import (
    arm,
    assert_nothing_given_away,
    end_within_bounds,
    name_addresses,
    no_stragglers,
    put,
)
from .table import AT_A_TIME, FAULTS, PAGES, Case, Fault, all_cases, products_by_way, some_cases

pytestmark = pytest.mark.no_cover

CASES = list(all_cases() if os.environ.get("AVEPOINT_ALL_FAULTS") else some_cases())

JOBS, PAGE_SIZE = 10, 4
IDENTITY = "/connect/token"
#: The requests for pages of a listing without a fault, by product.
_clean: dict[str, int] = {}


def list_ids(product: str, driver: str) -> list[str]:
    """Return what a listing brings, asked as a gate asks: for what has started since a given time."""
    after = datetime.now(UTC) - timedelta(days=1)
    return [job.job_id for job in DRIVERS[driver].list_jobs(product, started_after=after)]


@pytest.fixture
def count_pages(simulator: Simulator, connect: Callable[..., str]) -> Callable[[str], int]:
    """Return a function that says how many pages of a product are asked for, one after the other."""

    def count(product: str) -> int:
        if product not in _clean:
            fill(simulator, product)
            connect(extra=extras(simulator))
            list_ids(product, "requests")
            _clean[product] = len(simulator.requests(path_of(product)))
            simulator.reset()
            TOKENS.clear()
        return _clean[product]

    return count


def fill(simulator: Simulator, product: str) -> None:
    """Put three pages of jobs into the simulator."""
    simulator.set_quirks(product, max_page_size=PAGE_SIZE)
    simulator.generate(product, JOBS, every_seconds=60)


def extras(simulator: Simulator, at_a_time: int = 1) -> dict[str, Any]:
    return {
        "identity_endpoint": simulator.token_url,
        "page_size": PAGE_SIZE,
        "max_concurrency": at_a_time,
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_costs_no_row_and_gives_nothing_away(
    fault: Fault,
    simulator: Simulator,
    connect: Callable[..., str],
    count_pages: Callable[[str], int],
    foreigner: Server,
    nobody: str,
    certificate: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The list is complete, or the error is the row's and says what to do; no other host is asked."""
    caplog.set_level(logging.DEBUG)
    addresses = name_addresses(simulator, foreigner, nobody)
    failures: list[Exception] = []
    for case in CASES:
        if case.fault is not fault:
            continue
        clean = count_pages(case.product)
        simulator.reset()
        TOKENS.clear()
        foreigner.asked.clear()
        caplog.clear()
        try:
            outcome = play_case(case, simulator, connect, clean, addresses, certificate)
            check_outcome(case, outcome, simulator, clean)
            assert_nothing_given_away(simulator, foreigner, caplog, outcome)
        except Exception as e:  # noqa: BLE001  # every case is played, also after one that fails
            e.add_note(f"In the case {case}")
            failures.append(e)
    if failures:
        raise ExceptionGroup(f"{len(failures)} cases", failures)


def play_case(
    case: Case,
    simulator: Simulator,
    connect: Callable[..., str],
    clean: int,
    addresses: Mapping[str, str],
    certificate: Mapping[str, str],
) -> Any:
    """Return the ids that the case's listing brings, or the exception that ends it."""
    fault, product = case.fault, case.product
    for method, arguments in fault.orders:
        getattr(simulator, method)(**arguments)
    fill(simulator, product)
    position = {"first": 0, "middle": clean // 2, "last": clean - 1}[case.page]
    for play in fault.plays:
        arm(simulator, play, path_of(product), position, addresses)
    connection: dict[str, Any] = {"host": put(fault.host or "{own}", addresses)}
    extra = extras(simulator, case.at_a_time) | put(fault.extra, addresses)
    if fault.certificate:
        simulator.set_client(simulator.client_id, certificate_pem=certificate["certificate"])
        connection["password"] = None
        extra |= certificate
    connect(extra=extra, **connection)
    with no_stragglers():
        return end_within_bounds(lambda: list_ids(product, case.driver))


def check_outcome(case: Case, outcome: Any, simulator: Simulator, clean: int) -> None:
    """Check how a case ended, and what was asked."""
    fault = case.fault
    if fault.error is None or (fault.may_survive and isinstance(outcome, list)):
        expected = Counter(job["job_id"] for job in simulator.jobs(case.product))
        assert expected == (Counter(outcome) if isinstance(outcome, list) else outcome)
    else:
        assert fault.error.__name__ in {kind.__name__ for kind in type(outcome).__mro__}, outcome
        assert isinstance(outcome, AvePointError)
        assert fault.advice.casefold() in str(outcome).casefold()

    asked = simulator.requests()
    played = {entry["note"].removeprefix("fault: ") for entry in asked}
    assert {play.kind for play in fault.plays} <= played  # it did happen
    # All pages at most twice, empty ones at their end, and the tries for as many pages as are on their way.
    assert 2 * (clean + 1) + MAX_EMPTY + case.at_a_time * 2 * MAX_ATTEMPTS >= len(asked)


def test_the_table_has_every_fault_that_the_simulator_knows() -> None:
    known = {each.model_fields["kind"].annotation.__args__[0] for each in SimulatedFault.__subclasses__()}
    assert known == {play.kind for fault in FAULTS for play in fault.plays}


def test_the_table_has_both_drivers() -> None:
    assert set(table.DRIVERS) == DRIVERS.keys()


def test_each_row_says_how_it_is_survived_or_what_to_do() -> None:
    for fault in FAULTS:
        assert bool(fault.remedy) == (fault.error is None or fault.may_survive), fault.name
        assert bool(fault.advice) == (fault.error is not None), fault.name


def test_names_are_unique() -> None:
    assert [] == [name for name, count in Counter(fault.name for fault in FAULTS).items() if count > 1]


def test_some_cases_have_each_fault_on_each_page_with_both_drivers_and_each_way_to_page() -> None:
    cases = list(some_cases())
    for fault in FAULTS:
        met = [case for case in cases if case.fault is fault]
        assert set(fault.pages) == {case.page for case in met}
        assert set(DRIVERS) == {case.driver for case in met}
        assert all({case.product for case in met} & set(names) for names in products_by_way())


def test_some_cases_have_each_product_with_both_drivers_on_every_page() -> None:
    cases = list(some_cases())
    assert set(combinations(PRODUCTS, DRIVERS, PAGES)) == {
        (case.product, case.driver, case.page) for case in cases
    }
    for at_a_time in AT_A_TIME:
        assert set(PRODUCTS) == {case.product for case in cases if case.at_a_time == at_a_time}


def test_all_cases_are_all_of_them() -> None:
    cases = {str(case) for case in all_cases()}
    assert sum(len(PRODUCTS) * len(DRIVERS) * len(fault.pages) * 2 for fault in FAULTS) == len(cases)
    assert {str(case) for case in some_cases()} <= cases
