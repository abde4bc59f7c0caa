"""The control API over HTTP, and that the in-process methods take and refuse the same."""

from __future__ import annotations

import re
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from airflow_provider_avepoint.simulator import DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS

from .caller import D365, JOB_SCOPE, LICENSE_SCOPE, M365_LICENSE, M365_LIST, Caller, Wire


def test_health_and_documentation(caller: Caller) -> None:
    """The server says that it lives, and what it takes."""
    assert {"status": "ok"} == caller.http.get("/health").json()
    assert 200 == caller.http.get("/docs").status_code
    paths = caller.http.get("/openapi.json").json()["paths"]
    assert "/control/jobs/generate" in paths
    assert M365_LIST not in paths


def test_each_quirk_is_documented(avepoint: Simulator, caller: Caller) -> None:
    """The documentation says of each quirk what it does."""
    put = caller.http.get("/openapi.json").json()["paths"]["/control/quirks/{product}"]["put"]
    fields = put["requestBody"]["content"]["application/json"]["schema"]["properties"]

    assert avepoint.set_quirks("m365").keys() <= fields.keys()
    assert [] == [name for name, field in fields.items() if not field["description"]]


def test_one_job_or_a_list(caller: Caller) -> None:
    """Jobs are added alone or together, and come back with ids and times."""
    one = caller.http.post("/control/jobs", json={"product": "m365"})
    two = caller.http.post("/control/jobs", json=[{"product": "dynamics365"}, {"product": "m365_legacy"}])

    assert (201, 201) == (one.status_code, two.status_code)
    assert ["m365"] == [job["product"] for job in one.json()]
    assert ["dynamics365", "m365_legacy"] == [job["product"] for job in two.json()]
    assert one.json() == caller.http.get("/control/jobs", params={"product": "m365"}).json()["jobs"]


def test_id_has_the_vendors_form(avepoint: Simulator) -> None:
    """A job without an id gets one: prefix, start in UTC, digits; no two are the same."""
    for name, product in PRODUCTS.items():
        jobs = [avepoint.add_job(name, started_at="2024-10-15T02:53:12Z") for _ in range(3)]
        ids = [job["job_id"] for job in jobs]

        assert 3 == len(set(ids))
        form = rf"{product.job_id_prefix}20241015025312\d{{{product.job_id_digits}}}"
        assert [job_id for job_id in ids if re.fullmatch(form, job_id)] == ids, name


def test_defaults_of_a_job(avepoint: Simulator) -> None:
    """A bare job is a success that began an hour ago and took ten minutes."""
    job = avepoint.add_job("m365")

    assert ("success", "backup") == (job["state"], job["job_type"])
    started, finished = (
        time.strptime(job[key][:19], "%Y-%m-%dT%H:%M:%S") for key in ("started_at", "finished_at")
    )
    assert 600 == time.mktime(finished) - time.mktime(started)


def test_finish_is_not_in_the_future(avepoint: Simulator) -> None:
    """A job that began a minute ago and is a success has finished by now; one from the future has not."""
    recent = avepoint.add_job("m365", started_ago=60)
    ahead = avepoint.add_job("m365", started_ago=-3600)

    assert recent["started_at"] < recent["finished_at"] < ahead["started_at"] < ahead["finished_at"]


def test_total_is_summed_up(avepoint: Simulator) -> None:
    """Counts without a total have the sum as theirs."""
    job = avepoint.add_job("dynamics365", counts={"successful": 5, "failed": 2, "skipped": 1, "warning": 4})

    assert 8 == job["counts"]["total"]


BAD_JOBS: dict[str, dict[str, Any]] = {
    "colour": {"product": "m365", "colour": "red"},
    "state": {"product": "m365", "state": "done"},
    "counts": {"product": "m365", "counts": {"good": 1}},
    "errors": {"product": "m365", "errors": [{"text": "x"}]},
    "started_at": {"product": "m365", "started_at": "yesterday"},
    "finished_at": {"product": "m365", "finished_at": True},
    "runs_for": {"product": "m365", "runs_for": -1},
    "product": {"job_id": "J"},
}


