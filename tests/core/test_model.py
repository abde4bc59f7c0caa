from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from airflow_provider_avepoint.core import model
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState, LicenseConsumption

from .tables import each_row

START = datetime(2026, 11, 22, 5, 0, 0, 120_000, tzinfo=UTC)
JOB = BackupJob(
    product="dynamics365",
    job_id="DCIB1",
    job_type="backup",
    workload="customer_engagement",
    state=JobState.PARTIAL,
    raw_state=7,
    started_at=START,
    finished_at=START + timedelta(minutes=1),
    duration=timedelta(minutes=1, milliseconds=500),
    counts=Counts(total=2, successful=1, failed=1),
    record_counts=Counts(total=5, successful=5, failed=0, skipped=0, warning=1),
    size_bytes=1024,
    organization_id="o1",
    organization_name="Org",
    location="NAM",
    errors=(JobError(is_error_code=True, message="Oops.", url="https://example.com", count=3),),
    raw=MappingProxyType({"jobId": "DCIB1", "nested": {"a": [1]}}),
)


def test_a_job_as_json() -> None:
    expected = {
        "product": "dynamics365",
        "job_id": "DCIB1",
        "job_type": "backup",
        "workload": "customer_engagement",
        "state": "partial",
        "raw_state": 7,
        "started_at": "2026-11-22T05:00:00.120000+00:00",
        "finished_at": "2026-11-22T05:01:00.120000+00:00",
        "duration": 60.5,
        "counts": {"total": 2, "successful": 1, "failed": 1, "skipped": None, "warning": None},
        "record_counts": {"total": 5, "successful": 5, "failed": 0, "skipped": 0, "warning": 1},
        "metadata_counts": dict.fromkeys(("total", "successful", "failed", "skipped", "warning")),
        "size_bytes": 1024,
        "organization_id": "o1",
        "organization_name": "Org",
        "location": "NAM",
        "errors": [{"is_error_code": True, "message": "Oops.", "url": "https://example.com", "count": 3}],
        "problems": [],
        "raw": {"jobId": "DCIB1", "nested": {"a": [1]}},
    }
    assert expected == JOB.as_dict()
    assert expected == json.loads(json.dumps(JOB.as_dict()))
    assert str is type(JOB.as_dict()["state"])


def test_an_empty_job_as_json() -> None:
    job = BackupJob(product="m365", job_id="FB1", state=JobState.UNKNOWN)
    document = json.loads(json.dumps(job.as_dict()))
    assert {each.name for each in fields(BackupJob)} == document.keys()
    counts = {"counts", "record_counts", "metadata_counts"}
    empty = {name for name, value in document.items() if value in (None, [], {})}
    assert document.keys() - {"product", "job_id", "state"} - counts == empty
    no_counts = dict.fromkeys(("total", "successful", "failed", "skipped", "warning"))
    assert dict.fromkeys(counts, no_counts) == {name: document[name] for name in counts}


def test_a_text_or_number_of_a_kind_of_its_own_stays_what_it_is() -> None:
    """JSON writes it as any other."""

    class Text(str):
        __slots__ = ()

    class Number(int):
        pass

    job = BackupJob(product="m365", job_id=Text("FB1"), state=JobState.UNKNOWN, size_bytes=Number(5))
    document = json.loads(json.dumps(job.as_dict()))
    assert ("FB1", 5) == (document["job_id"], document["size_bytes"])


def test_levels_are_all_counts() -> None:
    """Whatever looks for failed objects must look at each level that there is."""
    counts = {each.name: Counts(total=i) for i, each in enumerate(fields(BackupJob)) if "counts" in each.name}
    job = BackupJob(product="salesforce", job_id="AI1", state=JobState.SUCCESS, **counts)
    assert 3 == len(counts)
    assert set(counts.values()) == set(job.levels)


@each_row(
    ("purchased", "used", "ratio"),
    [(100, 47, 0.47), (100, 124, 1.24), (100, 0, 0.0), (0, 5, None), (None, 5, None), (5, None, None)],
)
def test_license_ratios(purchased: int | None, used: int | None, ratio: float | None) -> None:
    """Over nothing purchased there is none: another licence model."""
    figures = LicenseConsumption(
        product="m365",
        purchased_user_seats=purchased,
        assigned_user_seats=used,
        purchased_storage_gb=purchased,
        protected_gb=used,
    )
    assert (ratio, ratio) == (figures.seat_ratio, figures.storage_ratio)


