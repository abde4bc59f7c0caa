"""Every row exactly once, however the server pages, over real sockets.

What depends on how pages are asked for runs with one product of each way to page, by both drivers. What
depends on a product's tables runs with every product, the drivers in turn. Faults are in ``tests/faults``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product as combinations

import pytest

from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS as SIMULATED
from tests.hooks.drivers import (
    DRIVERS,
    IN_TURN,
    Triggerer,
    Worker,
    one_of_each_paging,
    simulated_jobs,
    simulated_workload,
)

pytestmark = pytest.mark.no_cover

Driver = Worker | Triggerer
LINKS = ("none", "empty", "null", "absolute", "relative", "relative_without_prefix", "query", "token")


def number_pages() -> dict[str, tuple[str, dict[str, int]]]:
    """Return a product of each way to page with each first number; where rows are skipped, there is none."""
    return {
        f"{name}-{first}": (name, {} if first == "rows" else {"first_index": first})
        for name in one_of_each_paging()
        for first in ((0, 1) if "first_index" in SIMULATED[name].quirk_names else ("rows",))
    }


each_product = pytest.mark.parametrize(
    ("product", "driver"), [(product, DRIVERS[name]) for product, name in IN_TURN.items()], ids=PRODUCTS
)
each_paging = pytest.mark.parametrize("product", one_of_each_paging())
each_first_page = pytest.mark.parametrize(
    ("product", "numbering"), number_pages().values(), ids=number_pages()
)
both_drivers = pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)


@pytest.fixture
def begin(simulator: Simulator, connect: Callable[..., str]) -> Callable[..., Counter[str]]:
    """Return a function that gives the server its quirks and jobs anew, and returns the ids of the jobs."""

    def restart(product: str, count: int = 0, **quirks: object) -> Counter[str]:
        simulator.reset()
        TOKENS.clear()  # the server knows them no more
        connect()
        simulator.set_quirks(product, **quirks)
        if count:
            simulator.generate(product, count, every_seconds=60)
        return Counter(job["job_id"] for job in simulator.jobs(product, limit=100_000))

    return restart


Begin = Callable[..., "Counter[str]"]


def ids_of(driver: Driver, product: str) -> Counter[str]:
    return Counter(job.job_id for job in driver.list_jobs(product))


def test_the_simulator_has_every_product() -> None:
    assert SIMULATED.keys() == PRODUCTS.keys()


@each_product
def test_every_job_comes_once(begin: Begin, product: str, driver: Driver) -> None:
    """None, one, a page of the least size and one more, and as many as several pages hold."""
    for count in (0, 1, 10, 11, 999):
        expected = begin(product, count)
        assert expected == ids_of(driver, product), count


@each_paging
def test_both_drivers_give_the_same_jobs(begin: Begin, simulator: Simulator, product: str) -> None:
    """Of many pages, all fields alike, the raw rows too, and no two jobs alike."""
    begin(product)
    simulator.generate(product, 2100, every_seconds=60, states=["success", "failed", "partial", "running"])

    found = {name: [job.as_dict() for job in driver.list_jobs(product)] for name, driver in DRIVERS.items()}

    assert found["requests"] == found["aiohttp"]
    assert 2100 == len({job["job_id"] for job in found["requests"]}) == len(found["requests"])


@each_first_page
@both_drivers
def test_every_form_of_link(begin: Begin, driver: Driver, product: str, numbering: dict[str, int]) -> None:
    for link in LINKS:
        expected = begin(product, 95, link=link, max_page_size=20, **numbering)
        assert expected == ids_of(driver, product), link


@each_paging
@both_drivers
def test_a_limit_on_the_page_size(begin: Begin, driver: Driver, product: str) -> None:
    """A server may refuse a large page, or send less than was asked; its total may count a page only."""
    for oversize, total, link in combinations(
        ("clamp", "refuse"), ("match", "page", "absent"), ("none", "absolute")
    ):
        expected = begin(product, 170, max_page_size=50, oversize=oversize, total=total, link=link)
        assert expected == ids_of(driver, product), (oversize, total, link)


@each_first_page
@both_drivers
def test_jobs_that_arrive_meanwhile_cost_no_row(
    begin: Begin, simulator: Simulator, driver: Driver, product: str, numbering: dict[str, int]
) -> None:
    """Three new jobs before every page push the others down; those of the start come exactly once."""
    for link in ("none", "absolute", "token"):
        before = begin(product, 195, link=link, max_page_size=20, **numbering)
        simulator.set_quirks(product, arrivals_per_page=3)
        found = ids_of(driver, product)
        assert before == {job_id: found[job_id] for job_id in before}, link
        assert 1 == max(found.values()), link


@both_drivers
def test_rows_that_the_server_repeats_come_once(begin: Begin, driver: Driver) -> None:
    """The vendor's own Dynamics sample lists one job four times."""
    for product in one_of_each_paging():
        expected = begin(product, 33, repeat_rows=4, max_page_size=20)
        assert expected == ids_of(driver, product), product


