"""The policy: what each argument takes, what it refuses by name, and what is asked of the API for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.verdict import Policy, judge

from .tables import each_row

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
DAY = 86400
# Section 4's table of arguments.
ARGUMENTS = {
    "product",
    "started_after",
    "max_age",
    "organization_ids",
    "object_types",
    "locations",
    "expect_seen_within",
    "exclude",
    "job_type",
    "decide_by",
    "accept_partial",
    "max_failed",
    "max_failed_ratio",
    "on_failed",
    "fail_fast",
    "expect_scheduled",
    "max_unusual",
    "unusual_within",
}
GUID = "69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a"
EXCLUSION = {"organization_id": "b", "until": "2026-12-31", "reason": "moved"}
OBJECT_TYPES = [
    "exchange_online",
    "sharepoint_online",
    "onedrive",
    "microsoft_365_groups",
    "project_online",
    "public_folder",
    "teams",
    "viva_engage",
    "teams_chat",
    "power_bi",
    "power_automate",
    "power_apps",
]


IAAS_SERVICES = [
    "virtual_machine",
    "entra_id",
    "azure_storage",
    "admin_portal",
    "common",
    "ec2",
    "native_azure_sql",
    "devops",
    "azure_sql",
    "b2c",
    "gcp",
    "aws_setting",
    "sql_server",
    "vmware",
    "gcs",
    "cosmos",
    "postgresql",
    "s3",
    "entra_external_id",
]


class Lazy(Sequence[Any]):
    """A list that is none, as a mapped task's output is."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __repr__(self) -> str:
        return f"Lazy{self._items}"

    def __len__(self) -> int:
        return len(self._items)


def make_policy(product: str = "dynamics365", **given: Any) -> Policy:
    """Return a policy that looks back a day unless told otherwise."""
    return Policy(product=product, **({"max_age": DAY} | given))


def test_the_defaults() -> None:
    policy = make_policy()
    assert (timedelta(days=7), ("backup",)) == (policy.expect_seen_within, policy.job_type)
    assert (policy.on_failed, policy.fail_fast, policy.accept_partial) == ("fail", True, False)
    unset = ARGUMENTS - {"product", "max_age", "expect_seen_within", "job_type", "decide_by"}
    unset -= {"on_failed", "fail_fast", "accept_partial", "expect_scheduled", "unusual_within"}
    assert (timedelta(days=7), False) == (policy.unusual_within, policy.expect_scheduled)
    assert dict.fromkeys(unset) == {name: getattr(policy, name) for name in unset}


