"""What a question selects: time windows, types, states, organisations, locations."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_avepoint.simulator import Simulator

from .caller import (
    D365,
    D365_LIST,
    ELEMENTS,
    GOOGLE,
    IAAS,
    LEGACY,
    LEGACY_LIST,
    M365,
    M365_LICENSE,
    M365_LIST,
    SALESFORCE,
    Caller,
    Wire,
)

NEW_YEAR_TICKS = 638712864000000000  # 2025-01-01T00:00:00Z
HOUR = 36_000_000_000


def at(hour: float) -> int:
    """Return the ticks of an hour of 2025's first day."""
    return NEW_YEAR_TICKS + round(hour * HOUR)


def bound(wire: Wire, hour: int) -> str:
    """Return an hour of 2025's first day as the product's parameters take it."""
    return str(at(hour)) if wire is LEGACY else f"2025-01-01T{hour:02d}:00:00Z"


def add_spans(avepoint: Simulator, wire: Wire, **spans: tuple[float, float | None]) -> None:
    """Add jobs by name, each from an hour to an hour of the day, or still running."""
    for name, (start, end) in spans.items():
        state = {"state": "running"} if end is None else {"finished_at": at(end)}
        avepoint.add_job(wire.product, job_id=name, started_at=at(start), **state)


@pytest.mark.parametrize(
    ("filters_by", "expected"),
    [
        ("start", {"inside", "out", "at_start", "at_end", "runs"}),
        ("finish", {"inside", "into", "to_start", "at_start"}),
        ("overlap", {"inside", "out", "at_start", "at_end", "runs", "into", "to_start", "around", "runs_on"}),
    ],
)
def test_window(
    avepoint: Simulator, caller: Caller, windowed: Wire, filters_by: str, expected: set[str]
) -> None:
    """A window takes what starts in it, what finishes in it, or what touches it; its ends belong to it."""
    avepoint.set_quirks(windowed.product, window_filters_by=filters_by, total="match")
    add_spans(
        avepoint,
        windowed,
        before=(1, 2),
        into=(7, 9),
        to_start=(7, 8),
        around=(7, 13),
        at_start=(8, 9),
        inside=(9, 10),
        out=(11, 13),
        at_end=(12, 13),
        after=(13, 14),
        runs=(10, None),
        runs_on=(2, None),
    )
    window = {"startTime": bound(windowed, 8), "finishTime": bound(windowed, 12)}

    page = caller.page(windowed, pageSize=50, **window)
    assert expected == set(windowed.ids(page))
    assert len(expected) == windowed.total_of(page)


@pytest.mark.parametrize("filters_by", ["start", "finish", "overlap"])
def test_half_a_window(avepoint: Simulator, caller: Caller, filters_by: str) -> None:
    """Where the window is optional, so is each of its ends."""
    avepoint.set_quirks("m365", window_filters_by=filters_by)
    add_spans(avepoint, M365, early=(1, 2), late=(9, 10))

    assert ["late"] == caller.ids(M365, startTime=bound(M365, 5))
    assert ["early"] == caller.ids(M365, finishTime=bound(M365, 5))
    assert ["late", "early"] == caller.ids(M365)


def test_date_is_its_midnight(avepoint: Simulator, caller: Caller) -> None:
    """The page's example is a date alone; offsets and up to seven fraction digits are read as well."""
    add_spans(avepoint, M365, midnight=(0, 1), dawn=(4, 5))

    assert ["midnight"] == caller.ids(M365, startTime="2024-12-31", finishTime="2025-01-01")
    assert ["dawn"] == caller.ids(
        M365, startTime="2025-01-01T05:59:59.9999999+02:00", finishTime="2025-01-02"
    )
    assert ["dawn"] == caller.ids(
        M365, startTime="2025-01-01T04:00", finishTime="2025-01-01T04:00:00.0000000"
    )


