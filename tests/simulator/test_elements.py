"""Elements: the page's sample, customers, questions in a JSON body.

Source: AvePoint/cloud-api, docs/elements/general/job/get-customer-jobs.md.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.simulator import Simulator

from .caller import CUSTOMER, CUSTOMERS, ELEMENTS, Caller, jobs_of_customer

SUBSCRIPTIONS = f"{CUSTOMERS}services/batch"

SAMPLE_ROW: dict[str, Any] = {
    "jobType": 7,
    "jobModule": 304,
    "status": 3,
    "jobId": "FB20250911032116214502",
    "name": "N/A",
    "totalCount": "2323",
    "failedCount": "0",
    "successfulCount": "2323",
    "skippedCount": "0",
    "warningCount": "0",
    "backupSize": "0 GB",
    "startTime": "2025-09-11T03:21:16Z",
    "endTime": "2025-09-11T03:38:56Z",
    "jobDuration": "17m39s",
    "lastModifyTime": "2025-09-11T03:38:57Z",
}


def test_sample(avepoint: Simulator, caller: Caller) -> None:
    """The sample: a failed job without a failed object, counts as texts, a duration of cut-off times."""
    avepoint.add_job(
        "elements",
        job_id="FB20250911032116214502",
        workload="microsoft_365_groups",
        state="failed",
        started_at="2025-09-11T03:21:16.214Z",
        finished_at="2025-09-11T03:38:56Z",
        counts={"successful": 2323},
        size_bytes=1024**3 - 1,
        extra={"lastModifyTime": "2025-09-11T03:38:57Z"},
    )
    body = caller.post(ELEMENTS.path).json()

    metadata = {"pageIndex": 1, "pageSize": 50, "totalCount": 1}
    assert {"data": [SAMPLE_ROW], "metadata": metadata} == body


def test_total_tells_of_more_pages(avepoint: Simulator, caller: Caller) -> None:
    """There is no link: pages are asked for by their number, up to the total."""
    avepoint.generate("elements", 5)
    pages = [caller.page(ELEMENTS, pageIndex=index, pageSize=2) for index in (1, 2, 3, 4)]

    assert [2, 2, 1, 0] == [len(page["data"]) for page in pages]
    expected = [{"pageIndex": index, "pageSize": 2, "totalCount": 5} for index in (1, 2, 3, 4)]
    assert expected == [page["metadata"] for page in pages]


def test_customer(avepoint: Simulator, caller: Caller) -> None:
    """The list is of the customer in the path, in either case; one that has no jobs left is still known."""
    avepoint.add_job("elements", job_id="own", organization_id="Customer-A")
    avepoint.add_job("elements", job_id="other", organization_id="customer-b")
    avepoint.add_job("elements", job_id="default")

    def ids(customer: str) -> list[str]:
        return ELEMENTS.ids(caller.post(jobs_of_customer(customer)).json())

    assert (["own"], ["other"], ["default"]) == (ids("customer-a"), ids("customer-b"), ids(CUSTOMER))
    avepoint.delete_job("elements", "own")
    assert [] == ids("Customer-A")


def test_unknown_customer(avepoint: Simulator, caller: Caller) -> None:
    """A customer that no job was ever added for is not found."""
    avepoint.add_job("elements", organization_id="customer-a")
    for customer in ("customer-c", "00000000-0000-0000-0000-000000000000"):
        response = caller.post(jobs_of_customer(customer))

        assert (404, "customerId") == (response.status_code, response.json()["errors"][0]["field"])


def test_generated_jobs_make_customers(avepoint: Simulator, caller: Caller) -> None:
    """Bulk jobs have customers too."""
    avepoint.generate("elements", 4, organizations=["x", "y"])

    assert 2 == len(caller.post(jobs_of_customer("y")).json()["data"])


def test_it_is_a_post(avepoint: Simulator, caller: Caller) -> None:
    """A GET finds nothing there."""
    assert 404 == caller.get(ELEMENTS.path).status_code


def test_module_is_part_of_a_service(avepoint: Simulator, caller: Caller) -> None:
    """A job of a module shows the service that the module is part of, unless another is named."""
    services = {"exchange_online": 7, "disk": 12, "customer_engagement": 16, "gmail": 11}
    for word in services:
        avepoint.add_job("elements", job_id=word, workload=word)

    assert services == {row["jobId"]: row["jobType"] for row in caller.page(ELEMENTS)["data"]}


def test_service(avepoint: Simulator, caller: Caller) -> None:
    """A job type is a service; 0 is one of them and not all, and null is all."""
    for number, word in enumerate(("microsoft_365_scan", "microsoft_365")):
        avepoint.add_job("elements", job_id=word, job_type=word, workload="none", started_ago=number)

    assert ["microsoft_365_scan"] == caller.ids(ELEMENTS, json={"jobType": 0})
    assert [] == caller.ids(ELEMENTS, json={"jobType": 7, "jobModule": 302})
    assert 2 == len(caller.ids(ELEMENTS, json={"jobType": None}))


def test_new_module_is_shown(avepoint: Simulator, caller: Caller) -> None:
    """A number that the page does not list stands in a row; one that it lists is its word."""
    avepoint.add_job("elements", workload="399", job_type=17)
    known = avepoint.add_job("elements", workload=302, started_ago=0)

    assert ("sharepoint_online", "microsoft_365") == (known["workload"], known["job_type"])
    shown = {(row["jobType"], row["jobModule"]) for row in caller.page(ELEMENTS)["data"]}
    assert {(7, 302), (17, 399)} == shown


def test_time_and_status_select_nothing(avepoint: Simulator, caller: Caller) -> None:
    """The API has neither filter, in the query or in the body."""
    avepoint.add_job("elements")
    body = {"startTime": "2099-01-01", "status": 3, "jobtype": 7}

    assert 1 == len(caller.ids(ELEMENTS, startTime="2099-01-01", status=3, json=body))


def test_body_is_refused(caller: Caller) -> None:
    """The body is a JSON object of documented numbers, and is said to be JSON."""
    refused: list[tuple[bytes, str, int, str | None]] = [
        (b'{"jobType": 8}', "application/json", 400, "jobType"),
        (b'{"jobModule": "302"}', "application/json; charset=utf-8", 400, "jobModule"),
        (b'{"jobType": true}', "application/json", 400, "jobType"),
        (b'{"jobType": 7.5}', "application/json", 400, "jobType"),
        (b"{", "application/json", 400, "$"),
        (b"[7]", "application/json", 400, "$"),
        (b'{"jobType": 7}', "text/plain", 415, None),
    ]
    token = f"Bearer {caller.token('elements.jobs.read.all')}"
    for content, kind, status, field in refused:
        headers = {"Authorization": token, "Content-Type": kind}
        response = caller.http.post(ELEMENTS.path, content=content, headers=headers)

        causes = [error["field"] for error in response.json().get("errors", [])]
        assert (status, [field] if field else []) == (response.status_code, causes), content


def test_journal_has_the_body(avepoint: Simulator, caller: Caller) -> None:
    """What was asked in the body can be looked up; a token request's body cannot."""
    caller.page(ELEMENTS, json={"jobType": 7})

    token, question = avepoint.requests()
    assert ({}, {"jobType": 7}) == (token["body"], question["body"])


