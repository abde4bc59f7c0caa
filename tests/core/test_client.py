"""The API's calls, driven by hand: what is sent, in which order, and what the answers mean."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core import pages
from airflow_provider_avepoint.core.auth import Token, TokenCache, TokenSource
from airflow_provider_avepoint.core.client import Client, read_rows
from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointJobNotFound,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
)
from airflow_provider_avepoint.core.flow import Request, Response
from airflow_provider_avepoint.core.license_calls import get_license, get_licenses
from airflow_provider_avepoint.core.listing import JobListing, find_job
from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.query import JobQuery, build_queries
from airflow_provider_avepoint.core.settings import Settings

from .flows import Answer, Driver, answer
from .tables import each_row

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
M365, LEGACY, D365 = PRODUCTS["m365"], PRODUCTS["m365_legacy"], PRODUCTS["dynamics365"]
GOOGLE, SALESFORCE, IAAS = PRODUCTS["google_workspace"], PRODUCTS["salesforce"], PRODUCTS["iaas_paas"]
SCANS, ELEMENTS = PRODUCTS["aos_scan"], PRODUCTS["elements"]


class Credential:
    fingerprint = "f"

    def form_fields(self, token_url: str) -> dict[str, str]:
        raise AssertionError(f"no token was to be asked of {token_url}")


def client(**fields: Any) -> Client:
    """Return a client that holds a token for everything."""
    cache = TokenCache()
    settings = Settings(
        base_url="https://graph.example", identity_endpoint="https://id", client_id="c", **fields
    )
    tokens = TokenSource(token_url="https://id", client_id="c", credential=Credential(), cache=cache)
    for product in PRODUCTS.values():
        endpoints = (product, product.license, product.subscriptions)
        for scope in {endpoint.permission for endpoint in endpoints if endpoint}:
            key = tokens._key(scope)
            found = cache.claim(key)
            if not isinstance(found, Token):
                cache.settle(key, found.future, Token("t", float("inf")))
    return Client(settings, tokens)


def test_build() -> None:
    settings = Settings(base_url="https://graph.example", identity_endpoint="https://id/token", client_id="c")
    built = Client.build(settings, Credential())
    assert settings is built.settings
    assert ("https://id/token", "c") == (built.tokens.token_url, built.tokens.client_id)


def m365_row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"FB{number}",
        "state": "Finished",
        "startTime": "2026-11-22T04:00:00Z",
        "finishTime": "2026-11-22T04:30:00Z",
        **fields,
    }


def d365_row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "jobId": f"DCIB{number}",
        "type": 1,
        "module": "Customer Engagement",
        "status": 3,
        "startTime": "2026-11-22T04:00:00Z",
        "finishTime": "2026-11-22T04:30:00Z",
        "organizationId": "o1",
        **fields,
    }


def scan_row(number: int, start: datetime | None, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"Scan{number}",
        "type": 0,
        "state": 2,
        "startTime": None if start is None else start.isoformat(),
        "finishTime": None if start is None else (start + timedelta(minutes=1)).isoformat(),
        "category": 0,
        **fields,
    }


def elements_row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "jobType": 7,
        "jobModule": 303,
        "status": 2,
        "jobId": f"FB{number}",
        "startTime": "2026-11-22T04:00:00Z",
        "endTime": "2026-11-22T04:30:00Z",
        **fields,
    }


def iaas_row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "jobId": f"IB{number}",
        "jobType": 1,
        "status": 2,
        "startTime": "2026-11-22T04:00:00Z",
        "finishTime": "2026-11-22T04:30:00Z",
        **fields,
    }


def list_all(
    made: Client, query: JobQuery, serve: Callable[[Request], Answer]
) -> tuple[Driver, list[BackupJob]]:
    driver = Driver(serve)
    listing = JobListing(made, query, NOW)
    jobs: list[BackupJob] = []
    while flows := listing.begin(0):
        for flow in flows:
            jobs += listing.take(driver.run(flow))
    return driver, jobs


def sizes(driver: Driver) -> list[str]:
    return [dict(request.query)["pageSize"] for request in driver.sent]


def refuse_above(most: int, **refusal: Any) -> Callable[[Request], Answer]:
    def serve(request: Request) -> Response:
        query = dict(request.query)
        if int(query["pageSize"]) > most:
            return answer(refusal or {"message": "Bad Request"}, status=400)
        return answer({"data": [m365_row(1)] if "pageIndex" not in query else []})

    return serve


def test_the_first_request() -> None:
    """No page number, the largest size, every filter, the token."""
    (query,) = build_queries("m365", started_after="2026-11-21T05:00:00Z", object_type="teams")
    driver, jobs = list_all(client(location="NAM"), query, lambda _: answer({"data": []}))
    expected = Request(
        method="GET",
        url="https://graph.example/backup/m365/cloudbackupjobs",
        query=(
            ("startTime", "2026-11-21T04:59:59Z"),
            ("finishTime", "2026-11-23T05:00:01Z"),
            ("jobType", "1"),
            ("objectType", "7"),
            ("pageSize", "1000"),
        ),
        headers={"Authorization": "Bearer t", "Accept": "application/json"},
    )
    assert ([expected], []) == (driver.sent, jobs)


@each_row(
    "refusal",
    [
        {},
        {"message": "The pageSize is too large."},
        {"errors": [{"code": "InvalidParameter", "field": "PageSize", "message": "No."}]},
    ],
)
def test_the_largest_page_that_the_server_takes(refusal: dict[str, Any]) -> None:
    made = client()
    query = JobQuery(product=M365)
    driver, jobs = list_all(made, query, refuse_above(120, **refusal))
    assert ["1000", "500", "200", "100"] == sizes(driver)[:4]
    assert ["FB1"] == [job.job_id for job in jobs]
    again, _ = list_all(made, query, refuse_above(120, **refusal))
    assert "100" == sizes(again)[0]


@each_row(("page_size", "expected"), [(300, ["300", "200", "100"]), (100, ["100"]), (7, ["7"])])
def test_a_connections_own_page_size(page_size: int, expected: list[str]) -> None:
    driver, _ = list_all(client(page_size=page_size), JobQuery(product=M365), refuse_above(120))
    assert expected == sizes(driver)[: len(expected)]


@each_row(
    ("refusal", "status"),
    [
        ({"errors": [{"code": "InvalidParameter", "field": "startTime", "message": "No."}]}, 400),
        ({"errors": [{"code": "Teapot", "message": "No."}]}, 400),
        ({"message": "The pageSize is too large."}, 404),
        ({"message": "No."}, 418),
    ],
)
def test_other_refusals_change_no_size(refusal: dict[str, Any], status: int) -> None:
    with pytest.raises(AvePointRequestError) as caught:
        list_all(client(), JobQuery(product=M365), lambda _: answer(refusal, status=status))
    assert status == caught.value.status


def test_no_size_is_taken() -> None:
    driver = Driver(refuse_above(0))
    listing = JobListing(client(), JobQuery(product=M365), NOW)
    with pytest.raises(AvePointRequestError):
        driver.run(*listing.begin(0))
    assert list(map(str, M365.paging.sizes)) == sizes(driver)


def test_jobs_come_once_and_only_those_asked_for() -> None:
    """The vendor's sample shows one job four times; a server may also ignore a filter."""
    rows = [d365_row(1), *[d365_row(2)] * 4, d365_row(3, type=2), d365_row(4, status=4), d365_row(1)]
    rows += [d365_row(1, organizationId="o2"), d365_row(5, startTime="2026-11-20T04:00:00Z")]
    (query,) = build_queries("dynamics365", started_after="2026-11-21T05:00:00Z", state="success")

    def serve(request: Request) -> Response:
        is_first = "pageIndex" not in dict(request.query)
        return answer({"jobs": rows if is_first else [], "totalCount": 20, "nextLink": ""})

    _, jobs = list_all(client(), query, serve)
    assert [("DCIB1", "o1"), ("DCIB2", "o1"), ("DCIB1", "o2")] == [
        (job.job_id, job.organization_id) for job in jobs
    ]