def test_unknown_name_or_value_is_refused(avepoint: Simulator, caller: Caller) -> None:
    """A job with a name or value that does not exist is a 422 that says where, and nothing is added."""
    for name, job in BAD_JOBS.items():
        response = caller.http.post("/control/jobs", json=job)

        assert (name, 422) == (name, response.status_code)
        assert name in str(response.json()["detail"])
    assert [] == avepoint.jobs("m365")


REFUSED_JOBS: dict[str, tuple[dict[str, Any], str]] = {
    "job type": ({"product": "m365", "job_type": "dryrun"}, "known: backup, delete"),
    "workload": ({"product": "m365", "workload": "outlook"}, "known: exchange_online"),
    "location": ({"product": "m365", "location": "MARS"}, "PrimaryGeoLocation"),
    "m365 organisation": ({"product": "m365", "organization_id": "o"}, "knows no organization_id"),
    "m365 records": ({"product": "m365", "record_counts": {"failed": 1}}, "knows no record_counts"),
    "m365 warnings": ({"product": "m365", "counts": {"warning": 1}}, "counts no warnings"),
    "legacy location": ({"product": "m365_legacy", "location": "NAM"}, "knows no location"),
    "d365 errors": ({"product": "dynamics365", "errors": [{"message": "x"}]}, "knows no errors"),
    "waiting": ({"product": "m365", "state": "waiting"}, "documents no state for 'waiting'"),
    "skipped": ({"product": "dynamics365", "state": "skipped"}, "use raw_state"),
    "end": ({"product": "m365", "ends_as": "stopped"}, "documents no state"),
    "endless": ({"product": "m365", "ends_as": "running"}, "that a job ends in"),
    "two states": ({"product": "m365", "state": "failed", "raw_state": "x"}, "not both"),
    "two starts": ({"product": "m365", "started_ago": 1, "started_at": "2024-01-01"}, "give one of"),
    "state of a living job": ({"product": "m365", "runs_for": 1, "state": "failed"}, "the clock decides"),
    "before the calendar": ({"product": "m365", "started_ago": 1e12}, "between the years"),
    "after the calendar": ({"product": "m365", "runs_for": 1e12}, "between the years"),
    "google counts": ({"product": "google_workspace", "counts": {"failed": 1}}, "knows no counts"),
    "google source": ({"product": "google_workspace", "data_source": "x"}, "known: admin, recenter"),
    "google duration": ({"product": "google_workspace", "duration": "1"}, "knows no duration"),
    "salesforce level": ({"product": "salesforce", "level": "row"}, "known: field, metadata"),
    "salesforce workload": ({"product": "salesforce", "workload": "account"}, "knows no workload"),
    "salesforce name": ({"product": "salesforce", "organization_name": "o"}, "knows no organization_name"),
    "iaas service": ({"product": "iaas_paas", "workload": "cloud"}, "known: admin_portal"),
    "iaas job type": ({"product": "iaas_paas", "job_type": "restore"}, "known: admin_portal_backup"),
    "aos waiting": ({"product": "aos_scan", "state": "waiting"}, "documents no state"),
    "aos sizes": ({"product": "aos_scan", "size_bytes": 1}, "knows no size_bytes"),
    "elements module": ({"product": "elements", "workload": "exchange"}, "known: admin_portal_settings"),
    "m365 label": ({"product": "m365", "label": "x"}, "knows no label"),
    "m365 number": ({"product": "m365", "workload": 1}, "known: exchange_online"),
    "omitted nothing": ({"product": "m365", "omit": ["jobId"]}, "known: backupDetails"),
}


def test_what_the_product_does_not_know_is_refused(avepoint: Simulator, caller: Caller) -> None:
    """A job that the vendor's documents have no place for is a 400 that says why, by HTTP and in process."""
    for case, (job, reason) in REFUSED_JOBS.items():
        response = caller.http.post("/control/jobs", json=job)

        assert (case, 400, True) == (case, response.status_code, reason in response.json()["detail"])
        with pytest.raises(ValueError, match=reason):
            avepoint.add_job(**job)