def test_duration(avepoint: Simulator, caller: Caller) -> None:
    """Minutes and seconds, cut off."""
    spans = {39: "39s", 60: "1m0s", 1059.9: "17m39s", 4659: "1h17m39s"}
    for age, seconds in enumerate(spans):
        avepoint.add_job("elements", runs_for=seconds, started_ago=100_000 + age)

    assert list(spans.values()) == [row["jobDuration"] for row in caller.page(ELEMENTS)["data"]]


def test_running_job(avepoint: Simulator, caller: Caller) -> None:
    """What is not there yet is "N/A", or a zero as text."""
    avepoint.add_job("elements", runs_for=600, counts={"successful": 3}, size_bytes=5 * 1024**3)

    row = caller.page(ELEMENTS)["data"][0]
    names = ("endTime", "jobDuration", "totalCount", "backupSize")
    assert ["N/A", "N/A", "0", "0 GB"] == [row[name] for name in names]
    assert row["startTime"] == row["lastModifyTime"]


def test_pending_job(avepoint: Simulator, caller: Caller) -> None:
    """A job that is to come is listed, and has no start yet either."""
    avepoint.add_job("elements", starts_in=600)

    row = caller.page(ELEMENTS)["data"][0]
    assert [6, "N/A", "N/A"] == [row[name] for name in ("status", "startTime", "endTime")]


