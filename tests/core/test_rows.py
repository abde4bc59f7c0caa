"""Rows, starting from the vendor's own samples."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.core.rows import RowReader, read_license
from airflow_provider_avepoint.products import PRODUCTS

M365_ROW: dict[str, Any] = {
    "id": "FB20241015105312327583",
    "state": "Finished",
    "startTime": "2024-12-02T07:52:25Z",
    "finishTime": "2024-12-02T07:53:04Z",
    "duration": "0.011",
    "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 14, "skippedCount": 2},
    "jobErrors": [{"isErrorCode": True, "value": "Throttled.", "url": "https://example.com/1", "number": 3}],
}
M365_JOB = BackupJob(
    product="m365",
    job_id="FB20241015105312327583",
    state=JobState.SUCCESS,
    raw_state="Finished",
    started_at=datetime(2024, 12, 2, 7, 52, 25, tzinfo=UTC),
    finished_at=datetime(2024, 12, 2, 7, 53, 4, tzinfo=UTC),
    duration=timedelta(seconds=39),
    counts=Counts(total=16, failed=0, successful=14, skipped=2),
    errors=(JobError(is_error_code=True, message="Throttled.", url="https://example.com/1", count=3),),
)
LEGACY_ROW: dict[str, Any] = {
    "id": "FB20241015105312327583",
    "state": "Finished",
    "startTime": 638645575921780695,
    "finishTime": 638645576438386696,
    "duration": 516606001,
    "backupDetails": {"totalCount": 16, "failedCount": 0, "successfulCount": 14, "skippedCount": 2},
    "jobErrors": [{"isErrorCode": False, "value": "Oops.", "url": "", "number": 1}],
}
LEGACY_JOB = BackupJob(
    product="m365_legacy",
    job_id="FB20241015105312327583",
    state=JobState.SUCCESS,
    raw_state="Finished",
    started_at=datetime(2024, 10, 15, 2, 53, 12, 178069, tzinfo=UTC),
    finished_at=datetime(2024, 10, 15, 2, 54, 3, 838669, tzinfo=UTC),
    duration=timedelta(seconds=51, microseconds=660600),
    counts=Counts(total=16, failed=0, successful=14, skipped=2),
    errors=(JobError(is_error_code=False, message="Oops.", count=1),),
)
D365_ROW: dict[str, Any] = {
    "module": "Customer Engagement",
    "type": 1,
    "jobId": "DCIB2022081903124382222110",
    "startTime": "2022-08-19T03:12:43.823Z",
    "finishTime": "2022-08-19T03:13:46.633Z",
    "durationHours": 0.01744722222222222,
    "status": 3,
    "successfulEntity": 1,
    "failedEntity": 0,
    "skippedEntity": 0,
    "warningEntity": 0,
    "totalEntity": 1,
    "successfulRecord": 1,
    "failedRecord": 0,
    "skippedRecord": 0,
    "warningRecord": 0,
    "totalRecord": 1,
    "backupSize": 180832,
    "organizationId": "6cccccc-ffff-bbb-88888-aabbccdeee",
    "organizationName": "uatorg123",
}
ONE = Counts(total=1, successful=1, failed=0, skipped=0, warning=0)
D365_JOB = BackupJob(
    product="dynamics365",
    job_id="DCIB2022081903124382222110",
    job_type="backup",
    workload="customer_engagement",
    state=JobState.SUCCESS,
    raw_state=3,
    started_at=datetime(2022, 8, 19, 3, 12, 43, 823000, tzinfo=UTC),
    finished_at=datetime(2022, 8, 19, 3, 13, 46, 633000, tzinfo=UTC),
    duration=timedelta(seconds=62, microseconds=810000),
    counts=ONE,
    record_counts=ONE,
    size_bytes=180832,
    organization_id="6cccccc-ffff-bbb-88888-aabbccdeee",
    organization_name="uatorg123",
)
SAMPLES = {"m365": M365_ROW, "m365_legacy": LEGACY_ROW, "dynamics365": D365_ROW}
KEYS = {
    "m365": ("id", "state", "startTime", "finishTime", "duration"),
    "m365_legacy": ("id", "state", "startTime", "finishTime", "duration"),
    "dynamics365": ("jobId", "status", "startTime", "finishTime", "durationHours"),
}
_numbers = itertools.count()


def to_pascal(value: Any) -> Any:
    """Write every key the way the older page's tables do."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: to_pascal(each) for name, each in value.items()}
    return [to_pascal(each) for each in value] if isinstance(value, list) else value