@pytest.mark.parametrize("name", ["startTime", "finishTime"])
@pytest.mark.parametrize("text", ["yesterday", "2025-13-01", "2025-01-01 04:00:00", "-1"])
def test_time_must_be_one(caller: Caller, windowed: Wire, name: str, text: str) -> None:
    """What is no time is refused by the parameter's name."""
    response = caller.get(windowed.path, **windowed.required | {name: text})

    assert (400, name) == (response.status_code, response.json()["errors"][0]["field"])


def test_ticks_of_zero_are_no_bound(avepoint: Simulator, caller: Caller) -> None:
    """The legacy sample asks with 0 and 0 and gets everything."""
    add_spans(avepoint, LEGACY, job=(1, 2))

    assert ["job"] == caller.ids(LEGACY, StartTime=0, FinishTime=0)


@pytest.mark.parametrize(
    ("wire", "missing"),
    [
        (D365, "type"),
        (D365, "startTime"),
        (D365, "finishTime"),
        (SALESFORCE, "startTime"),
        (SALESFORCE, "finishTime"),
    ],
    ids=lambda value: getattr(value, "product", value),
)
def test_required_parameters(caller: Caller, wire: Wire, missing: str) -> None:
    """Without one of the required there is a 400 that names it."""
    query = {name: value for name, value in wire.required.items() if name != missing}
    response = caller.get(wire.path, **query)
    body = response.json()

    assert (400, 400, "Bad Request") == (response.status_code, body["statusCode"], body["message"])
    expected = {"code": "InvalidParameter", "field": missing, "message": f"The {missing} field is required."}
    assert [expected] == body["errors"]
    assert {"statusCode", "message", "errors", "requestId", "timestamp", "traceId"} == body.keys()


M365_TYPES = {"backup": 1, "restore": 2, "export": 3, "delete": 4, "retention": 5}
TYPES = {
    "m365": ("jobType", M365_TYPES),
    "m365_legacy": ("JobType", M365_TYPES),
    "dynamics365": (
        "type",
        {"backup": 1, "restore": 2, "dryrun": 4, "retention": 8, "audit_backup": 16, "export": 32},
    ),
}


