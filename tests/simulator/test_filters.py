"""What a question selects: time windows, types, states, organisations, locations."""

from __future__ import annotations

from typing import Any

from airflow_provider_avepoint.core.products import PRODUCTS as OURS
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.products import PRODUCTS
from airflow_provider_avepoint.simulator.products.base import ANY

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


WINDOWS = {
    "start": {"inside", "out", "at_start", "at_end", "runs"},
    "finish": {"inside", "into", "to_start", "at_start"},
    "overlap": {"inside", "out", "at_start", "at_end", "runs", "into", "to_start", "around", "runs_on"},
}


def test_window(avepoint: Simulator, caller: Caller, windowed: Wire) -> None:
    """A window takes what starts in it, what finishes in it, or what touches it; its ends belong to it."""
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

    for filters_by, expected in WINDOWS.items():
        avepoint.set_quirks(windowed.product, window_filters_by=filters_by, total="match")
        page = caller.page(windowed, pageSize=50, **window)
        assert (filters_by, expected) == (filters_by, set(windowed.ids(page)))
        assert len(expected) == windowed.total_of(page)


def test_half_a_window(avepoint: Simulator, caller: Caller) -> None:
    """Where the window is optional, so is each of its ends."""
    add_spans(avepoint, M365, early=(1, 2), late=(9, 10))

    for filters_by in WINDOWS:
        avepoint.set_quirks("m365", window_filters_by=filters_by)
        assert ["late"] == caller.ids(M365, startTime=bound(M365, 5)), filters_by
        assert ["early"] == caller.ids(M365, finishTime=bound(M365, 5)), filters_by
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


def test_time_must_be_one(caller: Caller, windowed: Wire) -> None:
    """What is no time is refused by the parameter's name."""
    for name in ("startTime", "finishTime"):
        for text in ("yesterday", "2025-13-01", "2025-01-01 04:00:00", "-1"):
            response = caller.get(windowed.path, **windowed.required | {name: text})
            assert (400, name) == (response.status_code, response.json()["errors"][0]["field"]), text


def test_ticks_of_zero_are_no_bound(avepoint: Simulator, caller: Caller) -> None:
    """The legacy sample asks with 0 and 0 and gets everything."""
    add_spans(avepoint, LEGACY, job=(1, 2))

    assert ["job"] == caller.ids(LEGACY, StartTime=0, FinishTime=0)


def test_required_parameters(caller: Caller) -> None:
    """Without one of the required there is a 400 that names it."""
    required = {
        D365.product: {"type", "startTime", "finishTime"},
        SALESFORCE.product: {"startTime", "finishTime"},
    }
    for wire in (D365, SALESFORCE):
        assert required[wire.product] == wire.required.keys()
        for missing in wire.required:
            query = {name: value for name, value in wire.required.items() if name != missing}
            response = caller.get(wire.path, **query)
            body = response.json()

            assert (400, 400, "Bad Request") == (response.status_code, body["statusCode"], body["message"])
            message = f"The {missing} field is required."
            assert [{"code": "InvalidParameter", "field": missing, "message": message}] == body["errors"]
            assert {"statusCode", "message", "errors", "requestId", "timestamp", "traceId"} == body.keys()