def read(product: str, row: object, **asked: Any) -> BackupJob:
    return RowReader(PRODUCTS[product]).read(row, **asked)


def change(product: str, **fields: Any) -> dict[str, Any]:
    """Return the sample with other *fields*; ``...`` leaves one out."""
    return {name: value for name, value in (SAMPLES[product] | fields).items() if value is not ...}


@pytest.fixture(params=SAMPLES)
def product(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    ("row", "expected"),
    [(M365_ROW, M365_JOB), (LEGACY_ROW, LEGACY_JOB), (D365_ROW, D365_JOB)],
    ids=list(SAMPLES),
)
def test_the_samples(row: dict[str, Any], expected: BackupJob) -> None:
    for written in (row, to_pascal(row)):
        job = read(expected.product, written)
        assert expected == job
        assert written == job.raw


def test_every_product_has_its_sample() -> None:
    assert PRODUCTS.keys() == SAMPLES.keys() == KEYS.keys()


def test_raw_is_read_only() -> None:
    with pytest.raises(TypeError):
        read("m365", M365_ROW).raw["id"] = "other"  # type: ignore[index]


@pytest.mark.parametrize("product", ["m365", "m365_legacy"])
@pytest.mark.parametrize("suffix", ["Number", "Count", "NUMBER", "count"])
def test_either_name_of_the_counts(product: str, suffix: str) -> None:
    """The tables say totalNumber, the list's sample and the older page totalCount."""
    details = {f"{name}{suffix}": i for i, name in enumerate(("total", "failed", "successful", "skipped"))}
    job = read(product, change(product, backupDetails=details))
    assert Counts(total=0, failed=1, successful=2, skipped=3) == job.counts


@pytest.mark.parametrize("details", [None, ..., 16, [], "16"])
@pytest.mark.parametrize("product", ["m365", "m365_legacy"])
def test_no_counts(product: str, details: object) -> None:
    """The older page's table calls the details an int: then there are none to read."""
    assert Counts() == read(product, change(product, backupDetails=details)).counts


def test_counts_that_are_absent() -> None:
    job = read("dynamics365", change("dynamics365", failedEntity=None, totalEntity="", warningRecord=...))
    assert Counts(successful=1, skipped=0, warning=0) == job.counts
    assert Counts(total=1, successful=1, failed=0, skipped=0) == job.record_counts


DOCUMENTED = {
    "m365": {
        JobState.RUNNING: ("In Progress", "InProgress", "in progress", "1", 1),
        JobState.SUCCESS: ("Finished", "finished", " FINISHED ", "2", 2),
        JobState.FAILED: ("Failed", "3", 3),
        JobState.PARTIAL: (
            "Finished with Exception",
            "FinishedException",
            "FinishedWithException",
            "Finished_with-exception",
            "4",
            4,
            "Partially Finished",
            "PartiallyFinished",
            "5",
            5,
        ),
    },
    "dynamics365": {
        JobState.RUNNING: (2, "2", "In progress", "InProgress"),
        JobState.SUCCESS: (3, "3", "Finished"),
        JobState.FAILED: (4, "4", "Failed"),
        JobState.PARTIAL: (7, "7", "Finished with Exception", "FinishedWithException"),
    },
}
DOCUMENTED["m365_legacy"] = DOCUMENTED["m365"]


@pytest.mark.parametrize(
    ("product", "raw", "expected"),
    [
        (product, raw, state)
        for product, states in DOCUMENTED.items()
        for state, spellings in states.items()
        for raw in spellings
    ],
)
def test_every_documented_state(
    product: str, raw: object, expected: JobState, caplog: pytest.LogCaptureFixture
) -> None:
    job = read(product, change(product, **{KEYS[product][1]: raw}))
    assert (expected, raw) == (job.state, job.raw_state)
    assert [] == caplog.records


@pytest.mark.parametrize("finish", [None, "", "N/A", ..., "0001-01-01T00:00:00Z", 0])
@pytest.mark.parametrize("product", ["m365", "m365_legacy"])
def test_partially_finished_without_a_finish_is_running(product: str, finish: object) -> None:
    job = read(product, change(product, state="Partially Finished", finishTime=finish))
    assert (JobState.RUNNING, None) == (job.state, job.finished_at)