@each_row(
    ("product", "name", "given", "expected"),
    [
        ("dynamics365", "started_after", "2026-11-21T22:00:00Z", datetime(2026, 11, 21, 22, tzinfo=UTC)),
        ("dynamics365", "started_after", " 2026-11-22T00:00+02:00 ", datetime(2026, 11, 21, 22, tzinfo=UTC)),
        (
            "dynamics365",
            "started_after",
            datetime(2026, 11, 22, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 11, 21, 22, tzinfo=UTC),
        ),
        ("dynamics365", "max_age", timedelta(hours=36), timedelta(hours=36)),
        ("dynamics365", "max_age", 3600, timedelta(hours=1)),
        ("dynamics365", "max_age", 0.5, timedelta(milliseconds=500)),
        ("dynamics365", "max_age", "24h", timedelta(hours=24)),
        ("dynamics365", "max_age", "1 day, 0:00:00", timedelta(hours=24)),
        ("dynamics365", "expect_seen_within", timedelta(days=30), timedelta(days=30)),
        ("dynamics365", "expect_seen_within", "P1D", timedelta(days=1)),
        ("dynamics365", "expect_seen_within", None, None),
        ("dynamics365", "organization_ids", "a", ("a",)),
        ("dynamics365", "organization_ids", ["a", "b"], ("a", "b")),
        ("dynamics365", "organization_ids", ("b", "a", "b"), ("b", "a")),
        ("dynamics365", "organization_ids", [123, "b\r\n"], ("123", "b")),
        ("dynamics365", "organization_ids", 123, ("123",)),
        ("dynamics365", "organization_ids", [f"{{{GUID.upper()}}}", GUID.replace("-", ""), GUID], (GUID,)),
        ("salesforce", "organization_ids", ["00D5g", "00d5G"], ("00D5g", "00d5G")),
        ("dynamics365", "organization_ids", Lazy("a", "b"), ("a", "b")),
        ("dynamics365", "organization_ids", '["a", "b"]', ("a", "b")),
        ("dynamics365", "organization_ids", " ['a'] ".replace("'", '"'), ("a",)),
        ("dynamics365", "object_types", "unified_operations", ("unified_operations",)),
        ("m365", "object_types", '["teams", "onedrive"]', ("teams", "onedrive")),
        ("m365", "object_types", OBJECT_TYPES, tuple(OBJECT_TYPES)),
        ("m365_legacy", "object_types", OBJECT_TYPES, tuple(OBJECT_TYPES)),
        ("m365", "locations", "NAM", ("NAM",)),
        ("m365", "locations", '["NAM", "EUR"]', ("NAM", "EUR")),
        ("dynamics365", "job_type", "audit_backup", ("audit_backup",)),
        ("dynamics365", "job_type", ["backup", "audit_backup"], ("backup", "audit_backup")),
        ("dynamics365", "job_type", '["backup", "audit_backup"]', ("backup", "audit_backup")),
        ("dynamics365", "decide_by", "newest", "newest"),
        ("dynamics365", "decide_by", "any", "any"),
        ("m365", "decide_by", "all", "all"),
        ("dynamics365", "accept_partial", True, True),
        ("dynamics365", "accept_partial", "true", True),
        ("dynamics365", "accept_partial", "True", True),
        ("dynamics365", "accept_partial", "false", False),
        ("dynamics365", "fail_fast", "False", False),
        ("dynamics365", "fail_fast", False, False),
        ("dynamics365", "max_failed", 5, 5),
        ("dynamics365", "max_failed", "5", 5),
        ("dynamics365", "max_failed", 0, 0),
        ("dynamics365", "max_failed_ratio", 0.05, 0.05),
        ("dynamics365", "max_failed_ratio", "0.05", 0.05),
        ("dynamics365", "max_failed_ratio", 0, 0.0),
        ("dynamics365", "max_failed_ratio", "1", 1.0),
        ("dynamics365", "on_failed", "skip", "skip"),
        ("dynamics365", "on_failed", "retry", "retry"),
        ("google_workspace", "object_types", '["gmail", "vault_drive"]', ("gmail", "vault_drive")),
        ("salesforce", "organization_ids", "00D5g", ("00D5g",)),
        (
            "salesforce",
            "job_type",
            ["backup", "on_demand_backup", "continuous_data_protection", "audit_log_backup"],
            ("backup", "on_demand_backup", "continuous_data_protection", "audit_log_backup"),
        ),
        ("iaas_paas", "object_types", "cosmos", ("cosmos",)),
        ("aos_scan", "object_types", "power_platform", ("power_platform",)),
        ("aos_scan", "job_type", "scan", ("backup",)),
        ("elements", "organization_ids", '["c1", "c2"]', ("c1", "c2")),
        ("elements", "object_types", "none", ("none",)),
    ],
)
def test_an_argument_takes(product: str, name: str, given: object, expected: object) -> None:
    """A template renders to text, so each argument takes text beside its own form."""
    customer = {"organization_ids": "c1"} if PRODUCTS[product].needs_organization else {}
    value = getattr(make_policy(product, **customer | {name: given}), name)
    assert (expected, type(expected)) == (value, type(value))