def test_list_is_added_as_a_whole_or_not(avepoint: Simulator, caller: Caller) -> None:
    """One bad job in a list keeps the good ones out."""
    jobs = [{"product": "m365"}, {"product": "dynamics365", "state": "skipped"}]

    assert 400 == caller.http.post("/control/jobs", json=jobs).status_code
    assert [] == avepoint.jobs("m365")


def test_id_is_taken_once(avepoint: Simulator, caller: Caller) -> None:
    """An id is refused where it stands already, and free in another organisation or location."""
    avepoint.add_job("dynamics365", job_id="same", organization_id="a")
    avepoint.add_job("dynamics365", job_id="same", organization_id="b")
    job = {"product": "dynamics365", "job_id": "same", "organization_id": "a"}

    assert 409 == caller.http.post("/control/jobs", json=job).status_code
    assert ["same", "same"] == caller.ids(D365)
    assert 409 == caller.http.patch("/control/jobs/dynamics365/same", json={}).status_code


def test_patch_and_delete(avepoint: Simulator, caller: Caller) -> None:
    """A job is changed and removed by its id."""
    avepoint.add_job("m365", job_id="J", workload="teams", location="NAM", errors=[{"message": "e"}])
    changed = caller.http.patch("/control/jobs/m365/J", json={"state": "partial"})

    assert ("partial", "teams", "NAM") == tuple(
        changed.json()[key] for key in ("state", "workload", "location")
    )
    assert "e" == changed.json()["errors"][0]["message"]
    assert 422 == caller.http.patch("/control/jobs/m365/J", json={"product": "m365"}).status_code
    assert 200 == caller.http.delete("/control/jobs/m365/J").status_code
    assert 404 == caller.http.delete("/control/jobs/m365/J").status_code
    assert 404 == caller.http.patch("/control/jobs/m365/J", json={}).status_code


def test_unknown_product_is_not_found(caller: Caller) -> None:
    """A product that is none is a 404 that lists those that are."""
    requests: list[tuple[str, str, Any]] = [
        ("GET", "/control/jobs?product=m366", None),
        ("PUT", "/control/quirks/m366", {"link": "none"}),
        ("PUT", "/control/license/m366", {"protected_size": 1}),
        ("DELETE", "/control/jobs/m366/J", None),
        ("POST", "/control/jobs", {"product": "m366"}),
        ("POST", "/control/jobs/generate", {"product": "m366", "count": 1}),
    ]
    for method, path, body in requests:
        response = caller.http.request(method, path, json=body)

        assert (path, 404) == (path, response.status_code)
        assert f"known: {', '.join(sorted(PRODUCTS))}" in response.json()["detail"]


def test_generate(caller: Caller) -> None:
    """Bulk history cycles through organisations, workloads and states, evenly spaced."""
    answer = caller.http.post(
        "/control/jobs/generate",
        json={
            "product": "dynamics365",
            "count": 8,
            "newest_at": "2024-05-01T12:00:00Z",
            "every_seconds": 60,
            "organizations": [{"id": "a", "name": "A"}, "b"],
            "workloads": ["unified_operations"],
            "states": ["success", "failed"],
        },
    )
    rows = caller.page(D365)["jobs"]

    assert 201 == answer.status_code
    assert 8 == answer.json()["generated"]
    assert "2024-05-01T12:00:00.00Z" == rows[0]["startTime"]
    assert "2024-05-01T11:53:00.00Z" == rows[-1]["startTime"]
    seen = {(row["organizationId"], row["organizationName"], row["status"], row["module"]) for row in rows}
    module = "Unified Operations"
    assert {
        ("a", "A", 3, module),
        ("b", None, 3, module),
        ("a", "A", 4, module),
        ("b", None, 4, module),
    } == seen
    assert 8 == len({row["jobId"] for row in rows})