UNDOCUMENTED = {
    "m365": (0, "0", 6, -2, "Successful", "Skipped", "Stopped", "Finished?", "\uff12"),
    "m365_legacy": (0, "0", 6, -2, "Successful", "Skipped", "Stopped", "Finished?", "\uff12"),
    "dynamics365": (0, "0", 1, 5, 6, 8, -2, "Success", "\uff13"),
}


@pytest.mark.parametrize(
    ("product", "raw"), [(product, raw) for product, states in UNDOCUMENTED.items() for raw in states]
)
def test_undocumented_states_are_unknown(product: str, raw: object) -> None:
    job = read(product, change(product, **{KEYS[product][1]: raw}))
    assert (JobState.UNKNOWN, raw) == (job.state, job.raw_state)
    assert not job.state.is_terminal


@pytest.mark.parametrize("raw", [None, "", True, False, 3.0, [3], {"state": 3}])
def test_states_of_another_form_are_unknown(product: str, raw: object) -> None:
    assert JobState.UNKNOWN is read(product, change(product, **{KEYS[product][1]: raw})).state


def test_an_undocumented_state_is_reported_once(product: str, caplog: pytest.LogCaptureFixture) -> None:
    """With the vendor's word, cut to a sane length, and where it should be documented."""
    odd = f"Odd {next(_numbers)} " + "x" * 10_000
    reader = RowReader(PRODUCTS[product])
    for _ in range(3):
        reader.read(change(product, **{KEYS[product][1]: odd}))
    (record,) = caplog.records
    assert logging.WARNING == record.levelno
    assert odd[:50] in record.getMessage()
    assert PRODUCTS[product].documentation_url in record.getMessage()
    assert 1000 > len(record.getMessage())


@pytest.mark.parametrize("value", [None, "", "N/A", ..., "0001-01-01T00:00:00Z", "0001-01-01T00:00:00", 0])
@pytest.mark.parametrize("which", [2, 3])
def test_absent_times(product: str, which: int, value: object) -> None:
    """Where a time is missing, the vendor's own duration counts."""
    job = read(product, change(product, **{KEYS[product][which]: value}))
    assert None is (job.started_at, job.finished_at)[which - 2]
    expected = {
        "m365": timedelta(seconds=39.6),
        "m365_legacy": timedelta(seconds=51.6606),
        "dynamics365": timedelta(seconds=62.81),
    }
    assert expected[product] == job.duration


def test_neither_times_nor_duration(product: str) -> None:
    *_, start, finish, duration = KEYS[product]
    job = read(product, change(product, **{start: None, finish: None, duration: None}))
    assert (None, None, None) == (job.started_at, job.finished_at, job.duration)


def test_a_product_without_durations() -> None:
    columns = replace(PRODUCTS["m365"].columns, duration=None, parse_duration=None)
    reader = RowReader(replace(PRODUCTS["m365"], columns=columns))
    assert timedelta(seconds=39) == reader.read(M365_ROW).duration
    assert None is reader.read(change("m365", finishTime=None)).duration


def test_times_in_another_offset_are_utc(product: str) -> None:
    job = read(product, change(product, **{KEYS[product][2]: "2024-12-02T15:52:25.1234567+08:00"}))
    assert datetime(2024, 12, 2, 7, 52, 25, 123456, tzinfo=UTC) == job.started_at
    assert UTC is job.started_at.tzinfo


ASKED = {"job_type": "restore", "workload": "teams", "organization_id": "o1", "location": "NAM"}


def test_what_was_asked_for_fills_what_a_row_leaves_out() -> None:
    job = read("m365", M365_ROW, **ASKED)
    assert ("restore", "teams", "o1", "NAM") == (
        job.job_type,
        job.workload,
        job.organization_id,
        job.location,
    )


def test_a_rows_own_word_counts() -> None:
    job = read("dynamics365", D365_ROW, **ASKED)
    assert ("backup", "customer_engagement", D365_ROW["organizationId"]) == (
        job.job_type,
        job.workload,
        job.organization_id,
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "backup"),
        (2, "restore"),
        (4, "dryrun"),
        (8, "retention"),
        (16, "audit_backup"),
        (32, "export"),
        ("16", "audit_backup"),
        ("Audit Backup", "audit_backup"),
        ("Backup", "backup"),
        ("Dryrun", "dryrun"),
        (64, "64"),
        (0, "0"),
        ("Odd One", "odd_one"),
    ],
)
def test_job_types(value: object, expected: str) -> None:
    """The table's labels count as much as its numbers; an undocumented one is never a backup."""
    assert expected == read("dynamics365", change("dynamics365", type=value)).job_type


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Customer Engagement", "customer_engagement"), ("Unified Operations", "unified_operations"), (5, "5")],
)
def test_modules(value: object, expected: str) -> None:
    assert expected == read("dynamics365", change("dynamics365", module=value)).workload


