"""IaaS + PaaS: the page's sample, its filters, its token and its durations.

Source: AvePoint/cloud-api, services-and-features/iaas-paas/iaas-paas.md.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS

from .caller import IAAS, IAAS_LIST, Caller

# The page's durations, cut to whole seconds, tell that its times were cut as well.
SAMPLE = [
    ("FB20241027081716326", "27T08:17:06", "27T08:21:08", ".900", "00:04:01", (1, 0, 1)),
    ("IB20241025160014096", "25T16:00:14", "27T08:00:58", "", "1.16:00:44", (10, 35, 45)),
    ("IB20241010055858683", "10T05:58:58", "10T06:59:13", ".683", "01:00:14", (15, 10, 25)),
    ("IB20241002054145888", "02T05:41:45", "02T18:44:11", "", "13:02:26", (15, 20, 35)),
    ("IB20241001160011064", "01T16:00:11", "02T00:56:42", "", "08:56:31", (88, 0, 88)),
]


def test_sample(avepoint: Simulator, caller: Caller) -> None:
    """The sample's request gets the sample's rows, a total of all matches and a percent-encoded token."""
    for job_id, started, finished, fraction, _, (successful, skipped, total) in SAMPLE:
        avepoint.add_job(
            "iaas_paas",
            job_id=job_id,
            started_at=f"2024-10-{started}{fraction}Z",
            finished_at=f"2024-10-{finished}Z",
            counts={"successful": successful, "skipped": skipped, "total": total},
        )
    avepoint.generate("iaas_paas", 46, newest_at="2024-09-01T00:00:00Z", every_seconds=3600)
    avepoint.add_job("iaas_paas", workload="ec2", started_at="2024-10-28")
    window = {"startTime": "2024-08-01T00:00:00Z", "finishTime": "2024-11-01T00:00:00Z"}
    body = caller.get(IAAS_LIST, serviceType=1, jobType=1, pageSize=5, **window).json()

    rows: list[dict[str, Any]] = [
        {
            "jobId": job_id,
            "jobType": 1,
            "status": 2,
            "failedCount": 0,
            "successfulCount": successful,
            "skippedCount": skipped,
            "totalCount": total,
            "startTime": f"2024-10-{started}Z",
            "finishTime": f"2024-10-{finished}Z",
            "duration": duration,
            "comments": "",
        }
        for job_id, started, finished, _, duration, (successful, skipped, total) in SAMPLE
    ]
    assert {"totalCount": 51, "jobs": rows, "nextLink": body["nextLink"]} == body
    assert "%2F" in body["nextLink"]


def test_token_overrides_the_number(avepoint: Simulator, caller: Caller) -> None:
    """The token decides, whatever page number stands beside it; the last link is null."""
    for number in range(5):
        avepoint.add_job("iaas_paas", job_id=str(number), started_ago=number)
    token = unquote(caller.page(IAAS, pageSize=2)["nextLink"])
    second = caller.page(IAAS, pageSize=2, pageNumber=0, skiptoken=token)
    last = caller.page(IAAS, pageSize=2, pageNumber=0, skiptoken=unquote(second["nextLink"]))

    assert (["2", "3"], ["4"], None) == (IAAS.ids(second), IAAS.ids(last), last["nextLink"])


def test_link_can_have_the_tables_name(avepoint: Simulator, caller: Caller) -> None:
    """The table says ``nextlink`` where the sample says ``nextLink``."""
    avepoint.set_quirks("iaas_paas", link_key="nextlink")

    assert {"totalCount", "jobs", "nextlink"} == caller.page(IAAS).keys()


def test_service_is_a_filter_only(avepoint: Simulator, caller: Caller) -> None:
    """No row says which service it is of."""
    avepoint.add_job("iaas_paas", workload="ec2")

    (row,) = caller.page(IAAS, serviceType=256)["jobs"]
    assert not {"serviceType", "service"} & row.keys()


def test_backup_is_the_services_own(avepoint: Simulator, caller: Caller) -> None:
    """There is no one number for backups: each service has its own, and Common has none."""
    services = PRODUCTS["iaas_paas"].workloads.shown
    for word in services:
        avepoint.add_job("iaas_paas", job_id=word, workload=word)
    types = {row["jobId"]: row["jobType"] for row in caller.page(IAAS, pageSize=50)["jobs"]}

    assert 64 == types.pop("common")
    assert len(services) - 1 == len(set(types.values()))
    assert (1, 128, 1024, 20009) == tuple(
        types[word] for word in ("virtual_machine", "entra_id", "azure_storage", "ec2")
    )


def test_new_job_type_is_shown(avepoint: Simulator, caller: Caller) -> None:
    """Numbers are added with each release; one that has no word here is shown as it is."""
    avepoint.add_job("iaas_paas", job_type=99999)

    assert 99999 == caller.page(IAAS)["jobs"][0]["jobType"]


def test_status_is_no_filter(avepoint: Simulator, caller: Caller) -> None:
    avepoint.add_job("iaas_paas")

    assert 2 == caller.page(IAAS, status=99)["jobs"][0]["status"]


def test_state_in_an_older_page(avepoint: Simulator, caller: Caller) -> None:
    """Until October 2024 the field was ``state``."""
    avepoint.set_quirks("iaas_paas", state_key="state")
    avepoint.add_job("iaas_paas")

    row = caller.page(IAAS)["jobs"][0]
    assert (2, False) == (row["state"], "status" in row)


def test_duration(avepoint: Simulator, caller: Caller) -> None:
    """A .NET time span, its fraction cut off; a job that runs has none."""
    spans = {0.9: "00:00:00", 59: "00:00:59", 86_399: "23:59:59", 90_061: "1.01:01:01"}
    for age, seconds in enumerate(spans):
        avepoint.add_job("iaas_paas", runs_for=seconds, started_ago=100_000 + age)
    avepoint.add_job("iaas_paas", started_ago=200_000, state="running")

    assert [*spans.values(), None] == [row["duration"] for row in caller.page(IAAS)["jobs"]]


def test_search_text(avepoint: Simulator, caller: Caller) -> None:
    """A text is found in the id or in the comments, beside the other filters."""
    avepoint.add_job("iaas_paas", job_id="IB1", started_ago=2)
    avepoint.add_job("iaas_paas", job_id="IB2", label="weekly run", started_ago=1)
    avepoint.add_job("iaas_paas", job_id="IB3", workload="ec2", label="Weekly", started_ago=0)

    assert ["IB1"] == caller.ids(IAAS, searchText="ib1")
    assert ["IB3", "IB2"] == caller.ids(IAAS, searchText="WEEKLY")
    page = caller.page(IAAS, searchText="weekly", serviceType=256)
    assert (["IB3"], 1) == (IAAS.ids(page), page["totalCount"])
    assert "Weekly" == page["jobs"][0]["comments"]