@each_row(
    "given",
    [
        [EXCLUSION],
        (EXCLUSION,),
        EXCLUSION,
        json.dumps([EXCLUSION]),
        json.dumps(EXCLUSION),
        [EXCLUSION | {"until": date(2026, 12, 31)}],
        [EXCLUSION | {"until": datetime(2026, 12, 31, 7, tzinfo=UTC)}],
        [EXCLUSION | {"workload": None}],
        [EXCLUSION | {"until": "2026-12-31T07:00:00+00:00"}],
        [EXCLUSION | {"organization_id": " b\n"}],
        Lazy(EXCLUSION),
    ],
)
def test_exclude_takes(given: object) -> None:
    expected = {"organization_id": "b", "workload": None, "until": "2026-12-31", "reason": "moved"}
    assert [expected] == make_policy(exclude=given).as_dict()["exclude"]


def test_numbers_in_an_exclusion_are_their_texts() -> None:
    """A native template makes them of "2026"."""
    numbers = EXCLUSION | {"organization_id": 7, "reason": 2026}
    (excluded,) = make_policy(exclude=[numbers]).as_dict()["exclude"]
    assert ("7", "2026") == (excluded["organization_id"], excluded["reason"])


def test_a_policy_made_from_another_keeps_its_exclusions() -> None:
    policy = make_policy(exclude=[EXCLUSION], max_failed=1)
    assert make_policy(exclude=[EXCLUSION], max_failed=2) == replace(policy, max_failed=2)


def test_exclude_takes_a_workload_and_an_empty_list() -> None:
    other = {"workload": "other", "until": "2026-12-31", "reason": "legacy rows"}
    assert [other | {"organization_id": None}] == make_policy("m365", exclude=[other]).as_dict()["exclude"]
    assert not make_policy(exclude="[]").exclude


REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    # product, arguments, words of the message beside the argument's name
    ("dynamics365", {"started_after": datetime(2026, 11, 22)}, ["time zone"]),  # noqa: DTZ001  # on purpose
    ("dynamics365", {"started_after": "2026-11-22T05:00:00"}, ["time zone"]),
    ("dynamics365", {"started_after": "2026-11-22"}, ["time zone"]),
    ("dynamics365", {"started_after": "last night"}, ["'last night'", "ISO 8601"]),
    ("dynamics365", {"started_after": ""}, ["ISO 8601"]),
    ("dynamics365", {"started_after": 1700000000}, ["1700000000"]),
    ("dynamics365", {"started_after": date(2026, 11, 22)}, ["datetime"]),
    *(
        ("dynamics365", {name: value}, [repr(value)])
        for name in ("max_age", "expect_seen_within")
        for value in (0, -1, "0", "24", "", True, "nan", "inf", float("nan"), float("inf"), 10**12, [1])
    ),
    ("dynamics365", {"max_age": timedelta()}, []),
    ("dynamics365", {"max_age": -timedelta(hours=1)}, []),
    ("dynamics365", {"organization_ids": []}, ["empty"]),
    ("dynamics365", {"organization_ids": "[]"}, ["empty"]),
    ("dynamics365", {"organization_ids": ""}, ["''"]),
    ("dynamics365", {"organization_ids": ["a", " "]}, ["' '"]),
    ("dynamics365", {"organization_ids": ["a", None]}, ["None"]),
    ("dynamics365", {"organization_ids": '["a"'}, ["JSON"]),
    ("dynamics365", {"organization_ids": {"a": 1}}, []),
    ("dynamics365", {"organization_ids": 5.5}, ["5.5"]),
    ("dynamics365", {"organization_ids": "None"}, ["template has rendered None"]),
    ("dynamics365", {"organization_ids": "['a', 'b']"}, ["tojson"]),
    ("dynamics365", {"max_age": "24"}, ["unit", "24h", "P1D"]),
    ("dynamics365", {"decide_by": "None"}, ["newest", "template has rendered None"]),
    ("dynamics365", {"object_types": []}, ["empty"]),
    ("m365", {"object_types": "[]"}, ["empty"]),
    ("m365", {"object_types": ["teams", "exchange"]}, ["'exchange'", *OBJECT_TYPES]),
    ("m365_legacy", {"object_types": "exchange"}, ["'exchange'", *OBJECT_TYPES]),
    ("dynamics365", {"object_types": "teams"}, ["'teams'", "customer_engagement", "unified_operations"]),
    ("m365", {"locations": []}, ["empty"]),
    ("m365", {"organization_ids": "a"}, ["Microsoft 365", "cannot"]),
    ("m365_legacy", {"organization_ids": "a"}, ["Microsoft 365", "cannot"]),
    ("m365_legacy", {"locations": "NAM"}, ["Microsoft 365", "cannot"]),
    ("dynamics365", {"locations": "NAM"}, ["Dynamics 365", "cannot"]),
    ("dynamics365", {"job_type": "all"}, []),
    ("dynamics365", {"job_type": "restore"}, ["restore", "backup, audit_backup"]),
    ("dynamics365", {"job_type": ["backup", "export"]}, ["export"]),
    (
        "m365",
        {"exclude": [{"organization_id": "a", "until": "2027-01-01", "reason": "moved"}]},
        ["organization_id"],
    ),
    ("dynamics365", {"job_type": ["all"]}, []),
    ("dynamics365", {"job_type": ("all",)}, []),
    ("dynamics365", {"job_type": '["all"]'}, []),
    ("m365", {"job_type": ["backup", "all"]}, []),
    ("dynamics365", {"job_type": "Backup"}, ["'Backup'", "backup", "audit_backup", "dryrun", "retention"]),
    ("m365", {"job_type": "audit_backup"}, ["'audit_backup'", "backup", "restore", "export", "delete"]),
    ("dynamics365", {"job_type": []}, ["empty"]),
    ("dynamics365", {"job_type": None}, ["None"]),
    ("dynamics365", {"decide_by": "latest"}, ["'latest'", "newest", "any", "all"]),
    ("dynamics365", {"decide_by": ""}, ["newest"]),
    ("dynamics365", {"on_failed": "warn"}, ["'warn'", "fail", "retry", "skip"]),
    ("dynamics365", {"on_failed": None}, ["None", "fail", "skip"]),
    *(("dynamics365", {name: "yes"}, ["'yes'"]) for name in ("accept_partial", "fail_fast")),
    *(("dynamics365", {name: 1}, ["1"]) for name in ("accept_partial", "fail_fast")),
    *(("dynamics365", {name: None}, ["None"]) for name in ("accept_partial", "fail_fast")),
    *(
        ("dynamics365", {"max_failed": value}, [repr(value)])
        for value in (-1, "-1", 1.5, "1.5", "few", "", True, [1])
    ),
    *(
        ("dynamics365", {"max_failed_ratio": value}, [repr(value)])
        for value in (-0.1, 1.1, 5, "5 %", "", "nan", float("nan"), float("inf"), True, [0.1])
    ),
    ("dynamics365", {"accept_partial": True, "max_failed": 0}, ["max_failed"]),
    ("dynamics365", {"accept_partial": "true", "max_failed_ratio": 0.1}, ["max_failed_ratio"]),
    ("dynamics365", {"exclude": "tomorrow"}, ["JSON; give an object, or a list of objects"]),
    ("dynamics365", {"exclude": 5}, ["5"]),
    ("dynamics365", {"exclude": ["b"]}, ["'b'"]),
    *(
        ("dynamics365", {"exclude": [{k: v for k, v in EXCLUSION.items() if k != missing}]}, [missing])
        for missing in EXCLUSION
    ),
    ("dynamics365", {"exclude": [EXCLUSION | {"organization_id": ""}]}, ["organization_id"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"organization_id": 5.5}]}, ["5.5"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"organization_id": "None"}]}, ["template has rendered None"]),
    ("dynamics365", {"exclude": "[{'workload': 'x'}]"}, ["JSON", "tojson"]),
    ("dynamics365", {"exclude": b"{}"}, ["list"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"organisation_id": "b"}]}, ["organisation_id", "workload"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"until": "soon"}]}, ["until"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"until": None}]}, ["until"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"until": 20261231}]}, ["until"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"reason": "  "}]}, ["reason"]),
    ("dynamics365", {"exclude": [EXCLUSION | {"reason": 7.5}]}, ["reason"]),
    ("google_workspace", {"organization_ids": "a"}, ["Google Workspace", "cannot"]),
    ("google_workspace", {"object_types": "exchange_online"}, ["'exchange_online'", "gmail", "drive"]),
    ("salesforce", {"object_types": "record"}, ["Salesforce", "cannot"]),
    ("salesforce", {"locations": "NAM"}, ["Salesforce", "cannot"]),
    ("salesforce", {"job_type": "restore"}, ["'restore'", "on_demand_backup", "audit_log_backup"]),
    ("salesforce", {"job_type": "generate_recovery_point"}, ["'generate_recovery_point'"]),
    ("iaas_paas", {"organization_ids": "a"}, ["IaaS + PaaS", "cannot"]),
    ("iaas_paas", {"object_types": "other"}, ["'other'", "virtual_machine", "entra_external_id"]),
    ("iaas_paas", {"job_type": "aws_platform_configurations"}, ["'aws_platform_configurations'"]),
    (
        "iaas_paas",
        {"exclude": [{"workload": "vm", "until": "2026-12-31", "reason": "moved"}]},
        ["'vm'", "virtual_machine", "other"],
    ),
    ("aos_scan", {"organization_ids": "a"}, ["AvePoint Online Services", "cannot"]),
    ("aos_scan", {"job_type": "batch_import"}, ["'batch_import'", "backup"]),
    ("elements", {"job_type": "retention", "organization_ids": "c1"}, ["'retention'", "backup"]),
    ("elements", {"job_type": "archiver", "organization_ids": "c1"}, ["'archiver'", "backup"]),
    ("elements", {"organization_ids": []}, ["empty"]),
    ("elements", {"organization_ids": None}, ["Elements", "one customer at a time"]),
    # An unknown word fails with the list of known ones; "other" is one here.
    (
        "m365",
        {"exclude": [{"workload": "exchange", "until": "2026-12-31", "reason": "moved"}]},
        ["'exchange'", *OBJECT_TYPES, "other"],
    ),
]


