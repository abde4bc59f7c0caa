"""The values that callers get: jobs, counts, errors and licence figures; frozen, in our words, in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from airflow_provider_avepoint.core.errors import AvePointConfigError

__all__ = ["BackupJob", "Counts", "JobError", "JobState", "LicenseConsumption"]


class JobState(StrEnum):
    """The state of a job, for all products.

    ``unknown`` is a state that the vendor does not document: never a success and never terminal.
    """

    WAITING = "waiting"
    RUNNING = "running"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Tell whether a job in this state will not change any more."""
        return self in _TERMINAL

    @property
    def is_open(self) -> bool:
        """Tell whether a job in this state is waiting or running."""
        return self in _OPEN

    @classmethod
    def parse(cls, word: object) -> JobState:
        """Return the state called *word*.

        :param word: what a caller gives.
        :raises AvePointConfigError: no state has this name.
        """
        try:
            return cls(str(word))
        except ValueError:
            known = ", ".join(cls)
            raise AvePointConfigError(f"state: {word!r} is not a job state; known are {known}.") from None


_OPEN = frozenset({JobState.WAITING, JobState.RUNNING})
_TERMINAL = frozenset(
    {JobState.SUCCESS, JobState.PARTIAL, JobState.FAILED, JobState.SKIPPED, JobState.STOPPED}
)


# The types that JSON has.
_AS_IS = frozenset({str, int, float, bool, type(None)})


