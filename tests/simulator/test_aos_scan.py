"""Scan jobs of AvePoint Online Services: the page's sample, its order, its rows to skip.

Source: AvePoint/cloud-api, services-and-features/aos/jobs.md.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_avepoint.simulator import Simulator

from .caller import AOS, AOS_LIST, Caller

SAMPLE_ROWS: list[dict[str, Any]] = [
    {
        "id": "Scan20240926055840723067",
        "type": 0,
        "state": 2,
        "startTime": "2024-09-26T05:58:40.4092427+00:00",
        "finishTime": "2024-09-26T05:59:12.2300688+00:00",
        "scanProfileName": "scan sharepoint sites",
        "category": 0,
        "extension": None,
    },
    {
        "id": "Scan20240926051311702920",
        "type": 0,
        "state": 2,
        "startTime": "2024-09-26T05:13:11.0634642+00:00",
        "finishTime": "2024-09-26T05:13:42.3793844+00:00",
        "scanProfileName": "scan power platform",
        "category": 0,
        "extension": None,
    },
]


def add_sample(avepoint: Simulator) -> None:
    """Add the sample's two jobs, and an older one."""
    for row in SAMPLE_ROWS:
        avepoint.add_job(
            "aos_scan",
            job_id=row["id"],
            label=row["scanProfileName"],
            started_at=row["startTime"],
            finished_at=row["finishTime"],
        )
    avepoint.add_job("aos_scan", job_id="oldest", started_at="2024-09-25")


def test_sample(avepoint: Simulator, caller: Caller) -> None:
    """The sample: a total of the page's rows, and a link that asks for the last row again."""
    avepoint.set_quirks("aos_scan", link_overlap=1, total="page")
    add_sample(avepoint)
    body = caller.get(AOS_LIST, top=2, orderby="StartTime", sortorder=1).json()

    assert {"jobs": SAMPLE_ROWS, "nextLink": body["nextLink"], "totalCount": 2} == body
    link = urlsplit(body["nextLink"])
    assert f"{avepoint.url}{AOS_LIST}" == f"{link.scheme}://{link.netloc}{link.path}"
    expected = {"orderby": ["StartTime"], "sortorder": ["1"], "top": ["2"], "skip": ["1"]}
    assert expected == parse_qs(link.query)


def test_link_skips_what_was_served(avepoint: Simulator, caller: Caller) -> None:
    """By default links are right: each page begins where the last one ended, and the last link is null."""
    add_sample(avepoint)
    page = caller.page(AOS, top=2)
    rest = caller.get(page["nextLink"]).json()

    assert (["oldest"], None, 3) == (AOS.ids(rest), rest["nextLink"], rest["totalCount"])


def test_overlapping_links_come_to_an_end(avepoint: Simulator, caller: Caller) -> None:
    """A link that is off by one repeats a row on each page, and still leads through all of them."""
    avepoint.set_quirks("aos_scan", link_overlap=1)
    ids = [avepoint.add_job("aos_scan", started_ago=number)["job_id"] for number in range(4)]
    page = caller.page(AOS, top=2)
    seen = AOS.ids(page)
    while page["nextLink"] is not None:
        page = caller.get(page["nextLink"]).json()
        seen += AOS.ids(page)

    first, second, third, fourth = ids
    assert [first, second, second, third, third, fourth] == seen


def test_oldest_come_first_unless_asked(avepoint: Simulator, caller: Caller) -> None:
    """The order is ascending by start; sortorder 1 turns it round, on every page."""
    newest_first = [avepoint.add_job("aos_scan", started_ago=number)["job_id"] for number in range(5)]
    oldest_first = newest_first[::-1]

    assert oldest_first == AOS.ids(caller.get(AOS_LIST).json())
    assert oldest_first == AOS.ids(caller.get(AOS_LIST, sortorder=0, orderby="startTime").json())
    assert newest_first == AOS.ids(caller.get(AOS_LIST, sortorder=1).json())
    assert oldest_first[2:4] == AOS.ids(caller.get(AOS_LIST, top=2, skip=2).json())
    assert newest_first[4:] == AOS.ids(caller.get(AOS_LIST, top=2, skip=4, sortorder=1).json())
    assert [] == AOS.ids(caller.get(AOS_LIST, top=2, skip=6).json())


def test_rows_are_skipped_one_by_one(avepoint: Simulator, caller: Caller) -> None:
    """What is skipped is rows, not pages."""
    ids = [avepoint.add_job("aos_scan", started_ago=number)["job_id"] for number in range(4)]

    assert ids[1:3] == caller.ids(AOS, top=2, skip=1)


def test_arrivals_leave_the_oldest_in_place(avepoint: Simulator, caller: Caller) -> None:
    """Read from the oldest on, new jobs push no row down."""
    ids = [avepoint.add_job("aos_scan", started_ago=number)["job_id"] for number in range(4)][::-1]
    avepoint.set_quirks("aos_scan", arrivals_per_page=1)
    pages = [AOS.ids(caller.get(AOS_LIST, top=2, skip=skip).json()) for skip in (0, 2)]

    assert [ids[:2], ids[2:]] == pages


def test_order_must_be_one(caller: Caller) -> None:
    """A sense or column that is not documented is refused by name."""
    for name, value in (("sortorder", "2"), ("sortorder", "desc"), ("orderby", "colour")):
        response = caller.get(AOS_LIST, **{name: value})

        assert (400, name) == (response.status_code, response.json()["errors"][0]["field"]), value


def test_there_is_no_window_and_no_status(avepoint: Simulator, caller: Caller) -> None:
    """Parameters that the page does not have select nothing, not even when they make no sense."""
    avepoint.add_job("aos_scan")

    assert 1 == len(caller.ids(AOS, startTime="2099-01-01", finishTime="never", state=3, jobType=9))


def test_search(avepoint: Simulator, caller: Caller) -> None:
    """A job is found by its id, not by its profile."""
    add_sample(avepoint)

    assert ["Scan20240926051311702920"] == caller.ids(AOS, search="scan20240926051311702920")
    assert [] == caller.ids(AOS, search="sharepoint")


def test_category_and_type(avepoint: Simulator, caller: Caller) -> None:
    """A category has its number, and the kind of scan that it goes with unless another is named."""
    kinds: list[tuple[dict[str, Any], tuple[int, int]]] = [
        ({}, (0, 0)),
        ({"workload": "m365"}, (0, 0)),
        ({"workload": "power_platform"}, (1, 0)),
        ({"workload": "active_directory"}, (2, 0)),
        ({"workload": "google"}, (3, 10)),
        ({"workload": 10}, (10, 0)),
        ({"job_type": "batch_import"}, (0, 11)),
        ({"job_type": "scan", "workload": "google"}, (3, 0)),
        ({"job_type": 12}, (0, 12)),
    ]
    for age, (job, _) in enumerate(kinds):
        avepoint.add_job("aos_scan", **job, started_ago=3600 + age)

    rows = caller.page(AOS)["jobs"]
    assert [shown for _, shown in kinds] == [(row["category"], row["type"]) for row in rows]


def test_large_page_can_be_clamped(avepoint: Simulator, caller: Caller) -> None:
    """A server may give a thousand rows where more are asked for."""
    avepoint.set_quirks("aos_scan", oversize="clamp")
    avepoint.generate("aos_scan", 1001)

    assert 1000 == len(caller.ids(AOS, top=5000))