@each_row(("product", "given", "said"), REFUSED)
def test_an_argument_refuses(product: str, given: dict[str, Any], said: list[str]) -> None:
    """The message names the argument first, and what would do."""
    with pytest.raises(AvePointConfigError) as caught:
        make_policy(product, **given)
    message = str(caught.value)
    assert message.startswith(next(iter(given)))
    assert not [words for words in said if words not in message], message


def test_either_started_after_or_max_age_is_required() -> None:
    with pytest.raises(AvePointConfigError, match=r"started_after.* max_age"):
        Policy(product="dynamics365")


@each_row("product", ["dynamics", "", None, 5, ["m365"]])
def test_an_unknown_product_is_refused_with_the_known_ones(product: Any) -> None:
    with pytest.raises(AvePointConfigError) as caught:
        make_policy(product)
    assert not [name for name in ("product", *PRODUCTS) if name not in str(caught.value)]


POLICIES = [
    Policy(product="dynamics365", max_age=timedelta(hours=24)),
    Policy(product="m365_legacy", started_after="2026-11-21T22:00:00+01:00", expect_seen_within=None),
    Policy(
        product="dynamics365",
        started_after=datetime(2026, 11, 21, 22, 0, 0, 123456, tzinfo=UTC),
        max_age="90000.5s",
        organization_ids='["a", "b"]',
        object_types="customer_engagement",
        expect_seen_within=timedelta(days=30),
        exclude=[EXCLUSION, {"workload": "unified_operations", "until": "2027-01-01", "reason": "new"}],
        job_type=["backup", "audit_backup"],
        decide_by="any",
        max_failed="3",
        max_failed_ratio="0.1",
        on_failed="skip",
        fail_fast="false",
    ),
    Policy(product="m365", max_age=DAY, object_types=["teams"], locations="NAM", accept_partial="true"),
    Policy(product="m365", max_age=timedelta(days=1, microseconds=1), decide_by="all", exclude=[]),
    Policy(product="elements", max_age=DAY, organization_ids=["c1", "c2"], object_types="disk"),
    Policy(product="m365", max_age=DAY, expect_scheduled="true", max_unusual="3", unusual_within="P2D"),
    Policy(product="elements", max_age=DAY, organization_ids=["c1"], max_unusual=0, unusual_within="7d"),
    Policy(product="aos_scan", max_age=DAY, job_type="scan"),
]