def test_pages_are_followed_to_the_end() -> None:
    """The link drops the product's prefix and bends the query; what is asked stays the same."""
    asked = {"type": "1", "organizationId": "o1"}

    def serve(request: Request) -> Response:
        query = dict(request.query)
        assert "https://graph.example/dynamicsbackup/jobs" == request.url
        assert asked == {name: query[name] for name in asked}
        number = int(query.get("pageIndex", 1))
        rows = [d365_row(number * 10 + i) for i in range(5)] if number <= 3 else []
        link = f"/jobs?pageIndex={number + 1}&pageSize=5&type=2&organizationId=other" if number < 3 else ""
        return answer({"jobs": rows, "totalCount": 15, "nextLink": link})

    (query,) = build_queries("dynamics365", organization_id="o1")
    driver, jobs = list_all(client(), query, serve)
    assert 15 == len(jobs)
    assert ["1000", "5", "5"] == sizes(driver)[:3]


def test_jobs_are_made_as_they_are_drawn() -> None:
    """Whoever leaves after the first job has paid for one; what comes next is known before."""
    rows = [m365_row(1), m365_row(2, id=None)]
    page = {"data": rows, "metadata": {"nextLink": "?pageIndex=1"}}
    listing = JobListing(client(), JobQuery(product=M365), NOW)
    driver = Driver([answer(page), answer({"data": []})])
    jobs = listing.take(driver.run(*listing.begin(0)))
    driver.run(*listing.begin(0))
    assert "1" == dict(driver.sent[-1].query)["pageIndex"]
    assert "FB1" == next(iter(jobs)).job_id
    with pytest.raises(AvePointPayloadError, match="a job without id"):
        next(iter(jobs))