def test_generated_history_has_finished(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """By default the newest job ended just now, and jobs that were added before keep their place."""
    avepoint.add_job(wire.product, job_id="in between", started_ago=90 * 60)
    avepoint.generate(wire.product, 10, every_seconds=3600)

    assert {"success"} == {job["state"] for job in avepoint.jobs(wire.product)}
    assert "in between" == caller.ids(wire)[2]
    assert "failed" == avepoint.patch_job(wire.product, "in between", state="failed")["state"]


def test_generate_refuses(avepoint: Simulator) -> None:
    """Bulk jobs are held to the same words as single ones."""
    changes: list[tuple[dict[str, Any], str]] = [
        ({"count": 0}, "count"),
        ({"states": ["skipped"]}, "documents no state"),
        ({"organizations": ["o"]}, "knows no organization_id"),
        ({"speed": 1}, "speed"),
        ({"count": 1_000_000, "every_seconds": 1e6}, "before the year 1"),
    ]
    for change, reason in changes:
        with pytest.raises(ValueError, match=reason):
            avepoint.generate("m365", **({"count": 1} | change))


def test_quirks_stay_until_changed(caller: Caller) -> None:
    """A quirk that is not named stays as it is; the answer has all that the product knows."""
    caller.http.put("/control/quirks/m365", json={"first_index": 1})
    answer = caller.http.put("/control/quirks/m365", json={"total": "page"})

    assert (1, "page") == (answer.json()["first_index"], answer.json()["total"])
    assert "casing" not in answer.json()


def test_quirk_is_refused(avepoint: Simulator, caller: Caller) -> None:
    """A quirk that is unknown, another product's, or impossible beside another changes nothing."""
    refused: list[tuple[str, dict[str, Any], int]] = [
        ("m365", {"mood": "bad"}, 400),
        ("dynamics365", {"count_names": "number"}, 400),
        ("m365", {"casing": "camel"}, 400),
        ("m365", {"link": "smoke"}, 422),
        ("m365", {"link": "empty", "foreign_link": True}, 422),
        ("m365", {"link": "none", "repeat_link": True}, 422),
        ("m365", {"link": "none", "links_beyond_end": True}, 422),
        ("m365", {"page_lengths": [10, 0]}, 422),
        ("m365", {"ignored_parameters": ["organizationId"]}, 400),
        ("aos_scan", {"ignored_parameters": ["startTime"]}, 400),
        ("m365", {"row_omit": ["organizationId"]}, 400),
        ("aos_scan", {"first_index": 1}, 400),
        ("aos_scan", {"window_filters_by": "finish"}, 400),
        ("elements", {"window_filters_by": "finish"}, 400),
        ("elements", {"link_overlap": 1}, 400),
        ("elements", {"repeat_link": True}, 422),
        ("google_workspace", {"no_start": "null"}, 400),
        ("all", {"link": "none"}, 422),
    ]
    for product, quirks, status in refused:
        response = caller.http.put(f"/control/quirks/{product}", json=quirks)

        assert (product, quirks, status) == (product, quirks, response.status_code)
        with pytest.raises(ValueError, match=r".+"):
            avepoint.set_quirks(product, **quirks)


def test_license(caller: Caller) -> None:
    """Figures are set by our names or the vendor's, and come back by the vendor's."""
    answer = caller.http.put("/control/license/m365", json={"out_of_policy_time": 5, "protectedSize": 9})

    expected = {
        "outOfPolicyTime": 5,
        "purchasedUserSeats": 100,
        "assignedUserSeats": 47,
        "purchasedStorageSize": 0,
        "protectedSize": 9,
    }
    assert expected == answer.json() == caller.get(M365_LICENSE).json()["data"]


def test_license_is_refused(caller: Caller) -> None:
    """Figures need a product that has them, names that exist, and a location that is one."""
    refused: list[tuple[str, dict[str, Any], int]] = [
        ("dynamics365", {"protected_size": 1}, 404),
        ("m365", {"seats": 1}, 422),
        ("m365", {}, 422),
        ("m365", {"location": "NAM"}, 422),
        ("m365", {"location": "MARS", "protected_size": 1}, 400),
        ("m365_legacy", {"location": "NAM", "protected_size": 1}, 400),
        ("elements", {"location": "NAM", "service": "Fly"}, 400),
        ("elements", {"out_of_policy_time": 5}, 400),
        ("m365", {"organization_id": "c1"}, 400),
        ("m365", {"expiration_date": "2025-04-05", "protected_size": 1}, 400),
    ]
    for product, change, status in refused:
        response = caller.http.put(f"/control/license/{product}", json=change)
        assert (product, change, status) == (product, change, response.status_code)


def test_client(caller: Caller) -> None:
    """A client is registered, and changed without losing what is not named."""
    made = caller.http.put("/control/clients/app", json={"secret": "s", "scopes": [JOB_SCOPE.upper()]})
    changed = caller.http.put("/control/clients/app", json={"scopes": None})

    assert {"client_id": "app", "has_secret": True, "thumbprint": None, "scopes": [JOB_SCOPE]} == made.json()
    assert changed.json()["has_secret"]
    assert LICENSE_SCOPE in changed.json()["scopes"]
    assert 200 == caller.grant_by_secret(LICENSE_SCOPE, client_id="app", client_secret="s").status_code


def test_client_is_refused(caller: Caller) -> None:
    """A client has scopes that exist and a certificate that is one."""
    refused: list[tuple[dict[str, Any], int]] = [
        ({"scopes": ["mail.read"]}, 400),
        ({"certificate_pem": "x"}, 400),
        ({"name": "x"}, 422),
    ]
    for spec, status in refused:
        assert status == caller.http.put("/control/clients/app", json=spec).status_code, spec


def test_certificate_can_be_withdrawn(avepoint: Simulator) -> None:
    """A null takes a credential away."""
    assert not avepoint.set_client("app", certificate_pem=None, secret=None)["has_secret"]


def test_clock(avepoint: Simulator, caller: Caller) -> None:
    """Jobs begin by the server's clock, its answers are dated by it, and a reset sets it right."""
    settings = caller.http.put("/control/clock", json={"ahead_seconds": 3600}).json()
    assert {"ahead_seconds": 3600.0, "date_header": 0.0} == settings
    before = int(time.time())  # the date of an answer has whole seconds
    begun = datetime.fromisoformat(avepoint.add_job("m365", started_ago=0)["started_at"]).timestamp()
    dated = parsedate_to_datetime(caller.get(M365_LIST).headers["Date"]).timestamp()

    for moment in (begun, dated):
        assert before + 3600 <= moment <= time.time() + 3600
    caller.http.post("/control/reset")
    begun = datetime.fromisoformat(avepoint.add_job("m365", started_ago=0)["started_at"]).timestamp()
    assert before <= begun <= time.time()
    assert 422 == caller.http.put("/control/clock", json={"ahead_seconds": 1e12}).status_code


@pytest.mark.parametrize("path", [M365_LIST, "/connect/token"])
def test_date_header(avepoint: Simulator, caller: Caller, path: str) -> None:
    """The Date header can differ from the clock that jobs go by, say anything, or be missing."""

    def date() -> str | None:
        return caller.http.get(path).headers.get("Date")

    assert -7200 == avepoint.set_clock(date_header=-7200)["date_header"]
    avepoint.set_clock(ahead_seconds=3600)
    assert 3000 < time.time() - parsedate_to_datetime(date() or "").timestamp() < 4200
    begun = datetime.fromisoformat(avepoint.add_job("m365", started_ago=0)["started_at"]).timestamp()
    assert 3000 < begun - time.time() < 4200
    for text in ("soon", None):
        assert 200 == caller.http.put("/control/clock", json={"date_header": text}).status_code
        assert text == date()
    assert 422 == caller.http.put("/control/clock", json={"date_header": "a\r\nb"}).status_code


def test_tokens(caller: Caller) -> None:
    """Tokens have the lifetime that was set, and can be ended."""
    assert {"expires_in": 60.0} == caller.http.put("/control/tokens", json={"expires_in": 60}).json()
    assert 60 == caller.grant_by_secret(JOB_SCOPE).json()["expires_in"]
    assert {"expired": 1} == caller.http.post("/control/tokens/expire").json()
    assert 422 == caller.http.put("/control/tokens", json={"expires_in": 0}).status_code


def test_faults(caller: Caller) -> None:
    """Faults are armed, listed and cleared."""
    armed = caller.http.post("/control/faults", json={"kind": "slow", "seconds": 1, "path": "/backup"})

    expected = [{"kind": "slow", "seconds": 1.0, "path": "/backup", "skip": 0, "count": 1}]
    assert (201, expected) == (armed.status_code, armed.json())
    assert expected == caller.http.get("/control/faults").json()
    assert [] == caller.http.delete("/control/faults").json() == caller.http.get("/control/faults").json()


def test_fault_is_refused(avepoint: Simulator, caller: Caller) -> None:
    """A fault has a kind that exists and the fields of that kind."""
    refused: list[dict[str, Any]] = [
        {"kind": "flood"},
        {"kind": "status"},
        {"kind": "html", "seconds": 1},
        {"kind": "drop", "where": "between"},
        {"kind": "empty_body", "count": 0},
        {"status": 500},
    ]
    assert [422] * len(refused) == [
        caller.http.post("/control/faults", json=fault).status_code for fault in refused
    ]
    assert [] == avepoint.faults()


def test_journal(avepoint: Simulator, caller: Caller) -> None:
    """The journal is read by path and from an index on; control requests are not in it."""
    caller.get(M365_LIST, pageSize=5)
    caller.get(M365_LICENSE)
    caller.get("/no/such/page")
    journal = caller.http.get("/control/requests").json()

    paths = ["/connect/token", M365_LIST, "/connect/token", M365_LICENSE, "/no/such/page"]
    assert paths == [entry["path"] for entry in journal]
    assert [0, 1, 2, 3, 4] == [entry["index"] for entry in journal]
    assert journal[3:] == caller.http.get("/control/requests", params={"since": 3}).json()
    only = caller.http.get("/control/requests", params={"path": M365_LIST}).json()
    assert [("GET", {"pageSize": "5"}, 200)] == [
        (entry["method"], entry["query"], entry["status"]) for entry in only
    ]
    assert only[0]["user_agent"].startswith("python-httpx")
    assert only == avepoint.requests(M365_LIST)


def test_stats(caller: Caller) -> None:
    """Requests are counted by path and status, tokens by scope."""
    for _ in range(2):
        caller.get(M365_LIST)
    caller.get(M365_LIST, jobType="9")

    expected = {
        "requests": {"/connect/token": {"200": 1}, M365_LIST: {"200": 2, "400": 1}},
        "tokens": {JOB_SCOPE: 1},
    }
    assert expected == caller.http.get("/control/stats").json()


def test_reset(avepoint: Simulator, caller: Caller) -> None:
    """After a reset all is as it was at the start."""
    fresh = avepoint.set_quirks("m365")
    avepoint.add_job("m365")
    avepoint.set_quirks("m365", link="none")
    avepoint.set_license("m365", protected_size=1)
    avepoint.set_client(DEMO_CLIENT_ID, secret="changed")
    avepoint.add_fault("html")
    avepoint.set_tokens(expires_in=1)

    assert {"reset": True} == caller.http.post("/control/reset").json()
    assert fresh == avepoint.set_quirks("m365")
    assert ([], [], []) == (avepoint.jobs("m365"), avepoint.faults(), avepoint.requests())
    assert (DEMO_CLIENT_ID, DEMO_CLIENT_SECRET) == (avepoint.client_id, avepoint.client_secret)
    assert 3600 == caller.grant_by_secret(JOB_SCOPE).json()["expires_in"]
    assert 0 == caller.get(M365_LICENSE).json()["data"]["protectedSize"]


def test_jobs_are_listed_up_to_a_limit(avepoint: Simulator, caller: Caller) -> None:
    """The list is of the newest, and says how many there are."""
    avepoint.generate("m365", 30)
    body = caller.http.get("/control/jobs", params={"product": "m365", "limit": 3}).json()

    assert (30, 3) == (body["total"], len(body["jobs"]))
    assert body["jobs"] == avepoint.jobs("m365", limit=3)
