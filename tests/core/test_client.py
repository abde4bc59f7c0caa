"""The API's calls, driven by hand: what is sent, in which order, and what the answers mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.auth import Token, TokenCache, TokenSource
from airflow_provider_avepoint.core.client import Client, Listing, read_rows
from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointJobNotFound,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
)
from airflow_provider_avepoint.core.model import BackupJob, LicenseConsumption
from airflow_provider_avepoint.core.question import Question, build_questions
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.core.wire import Request, Response
from airflow_provider_avepoint.products import PRODUCTS

from .flows import Answer, Driver, answer

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
M365, LEGACY, D365 = PRODUCTS["m365"], PRODUCTS["m365_legacy"], PRODUCTS["dynamics365"]


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
        scopes = {product.permission} | ({product.license.permission} if product.license else set())
        for scope in scopes:
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


def list_all(
    made: Client, question: Question, serve: Callable[[Request], Answer]
) -> tuple[Driver, list[BackupJob]]:
    driver = Driver(serve)
    listing = made.list_jobs(question, NOW)
    jobs: list[BackupJob] = []
    while wanted := listing.wanted(0):
        for fetch in wanted:
            jobs += listing.receive(driver.run(listing.fetch(fetch)))
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
    (question,) = build_questions("m365", started_after="2026-11-21T05:00:00Z", object_type="teams")
    driver, jobs = list_all(client(location="NAM"), question, lambda _: answer({"data": []}))
    expected = Request(
        method="GET",
        url="https://graph.example/backup/m365/cloudbackupjobs",
        query=(
            ("startTime", "2026-11-21T04:59:59Z"),
            ("finishTime", "2026-11-22T05:05:01Z"),
            ("jobType", "1"),
            ("objectType", "7"),
            ("pageSize", "1000"),
        ),
        headers={"Authorization": "Bearer t", "Accept": "application/json"},
    )
    assert ([expected], []) == (driver.sent, jobs)


@pytest.mark.parametrize(
    "refusal",
    [
        {},
        {"message": "The pageSize is too large."},
        {"errors": [{"code": "InvalidParameter", "field": "PageSize", "message": "No."}]},
    ],
)
def test_the_largest_page_that_the_server_takes(refusal: dict[str, Any]) -> None:
    made = client()
    question = Question(product=M365)
    driver, jobs = list_all(made, question, refuse_above(120, **refusal))
    assert ["1000", "500", "200", "100"] == sizes(driver)[:4]
    assert ["FB1"] == [job.job_id for job in jobs]
    again, _ = list_all(made, question, refuse_above(120, **refusal))
    assert "100" == sizes(again)[0]


@pytest.mark.parametrize(
    ("page_size", "expected"), [(300, ["300", "200", "100"]), (100, ["100"]), (7, ["7"])]
)
def test_a_connections_own_page_size(page_size: int, expected: list[str]) -> None:
    driver, _ = list_all(client(page_size=page_size), Question(product=M365), refuse_above(120))
    assert expected == sizes(driver)[: len(expected)]


@pytest.mark.parametrize(
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
        list_all(client(), Question(product=M365), lambda _: answer(refusal, status=status))
    assert status == caught.value.status


def test_no_size_is_taken() -> None:
    driver = Driver(refuse_above(0))
    listing = client().list_jobs(Question(product=M365), NOW)
    with pytest.raises(AvePointRequestError):
        driver.run(listing.fetch(None))
    assert list(map(str, M365.paging.sizes)) == sizes(driver)


def test_jobs_come_once_and_only_those_asked_for() -> None:
    """The vendor's sample shows one job four times; a server may also ignore a filter."""
    rows = [d365_row(1), *[d365_row(2)] * 4, d365_row(3, type=2), d365_row(4, status=4), d365_row(1)]
    rows += [d365_row(1, organizationId="o2"), d365_row(5, startTime="2026-11-20T04:00:00Z")]
    (question,) = build_questions("dynamics365", started_after="2026-11-21T05:00:00Z", state="success")

    def serve(request: Request) -> Response:
        is_first = "pageIndex" not in dict(request.query)
        return answer({"jobs": rows if is_first else [], "totalCount": 20, "nextLink": ""})

    _, jobs = list_all(client(), question, serve)
    assert [("DCIB1", "o1"), ("DCIB2", "o1"), ("DCIB1", "o2")] == [
        (job.job_id, job.organization_id) for job in jobs
    ]


def test_pages_are_followed_to_the_end() -> None:
    """The link drops the product's prefix and bends the question; what is asked stays the same."""
    asked = {"type": "1", "organizationId": "o1"}

    def serve(request: Request) -> Response:
        query = dict(request.query)
        assert "https://graph.example/dynamicsbackup/jobs" == request.url
        assert asked == {name: query[name] for name in asked}
        number = int(query.get("pageIndex", 1))
        rows = [d365_row(number * 10 + i) for i in range(5)] if number <= 3 else []
        link = f"/jobs?pageIndex={number + 1}&pageSize=5&type=2&organizationId=other" if number < 3 else ""
        return answer({"jobs": rows, "totalCount": 15, "nextLink": link})

    (question,) = build_questions("dynamics365", organization_id="o1")
    driver, jobs = list_all(client(), question, serve)
    assert 15 == len(jobs)
    assert ["1000", "5", "5"] == sizes(driver)[:3]