@each_row("row", [{}, {"id": None}, [], None, "FB2"])
def test_a_row_that_nobody_can_tell_from_others_raises(row: object) -> None:
    listing = JobListing(client(), JobQuery(product=M365), NOW)
    document = Driver([answer({"data": [m365_row(1), row]})]).run(*listing.begin(0))
    with pytest.raises(AvePointPayloadError, match="listed a job"):
        list(listing.take(document))


@each_row("status", [204, 400, 404, 416])
def test_a_refusal_is_the_end_where_the_rows_make_the_total(status: int) -> None:
    """A page beyond the last one may be refused; any other that is refused has rows that nobody has seen."""

    def serve(request: Request) -> Response:
        if "pageIndex" in dict(request.query):
            return answer({"message": "No such page."}, status=status)
        rows = [d365_row(number) for number in range(12)]
        return answer({"jobs": rows, "totalCount": total})

    for total in (12, 13, None):
        if total == 12:
            _, jobs = list_all(client(), JobQuery(product=D365), serve)
            assert 12 == len(jobs)
            continue
        with pytest.raises(AvePointRequestError) as caught:
            list_all(client(), JobQuery(product=D365), serve)
        assert status == caught.value.status


def test_the_larger_of_two_totals_counts() -> None:
    """Microsoft 365's table names one, its sample another: one of them may count the page."""
    pages = [[m365_row(1)], [m365_row(2)]]

    def serve(request: Request) -> Response:
        rows = pages[int(dict(request.query).get("pageIndex", 0))]
        return answer({"data": rows, "metadata": {"totalNumber": len(rows), "totalCount": 2}})

    driver, jobs = list_all(client(), JobQuery(product=M365), serve)
    assert (["FB1", "FB2"], 2) == ([job.job_id for job in jobs], len(driver.sent))


def test_an_opaque_token_goes_on_with_the_same_size() -> None:
    def serve(request: Request) -> Response:
        query = dict(request.query)
        if "skiptoken" not in query:
            return answer({"jobs": [d365_row(1)], "nextLink": "a%2Fb"})
        assert ("a/b", "1000") == (query["skiptoken"], query["pageSize"])
        return answer({"jobs": [d365_row(2)], "nextLink": None})

    _, jobs = list_all(client(), JobQuery(product=D365), serve)
    assert ["DCIB1", "DCIB2"] == [job.job_id for job in jobs]


def test_a_link_elsewhere_gets_no_token() -> None:
    driver = Driver(lambda _: answer({"jobs": [d365_row(1)], "nextLink": "https://evil.example/jobs?a=1"}))
    listing = JobListing(client(), JobQuery(product=D365), NOW)
    with pytest.raises(AvePointPayloadError, match="another address"):
        listing.take(driver.run(*listing.begin(0)))
    assert ["https://graph.example/dynamicsbackup/jobs"] == [request.url for request in driver.sent]


@each_row("name", ["totalNumber", "totalCount", "TotalCount"])
@each_row(("total", "ahead"), [(30, 2), ("30", 2), ("many", 1), (-1, 1), (None, 1), (True, 1), ([30], 1)])
def test_the_total_is_a_hint(name: str, total: object, ahead: int) -> None:
    """It tells how far to read ahead; one that cannot be read is none."""
    listing = JobListing(client(page_size=10), JobQuery(product=M365), NOW)
    metadata = {name: total, "nextLink": "?pageIndex=1&pageSize=10"}
    page = answer({"data": [m365_row(i) for i in range(10)], "metadata": metadata})
    jobs = listing.take(Driver([page]).run(*listing.begin(0)))
    assert 10 == len(list(jobs))
    assert ahead == len(listing.begin(0))


def test_a_module_that_no_filter_asked_for_is_not_attributed() -> None:
    """Dynamics 365 lists all modules together: a row that names none may be any of them."""
    (query,) = build_queries("dynamics365", object_type="unified_operations")
    rows = [d365_row(1, module=None), d365_row(2, module="Unified Operations")]
    _, jobs = list_all(
        client(),
        query,
        lambda request: answer({"jobs": rows if "pageIndex" not in dict(request.query) else []}),
    )
    assert ["DCIB2"] == [job.job_id for job in jobs]


def test_what_was_asked_for_is_known_of_each_row() -> None:
    (query,) = build_queries("m365", object_type="teams", location="NAM")
    _, (job,) = list_all(client(), query, refuse_above(1000))
    assert ("backup", "teams", "NAM") == (job.job_type, job.workload, job.location)


# One customer at a time, filters in a body


