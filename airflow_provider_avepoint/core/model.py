"""The values that callers get: jobs, counts, errors and licence figures; frozen, in our words, in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from airflow_provider_avepoint.core.errors import AvePointConfigError

T = TypeVar("T")
_MISSING = object()

__all__ = ["BackupJob", "Counts", "JobError", "JobState", "LicenseConsumption"]


class JobState(StrEnum):
    """The state of a job, the same words for every product.

    ``unknown`` is a state that the vendor does not document. It is never a success and never terminal.
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
        """Tell whether a job in this state has ended."""
        return self in _TERMINAL

    @property
    def is_open(self) -> bool:
        """Tell whether a job in this state is waiting or running."""
        return self in _OPEN

    @classmethod
    def parse(cls, word: object) -> JobState:
        """Return the state with a name.

        :param word: the name, such as ``success``.
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


# The types that JSON can hold as they are.
_AS_IS = frozenset({str, int, float, bool, type(None)})


@cache
def _names_of(cls: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(cls))


def _to_json(value: object) -> Any:
    """Turn a field of one of our values into a JSON value: ISO times, durations in seconds."""
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


def _quick(cls: type[T]) -> type[T]:
    """Give a frozen dataclass with slots a faster ``__init__``, which fills the slots directly.

    The usual ``__init__`` calls ``object.__setattr__`` by name for each field. These calls took half of the
    time in which a row becomes a job.
    """
    known: dict[str, Any] = {"_missing": _MISSING}
    parameters, statements = [], []
    for each in fields(cls):  # type: ignore[arg-type]  # each is a dataclass
        name = each.name
        known[f"_set_{name}"] = getattr(cls, name).__set__
        value = name
        if each.default is not MISSING:
            known[f"_default_{name}"] = each.default
            parameters.append(f"{name}=_default_{name}")
        elif each.default_factory is not MISSING:
            known[f"_make_{name}"] = each.default_factory
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        else:
            parameters.append(name)
        statements.append(f"_set_{name}(self, {value})")
    source = f"def __init__(self, *, {', '.join(parameters)}):\n  " + "\n  ".join(statements)
    exec(source, known)  # noqa: S102  # the text is made of our own field names, as dataclasses does it
    type.__setattr__(cls, "__init__", known["__init__"])  # the same signature
    return cls


class _Value:
    """A frozen value that can be written as JSON."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return every field, ready for JSON: times in ISO 8601, durations in seconds."""
        written = {}
        for name in _names_of(type(self)):  # type: ignore[arg-type]  # a class, which can be hashed
            value = getattr(self, name)
            written[name] = value if type(value) in _AS_IS else _to_json(value)
        return written


@_quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(_Value):
    """How many objects (or entities, or records) a job handled. A count is None if the row does not have it.

    :param total: the number of all objects.
    :param successful: the number of saved objects.
    :param failed: the number of failed objects.
    :param skipped: the number of skipped objects.
    :param warning: the number of objects saved with a warning.
    """

    total: int | None = None
    successful: int | None = None
    failed: int | None = None
    skipped: int | None = None
    warning: int | None = None


NO_COUNTS = Counts()
#: What a job counts, in the order of ``BackupJob.levels``. They are never added up.
LEVELS = ("objects", "records", "metadata")


@_quick
@dataclass(frozen=True, slots=True, kw_only=True)
class JobError(_Value):
    """One kind of error that a job reports.

    :param is_error_code: whether the vendor has an error code, and so a page, for the error.
    :param message: the vendor's text.
    :param url: the URL of the page on the error code.
    :param count: how often the error occurred in the job.
    """

    is_error_code: bool | None = None
    message: str | None = None
    url: str | None = None
    count: int | None = None


@_quick
@dataclass(frozen=True, slots=True, kw_only=True)
class BackupJob(_Value):
    """One job of one product. All times are in UTC. A field is None if the row does not have it.

    :param product: the name of the product.
    :param job_id: the vendor's id of the job.
    :param job_type: the job type in our words; if the rows of the product have none, the one asked for.
    :param workload: the Microsoft 365 object type or IaaS service that was asked for, or the workload in the
        row: the Dynamics or Elements module, Google app, AOS category.
    :param state: the state in our words.
    :param raw_state: the state as the vendor wrote it.
    :param started_at: when the job started; for a waiting job the planned start.
    :param finished_at: when the job ended.
    :param duration: finish minus start; the vendor's own figure if one of them is missing.
    :param counts: objects, or Dynamics entities.
    :param record_counts: Dynamics or Salesforce records.
    :param metadata_counts: Salesforce metadata.
    :param size_bytes: the size of the backup, in bytes.
    :param organization_id: the vendor's id of the organisation.
    :param organization_name: the name of the organisation.
    :param location: the Multi-Geo location that was asked for.
    :param errors: the errors that the job reports.
    :param problems: the parts of the row that cannot be read and matter to a verdict, in words. A job with a
        problem never passes.
    :param raw: the row as received, read-only.
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
    raw: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    @property
    def levels(self) -> tuple[Counts, ...]:
        """The counts of objects, of records and of metadata, in this order."""
        return (self.counts, self.record_counts, self.metadata_counts)

    def describe_failures(self) -> str:
        """Say how many objects, records and metadata failed, each after a comma; return "" if none failed."""
        text = ""
        for what, level in zip(LEVELS, self.levels, strict=True):
            if level.failed:
                text += f", {level.failed}{'' if level.total is None else f' of {level.total}'} {what} failed"
        return text

    @property
    def effective_start(self) -> datetime | None:
        """When the job started; if an ended job has no start, its finish less the vendor's duration.

        None if neither is known: a finish alone never stands for a start.
        """
        if self.started_at is not None:
            return self.started_at
        if not self.state.is_terminal or self.finished_at is None or self.duration is None:
            return None
        try:
            return self.finished_at - self.duration
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseConsumption(_Value):
    """What is purchased and what is used, by a tenant or, for Elements, by a customer's subscription.

    A figure is None if the answer does not have it.

    :param product: the name of the product.
    :param service: the name of the subscription, for Elements.
    :param organization_id: the vendor's id of the customer, for Elements.
    :param organization_name: the name of the customer, for Elements.
    :param location: the Multi-Geo location that was asked for.
    :param out_of_policy_at: when the subscription went (or, in the vendor's sample, goes) out of policy.
    :param purchased_user_seats: the number of purchased seats.
    :param assigned_user_seats: the number of assigned seats.
    :param purchased_storage_gb: the purchased storage, in GB.
    :param protected_gb: the protected data, in GB.
    :param expires_at: when the subscription ends.
    :param is_out_of_policy: whether *out_of_policy_at* was in the past at the time of reading.
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
        """Assigned over purchased seats; None where nothing is purchased: another licence model."""
        return _ratio(self.assigned_user_seats, self.purchased_user_seats)

    @property
    def storage_ratio(self) -> float | None:
        """Protected over purchased storage; None where nothing is purchased: another licence model."""
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
