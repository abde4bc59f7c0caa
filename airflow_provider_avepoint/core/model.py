"""The values that callers get: jobs, counts, errors and licence figures; frozen, in our words, in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

from msgspec import Struct, field

from airflow_provider_avepoint.core.errors import AvePointConfigError

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
    if isinstance(value, Value):
        return value.as_dict()
    return value


class Value(Struct, frozen=True, kw_only=True):
    """A frozen value that can be written as JSON.

    A listing makes a million values, and a frozen dataclass takes five times as long to make as a msgspec
    struct. Each value is both: ``dataclasses.replace`` and ``dataclasses.fields`` take it, and a write to one
    of its fields raises ``FrozenInstanceError``.
    """

    #: The fields that are written only where they hold something.
    only_if_any: ClassVar[tuple[str, ...]] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return every field, ready for JSON: times in ISO 8601, durations in seconds."""
        written = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            written[name] = value if type(value) in _AS_IS else _to_json(value)
        for name in self.only_if_any:
            if not written[name]:
                del written[name]
        return written


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class Counts(Value, frozen=True, kw_only=True):
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

    @property
    def done(self) -> int:
        """How many objects were saved, skipped, or saved with a warning."""
        return sum(filter(None, (self.successful, self.skipped, self.warning)))

    @property
    def unexplained(self) -> int:
        """How many objects of the total no other count holds.

        0 where the row does not count the successful objects: then the total explains nothing.
        """
        if self.successful is None:
            return 0
        return max(0, (self.total or 0) - self.done - (self.failed or 0))


NO_COUNTS = Counts()
#: What a job counts, in the order of ``BackupJob.levels``. They are never added up.
LEVELS = ("objects", "records", "metadata")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class JobError(Value, frozen=True, kw_only=True):
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


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class BackupJob(Value, frozen=True, kw_only=True):
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
        """Every field but the last one, which is the row as received: it takes no part in a comparison."""
        return tuple([getattr(self, name) for name in self.__struct_fields__[:-1]])

    @property
    def levels(self) -> tuple[Counts, ...]:
        """The counts of objects, of records and of metadata, in this order."""
        return (self.counts, self.record_counts, self.metadata_counts)

    def describe_failures(self) -> str:
        """Say how many objects, records and metadata failed, each after a comma; return "" if none failed.

        Of an ended job, objects that no count explains are named too: a gate counts them as failed.
        """
        text = ""
        for what, level in zip(LEVELS, self.levels, strict=True):
            if level.failed:
                text += f", {level.failed}{'' if level.total is None else f' of {level.total}'} {what} failed"
            if self.state.is_terminal and level.unexplained:
                text += f", no count explains {level.unexplained} of {level.total} {what}"
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


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False, match_args=False)
class LicenseConsumption(Value, frozen=True, kw_only=True):
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
    :param problems: what of policy and end the answer leaves open, in words: None or False is no answer then.
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
    problems: tuple[str, ...] = ()
    only_if_any = ("problems",)

    @property
    def seat_ratio(self) -> float | None:
        """Assigned over purchased seats; None where nothing is purchased: another licence model."""
        return _ratio(self.assigned_user_seats, self.purchased_user_seats)

    @property
    def storage_ratio(self) -> float | None:
        """Protected over purchased storage; None where nothing is purchased: another licence model."""
        return _ratio(self.protected_gb, self.purchased_storage_gb)

    def as_dict(self) -> dict[str, Any]:
        """Return every field and ratio, ready for JSON; problems only where there are any."""
        return {
            **Value.as_dict(self),
            "seat_ratio": self.seat_ratio,
            "storage_ratio": self.storage_ratio,
        }


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