def test_an_opaque_token_goes_on_with_the_same_size() -> None:
    def serve(request: Request) -> Response:
        query = dict(request.query)
        if "skiptoken" not in query:
            return answer({"jobs": [d365_row(1)], "nextLink": "a%2Fb"})
        assert ("a/b", "1000") == (query["skiptoken"], query["pageSize"])
        return answer({"jobs": [d365_row(2)], "nextLink": None})

    _, jobs = list_all(client(), Question(product=D365), serve)
    assert ["DCIB1", "DCIB2"] == [job.job_id for job in jobs]


def test_a_link_elsewhere_gets_no_token() -> None:
    driver = Driver(lambda _: answer({"jobs": [d365_row(1)], "nextLink": "https://evil.example/jobs?a=1"}))
    listing = client().list_jobs(Question(product=D365), NOW)
    with pytest.raises(AvePointPayloadError, match="another address"):
        listing.receive(driver.run(listing.fetch(None)))
    assert ["https://graph.example/dynamicsbackup/jobs"] == [request.url for request in driver.sent]


@pytest.mark.parametrize("name", ["totalNumber", "totalCount", "TotalCount"])
@pytest.mark.parametrize(
    ("total", "expected"), [(30, 30), ("30", 30), ("many", None), (-1, None), (None, None), (True, None)]
)
def test_the_total_is_a_hint(name: str, total: object, expected: int | None) -> None:
    """One that cannot be read is none."""
    driver = Driver([answer({"data": [], "metadata": {name: total, "nextLink": ""}})])
    page, _ = driver.run(client().list_jobs(Question(product=M365), NOW).fetch(None))
    assert (expected, None, 1000) == (page.total, page.link, page.asked_size)


def test_a_module_that_no_filter_asked_for_is_not_attributed() -> None:
    """Dynamics 365 lists all modules together: a row that names none may be any of them."""
    (question,) = build_questions("dynamics365", object_type="unified_operations")
    rows = [d365_row(1, module=None), d365_row(2, module="Unified Operations")]
    _, jobs = list_all(
        client(),
        question,
        lambda request: answer({"jobs": rows if "pageIndex" not in dict(request.query) else []}),
    )
    assert ["DCIB2"] == [job.job_id for job in jobs]


def test_what_was_asked_for_is_known_of_each_row() -> None:
    (question,) = build_questions("m365", object_type="teams", location="NAM")
    _, (job,) = list_all(client(), question, refuse_above(1000))
    assert ("backup", "teams", "NAM") == (job.job_type, job.workload, job.location)


@pytest.mark.parametrize(
    ("product", "document", "expected"),
    [
        (M365, {"data": [1]}, [1]),
        (M365, {"Data": []}, []),
        (M365, {"data": None, "statusCode": 200}, []),
        (LEGACY, {"jobs": [1]}, [1]),
        (D365, {"jobs": []}, []),
    ],
)
def test_rows(product: Any, document: object, expected: list[Any]) -> None:
    assert expected == read_rows(product, document)


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
@pytest.mark.parametrize(
    "document", [None, [], {}, "text", 5, {"rows": []}, {"data": {}, "jobs": {}}, {"data": 5, "jobs": ""}]
)
def test_an_answer_without_rows_is_not_an_empty_list(product: Any, document: object) -> None:
    with pytest.raises(AvePointPayloadError, match="answered without the list") as caught:
        read_rows(product, document)
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
    question = Question(product=product, **arguments)
    return driver, driver.run(client().find_job(question, "FB1", NOW))


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


@pytest.mark.parametrize(
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
        purchased_user_seats=100,
        assigned_user_seats=47,
        purchased_storage_gb=0,
        protected_gb=7,
    )
    assert expected == driver.run(client().get_license(product, location, NOW))
    assert (f"https://graph.example{url}", query) == (driver.sent[0].url, driver.sent[0].query)


@pytest.mark.parametrize(
    ("since", "expected"), [("2026-11-22T05:00:00Z", True), ("2026-11-22T05:00:01Z", False), (0, False)]
)
def test_out_of_policy_once_the_moment_has_come(since: object, *, expected: bool) -> None:
    """The sample calls it the day on which the subscription expires: that may lie ahead."""
    names = ("purchasedUserSeats", "assignedUserSeats", "purchasedStorageSize", "protectedSize")
    figures = dict.fromkeys(names, 1) | {"outOfPolicyTime": since}
    got = Driver([answer({"data": figures})]).run(client().get_license(M365, None, NOW))
    assert expected is got.is_out_of_policy


def test_no_licence_endpoint() -> None:
    with pytest.raises(AvePointConfigError, match=r"product: .* has no API for licence consumption"):
        Driver([]).run(client().get_license(D365, None, NOW))


def test_a_licence_that_knows_no_locations() -> None:
    """The figures of the whole tenant are no answer to a question about one location."""
    with pytest.raises(AvePointConfigError, match=r"location: .* has one licence for all locations"):
        Driver([]).run(client().get_license(LEGACY, "NAM", NOW))


def test_limits() -> None:
    """Unless told otherwise, as many pages at a time as the connection says."""

    def read_first(listing: Listing) -> None:
        rows = [m365_row(i) for i in range(10)]
        page = {"data": rows, "metadata": {"totalNumber": 1000, "nextLink": "?pageIndex=1&pageSize=10"}}
        listing.receive(Driver([answer(page)]).run(listing.fetch(*listing.wanted(0))))

    for limit, expected in ((None, 3), (2, 2)):
        listing = client(max_concurrency=3).list_jobs(Question(product=M365), NOW)
        read_first(listing)
        assert expected == len(listing.wanted(0, limit))