def test_a_query_in_a_body() -> None:
    """The customer is in the path, the filters are numbers in the body, the page is in the query."""
    asked: dict[str, Any] = {"job_type": "all", "object_type": "exchange_online", "organization_id": "c 1/ü"}
    (query,) = build_queries("elements", started_after="2026-11-21T05:00:00Z", **asked)

    def serve(request: Request) -> Response:
        rows = [elements_row(1)] if dict(request.query).get("pageIndex", "1") == "1" else []
        return answer({"data": rows, "metadata": {"pageIndex": 1, "pageSize": 100}})

    driver, (job,) = list_all(client(), query, serve)
    path = "/partner/external/v3/general/customers/c%201%2F%C3%BC/avpt-products/jobs/batch"
    expected = Request(
        method="POST",
        url=f"https://graph.example{path}",
        query=(("pageSize", "100"),),
        json={"jobModule": 303},
        headers={"Authorization": "Bearer t", "Accept": "application/json"},
    )
    assert expected == driver.sent[0]
    assert [(("pageIndex", str(number)), ("pageSize", "10")) for number in (1, 2)] == [
        request.query for request in driver.sent[1:]
    ]
    assert [{"jobModule": 303}] * 3 == [request.json for request in driver.sent]
    assert ("c 1/ü", "exchange_online") == (job.organization_id, job.workload)


def test_a_query_without_filters_has_an_empty_body() -> None:
    (query,) = build_queries("elements", organization_id="c1")
    driver, _ = list_all(client(), query, lambda _: answer({"data": []}))
    assert [{}] == [request.json for request in driver.sent]


def test_the_access_check_of_customers_lists_is_a_token() -> None:
    """No customer is known there: whoever may have the token may list the customers' jobs."""
    driver = Driver([])
    assert None is driver.run(client().check_access(ELEMENTS, NOW))


def test_find_job_of_a_customer() -> None:
    rows = [elements_row(0, jobId="FB0"), elements_row(1)]
    driver, job = find(ELEMENTS, lambda _: answer({"data": rows}), organization_id="c1")
    assert ("FB1", "c1") == (job.job_id, job.organization_id)
    assert "/customers/c1/" in driver.sent[0].url


# A type that rows have to say


def list_jobs_of(product: Any, rows: list[dict[str, Any]], **asked: Any) -> list[BackupJob]:
    (query,) = build_queries(product.name, **asked)
    key = product.envelope.rows[0][-1]

    def serve(request: Request) -> Response:
        names = {name for name, _ in request.query}
        return answer({key: rows if product.paging.index not in names else []})

    _, jobs = list_all(client(), query, serve)
    return list(jobs)


def list_types(product: Any, rows: list[dict[str, Any]], **asked: Any) -> list[str]:
    return [job.job_id for job in list_jobs_of(product, rows, **asked)]


def test_backups_of_many_numbers_are_picked_out() -> None:
    rows = [iaas_row(n, jobType=kind) for n, kind in enumerate((1, 2, 20009, 64, 99999, 90110))]
    assert ["IB0", "IB2", "IB5"] == list_types(IAAS, rows)
    assert ["IB1"] == list_types(IAAS, rows, job_type="restore")
    assert ["IB0", "IB1", "IB2", "IB3", "IB4", "IB5"] == list_types(IAAS, rows, job_type="all")


@each_row("kind", [None, "", "N/A", ...])
@each_row(
    ("product", "make", "key"),
    [(IAAS, iaas_row, "jobType"), (SCANS, scan_row, "type"), (ELEMENTS, elements_row, "jobType")],
)
def test_a_row_that_hides_its_type_is_no_backup_and_no_other_job(
    product: Any, make: Any, key: str, kind: object
) -> None:
    """Nobody asked the server for a type, so nobody knows: it may be of each that is asked for."""
    fields = {"start": NOW - timedelta(hours=1)} if product is SCANS else {}
    row = {name: value for name, value in make(1, **fields, **{key: kind}).items() if value is not ...}
    customer = {"organization_id": "c1"} if product.needs_organization else {}
    (job,) = list_jobs_of(product, [row], **customer)
    assert ("backup", (f"{key} is missing",)) == (job.job_type, job.problems)
    (job,) = list_jobs_of(product, [row], job_type="all", **customer)
    assert job.job_type is None


def test_a_row_without_a_type_that_was_asked_for_is_of_it() -> None:
    assert ["IB1"] == list_types(IAAS, [iaas_row(1, jobType=None)], job_type="retention")
    assert ["DCIB1"] == list_types(D365, [d365_row(1, type=None)])


def test_housekeeping_needs_no_type() -> None:
    row = elements_row(1, jobType=None, jobModule=10)
    assert [] == list_types(ELEMENTS, [row], organization_id="c1")
    assert ["FB1"] == list_types(ELEMENTS, [row], organization_id="c1", job_type="retention")


# Newest first


def list_scans(
    starts: list[datetime | None], *, page_size: int = 10, ahead: int = 1, **asked: Any
) -> tuple[list[int], int]:
    """Return which scans are found, and how many requests that takes; scans are listed in the given order."""
    rows = [scan_row(n, start) for n, start in enumerate(starts)]
    (query,) = build_queries("aos_scan", **asked)

    def serve(request: Request) -> Response:
        query = {name: int(value) for name, value in request.query if name in ("skip", "top")}
        skip, top = query.get("skip", 0), query["top"]
        link = f"?orderby=StartTime&sortorder=1&top={top}&skip={skip + top - 1}"
        return answer({"jobs": rows[skip : skip + top], "nextLink": link if skip + top < len(rows) else None})

    driver, jobs = list_all(client(page_size=page_size, max_concurrency=ahead), query, serve)
    return [int(job.job_id.removeprefix("Scan")) for job in jobs], len(driver.sent)