@pytest.mark.parametrize("value", [None, "", "N/A", ...])
def test_absent_size_and_names(value: object) -> None:
    absent = dict.fromkeys(("backupSize", "organizationId", "organizationName", "module", "type"), value)
    job = read("dynamics365", change("dynamics365", **absent))
    assert [None] * 5 == [
        job.size_bytes,
        job.organization_id,
        job.organization_name,
        job.workload,
        job.job_type,
    ]


@pytest.mark.parametrize("errors", [None, [], ..., ""])
def test_no_errors(errors: object) -> None:
    assert () == read("m365", change("m365", jobErrors=errors)).errors


def test_an_error_with_gaps() -> None:
    """The details page types the number as an integer, the list as a long; a flag that is none is None."""
    job = read("m365", change("m365", jobErrors=[{}, {"isErrorCode": "true", "value": 5, "number": "7"}]))
    assert (JobError(), JobError(message="5", count=7)) == job.errors


@pytest.mark.parametrize("row", [None, [], "row", 5, [M365_ROW]])
def test_a_row_that_is_no_object(product: str, row: object) -> None:
    with pytest.raises(
        AvePointPayloadError, match=PRODUCTS[product].label.replace("(", r"\(").replace(")", r"\)")
    ):
        read(product, row)


@pytest.mark.parametrize("value", [..., None, "", "N/A", [], {}, 1.5])
def test_a_row_without_an_id(product: str, value: object) -> None:
    key = KEYS[product][0]
    with pytest.raises(AvePointPayloadError) as caught:
        read(product, change(product, **{key: value}))
    assert PRODUCTS[product].label in str(caught.value)
    assert key.casefold() in str(caught.value).casefold()


def test_an_id_that_is_a_number(product: str) -> None:
    """The Salesforce sample forgets the quotes."""
    assert (
        "20241015105312327583"
        == read(product, change(product, **{KEYS[product][0]: 20241015105312327583})).job_id
    )


def test_a_row_without_a_state(product: str) -> None:
    job_id, state, *_ = KEYS[product]
    with pytest.raises(AvePointPayloadError) as caught:
        read(product, change(product, **{state: ...}))
    for fact in (PRODUCTS[product].label, SAMPLES[product][job_id], state):
        assert fact.casefold() in str(caught.value).casefold()


M365S = ("m365", "m365_legacy")
D365_NUMBERS = ("totalEntity", "failedEntity", "warningRecord", "backupSize")
MALFORMED = [
    *itertools.product(SAMPLES, ["startTime"], ["soon", "2024-12-02T07:52:25", True, [], 1.5]),
    *itertools.product(SAMPLES, ["finishTime"], ["soon", "2024-12-02T07:52:25", {}]),
    *itertools.product(
        M365S, ["backupDetails"], [{"failedCount": bad} for bad in (-1, "many", 1.5, True, [])]
    ),
    *itertools.product(M365S, ["jobErrors"], [{"value": "x"}, "text", [5], [{"number": "many"}]]),
    *itertools.product(["dynamics365"], D365_NUMBERS, [-1, "many", 1.5, True]),
    *itertools.product(["dynamics365"], ["type"], [1.5, True, [1]]),
]


@pytest.mark.parametrize(("product", "key", "value"), MALFORMED)
def test_a_malformed_value_is_named(product: str, key: str, value: object) -> None:
    """With product, job and key: a vendor's support needs nothing more."""
    with pytest.raises(AvePointPayloadError) as caught:
        read(product, change(product, **{key: value}))
    wanted = "failedCount" if key == "backupDetails" else key
    for fact in (PRODUCTS[product].label, SAMPLES[product][KEYS[product][0]], wanted):
        assert fact.casefold() in str(caught.value).casefold()


@pytest.mark.parametrize("value", ["soon", True, [], "17m39s", 10**400], ids=lambda value: repr(value)[:9])
def test_a_malformed_duration_is_named_where_it_counts(product: str, value: object) -> None:
    *_, finish, duration = KEYS[product]
    assert read(product, change(product, **{duration: value})).duration is not None
    with pytest.raises(AvePointPayloadError, match=f"(?i){duration}"):
        read(product, change(product, **{duration: value, finish: None}))