@each_row("policy", POLICIES)
def test_a_policy_survives_json(policy: Policy) -> None:
    """It travels to the triggerer as JSON values and comes back the same."""
    written = policy.as_dict()
    assert written.keys() == ARGUMENTS
    assert policy == Policy(**written)
    assert policy == Policy(**json.loads(json.dumps(written)))
    assert written == Policy(**written).as_dict()


def test_a_policy_is_written_in_plain_words() -> None:
    written = POLICIES[2].as_dict()
    assert (written["started_after"], written["max_age"]) == ("2026-11-21T22:00:00.123456+00:00", 90000.5)
    assert (written["organization_ids"], written["object_types"]) == (["a", "b"], ["customer_engagement"])
    assert [EXCLUSION["until"], "2027-01-01"] == [each["until"] for each in written["exclude"]]
    assert (written["max_failed"], written["max_failed_ratio"], written["fail_fast"]) == (3, 0.1, False)


@each_row(
    ("given", "window", "look_back"),
    [
        ({"max_age": 3600}, "2026-11-22T05:00", "2026-11-15T05:00"),
        ({"started_after": "2026-11-20T00:00Z"}, "2026-11-20T00:00", "2026-11-13T00:00"),
        (
            {"started_after": "2026-11-20T00:00Z", "max_age": 3600, "expect_seen_within": DAY},
            "2026-11-22T05:00",
            "2026-11-21T05:00",
        ),
        (
            {"started_after": "2026-11-22T05:30Z", "max_age": 3600, "expect_seen_within": None},
            "2026-11-22T05:30",
            "2026-11-22T05:30",
        ),
    ],
)
def test_the_window_and_the_look_back(given: dict[str, Any], window: str, look_back: str) -> None:
    policy = Policy(product="dynamics365", **given)
    expected = [datetime.fromisoformat(f"{each}+00:00") for each in (window, look_back)]
    assert expected == [policy.window_start(NOW), policy.look_back_start(NOW)]


QUESTION_CASES: list[tuple[str, dict[str, Any], str | None, list[tuple[Any, ...]]]] = [
    # product, policy, the connection's location → (job type, object type, organisation, location) of each
    ("dynamics365", {}, None, [("backup", None, None, None)]),
    ("dynamics365", {}, "NAM", [("backup", None, None, None)]),
    ("dynamics365", {"object_types": "unified_operations"}, None, [("backup", None, None, None)]),
    ("dynamics365", {"organization_ids": "a"}, None, [("backup", None, "a", None)]),
    ("dynamics365", {"organization_ids": ["a", "b"]}, None, [("backup", None, None, None)]),
    (
        "dynamics365",
        {"job_type": ["backup", "audit_backup"]},
        None,
        [("backup", None, None, None), ("audit_backup", None, None, None)],
    ),
    ("m365", {}, None, [("backup", each, None, None) for each in (*OBJECT_TYPES, None)]),
    ("m365", {}, "NAM", [("backup", each, None, "NAM") for each in (*OBJECT_TYPES, None)]),
    ("m365_legacy", {}, "NAM", [("backup", each, None, None) for each in (*OBJECT_TYPES, None)]),
    ("m365", {"object_types": "teams"}, None, [("backup", "teams", None, None)]),
    (
        "m365",
        {"locations": ["NAM", "EUR"]},
        "JPN",
        [("backup", each, None, place) for place in ("NAM", "EUR") for each in (*OBJECT_TYPES, None)],
    ),
    ("google_workspace", {}, "NAM", [("backup", None, None, None)]),
    ("google_workspace", {"object_types": ["gmail", "drive"]}, None, [("backup", None, None, None)]),
    ("salesforce", {}, None, [("backup", None, None, None)]),
    ("salesforce", {"organization_ids": "a"}, None, [("backup", None, "a", None)]),
    (
        "salesforce",
        {"organization_ids": ["a", "b"], "job_type": ["backup", "on_demand_backup"]},
        None,
        [(kind, None, each, None) for each in "ab" for kind in ("backup", "on_demand_backup")],
    ),
    ("iaas_paas", {}, None, [("backup", each, None, None) for each in (*IAAS_SERVICES, None)]),
    ("iaas_paas", {"object_types": "cosmos"}, None, [("backup", "cosmos", None, None)]),
    ("aos_scan", {"object_types": "google"}, "NAM", [("backup", None, None, None)]),
    ("elements", {"organization_ids": "c1"}, None, [("backup", None, "c1", None)]),
    (
        "elements",
        {"organization_ids": ["c1", "c2"], "object_types": "disk"},
        None,
        [("backup", None, "c1", None), ("backup", None, "c2", None)],
    ),
]