def hourly(count: int, *, first: int = 1) -> list[datetime | None]:
    return [NOW - timedelta(hours=hour) for hour in range(first, first + count)]


def test_scans_are_read_until_one_began_before_the_window() -> None:
    """The link of the vendor's sample is off by one row; where the next page begins is counted."""
    found, requests = list_scans(hourly(95), started_after=NOW - timedelta(hours=25))
    assert (list(range(25)), 3) == (found, requests)


def test_without_a_window_all_scans_are_read() -> None:
    found, requests = list_scans(hourly(95))
    assert (list(range(95)), 11) == (found, requests)


def test_a_scan_just_at_the_windows_start_may_have_others_beside_it() -> None:
    """Only an earlier start tells that the window is over."""
    begin = NOW - timedelta(hours=5)
    found, requests = list_scans([begin] * 35, started_after=begin)
    assert (list(range(35)), 5) == (found, requests)


@each_row("page_size", [1, 2, 10])
@each_row("ahead", [1, 8])
def test_a_server_that_lists_the_oldest_first_is_read_to_its_end(page_size: int, ahead: int) -> None:
    """Which is its order unless told otherwise. A page of one row shows no order at all."""
    begin = NOW - timedelta(hours=25)
    found, _ = list_scans(hourly(95)[::-1], page_size=page_size, ahead=ahead, started_after=begin)
    assert list(range(70, 95)) == sorted(found)


@each_row("ahead", [1, 8])
def test_a_server_without_order_is_read_to_its_end(ahead: int) -> None:
    begin = NOW - timedelta(hours=25)
    newest, oldest = hourly(95)[:47], hourly(95)[:47:-1]
    starts = [start for pair in zip(newest, oldest, strict=True) for start in pair]
    found, _ = list_scans(starts, ahead=ahead, started_after=begin)
    assert {n for n, start in enumerate(starts) if start and start >= begin} == set(found)


def test_a_page_of_one_moment_shows_no_order() -> None:
    """All of a night's scans may begin in the same second, and the server may list the oldest first."""
    old = [NOW - timedelta(hours=50)] * 10
    found, _ = list_scans([*old, *hourly(5)[::-1]], started_after=NOW - timedelta(hours=25))
    assert set(range(10, 15)) == set(found)


def test_scans_that_do_not_say_when_they_began_end_nothing() -> None:
    starts: list[datetime | None] = [None] * 10
    found, requests = list_scans([*starts, *hourly(15)], started_after=NOW - timedelta(hours=8))
    assert (list(range(18)), 2) == (found, requests)


def test_a_scan_whose_start_cannot_be_read_may_be_in_the_window() -> None:
    rows = [scan_row(1, NOW - timedelta(hours=1)), scan_row(2, None, startTime="soon")]
    jobs = list_jobs_of(SCANS, rows, started_after=NOW - timedelta(hours=25))
    assert {"Scan1": 0, "Scan2": 1} == {job.job_id: len(job.problems) for job in jobs}


@each_row(("hours", "expected"), [(45, []), (30, ["Scan2"])])
def test_a_start_without_an_offset_is_out_of_the_window_where_all_of_its_span_is(
    hours: int, expected: list[str]
) -> None:
    naive = f"{NOW - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}"
    rows = [scan_row(1, NOW - timedelta(hours=1)), scan_row(2, None, startTime=naive)]
    assert ["Scan1", *expected] == list_types(SCANS, rows, started_after=NOW - timedelta(hours=25))


@each_row("job_id", ["N/A", "", None, ...])
def test_a_row_of_a_service_without_a_job_is_no_job(job_id: object) -> None:
    """In the states that say so; in any other a row without an id raises."""
    rows = [elements_row(1, jobId=job_id, status=status) for status in (11, 12)]
    rows = [{name: value for name, value in row.items() if value is not ...} for row in rows]
    assert ["FB2"] == list_types(ELEMENTS, [*rows, elements_row(2)], organization_id="c1")
    with pytest.raises(AvePointPayloadError, match="without jobId"):
        list_types(ELEMENTS, [rows[0] | {"status": 3}], organization_id="c1")


def test_what_was_not_asked_for_is_left_out_whatever_it_holds() -> None:
    """A restore, another organisation, an old row: neither an id nor a count of it is missed."""
    odd = {"jobId": None, "failedEntity": "many"}
    rows = [
        d365_row(1, organizationId="a"),
        d365_row(2, type=2, **odd),
        d365_row(3, organizationId="b", **odd),
        d365_row(4, organizationId="a", startTime="2020-01-01T00:00:00Z", **odd),
    ]
    after = NOW - timedelta(days=400)
    assert ["DCIB1"] == list_types(D365, rows, organization_id="a", started_after=after)


def test_few_pages_are_read_ahead_of_the_windows_start() -> None:
    found, requests = list_scans(hourly(5000), started_after=NOW - timedelta(hours=25), ahead=8)
    assert set(range(25)) == set(found)
    assert 15 > requests


