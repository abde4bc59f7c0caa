"""What the page's API answers. Times are in UTC, durations in seconds, and the words are the report's."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field


class Run(BaseModel):
    """The try of a task that judged; all fields are null for a verdict from outside of a task."""

    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    try_number: int | None


class GateAnswer(Run):
    """A gate that guards a scope, with the newest verdict of the gate on the scope."""

    name: str
    has_judged_scope: bool = Field(
        description="Whether the verdict is on the scope; false: the newest verdict, as none is on the scope."
    )
    judged_at: datetime
    passed: bool
    reason: str


class FailureAnswer(BaseModel):
    """The newest failure of a scope in the period."""

    message: str | None = Field(description="The vendor's message on one line.")
    url: str | None = Field(description="The vendor's link to an explanation.")
    count: int | None
    unit: str
    backups: int = Field(description="In how many backups of the period the failure occurred.")
    last_at: datetime


class ScopeAnswer(BaseModel):
    """A scope as it is now."""

    key: str = Field(description="The scope's name in addresses; the same as long as the scope exists.")
    tenant: str
    product: str
    product_label: str
    name: str
    organization_id: str | None
    organization: str | None
    workload: str | None
    location: str | None
    content: str | None
    state: str = Field(
        description="good, partial, failed, missed, running, skipped, unknown, excluded, not loaded."
    )
    needs_attention: bool
    newest_good_at: datetime | None
    age_seconds: float | None = Field(description="The age of the newest good backup.")
    allowed_age_seconds: float | None = Field(description="How old this backup may be by the strictest gate.")
    due_at: datetime | None = Field(description="When the next run is due, or was due if the run is late.")
    expected: str = Field(description="When backups are expected, as the history shows.")
    strip: str = Field(description="A letter a day, oldest first; a dot for a day without a due backup.")
    loaded_until: datetime
    gates: list[GateAnswer]
    failure: FailureAnswer | None


class RestoreAnswer(BaseModel):
    """What restore drills have proven of a service, or must prove."""

    tenant: str
    product: str
    product_label: str
    service: str
    location: str | None
    state: str = Field(description="proven, overdue, never proven, under way, or why the last drill failed.")
    needs_attention: bool
    proven_at: datetime | None
    age_seconds: float | None = Field(description="The age of the newest proof.")
    demand: str = Field(description="How recent a proof must be; empty where nothing demands one.")


class ActivityAnswer(BaseModel):
    """What an audit or a gate last said of objects that look attacked, or of mass deletion."""

    tenant: str
    product: str
    product_label: str
    name: str = Field(description="The audited service, or the gate.")
    state: str = Field(description="found, none, or not known: not read, or not of late.")
    findings: list[str]
    read_at: datetime


class PostureAnswer(BaseModel):
    """The scopes, worst first."""

    read_at: datetime
    loaded_until: datetime | None = Field(
        description="Until when the ledger is loaded, by the scope with the oldest load."
    )
    timezone: str = Field(description="The time zone of the days.")
    days: list[date]
    summary: str = Field(description="The figures of all tenants and products in a sentence.")
    attention: list[str] = Field(
        description="What needs attention, of all tenants and products, urgent first, a sentence each."
    )
    counts: dict[str, int] = Field(description="The number of scopes by state.")
    letters: dict[str, str] = Field(description="The letter of each state in the strips.")
    meanings: dict[str, str] = Field(description="The meaning of each state.")
    scopes: list[ScopeAnswer]
    restores: list[RestoreAnswer] = Field(description="Those that need attention first.")
    activity: list[ActivityAnswer] = Field(description="What was found first, then what is not known.")


class JobAnswer(BaseModel):
    """A backup of a scope."""

    job_id: str
    state: str
    raw_state: str | None
    started_at: datetime | None
    finished_at: datetime | None
    failed: dict[str, int] = Field(description="How many objects, records and metadata failed.")
    messages: list[str]
    problems: list[str] = Field(description="What could not be understood of the job.")


class JudgedScopeAnswer(BaseModel):
    """The evidence of one scope in a verdict."""

    name: str
    passed: bool
    reason: str
    is_judged: bool
    job_id: str | None
    state: str | None
    started_at: datetime | None
    failed: dict[str, int]
    open_jobs: int
    notes: list[str]


class VerdictAnswer(Run):
    """A verdict of a gate, with the evidence."""

    tenant: str
    product: str
    product_label: str
    judged_at: datetime
    passed: bool
    reason: str
    gate: str | None
    rules_version: int
    judged: int = Field(description="How many scopes the gate judged, also those that are left out here.")
    good: int = Field(description="How many of these scopes were good.")
    policy: dict[str, str]
    scopes: list[JudgedScopeAnswer] = Field(description="Scopes that are not good first.")
    scopes_left_out: int


class VerdictsAnswer(BaseModel):
    """Verdicts: those that did not pass first, then newest first."""

    verdicts: list[VerdictAnswer]
    total: int = Field(description="How many verdicts there are, with those that are left out.")
    not_passed: int = Field(description="How many of all of them did not pass.")
    is_complete: bool = Field(description="False where verdicts are left out after these.")
    hidden: int = Field(description="How many more there are of tenants that page_tenants does not name.")


class DayAnswer(BaseModel):
    """A day of a scope."""

    date: date
    outcome: str | None
    backups: int


class ScopeDetailAnswer(BaseModel):
    """A scope with its days, its newest jobs, and the newest verdicts on it."""

    scope: ScopeAnswer
    days: list[DayAnswer]
    longest_gap_seconds: float | None
    jobs: list[JobAnswer]
    verdicts: list[VerdictAnswer]


class MeasureAnswer(BaseModel):
    """Seats or storage of a licence."""

    name: str
    unit: str
    used: float
    bought: float | None
    share: float | None
    readings: list[tuple[datetime, float, float | None]] = Field(description="When, used, bought.")
    forecast_at: datetime
    forecast: tuple[float, float, float] | None = Field(description="The estimate, its low and high bound.")
    limit_reached_at: datetime | None


class LicenseAnswer(BaseModel):
    """A licence."""

    tenant: str
    product: str
    product_label: str
    name: str
    read_at: datetime
    needs_attention: bool
    findings: list[str]
    doubts: list[str]
    measures: list[MeasureAnswer]


class UnreadAnswer(BaseModel):
    """An audit that could not read its licences."""

    tenant: str
    product: str
    product_label: str
    audited_at: datetime
    error: str


class LicensesAnswer(BaseModel):
    """All licences, those that need attention first."""

    read_at: datetime
    licenses: list[LicenseAnswer]
    unread: list[UnreadAnswer]


class ProblemAnswer(BaseModel):
    """Why there is no answer."""

    problem: str = Field(description="Such as no_ledger, newer_ledger, no_answer, misconfigured.")
    sentence: str
    steps: list[str]
