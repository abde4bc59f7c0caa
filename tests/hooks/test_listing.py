"""Every row exactly once, however the server pages: each product, both drivers, over real sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointError, AvePointPayloadError, AvePointUnavailable
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED
from tests.hooks.drivers import DRIVERS, Triggerer, Worker, path_of, simulated_jobs, simulated_workload

Driver = Worker | Triggerer


def number_pages() -> dict[str, tuple[str, dict[str, int]]]:
    """Return each product with each way to number its pages; where rows are skipped, pages have no number."""
    return {
        f"{name}-{first}": (name, {"first_index": first} if "first_index" in product.quirk_names else {})
        for name, product in SIMULATED.items()
        for first in ((0, 1) if "first_index" in product.quirk_names else ("rows",))
    }


every_product = pytest.mark.parametrize("product", PRODUCTS)
every_first_page = pytest.mark.parametrize(
    ("product", "numbering"), number_pages().values(), ids=number_pages()
)
both_drivers = pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)


# How many requests of a listing pass before the one of this page.
PAGES = {"first page": 0, "second page": 1, "later page": 3}


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_avepoint.core.retry.BASE_DELAY", 0.01)


def ids_of(simulator: Simulator, product: str) -> Counter[str]:
    return Counter(job["job_id"] for job in simulator.jobs(product, limit=100_000))


def test_the_simulator_has_every_product() -> None:
    assert SIMULATED.keys() == PRODUCTS.keys()


@every_product
@both_drivers
@pytest.mark.parametrize("count", [0, 1, 10, 11, 999])
def test_every_job_comes_once(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str, count: int
) -> None:
    connect()
    if count:
        simulator.generate(product, count, every_seconds=60)

    jobs = driver.list_jobs(product)

    assert Counter(job.job_id for job in jobs) == ids_of(simulator, product)
    assert {job.product for job in jobs} <= {product}


@every_product
def test_every_one_of_many_jobs_comes_once(
    simulator: Simulator, connect: Callable[..., str], product: str
) -> None:
    """As many as there are, and no two alike."""
    connect()
    simulator.generate(product, 25_000, every_seconds=60)

    for name, driver in DRIVERS.items():
        found = [job.job_id for job in driver.list_jobs(product)]
        assert (name, 25_000, 25_000) == (name, len(found), len(set(found)))


@every_first_page
@both_drivers
@pytest.mark.parametrize(
    "link", ["none", "empty", "null", "absolute", "relative", "relative_without_prefix", "query", "token"]
)
def test_every_form_of_link(
    simulator: Simulator,
    connect: Callable[..., str],
    driver: Driver,
    product: str,
    link: str,
    numbering: dict[str, int],
) -> None:
    connect()
    simulator.set_quirks(product, link=link, max_page_size=20, **numbering)
    simulator.generate(product, 95, every_seconds=60)

    jobs = driver.list_jobs(product)

    assert Counter(job.job_id for job in jobs) == ids_of(simulator, product)


@every_product
@both_drivers
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
    simulator.generate(product, 170, every_seconds=60)

    jobs = driver.list_jobs(product)

    assert Counter(job.job_id for job in jobs) == ids_of(simulator, product)


@every_first_page
@both_drivers
@pytest.mark.parametrize("link", ["none", "absolute", "token"])
def test_jobs_that_arrive_meanwhile_cost_no_row(
    simulator: Simulator,
    connect: Callable[..., str],
    driver: Driver,
    product: str,
    link: str,
    numbering: dict[str, int],
) -> None:
    """Three new jobs before every page push the others down; those of the start come exactly once."""
    connect()
    simulator.generate(product, 195, every_seconds=60)
    before = ids_of(simulator, product)
    simulator.set_quirks(product, arrivals_per_page=3, link=link, max_page_size=20, **numbering)

    found = Counter(job.job_id for job in driver.list_jobs(product))

    assert {job_id: found[job_id] for job_id in before} == before
    assert max(found.values()) == 1


@every_product
@both_drivers
def test_rows_that_the_server_repeats_come_once(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """The vendor's own Dynamics sample lists one job four times."""
    connect()
    simulator.set_quirks(product, repeat_rows=4, max_page_size=20)
    simulator.generate(product, 33, every_seconds=60)

    found = Counter(job.job_id for job in driver.list_jobs(product))

    assert found == ids_of(simulator, product)