@each_row(
    ("product", "document", "expected"),
    [
        (M365, {"data": [1]}, [1]),
        (M365, {"Data": []}, []),
        (M365, {"data": None, "statusCode": 200}, []),
        (LEGACY, {"jobs": [1]}, [1]),
        (D365, {"jobs": []}, []),
        (GOOGLE, {"status": 200, "message": "", "jobs": [1]}, [1]),
        (GOOGLE, {"Status": 200, "Value": [1], "NextLink": None}, [1]),
        (SALESFORCE, {"statusCode": 200, "data": {"totalCount": 1, "jobs": [1], "nextLink": ""}}, [1]),
        (SALESFORCE, {"Data": {"Jobs": []}}, []),
        (IAAS, {"totalCount": 51, "jobs": [1], "nextLink": "pZ5%2FtiSPUEfNBIK13B"}, [1]),
        (IAAS, {"totalCount": 0, "jobs": None}, []),
        (SCANS, {"jobs": [1], "totalCount": 2}, [1]),
        (ELEMENTS, {"data": [1], "metadata": {"pageIndex": 1}}, [1]),
    ],
)
def test_rows(product: Any, document: object, expected: list[Any]) -> None:
    assert expected == read_rows(product, pages.Answer(document, {}))


@each_row("product", PRODUCTS.values())
@each_row(
    "document", [None, [], {}, "text", 5, {"rows": []}, {"data": {}, "jobs": {}}, {"data": 5, "jobs": ""}]
)
def test_an_answer_without_rows_is_not_an_empty_list(product: Any, document: object) -> None:
    with pytest.raises(AvePointPayloadError, match="answered without the list") as caught:
        read_rows(product, pages.Answer(document, {}))
    assert product.documentation_url in str(caught.value)


def test_the_access_check_is_one_small_call() -> None:
    driver = Driver([answer({"data": []})])
    assert None is driver.run(client().check_access(M365, NOW))
    query = dict(driver.sent[0].query)
    assert ("1", "2026-11-21T04:59:59Z") == (query["pageSize"], query["startTime"])


def test_the_access_check_names_the_permission() -> None:
    with pytest.raises(AvePointPermissionError) as caught:
        Driver([answer(status=403)]).run(client().check_access(D365, NOW))
    assert "dynamics.readwrite.all" == caught.value.permission


# One job


@each_row(
    ("job_id", "location", "url", "query"),
    [
        ("FB1", None, "FB1", ()),
        ("FB1", "NAM", "FB1", (("location", "NAM"),)),
        ("a/b c?d", None, "a%2Fb%20c%3Fd", ()),
    ],
)
def test_get_job(job_id: str, location: str | None, url: str, query: tuple[tuple[str, str], ...]) -> None:
    driver = Driver([answer({"statusCode": 200, "data": m365_row(1, id=job_id)})])
    job = driver.run(client().get_job(M365, job_id, location))
    assert (job_id, location) == (job.job_id, job.location)
    assert f"https://graph.example/backup/m365/cloudbackupjobs/{url}" == driver.sent[0].url
    assert query == driver.sent[0].query


