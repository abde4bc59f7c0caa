"""Define the vocabulary that describes a product: paths, names at the wire, tables of codes, paging.

A product is data, in one of the files beside this one. The code that reads a product is in :mod:`..rows`,
:mod:`..query` and :mod:`..paging`. Where a product seems to need code of its own, a word is missing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from airflow_provider_avepoint.core.fields import (
    normalize_label,
    parse_integer,
    parse_number,
    parse_time,
    to_iso,
    to_word,
)
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.text import quoted

#: A key of a row, or several keys where the documents show different ones.
Key = str | tuple[str, ...]
#: A place in nested objects: the keys from the outside to the inside.
Path = tuple[str, ...]
#: The vendor's number or word for a state, a job type or a workload, as filters send it.
Code = int | str
#: One code, or several codes for one of our words.
Codes = Code | tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class State:
    """One line of a product's state table.

    :param number: the vendor's number, in filters and (for most products) in rows; None where the vendor has
        words alone.
    :param labels: the vendor's spellings; case, spaces, hyphens and underscores do not count.
    :param state: our state.
    :param needs_finish: the documents leave open whether the state is final, so a job without a finish time
        counts as running.
    :param is_no_job: a row in this state may lack an id; such a row is no job at all.
    """

    number: int | None
    labels: tuple[str, ...]
    state: JobState
    needs_finish: bool = False
    is_no_job: bool = False

    @property
    def code(self) -> Code:
        """Return what a filter sends for the state: its number, or its first label where it has no number."""
        return self.labels[0] if self.number is None else self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class CountKeys:
    """The keys of one level of counts in a row.

    :param total: the key of the number of all objects.
    :param successful: the key of the number of objects that were saved.
    :param failed: the key of the number of objects that failed.
    :param skipped: the key of the number of objects that were skipped.
    :param warning: the key of the number of objects that were saved with a warning.
    """

    total: Key
    successful: Key
    failed: Key
    skipped: Key | None = None
    warning: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKeys:
    """The keys of a job's errors in a row.

    :param at: the key of the list of errors in the row.
    :param is_error_code: in an error, the key of the flag that says whether the vendor has a code for it.
    :param message: in an error, the key of its code or text.
    :param url: in an error, the key of the page that explains it.
    :param count: in an error, the key of how often it occurred.
    """

    at: str
    is_error_code: str
    message: str
    url: str
    count: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a row: our field → the vendor's key.

    Keys match in any case. None means that the product's rows have no such column.

    :param job_id: the key of the job's id.
    :param state: the key of the job's state.
    :param started_at: the key of the start.
    :param finished_at: the key of the end.
    :param job_type: the key of the job type.
    :param workload: the key of the workload.
    :param parse_time: parses a time as the vendor writes it. Where it raises
        :class:`.UnplacedTime` for a time without an offset, the row has a problem.
    :param duration: the key of the vendor's own duration.
    :param parse_duration: parses that duration.
    :param counts_at: the key of the object that holds the counts, where they are not in the row itself.
    :param counts: the keys of the objects' counts.
    :param record_counts: the keys of the records' counts.
    :param metadata_counts: the keys of the metadata's counts.
    :param size: the key of the size of the backup.
    :param parse_size: parses that size; returns bytes.
    :param organization_id: the key of the organisation's id.
    :param organization_name: the key of the organisation's name.
    :param errors: the keys of the job's errors.
    """

    job_id: Key
    state: Key
    started_at: Key
    finished_at: Key
    job_type: Key | None = None
    workload: Key | None = None
    parse_time: Callable[[object], datetime | None] = parse_time
    duration: Key | None = None
    parse_duration: Callable[[object], timedelta | None] | None = None
    counts_at: str | None = None
    counts: CountKeys | None = None
    record_counts: CountKeys | None = None
    metadata_counts: CountKeys | None = None
    size: Key | None = None
    parse_size: Callable[[object], int | None] = parse_integer
    organization_id: Key | None = None
    organization_name: Key | None = None
    errors: ErrorKeys | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The names of a product's filter parameters.

    None means that the product has no such filter: then the package filters the rows itself.

    :param started_after: the parameter for the window's begin.
    :param started_before: the parameter for the window's end.
    :param write_time: writes the window's ends, as text or as a number.
    :param window_required: the API refuses a query without a window.
    :param job_type: the parameter for the job type.
    :param state: the parameter for the state.
    :param object_type: the parameter for the workload.
    :param organization_id: the parameter for the organisation.
    :param location: the parameter for the Multi-Geo location.
    :param always: parameters and values to send where the query does not set them.
    """

    started_after: str | None = None
    started_before: str | None = None
    write_time: Callable[[datetime], Code] = to_iso
    window_required: bool = False
    job_type: str | None = None
    state: str | None = None
    object_type: str | None = None
    organization_id: str | None = None
    location: str | None = None
    always: Mapping[str, Code] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How the product cuts a listing into pages.

    :param index: the parameter that says which page; None where only a link leads to the next page.
    :param is_offset: *index* is the number of rows before the page, from 0, not the number of the page.
    :param size: the parameter for the number of rows in a page.
    :param newest_first: the query asks for the newest start first, so a listing may stop where its window
        begins. The listing checks the order on each page.
    :param token: the parameter that takes a next link which is an opaque token.
    :param sizes: page sizes to try, largest first; where the server refuses one, the next is tried.
    """

    index: str | None = None
    is_offset: bool = False
    size: str
    newest_first: bool = False
    token: str = "skiptoken"  # noqa: S105  # a parameter's name
    sizes: tuple[int, ...] = (1000, 500, 200, 100, 50, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The places in an answer that hold its rows, its next link and its total, as the documents show them.

    :param rows: the places of the rows in the body; the first place that exists counts.
    :param link: the place of the next link in the body.
    :param link_header: the header with the next link or an opaque token, where the link is not in the body.
    :param total: the places of the totals in the body; the largest total counts.
    """

    rows: tuple[Path, ...]
    link: Path = ()
    link_header: str | None = None
    total: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEndpoint:
    """The endpoint for one job.

    :param path: the path, with ``{job_id}``.
    :param row: the place of the job's row in the body.
    """

    path: str
    row: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseColumns:
    """The keys of licence figures: our field → the vendor's key.

    :param purchased_user_seats: the key of the seats that were purchased.
    :param assigned_user_seats: the key of the seats that are assigned.
    :param purchased_storage_gb: the key of the storage that was purchased.
    :param protected_gb: the key of the storage that is protected.
    :param parse_storage: parses an amount of storage; returns GB.
    :param out_of_policy_at: the key of the time at which the subscription went out of policy.
    :param expires_at: the key of the time at which the subscription expires.
    :param not_applicable: the text that stands for a figure which a subscription does not have; any other
        text is an error.
    """

    purchased_user_seats: str
    assigned_user_seats: str
    purchased_storage_gb: str
    protected_gb: str
    parse_storage: Callable[[object], float | None] = parse_integer
    out_of_policy_at: str | None = None
    expires_at: str | None = None
    not_applicable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseEndpoint:
    """The endpoint for the licence figures of a tenant.

    :param path: the path.
    :param permission: the permission that the endpoint needs.
    :param columns: the keys of the figures.
    :param figures: the place of the figures in the body.
    :param location: the parameter for the Multi-Geo location; None where there is none.
    """

    path: str
    permission: str
    columns: LicenseColumns
    figures: Path = ()
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEndpoint:
    """The endpoint by which a partner lists customers with their subscriptions.

    The request is a POST: paging parameters are in the query, the wanted customers in the body.

    :param path: the path.
    :param permission: the permission that the endpoint needs.
    :param envelope: the places of rows, link and total; a row is a customer.
    :param paging: how the list of customers is cut into pages.
    :param wanted: the key for a list of customer ids in the request's body; without it, the list has all
        customers.
    :param organization_id: in a row, the key of the customer's id.
    :param organization_name: in a row, the key of the customer's name.
    :param subscriptions: in a row, the key of the list of subscriptions.
    :param service: in a subscription, the keys that together name it.
    :param columns: in a subscription, the keys of the figures.
    """

    path: str
    permission: str
    envelope: Envelope
    paging: Paging
    wanted: str
    organization_id: str
    organization_name: str
    subscriptions: str
    service: tuple[str, ...]
    columns: LicenseColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEndpoint:
    """An endpoint that lists rows in pages, beside the list of jobs.

    :param path: the path; ``{organization_id}`` and ``{tenant_id}`` stand for a customer and a tenant.
    :param permission: the permission that the endpoint needs.
    :param method: ``POST`` where the server takes a JSON body; the paging parameters stay in the query.
    :param envelope: the places of rows, link and total.
    :param paging: how the list is cut into pages.
    """

    path: str
    permission: str
    method: str = "GET"
    envelope: Envelope
    paging: Paging


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanJobs:
    """The scan jobs that find new objects: only what a scan has found is backed up.

    :param product: the name of the product whose jobs they are.
    :param job_type: their job type.
    :param object_type: their workload; None where the job type is enough.
    :param profile: in a row, the key of the scan profile: each has scans of its own; None where none is told.
    """

    product: str
    job_type: str
    object_type: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleEndpoint:
    """The endpoint for the backups of the current day (UTC).

    :param path: the path.
    :param permission: the permission that the endpoint needs.
    :param rows: the places of the rows in the body; a row is a service.
    :param service: in a row, the key of the service's number.
    :param runs: in a row, the key of the number of backups a day.
    :param starts: in a row, the key of the list of the day's starts.
    :param location: the parameter for the Multi-Geo location.
    """

    path: str
    permission: str
    rows: tuple[Path, ...]
    service: str
    runs: str
    starts: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionEndpoint:
    """The endpoint for how long backups are kept.

    :param path: the path.
    :param permission: the permission that the endpoint needs.
    :param policy: the place of the policy in the body.
    :param is_daily: the key of the flag for daily retention.
    :param is_customized: the key of the flag for periods of single services.
    :param period: the key of a period, in the policy, in a service and in a container.
    :param services: the key of the list of services.
    :param service: in a service, the key of its number.
    :param unassigned_period: in a service, the key of the period of objects in no container.
    :param containers: in a service, the key of the list of containers.
    :param container_id: in a container, the key of its id.
    :param container_name: in a container, the key of its name.
    :param location: the parameter for the Multi-Geo location.
    """

    path: str
    permission: str
    policy: Path
    is_daily: str
    is_customized: str
    period: str
    services: str
    service: str
    unassigned_period: str
    containers: str
    container_id: str
    container_name: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityEndpoint:
    """The endpoint for the counts of unusual activity.

    :param path: the path; ``{organization_id}`` and ``{tenant_id}`` stand for a customer and a tenant.
    :param permission: the permission that the endpoint needs.
    :param rows: the places of the rows in the body; the first place that has a list counts. None where the
        body is one object, whose keys begin with a service.
    :param counts: the name of a count in :class:`~..activity.ActivityCounts` → its key, or the end of its
        key where the body is one object.
    :param alarms: the names of those counts that are an alarm.
    :param services: service → the beginning of its keys, where the body is one object.
    :param service: in a row, the key of the service's number.
    :param tenant_id: in a row, the key of the tenant's id.
    :param organization_id: in a row, the key of the organisation's id.
    :param organization_name: in a row, the key of the organisation's name.
    :param detected_at: in a row, the key of the latest detection.
    :param detected_after: the parameter for the window's begin; None where the window is the last 7 days.
    :param detected_before: the parameter for the window's end.
    :param organization: the parameter for the organisation.
    :param location: the parameter for the Multi-Geo location.
    """

    path: str
    permission: str
    rows: tuple[Path, ...] | None = None
    counts: Mapping[str, str]
    alarms: tuple[str, ...]
    services: Mapping[str, str] = field(default_factory=dict)
    service: str | None = None
    tenant_id: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    detected_at: str | None = None
    detected_after: str | None = None
    detected_before: str | None = None
    organization: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEndpoint:
    """The endpoint for alerts about changed records.

    :param path: the path.
    :param permission: the permission that the endpoint needs.
    :param rows: the places of the rows in the body.
    :param organization_id: in a row, the key of the organisation's id.
    :param object_type: in a row, the key of the object type.
    :param operation: in a row, the key of the operation.
    :param operations: our word for an operation → the vendor's number.
    :param records: in a row, the key of the number of records.
    :param collected_at: in a row, the key of the time of detection.
    :param collected_after: the parameter for the window's begin.
    :param collected_before: the parameter for the window's end.
    :param organization: the parameter for the organisation.
    :param alert_type: the parameter for the kind of alert.
    """

    path: str
    permission: str
    rows: tuple[Path, ...]
    organization_id: str
    object_type: str
    operation: str
    operations: Mapping[str, int]
    records: str
    collected_at: str
    collected_after: str
    collected_before: str
    organization: str
    alert_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantEndpoint:
    """The endpoint by which a partner lists customers with their tenants.

    The request is a POST: paging parameters are in the query, the wanted customers in the body.

    :param path: the path.
    :param permission: the permission that the endpoint needs.
    :param envelope: the places of rows, link and total; a row is a customer.
    :param paging: how the list of customers is cut into pages.
    :param wanted: the key for a list of customer ids in the request's body.
    :param organization_id: in a row, the key of the customer's id.
    :param tenants: in a row, the key of the list of tenants.
    :param tenant_id: in a tenant, the key of its id.
    """

    path: str
    permission: str
    envelope: Envelope
    paging: Paging
    wanted: str
    organization_id: str
    tenants: str
    tenant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCoverageEndpoint:
    """The list of a customer's services, each with its scanned and protected objects.

    :param listing: the list; a row is a service.
    :param organization_id: the key of the customer's id.
    :param tenant_id: the key of the tenant's id.
    :param service: the key of the service's label.
    :param words: a label in snake case → our word, where the two differ.
    :param scanned: the key of the number of scanned objects.
    :param protected: the key of the number of protected objects.
    :param last_run_at: the key of the time of the last backup.
    """

    listing: ListEndpoint
    organization_id: str
    tenant_id: str
    service: str
    words: Mapping[str, str]
    scanned: str
    protected: str
    last_run_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCoverageEndpoint:
    """The list of a tenant's users, each with what of it is protected.

    :param listing: the list; a row is a user.
    :param user_id: the key of the user's id.
    :param email: the key of the user's mail address.
    :param display_name: the key of the user's name.
    :param modules: the key of the list of modules.
    :param module: in a module, the key of its number.
    :param words: our word for a module → the vendor's number.
    :param is_protected: in a module, the key of the flag.
    """

    listing: ListEndpoint
    user_id: Key
    email: str
    display_name: str
    modules: str
    module: str
    words: Mapping[str, int]
    is_protected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanChangesEndpoint:
    """The objects that fell out of backup, for each of a customer's scan profiles.

    :param listing: the list of scan profiles.
    :param profile_id: the key of the profile's id, in a row and in the changes.
    :param profile_name: the key of the profile's name, in the changes.
    :param path: the path of a profile's changes, with ``{organization_id}`` and ``{profile_id}``.
    :param removed_count: in the changes, the key of the number of objects.
    :param removed: in the changes, the key of the list of objects.
    :param reported_at: in the changes, the key of the time of the report.
    """

    listing: ListEndpoint
    profile_id: str
    profile_name: str
    path: str
    removed_count: str
    removed: str
    reported_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageEndpoints:
    """The endpoints that tell which of a customer's objects are protected.

    :param services: the services, with the number of scanned and of protected objects.
    :param users: the users, with what of each is protected.
    :param changes: the objects that fell out of backup.
    """

    services: ServiceCoverageEndpoint
    users: UserCoverageEndpoint
    changes: ScanChangesEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreService:
    """A service whose files and folders can be restored.

    :param number: the vendor's number of the service in a restore request, which no filter of jobs takes.
    :param scope: the key of the object that says what to restore.
    :param owner: in that object, the key of the site or of the user.
    :param argument: the argument of ours that names the site or the user.
    """

    number: int
    scope: str
    owner: str
    argument: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreEndpoint:
    """The endpoint that starts a restore. It is the only one that changes something.

    :param path: the path.
    :param permission: the permission that the endpoint needs.
    :param services: our word → the service.
    :param location: the parameter for the Multi-Geo location.
    :param job_id: the place of the new job's id in the answer.
    """

    path: str
    permission: str
    services: Mapping[str, RestoreService]
    location: str
    job_id: Path


@dataclass(frozen=True, kw_only=True)
class Product:
    """The description of one product.

    :param name: our name of the product.
    :param label: the vendor's name of the product.
    :param documentation_url: the vendor's page about the jobs.
    :param permission: the OAuth scope to ask for, which is a permission of the app registration.
    :param path: the path of the list of jobs; holds ``{organization_id}`` where a list is of one
        organisation.
    :param method: ``POST`` where the filters are in a JSON body; the paging parameters stay in the query.
    :param columns: the keys of a job's row.
    :param filters: the names of the filters.
    :param paging: how a listing is cut into pages.
    :param envelope: the places of rows, link and total.
    :param states: every documented state.
    :param job_types: our word → the vendor's code or codes. Rows with any of several codes get the word; such
        a word is never sent, and the package filters the rows. A word without codes is found by its workload.
    :param backup_types: the job types that count as a backup in a verdict: ``backup``, and the types that a
        caller must name.
    :param contents: backup type → what it holds, such as ``audit_log``; a type that is not listed holds the
        data. Types with the same content stand for one another.
    :param object_types: our word → the vendor's code of a workload, where rows or filters have codes.
    :param workload_of_type: the vendor's number of a job type → the only workload with such jobs, where rows
        have a type and no workload.
    :param workloads: the known words of ``BackupJob.workload``, where rows have words.
    :param housekeeping: workloads that are in truth job types: the row's workload becomes its job type.
    :param asks_each_organization: rows may leave out their organisation, so each organisation of a policy has
        its own query.
    :param differs_by_tenant_only: rows without an organisation differ in the tenant only, so the newest
        backup decides where there is one tenant.
    :param job: the endpoint for one job; None where there is none.
    :param license: the endpoint for licence figures; None where there is none.
    :param subscriptions: the endpoint for a partner's customers; None where there is none.
    :param tenants: the endpoint for the tenants of a partner's customers; None where there is none.
    :param service_types: our word → the vendor's number of a service in settings and unusual activity; these
        are other numbers than the workload's.
    :param service_parts: a service → services that hold a part of its data, and have no jobs of their own.
    :param schedule: the endpoint for the day's backups; None where there is none.
    :param retention: the endpoint for how long backups are kept; None where there is none.
    :param activity: the endpoint for unusual activity; None where there is none.
    :param alerts: the endpoint for alerts about changed records; None where there is none.
    :param coverage: the endpoints for what is protected; None where there are none.
    :param restore: the endpoint that starts a restore; None where there is none.
    :param scan: the scan jobs that find new objects to back up; None where there are none.
    """

    name: str
    label: str
    documentation_url: str
    permission: str
    path: str
    method: str = "GET"
    columns: Columns
    filters: Filters
    paging: Paging
    envelope: Envelope
    states: tuple[State, ...]
    job_types: Mapping[str, Codes]
    backup_types: tuple[str, ...] = ("backup",)
    contents: Mapping[str, str] = field(default_factory=dict)
    object_types: Mapping[str, Code] = field(default_factory=dict)
    workload_of_type: Mapping[int, str] = field(default_factory=dict)
    workloads: tuple[str, ...] = ()
    housekeeping: tuple[str, ...] = ()
    asks_each_organization: bool = False
    differs_by_tenant_only: bool = False
    job: JobEndpoint | None = None
    license: LicenseEndpoint | None = None
    subscriptions: SubscriptionEndpoint | None = None
    tenants: TenantEndpoint | None = None
    service_types: Mapping[str, int] = field(default_factory=dict)
    service_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    schedule: ScheduleEndpoint | None = None
    retention: RetentionEndpoint | None = None
    activity: ActivityEndpoint | None = None
    alerts: AlertEndpoint | None = None
    coverage: CoverageEndpoints | None = None
    restore: RestoreEndpoint | None = None
    scan: ScanJobs | None = None

    @property
    def undocumented(self) -> str:
        """Return the end of a message about an answer that does not fit this description."""
        return f"{self.documentation_url} has it otherwise: update this provider, or report it"

    @cached_property
    def state_table(self) -> Mapping[int | str, State]:
        """Return every spelling of every state: the number, and each normalised label."""
        table: dict[int | str, State] = {each.number: each for each in self.states if each.number is not None}
        for state in self.states:
            table |= {normalize_label(label): state for label in state.labels}
        return table

    @cached_property
    def job_type_words(self) -> Mapping[Code, str]:
        """Return the vendor's code, a text normalised → our word; of two words for a code, the first."""
        return {
            _normalize_code(code): word
            for word in reversed(tuple(self.job_types))
            for code in self.job_type_codes(word)
        }

    @cached_property
    def object_type_words(self) -> Mapping[Code, str]:
        """Return the vendor's code of a workload, a text normalised → our word."""
        return {_normalize_code(code): word for word, code in self.object_types.items()}

    @cached_property
    def _job_type_labels(self) -> Mapping[str, str]:
        return {normalize_label(word): word for word in self.job_types}

    @cached_property
    def _workload_labels(self) -> Mapping[str, str]:
        return {normalize_label(word): word for word in self.known_workloads}

    @property
    def tells_organizations(self) -> bool:
        """Whether rows, filters or paths tell jobs apart by organisation."""
        return bool(self.columns.organization_id or self.filters.organization_id or self.needs_organization)

    @property
    def needs_organization(self) -> bool:
        """Whether every list is of one organisation, so that a query must name the organisation."""
        return "{organization_id}" in self.path

    @property
    def tells_locations(self) -> bool:
        """Whether a query can ask for a location."""
        return self.filters.location is not None

    @property
    def asks_each_object_type(self) -> bool:
        """Whether rows leave out their workload, so that each workload has its own query."""
        return self.filters.object_type is not None and self.columns.workload is None

    @property
    def known_workloads(self) -> tuple[str, ...]:
        """Return the words of the workloads, in arguments and in rows."""
        return tuple(self.object_types) or self.workloads

    def job_type_codes(self, word: str) -> tuple[Code, ...]:
        """Return the vendor's codes of a job type.

        :param word: our word.
        """
        codes = self.job_types[word]
        return codes if isinstance(codes, tuple) else (codes,)

    def canonical_job_type(self, word: str) -> str:
        """Return the word that rows of a job type get; another word may stand for the same code.

        :param word: the word that a caller gives.
        """
        codes = self.job_type_codes(word)
        return self.job_type_words[_normalize_code(codes[0])] if codes else word

    def state_codes(self, states: frozenset[JobState]) -> list[Code]:
        """Return the vendor's codes that mean one of *states*.

        :param states: our states.
        """
        return [
            line.code
            for line in self.states
            if line.state in states or (line.needs_finish and JobState.RUNNING in states)
        ]

    def find_state(self, value: object) -> State | None:
        """Return the state of a row; None where the state is not documented.

        :param value: the row's state: a number or a label.
        :raises ValueError: *value* cannot be a state.
        """
        number = parse_number(value)
        if number is not None:
            return self.state_table.get(number)
        if not isinstance(value, str):
            raise ValueError(f"{quoted(value)} is not a job state")  # noqa: TRY004  # a wire value, not a type
        return self.state_table.get(normalize_label(value))

    def read_job_type(self, value: object) -> str:
        """Return our word for the job type of a row; an undocumented number or label stays as text.

        :param value: the row's job type: a number or a label.
        :raises ValueError: *value* cannot be a job type.
        """
        return _read_word(value, self.job_type_words, self._job_type_labels, "job type")

    def read_workload(self, value: object) -> str:
        """Return our word for the workload of a row; an undocumented number or label stays as text.

        :param value: the row's workload: a number or a label.
        :raises ValueError: *value* cannot be a workload.
        """
        return _read_word(value, self.object_type_words, self._workload_labels, "workload")

    def read_service_type(self, value: object) -> str:
        """Return our word for a service in settings or unusual activity; an undocumented number stays a text.

        :param value: the service's number.
        :raises ValueError: *value* is no number from 0 up.
        """
        number = parse_number(value)
        if number is None or number < 0:
            raise ValueError(f"{quoted(value)} is not the number of a service")
        return next((word for word, each in self.service_types.items() if each == number), str(number))


def _normalize_code(code: Code) -> Code:
    return normalize_label(code) if isinstance(code, str) else code


def _read_word(value: object, words: Mapping[Code, str], labels: Mapping[str, str], what: str) -> str:
    number = parse_number(value)
    if number is not None:
        return words.get(number, str(number))
    if isinstance(value, str):
        label = normalize_label(value)
        return words.get(label) or labels.get(label) or to_word(value)
    raise ValueError(f"{quoted(value)} is not a {what}")
