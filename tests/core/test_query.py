from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.query import JobQuery, build_queries, widen

from .tables import each_row

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
AFTER = datetime(2026, 11, 21, 5, tzinfo=UTC)
M365, LEGACY, D365 = PRODUCTS["m365"], PRODUCTS["m365_legacy"], PRODUCTS["dynamics365"]
GOOGLE, SALESFORCE, IAAS = PRODUCTS["google_workspace"], PRODUCTS["salesforce"], PRODUCTS["iaas_paas"]
SCANS, ELEMENTS = PRODUCTS["aos_scan"], PRODUCTS["elements"]
WINDOW = {"startTime": "2026-11-21T04:59:59Z", "finishTime": "2026-11-23T05:00:01Z"}


def job(**fields: Any) -> BackupJob:
    return BackupJob(
        **{
            "product": "m365",
            "job_id": "FB1",
            "job_type": "backup",
            "state": JobState.SUCCESS,
            "started_at": AFTER,
            **fields,
        }
    )


@each_row(
    ("query", "expected"),
    [
        pytest.param(JobQuery(product=M365), {}, id="nothing is asked for"),
        pytest.param(
            JobQuery(product=M365, started_after=AFTER),
            {"startTime": "2026-11-21T04:59:59Z", "finishTime": "2026-11-23T05:00:01Z"},
            id="up to a little past now",
        ),
        pytest.param(
            JobQuery(product=M365, started_before=AFTER),
            {},
            id="an end alone is kept here: the server's may mean the finish",
        ),
        pytest.param(
            JobQuery(product=M365, started_after=AFTER - timedelta(60), started_before=AFTER - timedelta(50)),
            {"startTime": "2026-09-22T04:59:59Z", "finishTime": "2026-11-01T05:00:01Z"},
            id="a job may finish 30 days later",
        ),
        pytest.param(
            JobQuery(product=M365, started_after=NOW + timedelta(2)),
            {"startTime": "2026-11-24T04:59:59Z", "finishTime": "2026-11-24T05:00:01Z"},
            id="a window that has not begun stays a window",
        ),
        pytest.param(
            JobQuery(
                product=M365,
                job_type="restore",
                states=frozenset({JobState.FAILED}),
                object_type="teams_chat",
                location="NAM",
            ),
            {"jobType": "2", "jobState": "3", "objectType": "9", "location": "NAM"},
            id="every filter",
        ),
        pytest.param(
            JobQuery(product=M365, states=frozenset({JobState.PARTIAL})),
            {},
            id="one state with two numbers is filtered here",
        ),
        pytest.param(
            JobQuery(product=M365, states=frozenset({JobState.RUNNING})),
            {},
            id="a job without a finish time is running under two numbers",
        ),
        pytest.param(
            JobQuery(product=M365, states=frozenset({JobState.SUCCESS, JobState.UNKNOWN})),
            {},
            id="an undocumented state has no number",
        ),
        pytest.param(JobQuery(product=M365, organization_id="o"), {}, id="no such filter"),
        pytest.param(
            JobQuery(product=LEGACY, started_after=datetime(2024, 5, 31, 16, 0, 1, tzinfo=UTC)),
            {
                "StartTime": "638527680000000000",
                "FinishTime": str(
                    638527680000000000
                    + int((NOW - datetime(2024, 5, 31, 16, tzinfo=UTC)).total_seconds() + 86_401) * 10_000_000
                ),
                "JobType": "0",
                "ObjectType": "0",
                "JobState": "0",
            },
            id="ticks",
        ),
        pytest.param(
            JobQuery(product=LEGACY, job_type="backup", object_type="onedrive", location="NAM"),
            {"StartTime": "0", "FinishTime": "0", "JobType": "1", "ObjectType": "3", "JobState": "0"},
            id="every parameter is sent",
        ),
        pytest.param(
            JobQuery(product=D365),
            {"type": "0", "startTime": "1999-12-31T23:59:59Z", "finishTime": "2026-11-23T05:00:01Z"},
            id="a window is required",
        ),
        pytest.param(
            JobQuery(
                product=D365,
                started_after=AFTER,
                job_type="backup",
                states=frozenset({JobState.SUCCESS}),
                organization_id="6CCCCCC-ffff",
                object_type="unified_operations",
            ),
            {
                "type": "1",
                "startTime": "2026-11-21T04:59:59Z",
                "finishTime": "2026-11-23T05:00:01Z",
                "status": "3",
                "organizationId": "6CCCCCC-ffff",
            },
            id="modules have no filter",
        ),
        pytest.param(JobQuery(product=GOOGLE), {}, id="Google: nothing is asked for"),
        pytest.param(
            JobQuery(
                product=GOOGLE,
                started_after=AFTER,
                job_type="backup",
                states=frozenset({JobState.RUNNING}),
                object_type="vault_drive",
            ),
            {**WINDOW, "jobType": "1", "jobStatus": "0", "appType": "16384"},
            id="Google: 0 is the state of what runs",
        ),
        pytest.param(
            JobQuery(product=SALESFORCE),
            {"startTime": "1999-12-31T23:59:59Z", "finishTime": "2026-11-23T05:00:01Z"},
            id="Salesforce: a window is required",
        ),
        pytest.param(
            JobQuery(
                product=SALESFORCE,
                started_after=AFTER,
                job_type="audit_log_backup",
                states=frozenset({JobState.PARTIAL}),
                organization_id="00D5g",
            ),
            {**WINDOW, "type": "20", "status": "3", "organizationId": "00D5g"},
            id="Salesforce: every filter",
        ),
        pytest.param(
            JobQuery(
                product=IAAS,
                started_after=AFTER,
                job_type="backup",
                states=frozenset({JobState.FAILED}),
                object_type="cosmos",
            ),
            {**WINDOW, "serviceType": "24000"},
            id="IaaS: no number stands for all backups, and no filter for a state",
        ),
        pytest.param(
            JobQuery(product=IAAS, job_type="data_deletion"), {"jobType": "30003"}, id="IaaS: one number"
        ),
        pytest.param(
            JobQuery(
                product=SCANS,
                started_after=AFTER,
                started_before=NOW,
                job_type="batch_import",
                states=frozenset({JobState.FAILED}),
                object_type="google",
            ),
            {"orderby": "StartTime", "sortorder": "1"},
            id="scans: the newest first, and no filter at all",
        ),
        pytest.param(
            JobQuery(
                product=ELEMENTS,
                started_after=AFTER,
                job_type="backup",
                states=frozenset({JobState.FAILED}),
                organization_id="c1",
            ),
            {},
            id="Elements: the customer is in the path, backups have many numbers",
        ),
        pytest.param(
            JobQuery(product=ELEMENTS, job_type="archiver", object_type="archiver", organization_id="c1"),
            {"jobModule": "8"},
            id="Elements: housekeeping is a module",
        ),
    ],
)
def test_parameters(query: JobQuery, expected: dict[str, str]) -> None:
    assert expected == {name: str(value) for name, value in query.parameters(NOW).items()}