@each_row(
    ("reply", "kind"),
    [
        (answer(status=404), AvePointJobNotFound),
        (answer({"statusCode": 404, "message": "None."}), AvePointJobNotFound),
        (answer({"statusCode": 200, "data": None}), AvePointJobNotFound),
        (answer({"statusCode": 200}), AvePointJobNotFound),
        (answer(status=400), AvePointRequestError),
        (answer({"data": m365_row(2)}), AvePointPayloadError),
        (answer({"data": [m365_row(1)]}), AvePointPayloadError),
    ],
)
def test_get_job_refused(reply: Response, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        Driver([reply]).run(client().get_job(M365, "FB1", None))
    assert kind is type(caught.value)


def test_no_endpoint_for_one_job() -> None:
    with pytest.raises(AvePointConfigError, match="has no endpoint for a single job"):
        Driver([]).run(client().get_job(D365, "DCIB1", None))


def find(product: Any, serve: Callable[[Request], Answer], **arguments: Any) -> tuple[Driver, BackupJob]:
    driver = Driver(serve)
    query = JobQuery(product=product, **arguments)
    return driver, driver.run(find_job(client(), query, "FB1", NOW))


def test_find_job_by_its_endpoint() -> None:
    driver, job = find(M365, lambda _: answer({"data": m365_row(1)}))
    assert "FB1" == job.job_id
    assert 1 == len(driver.sent)


def nowhere_but_listed(request: Request) -> Response:
    return (
        answer(status=404) if request.url.endswith("/FB1") else answer({"data": [m365_row(0), m365_row(1)]})
    )


def test_find_job_of_another_location() -> None:
    """The endpoint for one job knows the central location only, the listing knows all."""
    driver, job = find(M365, nowhere_but_listed)
    assert "FB1" == job.job_id
    query = dict(driver.sent[1].query)
    assert (NOW - timedelta(days=30, seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ") == query["startTime"]
    assert "jobType" not in query


def test_find_job_in_a_given_location_only() -> None:
    with pytest.raises(AvePointJobNotFound):
        find(M365, nowhere_but_listed, location="NAM")


def test_find_job_by_search() -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)

    def serve(request: Request) -> Response:
        number = int(dict(request.query).get("pageIndex", 0))
        rows = [[d365_row(1), d365_row(2)], [d365_row(3), d365_row(4, jobId="FB1")]][number]
        return answer({"jobs": rows, "totalCount": 4})

    driver, job = find(D365, serve, organization_id="o1", started_after=after)
    assert "FB1" == job.job_id
    query = dict(driver.sent[0].query)
    assert ("2025-12-31T23:59:59Z", "o1", "0") == (query["startTime"], query["organizationId"], query["type"])
    assert 2 == len(driver.sent)


def test_find_job_that_is_nowhere() -> None:
    with pytest.raises(AvePointJobNotFound, match="Dynamics 365 knows no job FB1") as caught:
        find(D365, lambda _: answer({"jobs": []}))
    assert 404 == caught.value.status


# Licences


@each_row(
    ("product", "location", "url", "query"),
    [
        (M365, None, "/backup/m365/cloudbackuplicenseconsumption", ()),
        (M365, "NAM", "/backup/m365/cloudbackuplicenseconsumption", (("location", "NAM"),)),
        (LEGACY, None, "/cloudbackup/licenseconsumption", ()),
    ],
)
def test_license(product: Any, location: str | None, url: str, query: tuple[tuple[str, str], ...]) -> None:
    figures = {"outOfPolicyTime": 0, "purchasedUserSeats": 100, "assignedUserSeats": 47}
    figures |= {"purchasedStorageSize": 0, "protectedSize": 7}
    driver = Driver([answer({"data": figures} | figures)])
    expected = LicenseConsumption(
        product=product.name,
        location=location,
        purchased_user_seats=100,
        assigned_user_seats=47,
        purchased_storage_gb=0,
        protected_gb=7,
    )
    assert expected == driver.run(get_license(client(), product, location, NOW))
    assert (f"https://graph.example{url}", query) == (driver.sent[0].url, driver.sent[0].query)


@each_row(
    ("since", "expected"), [("2026-11-22T05:00:00Z", True), ("2026-11-22T05:00:01Z", False), (0, False)]
)
def test_out_of_policy_once_the_moment_has_come(since: object, *, expected: bool) -> None:
    """The sample calls it the day on which the subscription expires: that may lie ahead."""
    names = ("purchasedUserSeats", "assignedUserSeats", "purchasedStorageSize", "protectedSize")
    figures = dict.fromkeys(names, 1) | {"outOfPolicyTime": since}
    got = Driver([answer({"data": figures})]).run(get_license(client(), M365, None, NOW))
    assert expected is got.is_out_of_policy


def test_no_licence_endpoint() -> None:
    with pytest.raises(AvePointConfigError, match=r"product: .* has no API for licence consumption"):
        Driver([]).run(get_license(client(), D365, None, NOW))


def test_a_licence_that_knows_no_locations() -> None:
    """The figures of the whole tenant are no answer to a query about one location."""
    with pytest.raises(AvePointConfigError, match=r"location: .* has one licence for all locations"):
        Driver([]).run(get_license(client(), LEGACY, "NAM", NOW))


SERVICES = "https://graph.example/partner/external/v3/general/customers/services/batch"


def customer(name: str, *services: str) -> dict[str, Any]:
    subscriptions = [
        {
            "service": service,
            "purchasedUserSeats": "100",
            "microsoftLicenseAssigned": "47",
            "purchasedCapacity": "5 GB",
            "protectedCapacity": "1 GB",
            "expirationDate": "2027-01-01",
        }
        for service in services
    ]
    return {"customerId": name, "organization": name.upper(), "products": subscriptions}


def page_of(*customers: dict[str, Any], total: int | None = None) -> Any:
    return answer({"data": list(customers), "metadata": {"totalCount": total or len(customers)}})


def licenses(driver: Driver, organization_id: str | None = None) -> list[tuple[str | None, str | None]]:
    found = driver.run(get_licenses(client(), ELEMENTS, organization_id, None, NOW))
    return [(each.organization_id, each.service) for each in found]


@each_row("product", [M365, LEGACY])
def test_licences_of_a_tenant_are_one(product: Any) -> None:
    figures = {"purchasedUserSeats": 100, "assignedUserSeats": 47}
    figures |= {"purchasedStorageSize": 0, "protectedSize": 7}
    answers = [answer({"data": figures} | figures)] * 2
    driver = Driver(answers)

    one = driver.run(get_license(client(), product, None, NOW))

    assert [one] == driver.run(get_licenses(client(), product, None, None, NOW))


def test_a_subscription() -> None:
    driver = Driver(lambda _: page_of(customer("c1", "Backup")))

    assert [
        LicenseConsumption(
            product="elements",
            service="Backup",
            organization_id="c1",
            organization_name="C1",
            purchased_user_seats=100,
            assigned_user_seats=47,
            purchased_storage_gb=5,
            protected_gb=1,
            expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        )
    ] == driver.run(get_licenses(client(), ELEMENTS, "c1", None, NOW))
    (sent,) = driver.sent
    assert ("POST", SERVICES, {"customerIds": ["c1"]}) == (sent.method, sent.url, sent.json)
    assert (("pageSize", "100"),) == sent.query


@each_row("first_index", [0, 1])
def test_subscriptions_come_once_however_many_pages(first_index: int) -> None:
    """From whichever number the server counts: its first page comes unasked for, and may come again."""
    customers = [customer(f"c{index}", "Backup", "Fly") for index in range(250)]

    def serve(request: Any) -> Any:
        index = int(dict(request.query).get("pageIndex", first_index))
        start = (max(index, first_index) - first_index) * 100
        return page_of(*customers[start : start + 100], total=250)

    driver = Driver(serve)
    expected = [(f"c{index}", service) for index in range(250) for service in ("Backup", "Fly")]

    assert expected == licenses(driver)
    assert all(request.json == {} for request in driver.sent)


def test_only_the_customer_that_is_asked_for() -> None:
    """Whatever the server makes of the filter: an older form of the page calls it otherwise."""
    guid = "69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a"
    driver = Driver(lambda _: page_of(customer("c1", "Backup"), customer(guid.upper(), "Fly")))

    assert [(guid.upper(), "Fly")] == licenses(driver, f"{{{guid}}}")
    assert 1 == len(driver.sent)


def test_a_page_of_customers_beyond_the_last_one_may_be_refused() -> None:
    """The customers make the total; where they do not, the refusal is an error."""
    rows = [customer(f"c{number}", "Backup") for number in range(100)]

    def serve(request: Request) -> Response:
        if "pageIndex" in dict(request.query):
            return answer({"message": "No such page."}, status=status)
        return answer({"data": rows, "metadata": {"totalCount": total}})

    total, status = 100, 404
    assert 100 == len(licenses(Driver(serve)))
    total = 101
    with pytest.raises(AvePointRequestError):
        licenses(Driver(serve))
    total, status = 100, 409
    with pytest.raises(AvePointRequestError):
        licenses(Driver(serve))


@each_row(
    ("organization_id", "customers"),
    [
        ("c9", [customer("c1", "Backup")]),
        ("c1", [customer("c1")]),
        ("c1", []),
        (None, []),
        (None, [customer("c1")]),
    ],
)
def test_no_subscription_is_no_good_licence(
    organization_id: str | None, customers: list[dict[str, Any]]
) -> None:
    with pytest.raises(AvePointRequestError, match="lists no subscription of any customer") as caught:
        licenses(Driver(itertools.chain([page_of(*customers)], itertools.repeat(page_of()))), organization_id)
    assert 404 == caught.value.status


def test_a_page_without_customers_key() -> None:
    with pytest.raises(AvePointPayloadError, match="without the list data"):
        licenses(Driver(lambda _: answer({"metadata": {}})))


@each_row(
    ("product", "organization_id", "location", "problem"),
    [
        (M365, "c1", None, "organization_id: .* has one licence for the tenant"),
        (D365, None, None, "product: .* has no API for licence consumption"),
        (LEGACY, None, "NAM", "location: .* has one licence for all locations"),
        (ELEMENTS, None, "NAM", "location: .* has one licence for all locations"),
        (ELEMENTS, " ", None, "organization_id is empty"),
    ],
)
def test_licences_that_cannot_be_asked_for(
    product: Any, organization_id: str | None, location: str | None, problem: str
) -> None:
    with pytest.raises(AvePointConfigError, match=problem):
        Driver([]).run(get_licenses(client(), product, organization_id, location, NOW))


def test_a_partners_licence_is_not_one() -> None:
    with pytest.raises(AvePointConfigError, match="get_license_consumptions"):
        Driver([]).run(get_license(client(), ELEMENTS, None, NOW))


@each_row(
    ("at_a_time", "limit", "expected"), [(3, None, 4), (3, 2, 2), (3, 1, 1), (1, None, 1), (2, None, 3)]
)
def test_limits(at_a_time: int, limit: int | None, expected: int) -> None:
    """Unless told otherwise, half as many pages wait to be drawn as are on their way."""
    listing = JobListing(client(max_concurrency=at_a_time), JobQuery(product=M365), NOW)
    rows = [m365_row(i) for i in range(10)]
    page = {"data": rows, "metadata": {"totalNumber": 1000, "nextLink": "?pageIndex=1&pageSize=10"}}
    listing.take(Driver([answer(page)]).run(*listing.begin(0)))
    flows = listing.begin(0) if limit is None else listing.begin_up_to(limit, 0)
    assert expected == len(flows)
    assert [] == (listing.begin(expected) if limit is None else listing.begin_up_to(limit, expected))