def test_each_value_of_a_filter_selects_its_jobs(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """By the number of a job type, a workload or a state, which rows show where they can; 0 is all."""
    wire, product, columns = any_wire, PRODUCTS[any_wire.product], OURS[any_wire.product].columns
    words: dict[str, tuple[str, dict[str, Any], Any]] = {
        "job_type": ("job_type", dict(product.job_types.shown), columns.job_type),
        "workload": ("workload", dict(product.workloads.shown), columns.workload),
        "state_code": ("state", dict(product.states), None),
    }
    for each in product.filters:
        if each.fact not in words:
            continue
        field, numbers, key = words[each.fact]
        for old in avepoint.jobs(product.name):
            avepoint.delete_job(product.name, old["job_id"])
        avepoint.add_jobs([{"product": product.name, "job_id": word, field: word} for word in numbers])

        def ask(value: Any, name: str = each.parameter) -> list[Any]:
            body = {"json": {name: value}} if wire.method == "POST" else {name: value}
            return wire.rows_of(caller.page(wire, **body, **{wire.size: 100}))

        for word, number in numbers.items():
            (row,) = ask(number)
            assert word == row[wire.row_id]
            if field == "state":
                assert wire.states[word] == row[wire.state]
            elif key is not None:
                assert number == row[key]
        if each.values is not None and each.values.get("0") is ANY:
            assert set(numbers) == {row[wire.row_id] for row in ask(0)}


def test_each_state_is_shown(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """By its number or its label; a number that no word stands for can be sent all the same."""
    for word in any_wire.states:
        avepoint.add_job(any_wire.product, job_id=word, state=word, started_ago=60)
    avepoint.add_job(any_wire.product, job_id="other", raw_state=97, started_ago=60)

    rows = any_wire.rows_of(caller.page(any_wire, **{any_wire.size: 50}))
    shown = {row[any_wire.row_id]: row[any_wire.state] for row in rows}
    assert any_wire.states | {"other": 97} == shown


def test_m365_row_says_nothing_of_where_it_belongs(avepoint: Simulator, caller: Caller) -> None:
    """Service, type and location stand in no row."""
    avepoint.add_job("m365", workload="teams", location="NAM")

    row = caller.page(M365)["data"][0]
    assert {"id", "state", "startTime", "finishTime", "duration", "backupDetails", "jobErrors"} == row.keys()


def test_state_spellings(avepoint: Simulator, caller: Caller) -> None:
    """The older swagger has other spellings for two states; filters find them all the same."""
    for wire in (M365, LEGACY):
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


def test_d365_organization(avepoint: Simulator, caller: Caller) -> None:
    """An organisation's id selects its rows, in either case, GUID or not."""
    avepoint.add_job("dynamics365", job_id="a", organization_id="Org-A", organization_name="A")
    avepoint.add_job("dynamics365", job_id="b", organization_id="Org-B")
    for organization_id in ("ORG-A", "org-a"):
        rows = caller.page(D365, organizationId=organization_id)["jobs"]

        assert [("Org-A", "A")] == [(row["organizationId"], row["organizationName"]) for row in rows]


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


UNLISTED: list[tuple[str, dict[str, str]]] = [
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
]


def test_unlisted_filter_value_is_refused(caller: Caller) -> None:
    """A value that the page does not list is a 400 with the parameter's name; Dynamics types are no flags."""
    required = {D365.path: D365.required, SALESFORCE.path: SALESFORCE.required}
    for path, query in UNLISTED:
        response = caller.get(path, **required.get(path, {}) | query)
        refused = (response.status_code, response.json()["errors"][0]["field"])
        assert (400, next(iter(query))) == refused, (path, query)


def test_names_are_taken_in_any_case(avepoint: Simulator, caller: Caller, any_wire: Wire) -> None:
    """The vendor's own samples spell the parameters in three ways."""
    for number in range(3):
        avepoint.add_job(any_wire.product, started_ago=number)
    shouted = {name.upper(): value for name, value in any_wire.required.items()}

    page = caller.ask(any_wire, **shouted, **{any_wire.size.upper(): 2}).json()
    assert 2 == len(any_wire.ids(page))


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


def test_ignored_parameter(avepoint: Simulator, caller: Caller) -> None:
    """A server that ignores a filter answers as if the filter were not there."""
    for parameter, (wire, job, asked) in FILTERED.items():
        avepoint.add_job(wire.product, job_id="J", **job)

        avepoint.set_quirks(wire.product, ignored_parameters=[])
        assert [] == caller.ids(wire, **{parameter: asked}), parameter
        avepoint.set_quirks(wire.product, ignored_parameters=[parameter])
        assert ["J"] == caller.ids(wire, **{parameter: asked}), parameter
        avepoint.delete_job(wire.product, "J")


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