@every_product
@both_drivers
def test_a_link_to_itself_raises_unless_it_is_not_needed(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """Where rows are skipped, how many follows from the rows: the vendor's own link there is wrong."""
    connect()
    simulator.set_quirks(product, repeat_link=True, link="absolute", max_page_size=5, oversize="clamp")
    simulator.generate(product, 25, every_seconds=60)

    if PRODUCTS[product].paging.is_offset:
        found = Counter(job.job_id for job in driver.list_jobs(product))
        assert ids_of(simulator, product) == found
    else:
        with pytest.raises(AvePointPayloadError, match=r"Listing jobs of .*the same next link twice"):
            driver.list_jobs(product)


@every_product
@both_drivers
def test_a_link_to_another_host_raises(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    connect()
    simulator.set_quirks(product, foreign_link=True, link="absolute", max_page_size=5, oversize="clamp")
    simulator.generate(product, 25, every_seconds=60)

    with pytest.raises(AvePointPayloadError, match=r"Listing jobs of .*to another address"):
        driver.list_jobs(product)


@every_product
@both_drivers
@pytest.mark.parametrize(
    ("kind", "skip"),
    [
        *((kind, skip) for kind in ("drop", "missing_rows") for skip in PAGES.values()),
        *(
            (kind, PAGES[page])
            for kind in ("broken_json", "html", "error_body", "redirect", "empty_body")
            for page in ("first page", "later page")
        ),
    ],
)
def test_a_listing_cut_short_raises(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str, kind: str, skip: int
) -> None:
    """A fault for good, on whichever page, is an error and never a shorter list."""
    connect()
    simulator.set_quirks(product, max_page_size=20)
    simulator.generate(product, 95, every_seconds=60)
    fields = {"location": f"{simulator.url}/elsewhere"} if kind == "redirect" else {}
    simulator.add_fault(kind, path=path_of(product), skip=skip, count=None, **fields)

    with pytest.raises(AvePointError):
        driver.list_jobs(product)


@every_product
@both_drivers
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "retry_after", "seconds": 0, "status": 429},
        {"kind": "drop"},
        {"kind": "expire_token"},
    ],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}".strip(),
)
@pytest.mark.parametrize("skip", PAGES.values(), ids=PAGES)
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
    simulator.add_fault(path=path_of(product), skip=skip, **fault)

    found = Counter(job.job_id for job in driver.list_jobs(product))

    assert found == ids_of(simulator, product)
    assert [] == simulator.faults()  # it did happen


@every_product
@both_drivers
def test_the_api_down_for_good_is_said(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    connect()
    simulator.add_fault("status", path=path_of(product), status=503, count=None)

    with pytest.raises(AvePointUnavailable, match="503"):
        driver.list_jobs(product)


@every_product
@both_drivers
def test_the_window_is_about_the_start(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """Whatever the server's window means, if it has one: start included, end excluded, by the job's start."""
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
    has_window = "window_filters_by" in SIMULATED[product].quirk_names

    for meaning in ("start", "finish", "overlap") if has_window else (None,):
        if meaning is not None:
            simulator.set_quirks(product, window_filters_by=meaning)
        jobs = driver.list_jobs(product, started_after=noon, started_before=noon + timedelta(hours=2))

        assert {job.job_id for job in jobs} == expected, meaning


@every_product
@both_drivers
def test_states_are_filtered_by_word(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """Every word that the vendor has a state for, alone and with another one."""
    connect()
    words = list(SIMULATED[product].states)
    simulator.generate(product, 10 * len(words), every_seconds=60, states=words)

    asked = [[word] for word in words] + [["failed", "partial"], words]
    for states, jobs in zip(
        asked, driver.list_each(product, [{"state": each} for each in asked]), strict=True
    ):
        assert Counter({JobState(word): 10 for word in states}) == Counter(job.state for job in jobs)


@every_product
@both_drivers
def test_job_types_are_asked_for_by_word(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    """Each word brings the jobs of its numbers and no other; together they bring each job once."""
    connect()
    known = PRODUCTS[product]
    expected: dict[str, set[str]] = {}
    for word in known.job_types:
        if known.canonical_job_type(word) == word:
            added = simulator.add_jobs(simulated_jobs(product, word))
            expected[word] = {job["job_id"] for job in added}
    assert all(expected.values())

    words = list(known.job_types)
    *each, every_word, every_job, default = driver.list_each(
        product, [*({"job_type": word} for word in words), {"job_type": words}, {"job_type": "all"}, {}]
    )
    for word, jobs in zip(words, each, strict=True):
        canonical = known.canonical_job_type(word)
        assert Counter(expected[canonical]) == Counter(job.job_id for job in jobs)
        assert {canonical} == {job.job_type for job in jobs}
    everything = Counter(job_id for ids in expected.values() for job_id in ids)
    assert everything == Counter(job.job_id for job in every_word)
    assert everything == Counter(job.job_id for job in every_job)
    assert Counter(expected["backup"]) == Counter(job.job_id for job in default)


@pytest.mark.parametrize("product", [name for name, each in PRODUCTS.items() if each.known_workloads])
@both_drivers
def test_workloads_are_asked_for_by_word(
    simulator: Simulator, connect: Callable[..., str], driver: Driver, product: str
) -> None:
    connect()
    words = PRODUCTS[product].known_workloads
    for word in words:
        simulator.add_job(product, job_id=f"of {word}", workload=simulated_workload(product, word))

    *each, every_word = driver.list_each(
        product, [{"object_type": asked, "job_type": "all"} for asked in (*words, list(words))]
    )
    for word, (job,) in zip(words, each, strict=True):
        assert (f"of {word}", word) == (job.job_id, job.workload)
    assert {f"of {word}": word for word in words} == {job.job_id: job.workload for job in every_word}


@every_product
@both_drivers
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