@each_row("product", PRODUCTS.values())
@each_row("edge", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time_are_no_error(product: Any, edge: str) -> None:
    """A caller may write a window without an end as one that ends with the calendar."""
    for fields in (
        {"started_after": edge},
        {"started_before": edge},
        {"started_after": AFTER, "started_before": "9999-12-31T23:59:59Z"},
    ):
        customer = {"organization_id": "c1"} if product.needs_organization else {}
        (query,) = build_queries(product.name, **fields, **customer)
        query.parameters(NOW)


@each_row(
    ("product", "job_type", "expected"),
    [
        (M365, "backup", True),
        (M365, None, False),
        (GOOGLE, "restore", True),
        (SALESFORCE, "backup", True),
        (IAAS, "backup", False),
        (IAAS, "restore", False),
        (IAAS, "retention", True),
        (SCANS, "backup", False),
        (SCANS, "batch_import", False),
        (ELEMENTS, "backup", False),
        (ELEMENTS, "retention", False),
    ],
)
def test_whether_the_server_is_asked_for_a_type(
    product: Any, job_type: str | None, *, expected: bool
) -> None:
    """Only then is a row without a type known to be of it."""
    assert expected is JobQuery(product=product, job_type=job_type).is_asked_by_type


@each_row(
    ("asked", "fields", "expected"),
    [
        ({}, {}, True),
        ({"job_type": "backup"}, {}, True),
        ({"job_type": "backup"}, {"job_type": "restore"}, False),
        ({"job_type": "backup"}, {"job_type": None}, False),
        ({}, {"job_type": "restore"}, True),
        ({"states": frozenset({JobState.SUCCESS})}, {}, True),
        ({"states": frozenset({JobState.FAILED})}, {}, False),
        (
            {"organization_id": "{69CB1ECC-F8E8-4C0B-9A57-1F2E3D4C5B6A}"},
            {"organization_id": "69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a"},
            True,
        ),
        ({"organization_id": "00D5g"}, {"organization_id": "00d5G"}, False),
        ({"organization_id": "abc"}, {"organization_id": "abd"}, False),
        ({"organization_id": "abc"}, {}, False),
        ({"object_type": "teams"}, {"workload": "teams"}, True),
        ({"object_type": "teams"}, {"workload": None}, False),
        ({"started_after": AFTER}, {}, True),
        ({"started_after": AFTER}, {"started_at": AFTER - timedelta(microseconds=1)}, False),
        ({"started_before": AFTER}, {}, False),
        ({"started_before": AFTER}, {"started_at": AFTER - timedelta(microseconds=1)}, True),
        ({"started_after": AFTER, "started_before": NOW}, {}, True),
        ({"started_after": AFTER}, {"started_at": None, "finished_at": None}, True),
        ({"started_after": AFTER}, {"started_at": None, "finished_at": AFTER}, True),
        ({"started_after": AFTER}, {"started_at": None, "finished_at": AFTER - timedelta(1)}, True),
        (
            {"started_after": AFTER},
            {"started_at": None, "finished_at": AFTER, "duration": timedelta(1)},
            False,
        ),
        ({"job_type": "backup"}, {"job_type": None, "problems": ("odd",)}, True),
        ({"organization_id": "abc"}, {"organization_id": None, "problems": ("odd",)}, True),
        ({"organization_id": "abc"}, {"organization_id": "abd", "problems": ("odd",)}, False),
        ({"started_after": NOW}, {"started_at": None, "finished_at": AFTER, "state": JobState.RUNNING}, True),
    ],
)
def test_admits(asked: dict[str, Any], fields: dict[str, Any], *, expected: bool) -> None:
    """The window is half open, on the start; a job that has none and runs is in every window."""
    assert expected is JobQuery(product=M365, **asked).matches(job(**fields))


def test_one_query_for_each_combination() -> None:
    queries = build_queries(
        "m365",
        started_after="2026-11-21T06:00:00+01:00",
        job_type=["backup", "restore"],
        state="failed",
        object_type=["teams", "onedrive", "teams"],
        location="NAM",
    )
    expected = [
        JobQuery(
            product=M365,
            started_after=AFTER,
            job_type=kind,
            states=frozenset({JobState.FAILED}),
            object_type=workload,
            location="NAM",
        )
        for kind in ("backup", "restore")
        for workload in ("teams", "onedrive")
    ]
    assert expected == queries


@each_row(
    ("arguments", "expected"),
    [
        ({}, ["backup"]),
        ({"job_type": "all"}, [None]),
        ({"job_type": ["all"]}, [None]),
        ({"job_type": "deletion"}, ["delete"]),
        ({"job_type": ["delete", "deletion"]}, ["delete"]),
        ({"job_type": '["backup", "export"]'}, ["backup", "export"]),
    ],
)
def test_job_types(arguments: dict[str, Any], expected: list[str | None]) -> None:
    assert expected == [query.job_type for query in build_queries("m365", **arguments)]


@each_row("job_type", ["scan", "backup", ["scan", "backup"]])
def test_a_scan_is_what_a_backup_is_there(job_type: Any) -> None:
    (query,) = build_queries("aos_scan", job_type=job_type)
    assert "backup" == query.job_type


def test_housekeeping_is_asked_for_by_its_word() -> None:
    queries = build_queries("elements", job_type=["archiver", "retention"], organization_id="c1")
    assert [("archiver", "c1"), ("retention", "c1")] == [
        (query.job_type, query.organization_id) for query in queries
    ]


@each_row(
    ("product", "arguments", "text"),
    [
        ("m366", {}, "product: 'm366' is not known; known are m365, m365_legacy, dynamics365"),
        (None, {}, "product: None is not known"),
        (["m365"], {}, "is not known"),
        ("m365", {"started_after": "yesterday"}, "started_after: 'yesterday' is not an ISO 8601 time"),
        ("m365", {"started_before": 5}, "started_before: 5 is neither a datetime nor an ISO 8601 string"),
        ("m365", {"started_after": "2026-11-22"}, "started_after: 2026-11-22 has no time zone"),
        ("m365", {"started_after": datetime(2026, 11, 22)}, "2026-11-22T00:00:00Z for UTC"),  # noqa: DTZ001
        ("m365", {"started_after": "0001-01-01T00:00:00+05:00"}, "started_after"),
        ("m365", {"started_after": NOW, "started_before": NOW}, "is not later than started_after"),
        ("m365", {"started_after": NOW, "started_before": AFTER}, "is not later than started_after"),
        (
            "m365",
            {"job_type": "snapshot"},
            "job_type: 'snapshot' is not known for m365; known are backup, restore",
        ),
        ("m365", {"job_type": ["all", "backup"]}, "job_type: 'all' is not known"),
        ("m365", {"job_type": None}, "job_type is None; give a job type"),
        ("m365", {"job_type": []}, "job_type is an empty list"),
        ("m365", {"state": "good"}, "state: 'good' is not a job state; known are waiting, running"),
        ("m365", {"state": 3}, "state: '3' is not a job state"),
        ("m365", {"state": {"a": 1}}, "state: {'a': 1} is neither text nor a list"),
        (
            "m365",
            {"object_type": "exchange"},
            "object_type: 'exchange' is not known for m365; known are exchange_online",
        ),
        ("m365", {"object_type": []}, "object_type is an empty list"),
        ("m365", {"object_type": "[]"}, "object_type is an empty list"),
        ("m365", {"object_type": '["teams"'}, "object_type: '[\"teams\"' is not a JSON array"),
        ("m365", {"object_type": ""}, "object_type: '' names nothing"),
        ("m365", {"object_type": [1]}, "object_type: '1' is not known for m365; known are"),
        ("m365", {"object_type": [None]}, "object_type: None is not a text"),
        ("m365", {"object_type": [["teams"]]}, "object_type"),
        ("m365", {"object_type": '[["teams"]]'}, "object_type"),
        ("m365", {"object_type": '[{"a": 1}]'}, "object_type"),
        ("m365", {"organization_id": "o"}, "organization_id: Cloud Backup for Microsoft 365 cannot tell"),
        (
            "dynamics365",
            {"location": "NAM"},
            "location: Cloud Backup for Dynamics 365 cannot tell jobs apart by it; leave it out.",
        ),
        ("m365_legacy", {"location": "NAM"}, "location: "),
        ("dynamics365", {"organization_id": ""}, "organization_id: '' names nothing"),
        ("dynamics365", {"organization_id": " "}, "organization_id: ' ' names nothing"),
        ("dynamics365", {"organization_id": 7.5}, "organization_id: 7.5 is not a text"),
        ("dynamics365", {"object_type": "teams"}, "known are customer_engagement, unified_operations"),
        ("google_workspace", {"object_type": "exchange_online"}, "known are gmail, drive, calendar"),
        ("google_workspace", {"organization_id": "o"}, "organization_id: Cloud Backup for Google Workspace"),
        ("google_workspace", {"location": "NAM"}, "location: Cloud Backup for Google Workspace cannot tell"),
        ("salesforce", {"object_type": "record"}, "object_type: Cloud Backup for Salesforce cannot tell"),
        ("salesforce", {"job_type": "export"}, "job_type: 'export' is not known for salesforce"),
        ("salesforce", {"location": "NAM"}, "location: Cloud Backup for Salesforce cannot tell"),
        ("iaas_paas", {"object_type": "vm"}, "known are virtual_machine, entra_id"),
        ("iaas_paas", {"job_type": "delete"}, "known are backup, restore, export"),
        ("iaas_paas", {"organization_id": "o"}, "organization_id: Cloud Backup for IaaS + PaaS cannot tell"),
        ("aos_scan", {"object_type": "gmail"}, "known are m365, power_platform, active_directory, google"),
        ("aos_scan", {"job_type": "restore"}, "known are backup, scan, batch_import"),
        ("aos_scan", {"organization_id": "o"}, "organization_id: AvePoint Online Services scans cannot tell"),
        ("elements", {}, "organization_id: AvePoint Elements lists one customer at a time; name it"),
        ("elements", {"organization_id": " "}, "organization_id: ' ' names nothing"),
        ("elements", {"organization_id": "c", "location": "NAM"}, "location: AvePoint Elements cannot tell"),
        ("elements", {"organization_id": "c", "job_type": "restore"}, "known are backup, scan, archiver"),
        ("elements", {"organization_id": "c", "object_type": "teams"}, "microsoft_teams, teams_chat"),
    ],
)
def test_refusals_name_the_argument(product: Any, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(AvePointConfigError) as caught:
        build_queries(product, **arguments)
    assert text in str(caught.value)


def test_silent_listings_of_single_organisations_are_asked_for_together() -> None:
    """As wide as any needs; not where no organisation is named, where one must be, nor for a single job."""
    silent = [
        JobQuery(product=D365, organization_id="a", started_after=AFTER, job_type="backup"),
        JobQuery(product=D365, organization_id="B", started_after=NOW, job_type="backup"),
        JobQuery(product=D365, organization_id="a", started_after=NOW, job_type="audit_backup"),
        JobQuery(product=D365, started_after=NOW),
        JobQuery(product=D365, organization_id="a", job_id="J1"),
        JobQuery(product=ELEMENTS, organization_id="c1"),
    ]

    backups, audits = widen(silent)

    assert JobQuery(product=D365, started_after=AFTER, job_type="backup") == backups.query
    assert JobQuery(product=D365, started_after=NOW, job_type="audit_backup") == audits.query
    found = [job(product="dynamics365", organization_id=each, organization_name="Sales") for each in "abB"]
    assert [True, False, True] == [backups.matches(each) for each in found]
    backups.refuse_names()


def test_an_id_that_is_the_name_of_a_listed_organisation_is_refused() -> None:
    (widening,) = widen([JobQuery(product=D365, organization_id="contoso-sales")])
    assert not widening.matches(job(organization_id="69cb", organization_name=" Contoso-Sales"))
    with pytest.raises(AvePointConfigError, match="'contoso-sales' is the name of 69cb; give the id"):
        widening.refuse_names()