def test_a_license_as_json() -> None:
    figures = LicenseConsumption(
        product="m365",
        out_of_policy_at=START,
        purchased_user_seats=100,
        assigned_user_seats=50,
        purchased_storage_gb=0,
        protected_gb=7,
        is_out_of_policy=True,
    )
    assert {
        "product": "m365",
        "out_of_policy_at": "2026-11-22T05:00:00.120000+00:00",
        "purchased_user_seats": 100,
        "assigned_user_seats": 50,
        "purchased_storage_gb": 0,
        "protected_gb": 7,
        "seat_ratio": 0.5,
        "storage_ratio": None,
        "is_out_of_policy": True,
        "service": None,
        "organization_id": None,
        "organization_name": None,
        "location": None,
        "expires_at": None,
    } == json.loads(json.dumps(figures.as_dict()))


TERMINAL = {"success", "partial", "failed", "skipped", "stopped"}
OPEN = {"waiting", "running"}


@each_row("state", list(JobState))
def test_states(state: JobState) -> None:
    """An undocumented state is neither: it is waited for, and never good."""
    assert (state.value in TERMINAL) is state.is_terminal
    assert (state.value in OPEN) is state.is_open
    assert state is JobState.parse(state.value)


def test_all_states_are_known() -> None:
    assert TERMINAL | OPEN | {"unknown"} == {state.value for state in JobState}


@each_row("word", ["good", "", "SUCCESS", None, 2])
def test_words_that_are_no_state(word: object) -> None:
    with pytest.raises(AvePointConfigError, match="known are waiting, running, success, partial"):
        JobState.parse(word)


@each_row(
    ("state", "started", "finished", "expected"),
    [
        (JobState.SUCCESS, START, START + timedelta(1), START),
        (JobState.SUCCESS, None, START + timedelta(1), START),
        (JobState.SUCCESS, None, None, None),
        (JobState.RUNNING, None, START, None),
        (JobState.UNKNOWN, None, START, None),
        (JobState.RUNNING, START, None, START),
    ],
)
def test_effective_start(
    state: JobState, started: datetime | None, finished: datetime | None, expected: datetime | None
) -> None:
    """A finish stands for no start: less the vendor's duration it does."""
    job = BackupJob(product="m365", job_id="FB1", state=state, started_at=started, finished_at=finished)
    assert started == job.effective_start
    assert expected == replace(job, duration=timedelta(1)).effective_start


@each_row("value", [JOB, Counts(), JobError(), LicenseConsumption(product="m365")])
def test_values_are_frozen(value: Any) -> None:
    for each in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, each.name, None)
    assert not hasattr(value, "__dict__")


@each_row("value", [JOB, Counts(total=1), JobError(count=2), LicenseConsumption(product="m365")])
def test_values_are_plain_data(value: Any) -> None:
    """They take keywords only, and copy, compare and hash as a frozen dataclass does."""
    assert value == copy.copy(value) == replace(value)
    assert hash(value) == hash(replace(value))
    assert value != replace(value, **{fields(value)[0].name: "other"})
    assert value != "other"
    assert repr(value).startswith(f"{type(value).__name__}({fields(value)[0].name}=")
    with pytest.raises(TypeError, match="positional"):
        type(value)("dynamics365")
    with pytest.raises(FrozenInstanceError):
        del value.product
    if not isinstance(value, BackupJob):  # its row is read-only, which pickle does not know
        assert value == pickle.loads(pickle.dumps(value))  # our own


def test_jobs_compare_and_hash_by_what_they_say() -> None:
    """The row as received takes no part."""
    other = BackupJob(**{each.name: getattr(JOB, each.name) for each in fields(JOB)} | {"raw": {}})
    assert JOB == other
    assert 1 == len({JOB, other})
    assert "nested" not in repr(JOB)


def test_public_names() -> None:
    assert ["BackupJob", "Counts", "JobError", "JobState", "LicenseConsumption"] == model.__all__


def test_a_duration_that_is_longer_than_the_calendar_gives_no_start() -> None:
    job = BackupJob(
        product="m365", job_id="FB1", state=JobState.SUCCESS, finished_at=START, duration=timedelta.max
    )
    assert job.effective_start is None