@both_drivers
def test_a_link_to_itself_raises_unless_it_is_not_needed(begin: Begin, driver: Driver) -> None:
    """Where rows are skipped, how many follows from the rows: the vendor's own link there is wrong."""
    for product in one_of_each_paging():
        expected = begin(product, 25, repeat_link=True, link="absolute", max_page_size=5, oversize="clamp")
        if PRODUCTS[product].paging.is_offset:
            assert expected == ids_of(driver, product)
        else:
            with pytest.raises(AvePointPayloadError, match=r"Listing jobs of .*the same next link twice"):
                driver.list_jobs(product)


@both_drivers
def test_a_link_to_another_host_raises(begin: Begin, simulator: Simulator, driver: Driver) -> None:
    """Also where the port and the scheme are the same."""
    elsewhere = simulator.url.replace("127.0.0.1", "localhost")
    for product, link in combinations(one_of_each_paging(), (True, elsewhere)):
        begin(product, 25, foreign_link=link, link="absolute", max_page_size=5, oversize="clamp")
        with pytest.raises(AvePointPayloadError, match=r"Listing jobs of .*to another address"):
            driver.list_jobs(product)


@each_product
def test_the_window_is_about_the_start(
    begin: Begin, simulator: Simulator, product: str, driver: Driver
) -> None:
    """Whatever the server's window means, if it has one: start included, end excluded, by the job's start."""
    begin(product)
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    for hour in range(-3, 4):
        begun = noon + timedelta(hours=hour)
        simulator.add_job(
            product,
            job_id=f"JOB{hour}",
            started_at=begun.isoformat(),
            finished_at=(begun + timedelta(days=2)).isoformat(),
        )
    has_window = "window_filters_by" in SIMULATED[product].quirk_names

    for meaning in ("start", "finish", "overlap") if has_window else (None,):
        if meaning is not None:
            simulator.set_quirks(product, window_filters_by=meaning)
        jobs = driver.list_jobs(product, started_after=noon, started_before=noon + timedelta(hours=2))

        assert {"JOB0", "JOB1"} == {job.job_id for job in jobs}, meaning


@each_product
def test_states_are_filtered_by_word(
    begin: Begin, simulator: Simulator, product: str, driver: Driver
) -> None:
    """Every word that the vendor has a state for, alone and with another one."""
    begin(product)
    words = list(SIMULATED[product].states)
    simulator.generate(product, 10 * len(words), every_seconds=60, states=words)

    asked = [[word] for word in words] + [["failed", "partial"], words]
    for states, jobs in zip(
        asked, driver.list_each(product, [{"state": each} for each in asked]), strict=True
    ):
        assert Counter({JobState(word): 10 for word in states}) == Counter(job.state for job in jobs)


@each_product
def test_job_types_are_asked_for_by_word(
    begin: Begin, simulator: Simulator, product: str, driver: Driver
) -> None:
    """Each word brings the jobs of its numbers and no other; together they bring each job once."""
    begin(product)
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


@each_product
def test_workloads_are_asked_for_by_word(
    begin: Begin, simulator: Simulator, product: str, driver: Driver
) -> None:
    """A product without any names nothing more than the organisation."""
    begin(product)
    words = PRODUCTS[product].known_workloads
    for word in words:
        simulator.add_job(product, job_id=f"of {word}", workload=simulated_workload(product, word))
    questions = [{"object_type": asked, "job_type": "all"} for asked in (*words, list(words)) if asked]

    found = driver.list_each(product, questions)

    for word, (job,) in zip(words, found, strict=False):
        assert (f"of {word}", word) == (job.job_id, job.workload)
    everything = {job.job_id: job.workload for job in found[-1]} if words else {}
    assert {f"of {word}": word for word in words} == everything