def _to_json(value: object) -> Any:
    """Turn a field of one of our values into a type that JSON has: ISO times, durations in seconds."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, _Value):
        return value.as_dict()
    return value


class _Value(Struct, frozen=True, kw_only=True):
    """A frozen value that can be written as JSON.

    The values are msgspec's structs, because a listing makes a million of them, and a frozen dataclass takes
    five times as long to make. Each one is a dataclass too, so that ``dataclasses.replace`` and
    ``dataclasses.fields`` take it, and what writes to it gets ``FrozenInstanceError``.
    """

    def as_dict(self) -> dict[str, Any]:
        """Return every field, ready for JSON: times in ISO 8601, durations in seconds."""
        written = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            written[name] = value if type(value) in _AS_IS else _to_json(value)
        return written


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class Counts(_Value, frozen=True, kw_only=True):
    """How many objects, entities, records or metadata a job handled; None where its row does not say.

    :param total: all of them.
    :param successful: those that were saved.
    :param failed: those that failed.
    :param skipped: those that were skipped.
    :param warning: those that were saved with a warning.
    """

    total: int | None = None
    successful: int | None = None
    failed: int | None = None
    skipped: int | None = None
    warning: int | None = None


NO_COUNTS = Counts()


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class JobError(_Value, frozen=True, kw_only=True):
    """One kind of error that a job reports.

    :param is_error_code: whether the vendor has an error code, hence a page, for it.
    :param message: the vendor's text.
    :param url: the page of the error code.
    :param count: how often the error occurred in the job.
    """

    is_error_code: bool | None = None
    message: str | None = None
    url: str | None = None
    count: int | None = None


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class BackupJob(_Value, frozen=True, kw_only=True):
    """One job of one product.

    :param product: the name of the product.
    :param job_id: the vendor's id of the job.
    :param job_type: the job type in our words; for rows that have none, the one that was asked for.
    :param workload: the Microsoft 365 object type or IaaS service that was asked for, or what the row says:
        the Dynamics or Elements module, Google app, AOS category.
    :param state: the state in our words.
    :param raw_state: the state as the vendor wrote it.
    :param started_at: when the job started, in UTC.
    :param finished_at: when the job ended, in UTC.
    :param duration: finish minus start; the vendor's own figure only where one of them is missing.
    :param counts: objects, or Dynamics entities.
    :param record_counts: Dynamics or Salesforce records.
    :param metadata_counts: Salesforce metadata.
    :param size_bytes: the size of what was saved.
    :param organization_id: the organisation's id in the row, or the one that was asked for.
    :param organization_name: the organisation's name in the row.
    :param location: the Multi-Geo location that was asked for.
    :param errors: the errors that the row lists.
    :param problems: what a verdict needs of the row and cannot read, in words; such a job is never a pass.
    :param raw: the row as received, read-only; it takes no part where jobs are compared.
    """

    product: str
    job_id: str
    job_type: str | None = None
    workload: str | None = None
    state: JobState
    raw_state: str | int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration: timedelta | None = None
    counts: Counts = NO_COUNTS
    record_counts: Counts = NO_COUNTS
    metadata_counts: Counts = NO_COUNTS
    size_bytes: int | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    location: str | None = None
    errors: tuple[JobError, ...] = ()
    problems: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        shown = zip(self.__struct_fields__, self._said, strict=False)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown)})"

    def __eq__(self, other: object) -> bool:
        return self._said == other._said if isinstance(other, BackupJob) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._said)

    @property
    def _said(self) -> tuple[object, ...]:
        """Every field but the row as received, which is the last one and takes no part where jobs compare."""
        return tuple([getattr(self, name) for name in self.__struct_fields__[:-1]])

    @property
    def levels(self) -> tuple[Counts, ...]:
        """All counts: of objects, of records, of metadata."""
        return (self.counts, self.record_counts, self.metadata_counts)

    def describe_failures(self) -> str:
        """Say how many objects, records and metadata failed, each after a comma; empty where none failed."""
        text = ""
        for what, level in zip(("objects", "records", "metadata"), self.levels, strict=True):
            if level.failed:
                text += f", {level.failed}{'' if level.total is None else f' of {level.total}'} {what} failed"
        return text

    @property
    def effective_start(self) -> datetime | None:
        """When the job started; if an ended job does not say, its finish less the vendor's duration.

        None where the duration is unknown too: a finish never stands for a start.
        """
        if self.started_at is not None:
            return self.started_at
        if not self.state.is_terminal or self.finished_at is None or self.duration is None:
            return None
        try:
            return self.finished_at - self.duration
        except OverflowError:
            return None


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class LicenseConsumption(_Value, frozen=True, kw_only=True):
    """What is purchased and what is used, by a tenant or, for Elements, by a customer's subscription.

    :param product: the name of the product.
    :param service: the subscription's name, where there are several.
    :param organization_id: the customer's id; None for the tenant's own licence.
    :param organization_name: the customer's name.
    :param location: the Multi-Geo location that was asked for.
    :param out_of_policy_at: when the subscription went (or, in the vendor's sample, goes) out of policy.
    :param purchased_user_seats: the seats that may be assigned.
    :param assigned_user_seats: the seats that are assigned.
    :param purchased_storage_gb: the storage that may be used.
    :param protected_gb: the storage that is used.
    :param is_out_of_policy: whether *out_of_policy_at* had passed at the time of reading.
    :param expires_at: when the subscription ends.
    """

    product: str
    service: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    location: str | None = None
    out_of_policy_at: datetime | None = None
    purchased_user_seats: int | None = None
    assigned_user_seats: int | None = None
    purchased_storage_gb: float | None = None
    protected_gb: float | None = None
    is_out_of_policy: bool = False
    expires_at: datetime | None = None

    @property
    def seat_ratio(self) -> float | None:
        """Assigned over purchased seats; None where nothing is purchased, which is another licence model."""
        return _ratio(self.assigned_user_seats, self.purchased_user_seats)

    @property
    def storage_ratio(self) -> float | None:
        """Protected over purchased storage; None where nothing is purchased, as for seats."""
        return _ratio(self.protected_gb, self.purchased_storage_gb)

    def as_dict(self) -> dict[str, Any]:
        """Return every field and ratio, ready for JSON."""
        return {
            **_Value.as_dict(self),
            "seat_ratio": self.seat_ratio,
            "storage_ratio": self.storage_ratio,
        }


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