@each_row(("product", "given", "location", "expected"), QUESTION_CASES)
def test_the_queries(
    product: str, given: dict[str, Any], location: str | None, expected: list[tuple[Any, ...]]
) -> None:
    """Where rows do not say their service, each object type is asked for, and all together.

    Where they may not say their organisation, or a list is of one, each that is named.
    """
    policy = make_policy(product, **given)
    asked = policy.queries(NOW, location=location)
    found = [(each.job_type, each.object_type, each.organization_id, each.location) for each in asked]
    assert (len(expected), set(expected)) == (len(found), set(found))
    assert {(product, policy.memory_start(NOW), None, None)} == {
        (each.product.name, each.started_after, each.started_before, each.states) for each in asked
    }


def test_no_customer_is_no_policy() -> None:
    """Of whom would it be the list? Nobody is asked before that is said."""
    with pytest.raises(AvePointConfigError, match=r"^organization_ids: .*one customer at a time"):
        make_policy("elements")


@each_row("product", PRODUCTS)
def test_every_query_can_be_asked(product: str) -> None:
    """No listing lacks the organisation that its path needs, however many are named."""
    known = PRODUCTS[product]
    named = {"organization_ids": ["a", "b"]} if known.tells_organizations else {}
    queries = make_policy(product, **named).queries(NOW)
    is_apart = known.needs_organization or known.asks_each_organization
    assert ({"a", "b"} if is_apart else {None}) == {query.organization_id for query in queries}


def test_the_queries_bring_every_row_that_the_verdict_needs() -> None:
    """What a query would leave out, the judge must not have wanted: a job that is just remembered."""
    policy = make_policy()
    (query,) = policy.queries(NOW)
    start = NOW - timedelta(days=15)
    rows = [
        BackupJob(
            product="dynamics365",
            job_id="1",
            job_type="backup",
            state=JobState.SUCCESS,
            started_at=start - timedelta(seconds=late),
            organization_id="a",
        )
        for late in (0, 1)
    ]
    assert [query.matches(row) for row in rows] == [True, False]
    assert [len(judge([row], policy, NOW).scopes) for row in rows] == [1, 0]