def test_counts_and_size(avepoint: Simulator, caller: Caller) -> None:
    """Counts are texts, a warning's too; whole gigabytes are told; a null stays one."""
    counts = {"successful": 5, "failed": 1, "skipped": 2, "warning": 4}
    avepoint.add_job("elements", job_id="full", counts=counts, size_bytes=5 * 1024**3 + 7, label="Nightly")
    avepoint.add_job("elements", job_id="null", counts=None, size_bytes=None, started_ago=9999)

    full, null = caller.page(ELEMENTS)["data"]
    names = ("totalCount", "successfulCount", "failedCount", "skippedCount", "warningCount", "backupSize")
    assert ["8", "5", "1", "2", "4", "5 GB"] == [full[name] for name in names]
    assert [None] * 6 == [null[name] for name in names]
    assert ("Nightly", "N/A") == (full["name"], null["name"])


def services(caller: Caller, **question: Any) -> Any:
    """Ask for customers with their subscriptions."""
    token = caller.token("elements.license.read.all")
    return caller.post(SUBSCRIPTIONS, token=token, **question)


def test_subscriptions(avepoint: Simulator, caller: Caller) -> None:
    """The shape of the page's sample: texts, N/A for what does not apply, customers in pages."""
    avepoint.set_license(
        "elements",
        organization_id="c1",
        organization_name="OrganizationABC",
        service="Cloud Backup for IaaS + PaaS - Unit",
        purchased_user_seats=None,
        assigned_user_seats=0,
        expiration_date="2025-09-26T00:00:00Z",
        extra={"purchasedCapacity": "0/1 GB", "source": "AvePoint pooled subscription"},
    )
    body = services(caller).json()

    assert {"pageIndex": 1, "pageSize": 50, "totalCount": 1} == body["metadata"]
    (customer,) = body["data"]
    assert ["customerId", "organization", "customer", "products"] == list(customer)
    assert ("c1", "OrganizationABC") == (customer["customerId"], customer["organization"])
    assert [
        {
            "service": "Cloud Backup for IaaS + PaaS - Unit",
            "subscriptionModel": "N/A",
            "purchasedUserSeats": "N/A",
            "purchasedUnits": "N/A",
            "microsoftLicenseAssigned": "0",
            "microsoftLicenseAvailable": "0",
            "purchasedCapacity": "0/1 GB",
            "protectedCapacity": "0 GB",
            "storage": "N/A",
            "retention": "N/A",
            "consumedStorage": "N/A",
            "expirationDate": "2025-09-26T00:00:00Z",
            "change": "N/A",
            "source": "AvePoint pooled subscription",
            "paymentType": "Prepaid",
            "subscriptionName": "N/A",
            "package": "N/A",
            "contractEndDate": "N/A",
        }
    ] == customer["products"]


def test_figures_of_a_subscription_that_are_not_named_stay(avepoint: Simulator, caller: Caller) -> None:
    avepoint.set_license("elements", organization_id="c1", service="Fly", purchased_user_seats=7)
    shown = avepoint.set_license(
        "elements", organization_id="C1", service="Fly", assigned_user_seats=3, omit=("package",)
    )

    (customer,) = services(caller).json()["data"]
    assert [shown] == customer["products"]
    assert ("7", "3") == (shown["purchasedUserSeats"], shown["microsoftLicenseAssigned"])
    assert "package" not in shown


def test_subscriptions_in_pages_and_of_some_customers(avepoint: Simulator, caller: Caller) -> None:
    for name in "abcde":
        avepoint.set_license("elements", organization_id=name, service="Backup")

    def ids(**question: Any) -> list[str]:
        return [customer["customerId"] for customer in services(caller, **question).json()["data"]]

    assert [["a", "b"], ["c", "d"], ["e"], []] == [ids(pageIndex=index, pageSize=2) for index in (1, 2, 3, 4)]
    assert ["d", "b"] == ids(json={"customerIds": ["D", "b", "nobody"]})
    assert list("abcde") == ids(json={"customerIds": []})


def test_customers_are_named_by_a_list_of_texts(caller: Caller) -> None:
    wrong: list[Any] = ["c1", [1], {"id": "c1"}, 7]
    for wanted in wrong:
        response = services(caller, json={"customerIds": wanted})

        causes = [error["field"] for error in response.json()["errors"]]
        assert (400, ["customerIds"]) == (response.status_code, causes), wanted


def test_subscriptions_need_their_own_permission(caller: Caller) -> None:
    assert 403 == caller.post(SUBSCRIPTIONS, token=caller.token("elements.jobs.read.all")).status_code
