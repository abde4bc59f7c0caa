"""Restores: what the vendor's page says of the request, and what the control API makes of the job."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from airflow_provider_avepoint.core.products import PRODUCTS as OURS
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS

from .caller import JOB_SCOPE, M365_LIST, Caller, wait_until

PATH = "/backup/m365/restore/jobs"
SCOPE = "microsoft365backup.restore.readwrite.all"
TARGET = {
    "libraryName": "Documents",
    "folders": [{"relativePath": "a/b"}],
    "files": [{"relativePath": "c.txt"}],
}
SITE = {
    "serviceType": 1,
    "recoveryDateTime": "2026-02-27T03:54:22Z",
    "siteRestoreScope": {"siteUrl": "https://c.sharepoint.com/sites/x", "restoreTargets": [TARGET]},
}
ONEDRIVE = {
    "serviceType": 2,
    "recoveryDateTime": "2026-02-27T03:54:22.1234567Z",
    "oneDriveRestoreScope": {"oneDriveUpn": "ada@contoso.com", "restoreTargets": [TARGET]},
}


def post(caller: Caller, body: Any, **query: str) -> httpx.Response:
    return caller.post(PATH, token=caller.token(SCOPE), json=body, **query)


def restores(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    return caller.get(M365_LIST, jobType=2, **query).raise_for_status().json()["data"]


@pytest.mark.parametrize(
    ("body", "workload"),
    [
        (SITE, 2),
        (SITE | {"serviceType": 3}, 4),
        (SITE | {"serviceType": 6}, 7),
        (ONEDRIVE, 3),
    ],
)
def test_a_restore_is_a_row_of_the_list(
    avepoint: Simulator, caller: Caller, body: dict[str, Any], workload: int
) -> None:
    avepoint.set_restores(runs_for=0)

    answer = post(caller, body, location="NAM").raise_for_status().json()

    job_id = answer["data"]["jobId"]
    assert job_id.startswith("RS")
    assert len(job_id) == 2 + 14 + 4
    (row,) = restores(caller, objectType=workload, location="NAM")
    assert (row["id"], row["state"]) == (job_id, "Finished")
    assert row["backupDetails"]["successfulCount"] == 2
    details = caller.get(f"{M365_LIST}/{job_id}", location="NAM").raise_for_status().json()
    assert details["data"]["id"] == job_id
    assert caller.get(f"{M365_LIST}/{job_id}").status_code == 404, "the central location has other jobs"
    (kept,) = avepoint.restores()
    assert (kept["job_id"], kept["location"], kept["body"]) == (job_id, "NAM", body)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"serviceType": 0}, "ServiceType"),
        ({"serviceType": True}, "ServiceType"),
        ({"recoveryDateTime": "2026-02-27"}, "RecoveryDateTime"),
        ({"recoveryDateTime": "2026-02-27T03:54:22+01:00"}, "RecoveryDateTime"),
        ({"recoveryDateTime": "2026-02-27T99:54:22Z"}, "RecoveryDateTime"),
        ({"recoveryDateTime": None}, "RecoveryDateTime"),
        ({"siteRestoreScope": None}, "SiteRestoreScope"),
        ({"serviceType": 2}, "OneDriveRestoreScope"),
        ({"siteRestoreScope": {"siteUrl": "", "restoreTargets": [TARGET]}}, "SiteUrl"),
    ],
)
def test_a_wrong_field_is_named(caller: Caller, change: dict[str, Any], field: str) -> None:
    answer = post(caller, SITE | change)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "targets",
    [
        None,
        [],
        [{"libraryName": "D"}],
        [{"libraryName": "D", "files": []}],
        [{"libraryName": "D", "files": [{"relativePath": " "}]}],
        [{"libraryName": "D", "files": ["a"]}],
        [{"libraryName": "D", "folders": [{"relativePath": "a"}], "files": [{"relativePath": "A/b"}]}],
        [{"libraryName": "D", "files": [{"relativePath": f"{n}"} for n in range(21)]}],
    ],
)
def test_wrong_targets_are_refused(avepoint: Simulator, caller: Caller, targets: Any) -> None:
    scope = SITE["siteRestoreScope"] | {"restoreTargets": targets}

    assert post(caller, SITE | {"siteRestoreScope": scope}).status_code == 400
    assert avepoint.restores() == []


def test_a_fourth_job_is_refused_while_three_run(avepoint: Simulator, caller: Caller) -> None:
    """Exports count too, whoever has started them."""
    avepoint.add_job("m365", job_type="export", state="running")
    avepoint.add_job("m365", job_type="restore", state="success")
    avepoint.set_restores(runs_for=3600)
    assert [post(caller, SITE).status_code for _ in range(3)] == [200, 200, 429]

    refusal = post(caller, SITE).json()

    assert refusal["message"] == (
        "There are already 3 restore/export jobs running, cannot start new restore job."
    )
    assert "errors" not in refusal
    assert len(avepoint.restores()) == 2


def test_the_permission_is_its_own(avepoint: Simulator, caller: Caller) -> None:
    assert caller.post(PATH, token=caller.token(JOB_SCOPE), json=SITE).status_code == 403
    assert avepoint.restores() == []


@pytest.mark.parametrize("kind", ["drop", "hang"])
def test_an_answer_can_be_lost_after_the_deed(avepoint: Simulator, caller: Caller, kind: str) -> None:
    avepoint.add_fault(kind, path=PATH, where="after")
    token = caller.token(SCOPE)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadTimeout)):
        caller.http.post(
            PATH, json=SITE, headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(60, read=1)
        )

    assert len(avepoint.restores()) == 1


def test_a_restore_can_be_accepted_late(avepoint: Simulator, caller: Caller) -> None:
    """After the caller has given up."""
    avepoint.add_fault("slow", path=PATH, seconds=1)
    token = caller.token(SCOPE)

    with pytest.raises(httpx.ReadTimeout):
        caller.http.post(
            PATH, json=SITE, headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(60, read=0.1)
        )

    wait_until(lambda: len(avepoint.restores()) == 1)


def test_what_becomes_of_a_restore_can_be_set(avepoint: Simulator, caller: Caller) -> None:
    """By the control API too; a job that starts late is listed late."""
    settings = {"starts_in": 3600, "ends_as": "partial", "counts": {"successful": 1, "failed": 1}}
    assert caller.http.put("/control/restores", json=settings).status_code == 200
    job_id = post(caller, SITE).json()["data"]["jobId"]
    assert restores(caller) == []

    avepoint.patch_job("m365", job_id, started_ago=60, runs_for=1, ends_as="partial")

    (row,) = restores(caller)
    assert (row["state"], row["backupDetails"]["failedCount"]) == ("Finished with Exception", 1)
    assert [each["job_id"] for each in caller.http.get("/control/restores").json()] == [job_id]
    avepoint.set_restores(answers_id=False, counts=None, runs_for=0)
    assert post(caller, SITE).json()["data"] == {}
    assert sorted(row["backupDetails"] is None for row in restores(caller)) == [False, True]
    avepoint.reset()
    assert avepoint.restores() == []


def test_half_a_request_does_nothing(avepoint: Simulator, caller: Caller) -> None:
    """The caller dies between the headers and the body."""
    headers = f"Authorization: Bearer {caller.token(SCOPE)}\r\nContent-Type: application/json\r\n"
    host, port = caller.http.base_url.host, caller.http.base_url.port
    with socket.create_connection((host, port)) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 9\r\n\r\n".encode())
        wait_until(lambda: len(avepoint.requests(PATH)) == 1)

    wait_until(lambda: "in the middle" in avepoint.requests(PATH)[0]["note"])
    assert avepoint.restores() == []


def test_both_descriptions_of_the_endpoint_agree() -> None:
    """The package and the simulator are written down apart, from the same page."""
    ours, theirs = OURS["m365"].restore, PRODUCTS["m365"].restore
    assert ours is not None
    assert theirs is not None

    assert (ours.path, ours.permission, ours.location) == (
        theirs.path,
        theirs.scope,
        theirs.filters[0].parameter,
    )
    assert {word: (each.number, each.scope, each.owner) for word, each in ours.services.items()} == {
        word: (number, scope, owner) for number, (word, scope, _, owner) in theirs.services.items()
    }
