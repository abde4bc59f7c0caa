"""The messages of the control API: each message's fields, units and defaults. Other names are refused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from . import times

BACKUP = "backup"
"""The default job type."""

StateWord = Literal["waiting", "running", "success", "partial", "failed", "skipped", "stopped"]


class Refused(ValueError):
    """The control API refuses a request.

    :param message: the reason, for the caller.
    :param status: the HTTP status of the answer.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def known(name: str, names: Iterable[str], what: str, *, status: int = 400) -> str:
    """Return a name if it is known.

    :param name: the name.
    :param names: the known names.
    :param what: the kind of name, for the error's message.
    :param status: the HTTP status of the error.
    :raises Refused: the name is unknown; the message lists the known names.
    """
    choices = sorted(names)
    if name not in choices:
        raise Refused(f"unknown {what} {name!r}; known: {', '.join(choices)}", status=status)
    return name


def _read_time(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        return times.from_datetime(value)
    if isinstance(value, str):
        return times.parse_iso(value)
    raise ValueError("a time is an ISO 8601 text such as 2024-12-02T07:52:25.0780695Z, or .NET ticks")


Ticks = Annotated[int, BeforeValidator(_read_time, json_schema_input_type=datetime | int)]


def _read_word(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Word = Annotated[str, BeforeValidator(_read_word, json_schema_input_type=str | int)]
"""A word for one of the vendor's numbers; for a number without a word, its digits."""


class Message(BaseModel):
    """A message that refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(Message):
    """Object, entity or record counts. Null is sent as null; a *total* not given is the sum of the others."""

    total: int | None = None
    successful: int | None = 0
    failed: int | None = 0
    skipped: int | None = 0
    warning: int | None = Field(default=0, description="Not part of the total that is summed up.")

    @model_validator(mode="before")
    @classmethod
    def _sum_up(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "total" in given:
            return given
        parts = (given.get(name) for name in ("successful", "failed", "skipped"))
        return {**given, "total": sum(part for part in parts if isinstance(part, int))}


NO_COUNTS = Counts(total=0)


class JobError(Message):
    """One row of ``jobErrors``."""

    is_code: bool = True
    message: str = ""
    url: str = ""
    count: int = 1


class JobFields(Message):
    """The description of a job. Durations are in seconds.

    A job of history has *state* (default success) or *raw_state*, *started_at* or *started_ago* (default an
    hour ago) and *finished_at* (default ten minutes after the start, at most now; null for none).
    A job with a life has any of *starts_in*, *runs_for*, *ends_as*: it waits, runs and ends by the clock.
    """

    job_type: Word = Field(
        default=BACKUP, description="A word of the product; backup is the workload's own kind of backup."
    )
    workload: Word | None = Field(
        default=None,
        description="M365 object type, Dynamics or Elements module, Google app, IaaS service, AOS category.",
    )
    organization_id: str | None = None
    organization_name: str | None = None
    location: str | None = Field(
        default=None, description="Multi-Geo code; null or PrimaryGeoLocation is the central one."
    )
    data_source: str | None = Field(default=None, description="google_workspace: admin or recenter.")
    level: str | None = Field(default=None, description="salesforce: what its level filter selects.")
    label: str | None = Field(
        default=None,
        description="The row's free text: IaaS comments, scan profile, Elements job name, Google operator.",
    )
    state: StateWord | None = None
    raw_state: JsonValue = Field(default=None, description="Sent as given, in place of a state word.")
    started_at: Ticks | None = None
    started_ago: float | None = None
    finished_at: Ticks | None = None
    starts_in: float | None = Field(default=None, ge=0)
    runs_for: float | None = Field(default=None, ge=0, description="Default 60.")
    ends_as: StateWord | None = Field(default=None, description="Default success.")
    counts: Counts | None = NO_COUNTS
    record_counts: Counts | None = NO_COUNTS
    metadata_counts: Counts | None = Field(default=NO_COUNTS, description="salesforce: metadata items.")
    size_bytes: int | None = 0
    errors: tuple[JobError, ...] = ()
    duration: JsonValue = Field(
        default=None, description="Sent as given, in place of the figure from the two times."
    )
    extra: dict[str, JsonValue] = Field(
        default_factory=dict, description="Fields merged into the row, over its own."
    )
    omit: tuple[str, ...] = Field(default=(), description="Fields left out of the row.")


class JobSpec(JobFields):
    """A job to add."""

    product: str
    job_id: str | None = Field(default=None, description="Made in the vendor's form if missing.")


class Organization(Message):
    """An organisation of generated jobs."""

    id: str
    name: str | None = None


class GenerateSpec(Message):
    """Bulk history: *count* jobs, *every_seconds* apart, with organisations, workloads and states in turn."""

    product: str
    count: int = Field(ge=1, le=10_000_000)
    newest_at: Ticks | None = Field(
        default=None, description="The newest job's start; default five minutes ago."
    )
    every_seconds: float = Field(default=60, ge=0.000_001)
    organizations: tuple[Organization | str, ...] = ()
    workloads: tuple[Word, ...] = ()
    states: tuple[StateWord, ...] = ("success",)


class RestoreSettings(Message):
    """What becomes of the restores that are asked for from now on. Durations are in seconds.

    A job is listed from its start on, so *starts_in* is also how late it appears.
    """

    starts_in: float = Field(default=0, ge=0)
    runs_for: float = Field(default=5, ge=0)
    ends_as: StateWord = "success"
    counts: Counts | None = Field(
        default=None, description="By default each path of the request counts as one successful object."
    )
    extra: dict[str, JsonValue] = Field(
        default_factory=dict, description="Fields merged into the job's row, over its own."
    )
    answers_id: bool = Field(default=True, description="Whether the answer holds the id of the new job.")


class ClientSpec(Message):
    """An app registration; fields that are not named stay as they are. *scopes* null grants all scopes."""

    secret: str | None = None
    certificate_pem: str | None = None
    scopes: tuple[str, ...] | None = None


class TokenSettings(Message):
    """The lifetime of tokens that are issued from now on, in seconds."""

    expires_in: float = Field(gt=0)


DateHeader = (
    Annotated[float, Field(ge=-1_000_000_000, le=1_000_000_000)]
    | Annotated[str, Field(pattern=r"^[ -~]+$")]
    | None
)


class ClockSettings(Message):
    """The server's clock; fields that are not named stay as they are.

    Job times that are given relative to now, the ``Date`` header and the lifetime of tokens follow this
    clock.
    """

    ahead_seconds: float = Field(
        default=0.0,
        ge=-1_000_000_000,
        le=1_000_000_000,
        description="How far it is ahead of the machine's, in seconds; less than 0 is behind.",
    )
    date_header: DateHeader = Field(
        default=0.0,
        description="The Date header of answers: how far it is ahead of the server's own clock, in seconds; "
        "or a text that is sent as given; or null for no header.",
    )


class GlobalQuirks(Message):
    """The quirks of ``PUT /control/quirks/all``: milliseconds added to each vendor answer, tokens too."""

    latency_ms: float = Field(default=0, ge=0)


class License(BaseModel):
    """Licence figures, by our names or the vendor's; sizes are in GB. Defaults are the vendor's sample."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    out_of_policy_time: int | None = Field(default=0, description="Sent as given; 0 is not out of policy.")
    purchased_user_seats: int | None = 100
    assigned_user_seats: int | None = 47
    purchased_storage_size: int | None = 0
    protected_size: int | None = 0


class LicenseChange(License):
    """Figures to set; figures that are not named stay. With *location*, the figures of this location only.

    For elements, the figures of one subscription of a customer; the row shows null as "N/A".
    """

    location: str | None = None
    organization_id: str | None = Field(default=None, description="elements: the customer's id.")
    organization_name: str | None = Field(default=None, description="elements: the customer's name.")
    service: str | None = Field(default=None, description="elements: the subscription's name.")
    expiration_date: str | None = Field(default=None, description="elements: sent as given.")
    extra: dict[str, JsonValue] = Field(
        default_factory=dict, description="elements: fields of the subscription, over its own."
    )
    omit: tuple[str, ...] = Field(default=(), description="elements: fields left out of the subscription.")

    @model_validator(mode="after")
    def _names_a_figure(self) -> Self:
        if not self.model_fields_set - {"location"}:
            raise ValueError(f"name at least one of {', '.join(License.model_fields)}")
        return self


class ReadingChange(Message):
    """The value of an endpoint beside jobs and licences, sent as given.

    Without a location or an id, the value is of the central location, or of the usual customer, tenant and
    scan profile.
    """

    value: JsonValue
    location: str | None = Field(default=None, description="m365: the Multi-Geo code.")
    organization_id: str | None = Field(default=None, description="elements: the customer in the path.")
    tenant_id: str | None = Field(default=None, description="elements: the tenant in the path.")
    profile_id: str | None = Field(default=None, description="elements: the scan profile in the path.")