@pytest.mark.parametrize("key", ["startTime", "jobErrors", "id"])
def test_a_message_is_one_bounded_line(key: str) -> None:
    text = "line one\n2026-11-22 INFO all is well " + "x" * 100_000
    row = change("m365", **{key: text}) if key != "id" else change("m365", id=text, startTime="soon")
    with pytest.raises(AvePointPayloadError) as caught:
        read("m365", row)
    assert 1500 > len(str(caught.value))
    assert str(caught.value).isprintable()


def test_one_reader_for_rows_of_several_forms() -> None:
    """Which key holds what is kept for each set of keys, not for the first row's."""
    reader = RowReader(PRODUCTS["m365_legacy"])
    for row in (LEGACY_ROW, to_pascal(LEGACY_ROW), change("m365_legacy", duration=...), LEGACY_ROW):
        assert LEGACY_JOB == reader.read(row)


def test_rows_with_ever_new_keys_do_not_fill_the_memory() -> None:
    reader = RowReader(PRODUCTS["m365"])
    for number in range(2500):
        assert M365_JOB == reader.read({**M365_ROW, f"extra{number}": 1})
    assert 1100 > len(reader._layouts)


def test_both_spellings_in_one_row() -> None:
    """The exact name counts before one that differs in case."""
    assert JobState.SUCCESS is read("m365", {"State": "Failed", **M365_ROW}).state


FIGURES = {
    "outOfPolicyTime": 0,
    "purchasedUserSeats": 100,
    "assignedUserSeats": 47,
    "purchasedStorageSize": 0,
    "protectedSize": 0,
}
LICENSED = {
    "m365": lambda figures: {"statusCode": 200, "data": figures},
    "m365_legacy": lambda figures: figures,
}


@pytest.mark.parametrize("product", LICENSED)
@pytest.mark.parametrize("written", [FIGURES, to_pascal(FIGURES)], ids=["camelCase", "PascalCase"])
def test_the_licence_sample(product: str, written: dict[str, int]) -> None:
    assert {
        "product": product,
        "out_of_policy_at": None,
        "purchased_user_seats": 100,
        "assigned_user_seats": 47,
        "purchased_storage_gb": 0,
        "protected_gb": 0,
    } == read_license(PRODUCTS[product], LICENSED[product](written))


@pytest.mark.parametrize("value", [638645575921780695, 1728960792178, "2024-10-15T02:53:12.178Z"])
def test_out_of_policy_in_any_unit(value: object) -> None:
    figures = read_license(PRODUCTS["m365"], {"data": {**FIGURES, "outOfPolicyTime": value}})
    assert datetime(2024, 10, 15, 2, 53, 12, 178000, tzinfo=UTC) == figures["out_of_policy_at"].replace(
        microsecond=178000
    )


@pytest.mark.parametrize("product", LICENSED)
@pytest.mark.parametrize("document", [None, [], {"data": None}, {"data": []}, {}, "text"])
def test_no_licence_figures(product: str, document: object) -> None:
    with pytest.raises(AvePointPayloadError, match="answered without"):
        read_license(PRODUCTS[product], document)


@pytest.mark.parametrize("value", [None, ..., "", "N/A", "5 GB", -1, 1.5, True, []])
@pytest.mark.parametrize("name", list(FIGURES)[1:])
def test_a_licence_figure_is_never_guessed(name: str, value: object) -> None:
    """An audit must not take what is missing for nothing used."""
    figures = {key: each for key, each in (FIGURES | {name: value}).items() if each is not ...}
    with pytest.raises(AvePointPayloadError, match=name):
        read_license(PRODUCTS["m365"], {"data": figures})


@pytest.mark.parametrize("value", ["soon", True, 1.5, []])
def test_a_malformed_out_of_policy_time(value: object) -> None:
    with pytest.raises(AvePointPayloadError, match="licence: outOfPolicyTime"):
        read_license(PRODUCTS["m365"], {"data": {**FIGURES, "outOfPolicyTime": value}})


def test_no_out_of_policy_time() -> None:
    figures = {name: value for name, value in FIGURES.items() if name != "outOfPolicyTime"}
    assert read_license(PRODUCTS["m365"], {"data": figures})["out_of_policy_at"] is None