@pytest.mark.parametrize("wire", [M365, LEGACY, D365], ids=lambda wire: wire.product)
def test_job_type(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Each documented number selects its type alone; 0 selects all."""
    name, types = TYPES[wire.product]
    for word in types:
        avepoint.add_job(wire.product, job_id=word, job_type=word)

    assert {word: [word] for word in types} == {
        word: caller.ids(wire, **{name: number}) for word, number in types.items()
    }
    assert set(types) == set(caller.ids(wire, **{name: 0}))


def test_d365_row_shows_its_type(avepoint: Simulator, caller: Caller) -> None:
    """A Dynamics row says which type it is."""
    avepoint.add_job("dynamics365", job_type="audit_backup")

    assert 16 == caller.page(D365)["jobs"][0]["type"]


OBJECT_TYPES = [
    *("exchange_online", "sharepoint_online", "onedrive", "microsoft_365_groups", "project_online"),
    *("public_folder", "teams", "viva_engage", "teams_chat", "power_bi", "power_automate", "power_apps"),
]


@pytest.mark.parametrize("wire", [M365, LEGACY], ids=lambda wire: wire.product)
def test_object_type(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Services are numbered from 1 in the page's order; 0 is all, and finds rows of no service too."""
    for word in OBJECT_TYPES:
        avepoint.add_job(wire.product, job_id=word, workload=word)
    avepoint.add_job(wire.product, job_id="other")

    for number, word in enumerate(OBJECT_TYPES, start=1):
        assert [word] == caller.ids(wire, ObjectType=number)
    assert {*OBJECT_TYPES, "other"} == set(caller.ids(wire, ObjectType=0, pageSize=50))


def test_m365_row_says_nothing_of_where_it_belongs(avepoint: Simulator, caller: Caller) -> None:
    """Service, type and location stand in no row."""
    avepoint.add_job("m365", workload="teams", location="NAM")

    row = caller.page(M365)["data"][0]
    assert {"id", "state", "startTime", "finishTime", "duration", "backupDetails", "jobErrors"} == row.keys()


M365_STATES = {"running": (1, "In Progress"), "success": (2, "Finished"), "failed": (3, "Failed")}
M365_STATES |= {"partial": (4, "Finished with Exception")}
STATES: dict[str, tuple[str, dict[str, tuple[int, Any]]]] = {
    "m365": ("jobState", M365_STATES),
    "m365_legacy": ("JobState", M365_STATES),
    "dynamics365": ("status", {"running": (2, 2), "success": (3, 3), "failed": (4, 4), "partial": (7, 7)}),
    "google_workspace": (
        "jobStatus",
        {"running": (0, 0), "success": (2, 2), "failed": (3, 3), "partial": (7, 7)},
    ),
    "salesforce": (
        "status",
        {
            "running": (1, 1),
            "success": (2, 2),
            "partial": (3, 3),
            "failed": (4, 4),
            "waiting": (5, 5),
            "stopped": (6, 6),
            "skipped": (7, 7),
        },
    ),
}


@pytest.mark.parametrize("wire", [M365, LEGACY, D365, GOOGLE, SALESFORCE], ids=lambda wire: wire.product)
def test_job_state(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Each state has the vendor's number as a filter and the vendor's word or number in its row."""
    name, states = STATES[wire.product]
    for word in states:
        avepoint.add_job(wire.product, job_id=word, state=word)

    for word, (number, shown) in states.items():
        page = caller.page(wire, **{name: number})
        assert [(word, shown)] == [(row[wire.row_id], row[wire.state]) for row in wire.rows_of(page)]


@pytest.mark.parametrize("wire", [M365, LEGACY], ids=lambda wire: wire.product)
def test_state_spellings(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The older swagger has other spellings for two states; filters find them all the same."""
    avepoint.set_quirks(wire.product, state_spelling="names")
    avepoint.add_job(wire.product, job_id="partial", state="partial")
    avepoint.add_job(wire.product, job_id="cut", raw_state="PartiallyFinished")

    assert "FinishedException" == wire.rows_of(caller.page(wire, jobState=4))[0][wire.state]
    assert ["cut"] == caller.ids(wire, jobState=5)


def test_raw_state_is_sent_as_given(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """Any value can stand in a row, a null too; filters find it where it is a documented one."""
    for number, raw in enumerate(("Paused by storm", 6, None, True)):
        avepoint.add_job(wire.product, job_id=str(number), raw_state=raw, started_ago=number)

    rows = wire.rows_of(caller.page(wire))
    assert ["Paused by storm", 6, None, True] == [row[wire.state] for row in rows]


@pytest.mark.parametrize("organization_id", ["ORG-A", "org-a"])
def test_d365_organization(avepoint: Simulator, caller: Caller, organization_id: str) -> None:
    """An organisation's id selects its rows, in either case, GUID or not."""
    avepoint.add_job("dynamics365", job_id="a", organization_id="Org-A", organization_name="A")
    avepoint.add_job("dynamics365", job_id="b", organization_id="Org-B")
    page = caller.page(D365, organizationId=organization_id)

    assert [("Org-A", "A")] == [(row["organizationId"], row["organizationName"]) for row in page["jobs"]]


def test_d365_module(avepoint: Simulator, caller: Caller) -> None:
    """A module is shown by its label; a word is turned into it, another text is shown as it is."""
    for module in ("Unified Operations", "unified_operations", "Field Service"):
        avepoint.add_job("dynamics365", workload=module)
    avepoint.add_job("dynamics365")

    shown = {row["module"] for row in caller.page(D365)["jobs"]}
    assert {"Customer Engagement", "Unified Operations", "Field Service"} == shown


def test_location(avepoint: Simulator, caller: Caller) -> None:
    """A list is of all locations unless one is named; PrimaryGeoLocation is the central one."""
    for job_id, location in (
        ("central", None),
        ("named", "PrimaryGeoLocation"),
        ("nam", "NAM"),
        ("eur", "EUR"),
    ):
        avepoint.add_job("m365", job_id=job_id, location=location)

    assert {"central", "named", "nam", "eur"} == set(caller.ids(M365))
    assert ["nam"] == caller.ids(M365, Location="nam")
    assert {"central", "named"} == set(caller.ids(M365, location="PrimaryGeoLocation"))


def test_details_are_of_the_central_location(avepoint: Simulator, caller: Caller) -> None:
    """A job that the list shows is missing from details unless its location is asked for."""
    avepoint.add_job("m365", job_id="same", location="NAM", counts={"successful": 1})
    avepoint.add_job("m365", job_id="same", counts={"successful": 2})
    avepoint.add_job("m365", job_id="far", location="EUR")

    def succeeded(**query: str) -> int:
        body = caller.get(f"{M365_LIST}/same", **query).json()
        return int(body["data"]["backupDetails"]["successfulNumber"])

    assert (2, 1) == (succeeded(), succeeded(location="NAM"))
    response = caller.get(f"{M365_LIST}/far")
    assert (404, 404) == (response.status_code, response.json()["statusCode"])
    assert 200 == caller.get(f"{M365_LIST}/far?location=EUR").status_code


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (M365_LIST, {"jobType": "9"}),
        (M365_LIST, {"objectType": "13"}),
        (M365_LIST, {"jobState": "Finished"}),
        (M365_LIST, {"location": "MARS"}),
        (M365_LICENSE, {"location": "MARS"}),
        (LEGACY_LIST, {"jobType": "-1"}),
        (D365_LIST, {"type": "3"}),
        (D365_LIST, {"status": "0"}),
        (GOOGLE.path, {"appType": "3"}),
        (GOOGLE.path, {"jobType": "0"}),
        (GOOGLE.path, {"jobStatus": "1"}),
        (GOOGLE.path, {"dataSource": "0"}),
        (SALESFORCE.path, {"type": "23"}),
        (SALESFORCE.path, {"status": "8"}),
        (SALESFORCE.path, {"level": "7"}),
        (IAAS.path, {"serviceType": "0"}),
        (IAAS.path, {"jobType": "3"}),
    ],
)
def test_unlisted_filter_value_is_refused(caller: Caller, path: str, query: dict[str, str]) -> None:
    """A value that the page does not list is a 400 with the parameter's name; Dynamics types are no flags."""
    required = {D365.path: D365.required, SALESFORCE.path: SALESFORCE.required}.get(path, {})
    response = caller.get(path, **required | query)

    assert (400, next(iter(query))) == (response.status_code, response.json()["errors"][0]["field"])


def test_names_are_taken_in_any_case(avepoint: Simulator, caller: Caller, wire: Wire) -> None:
    """The vendor's own samples spell the parameters in three ways."""
    for number in range(3):
        avepoint.add_job(wire.product, started_ago=number)
    shouted = {name.upper(): value for name, value in wire.required.items()}

    page = caller.ask(wire, **shouted, **{wire.size.upper(): 2}).json()
    assert 2 == len(wire.ids(page))


def test_many_questions_in_turn(avepoint: Simulator, caller: Caller) -> None:
    """Each of many questions gets its own answer, asked again too."""
    avepoint.generate("m365", 48, every_seconds=3600, newest_at="2025-01-02T23:00:00Z", workloads=["teams"])

    for _ in range(2):
        counts = [
            len(caller.ids(M365, objectType=7, pageSize=50, startTime=bound(M365, h))) for h in range(24)
        ]
        assert list(range(48, 24, -1)) == counts
        pages = [caller.ids(M365, objectType=7, pageSize=50, finishTime=bound(M365, h)) for h in range(24)]
        assert list(range(1, 25)) == [len(page) for page in pages]


def test_filters_combine(avepoint: Simulator, caller: Caller) -> None:
    """All conditions hold at once, and the total counts only what meets them."""
    avepoint.generate(
        "m365",
        120,
        every_seconds=3600,
        newest_at="2025-01-05T23:00:00Z",
        workloads=["teams", "onedrive"],
        states=["success", "failed"],
    )
    window = {"startTime": "2025-01-03", "finishTime": "2025-01-03T23:59:59Z"}
    page = caller.page(M365, objectType=7, jobState=3, pageSize=4, **window)

    assert 6 == page["metadata"]["totalCount"]
    assert ["Failed"] * 4 == [row["state"] for row in page["data"]]
    assert all(row["startTime"].startswith("2025-01-03T") for row in page["data"])


FILTERED: dict[str, tuple[Wire, dict[str, Any], Any]] = {
    "objectType": (M365, {"workload": "teams"}, 1),
    "location": (M365, {"location": "NAM"}, "EUR"),
    "jobState": (M365, {"state": "failed"}, 2),
    "type": (D365, {"job_type": "restore"}, 1),
    "status": (D365, {"state": "failed"}, 3),
    "organizationId": (SALESFORCE, {"organization_id": "other"}, "another"),
    "level": (SALESFORCE, {"level": "field"}, 1),
    "appType": (GOOGLE, {"workload": "drive"}, 1),
    "dataSource": (GOOGLE, {"data_source": "recenter"}, 1),
    "serviceType": (IAAS, {"workload": "ec2"}, 1),
    "jobType": (IAAS, {"workload": "ec2"}, 1),
    "searchText": (IAAS, {"label": "weekly"}, "daily"),
    "startTime": (D365, {"started_ago": 3600}, "2099-01-01"),
    "finishTime": (LEGACY, {"started_ago": 3600}, 1),
}


@pytest.mark.parametrize("parameter", FILTERED)
def test_ignored_parameter(avepoint: Simulator, caller: Caller, parameter: str) -> None:
    """A server that ignores a filter answers as if the filter were not there."""
    wire, job, asked = FILTERED[parameter]
    avepoint.add_job(wire.product, job_id="J", **job)

    assert [] == caller.ids(wire, **{parameter: asked})
    avepoint.set_quirks(wire.product, ignored_parameters=[parameter])
    assert ["J"] == caller.ids(wire, **{parameter: asked})


def test_ignored_parameters_of_elements(avepoint: Simulator, caller: Caller) -> None:
    """Its filters stand in the body, its customer in the path."""
    avepoint.add_job("elements", job_id="theirs", organization_id="other", workload="gmail")

    def ids() -> list[str]:
        page = caller.post(ELEMENTS.path, json={"jobType": 7, "jobModule": 303}).raise_for_status().json()
        return ELEMENTS.ids(page)

    assert [] == ids()
    avepoint.set_quirks("elements", ignored_parameters=["customerId", "jobType", "jobModule"])
    assert ["theirs"] == ids()


def test_pages_are_cut_before_they_are_filtered(avepoint: Simulator, caller: Caller) -> None:
    """Pages come short, and the total is right all the same; who filters by the window alone sees no gap."""
    for number, job_type in enumerate(["restore", "backup", "backup", "restore", "restore", "backup"]):
        avepoint.add_job(
            "dynamics365", job_id=f"J{number}", job_type=job_type, started_ago=3600 * (number + 1)
        )
    avepoint.set_quirks("dynamics365", filters_after_paging=True)
    pages = [caller.page(D365, type=1, **D365.nth(number, 2)) for number in range(4)]

    assert [["J1"], ["J2"], ["J5"], []] == [D365.ids(page) for page in pages]
    assert [3] * 4 == [D365.total_of(page) for page in pages]
    assert [True, True, False, False] == [bool(D365.link_of(page)) for page in pages]
    assert 6 == len(caller.ids(D365))


def test_pages_of_one_customer_are_cut_before_they_are_filtered(avepoint: Simulator, caller: Caller) -> None:
    """The customer in the path is whose jobs they are, and no filter."""
    for number, workload in enumerate(["gmail", "exchange_online", "gmail", "exchange_online"]):
        avepoint.add_job("elements", job_id=f"J{number}", workload=workload, started_ago=number + 1)
        avepoint.add_job("elements", organization_id="other", started_ago=number + 1)
    avepoint.set_quirks("elements", filters_after_paging=True)
    pages = [
        caller.post(ELEMENTS.path, json={"jobModule": 303}, **ELEMENTS.nth(number, 2)).json()
        for number in range(2)
    ]

    assert [["J1"], ["J3"]] == [ELEMENTS.ids(page) for page in pages]