def test_a_verdict_is_json_with_the_documented_keys() -> None:
    job = BackupJob(
        product="dynamics365",
        job_id="1",
        job_type="backup",
        workload="customer_engagement",
        state=JobState.PARTIAL,
        raw_state=7,
        started_at=NOW - timedelta(hours=2),
        finished_at=NOW - timedelta(hours=1),
        duration=timedelta(hours=1),
        counts=Counts(total=10, failed=1),
        organization_id="a",
        raw={"secretLooking": "row"},
    )
    running = BackupJob(
        product="dynamics365",
        job_id="2",
        job_type="backup",
        workload="customer_engagement",
        state=JobState.RUNNING,
        started_at=NOW - timedelta(minutes=5),
        organization_id="a",
    )
    policy = make_policy(organization_ids=["a", "b"])
    written = judge([job, running], policy, NOW).as_dict()
    assert written == json.loads(json.dumps(written))
    assert {"passed", "reason", "scopes", "policy", "judged_at"} == written.keys()
    assert (
        written["passed"],
        written["reason"],
        written["judged_at"],
    ) == (False, "partial", "2026-11-22T06:00:00+00:00")
    assert policy.as_dict() == written["policy"]
    here, absent = written["scopes"]
    assert {"scope", "passed", "reason", "job", "open_jobs", "age_seconds"} <= here.keys()
    assert here["scope"] == {
        "organization_id": "a",
        "workload": "customer_engagement",
        "location": None,
        "content": None,
    }
    assert (here["decided_by"], here["decided_because"]) == ("newest", "each row's organisation is known")
    assert (here["passed"], here["reason"], here["age_seconds"]) == (False, "partial", 7200)
    assert tuple(here["job"][key] for key in ("job_id", "state", "raw_state", "started_at", "duration")) == (
        "1",
        "partial",
        7,
        "2026-11-22T04:00:00+00:00",
        3600,
    )
    assert (here["job"]["counts"]["total"], here["job"]["counts"]["failed"]) == (10, 1)
    assert [each["job_id"] for each in here["open_jobs"]] == ["2"]
    nothing = {"passed": False, "reason": "missed", "job": None, "open_jobs": [], "age_seconds": None}
    assert nothing == {key: absent[key] for key in nothing}
    assert absent["scope"] == {"organization_id": "b", "workload": None, "location": None, "content": None}


@each_row("offset", [-5, 0, 9])
def test_a_verdict_is_dated_in_utc(offset: int) -> None:
    """Wherever the clock stands: an auditor compares the evidence of many."""
    now = NOW.astimezone(timezone(timedelta(hours=offset)))
    assert judge([], make_policy(), now).as_dict()["judged_at"] == "2026-11-22T06:00:00+00:00"


@each_row("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time_are_no_error(moment: str) -> None:
    """The look-back before the first of all days stops there."""
    policy = make_policy("dynamics365", started_after=moment, max_age=None)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert policy.look_back_start(now) <= policy.window_start(now)
    assert policy.queries(now)[0].parameters(now)


@each_row(
    ("teams", "groups", "others", "is_asked"),
    [
        ("12", "12", "", True),
        ("12", "123", "", True),  # a job began between the two queries
        ("12", "12", "9", True),
        ("12", "13", "", False),
        ("", "", "", False),
        ("", "12", "", False),
    ],
)
def test_two_services_with_the_same_jobs_need_a_third_to_tell(
    teams: str, groups: str, others: str, *, is_asked: bool
) -> None:
    """A team and its group share their jobs; a server that does not filter repeats them for any service."""
    policy = make_policy("m365", object_types=["teams", "microsoft_365_groups"], locations=["NAM", "EUR"])
    seen = [
        BackupJob(product="m365", job_id=job_id, workload=workload, state=JobState.SUCCESS)
        for workload, ids in (("teams", teams), ("microsoft_365_groups", groups), ("other", others))
        for job_id in ids
    ]

    asked = policy.control_queries(policy.queries(NOW), seen)

    expected = [("exchange_online", "NAM"), ("exchange_online", "EUR")] if is_asked else []
    assert expected == [(query.object_type, query.location) for query in asked]


@each_row("services", ["teams", ["teams", "onedrive", "exchange_online"], None])
def test_one_service_or_three_need_no_other_to_tell(services: Any) -> None:
    policy = make_policy("m365", object_types=services)
    jobs = [BackupJob(product="m365", job_id="1", workload="teams", state=JobState.SUCCESS)]
    assert [] == policy.control_queries(policy.queries(NOW), jobs)
