"""The vocabulary for describing a product: its paths, the vendor's keys, tables of numbers, and paging.

A product is data, in one of the files of this package. :mod:`..rows`, :mod:`..query` and :mod:`..paging` read
the data. If a product seems to need code of its own, add the missing word here.

A key, parameter or endpoint is None if the product does not have it.
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
    to_iso,
    to_word,
)
from airflow_provider_avepoint.core.model import JobState
from airflow_provider_avepoint.core.text import quoted

#: A key of a row, or several keys if the documents show different ones for the same value.
Key = str | tuple[str, ...]
#: The keys that lead to a value in nested objects.
Path = tuple[str, ...]
#: The vendor's number or word by which a filter names a state, a job type or a workload.
Code = int | str
#: One code, or several that mean the same to us.
Codes = Code | tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class State:
    """One line of a product's state table.

    :param number: the vendor's number, in filters and (for most products) in rows; None if the vendor uses
        words only.
    :param labels: the vendor's spellings; case, spaces, hyphens and underscores do not count.
    :param state: the state in our words.
    :param needs_finish: whether the documents leave open that the state is final; a job without a finish time
        then counts as running.
    :param is_no_job: whether a row in this state without an id stands for no job.
    """

    number: int | None
    labels: tuple[str, ...]
    state: JobState
    needs_finish: bool = False
    is_no_job: bool = False

    @property
    def code(self) -> Code:
        """The word for the state in a filter: its number, or its first label if it has no number."""
        return self.labels[0] if self.number is None else self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class CountKeys:
    """The keys of one level of counts in a row.

    :param total: the key of the number of all objects.
    :param successful: the key of the number of saved objects.
    :param failed: the key of the number of failed objects.
    :param skipped: the key of the number of skipped objects.
    :param warning: the key of the number of objects saved with a warning.
    """

    total: Key
    successful: Key
    failed: Key
    skipped: Key | None = None
    warning: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKeys:
    """The keys of the errors in a row.

    :param at: the key of the list of errors.
    :param is_error_code: the key in each error for whether the vendor has an error code.
    :param message: the key in each error of the vendor's text.
    :param url: the key in each error of the page's URL.
    :param count: the key in each error of the number of occurrences.
    """

    at: str
    is_error_code: str
    message: str
    url: str
    count: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The keys of a row: our field → the vendor's key. The case of a key does not count.

    :param job_id: the key of the job's id.
    :param state: the key of the state.
    :param started_at: the key of the start.
    :param finished_at: the key of the finish.
    :param job_type: the key of the job type.
    :param workload: the key of the workload.
    :param duration: the key of the vendor's own duration.
    :param parse_duration: reads the vendor's own duration.
    :param counts_at: the key of the object that holds the counts; None if the row itself holds them.
    :param counts: the keys of the counts of objects.
    :param record_counts: the keys of the counts of records.
    :param metadata_counts: the keys of the counts of metadata.
    :param size: the key of the size.
    :param parse_size: reads the size; returns bytes.
    :param organization_id: the key of the organisation's id.
    :param organization_name: the key of the organisation's name.
    :param errors: the keys of the errors.
    """

    job_id: Key
    state: Key
    started_at: Key
    finished_at: Key
    job_type: Key | None = None
    workload: Key | None = None
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
    """The parameters by which the API filters. If a parameter is None, we filter the rows ourselves.

    :param started_after: the parameter for the earliest start.
    :param started_before: the parameter for the latest start.
    :param write_time: writes a time for these two parameters, as a text or a number.
    :param window_required: whether the API requires these two parameters.
    :param job_type: the parameter for the job type.
    :param state: the parameter for the state.
    :param object_type: the parameter for the object type.
    :param organization_id: the parameter for the organisation.
    :param location: the parameter for the Multi-Geo location.
    :param always: parameter → value, sent unless the query sets the parameter.
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
    """The parameters by which the API cuts a listing into pages.

    :param index: the parameter that selects the page.
    :param is_offset: whether *index* counts the rows before the page, from 0, and not the pages.
    :param size: the parameter for the number of rows per page.
    :param newest_first: whether the parameters ask for the newest start first, so that a listing may stop at
        the beginning of its window. Each page must show this order.
    :param token: the parameter that takes a next link which is an opaque token.
    :param sizes: page sizes to try, the largest first; if the server refuses one, the next is tried.
    """

    index: str
    is_offset: bool = False
    size: str
    newest_first: bool = False
    token: str = "skiptoken"  # noqa: S105  # a parameter's name
    sizes: tuple[int, ...] = (1000, 500, 200, 100, 50, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The places of rows, next link and total in an answer, as the documents show them.

    :param rows: the paths at which the list of rows may stand.
    :param link: the path of the next link.
    :param total: the paths at which the total number of rows may stand.
    """

    rows: tuple[Path, ...]
    link: Path
    total: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEndpoint:
    """The endpoint for one job.

    :param path: the path of the URL, with ``{job_id}`` in it.
    :param row: the path of the row in the answer.
    """

    path: str
    row: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseColumns:
    """The keys of licence figures: our field → the vendor's key.

    :param purchased_user_seats: the key of the number of purchased seats.
    :param assigned_user_seats: the key of the number of assigned seats.
    :param purchased_storage_gb: the key of the purchased storage.
    :param protected_gb: the key of the protected data.
    :param parse_storage: reads an amount of storage; returns GB.
    :param out_of_policy_at: the key of the time at which the subscription went out of policy.
    :param expires_at: the key of the end of the subscription.
    :param not_applicable: the text that the vendor writes for a figure that a subscription does not have.
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

    :param path: the path of the URL.
    :param permission: the permission that the app registration needs.
    :param columns: the keys of the figures.
    :param figures: the path of the object with the figures in the answer.
    :param location: the parameter for the Multi-Geo location.
    """

    path: str
    permission: str
    columns: LicenseColumns
    figures: Path = ()
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEndpoint:
    """The endpoint by which a partner lists customers and their subscriptions.

    The request is a POST. The query holds the paging, the body the ids of the wanted customers.

    :param path: the path of the URL.
    :param permission: the permission that the app registration needs.
    :param envelope: the places of customers, next link and total in the answer.
    :param paging: the parameters for paging.
    :param wanted: the key in the body for the list of customer ids; without it the API lists all customers.
    :param organization_id: the key of a customer's id.
    :param organization_name: the key of a customer's name.
    :param subscriptions: the key of a customer's list of subscriptions.
    :param service: the keys in a subscription that, together, name it.
    :param columns: the keys of the figures in a subscription.
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


@dataclass(frozen=True, kw_only=True)
class Product:
    """The description of one product.

    :param name: our name of the product, such as ``m365``.
    :param label: the vendor's name of the product.
    :param documentation_url: the URL of the vendor's page on the API of the product.
    :param permission: the OAuth scope, which is the permission of the app registration.
    :param path: the path of the list of jobs; with ``{organization_id}`` if each list holds one organisation.
    :param method: ``GET``, or ``POST`` if the filters are sent in a JSON body. Paging is always in the query.
    :param columns: the keys of a row.
    :param filters: the parameters by which the API filters.
    :param paging: the parameters for paging.
    :param envelope: the places of rows, next link and total in an answer.
    :param states: the state table.
    :param job_types: our word → the vendor's code. If a word has several codes, rows with any of them read as
        this word, and we filter the rows ourselves. A word without a code is found by its workload.
    :param backup_types: the job types that count as a backup in a verdict: ``backup``, and types that a
        policy must name.
    :param contents: backup type → what it holds, if it does not hold the data: ``audit_log``. Backup types
        with the same content stand for one another.
    :param object_types: our word for a workload → the vendor's code, if rows or filters have codes.
    :param workload_of_type: the vendor's number of a job type → the only workload with jobs of this type, if
        rows have a job type and no workload.
    :param workloads: the known words for ``BackupJob.workload``, if rows have words.
    :param housekeeping: the workloads that are really job types: their rows get this job type.
    :param asks_each_organization: whether rows may leave out their organisation, so that each organisation
        that a policy names gets a query of its own.
    :param differs_by_tenant_only: whether rows without an organisation differ by the tenant only, so that the
        newest backup decides if there is one tenant.
    :param job: the endpoint for one job.
    :param license: the endpoint for licence figures of a tenant.
    :param subscriptions: the endpoint for the subscriptions of a partner's customers.
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

    @property
    def undocumented(self) -> str:
        """The end of an error message about an answer that does not fit this description."""
        return f"{self.documentation_url} has it otherwise: update this provider, or report it"

    @cached_property
    def state_table(self) -> Mapping[int | str, State]:
        """The number and each normalised label of a state → the line of the state table."""
        table: dict[int | str, State] = {each.number: each for each in self.states if each.number is not None}
        for state in self.states:
            table |= {normalize_label(label): state for label in state.labels}
        return table

    @cached_property
    def job_type_words(self) -> Mapping[Code, str]:
        """The vendor's code of a job type, normalised → our word (the first word if a code has two)."""
        return {
            _normalize_code(code): word
            for word in reversed(tuple(self.job_types))
            for code in self.job_type_codes(word)
        }

    @cached_property
    def object_type_words(self) -> Mapping[Code, str]:
        """The vendor's code of a workload, normalised → our word."""
        return {_normalize_code(code): word for word, code in self.object_types.items()}

    @cached_property
    def _job_type_labels(self) -> Mapping[str, str]:
        return {normalize_label(word): word for word in self.job_types}

    @cached_property
    def _workload_labels(self) -> Mapping[str, str]:
        return {normalize_label(word): word for word in self.known_workloads}

    @property
    def tells_organizations(self) -> bool:
        """Whether jobs can be told apart by organisation."""
        return bool(self.columns.organization_id or self.filters.organization_id or self.needs_organization)

    @property
    def needs_organization(self) -> bool:
        """Whether each list holds one organisation, which a query must name."""
        return "{organization_id}" in self.path

    @property
    def tells_locations(self) -> bool:
        """Whether jobs can be asked for by location."""
        return self.filters.location is not None

    @property
    def asks_each_object_type(self) -> bool:
        """Whether rows have no workload, so that a query must ask for each object type."""
        return self.filters.object_type is not None and self.columns.workload is None

    @property
    def known_workloads(self) -> tuple[str, ...]:
        """The words that a caller may use for workloads."""
        return tuple(self.object_types) or self.workloads

    def job_type_codes(self, word: str) -> tuple[Code, ...]:
        """Return the vendor's codes of a job type.

        :param word: our word for the job type.
        """
        codes = self.job_types[word]
        return codes if isinstance(codes, tuple) else (codes,)

    def canonical_job_type(self, word: str) -> str:
        """Return the word that rows get for a job type.

        :param word: our word for the job type, as the caller gave it.
        """
        codes = self.job_type_codes(word)
        return self.job_type_words[_normalize_code(codes[0])] if codes else word

    def state_codes(self, states: frozenset[JobState]) -> list[Code]:
        """Return the vendor's codes for several states.

        :param states: the states in our words.
        """
        return [
            line.code
            for line in self.states
            if line.state in states or (line.needs_finish and JobState.RUNNING in states)
        ]

    def find_state(self, value: object) -> State | None:
        """Return the line of the state table for a row's state; None if the state is not documented.

        :param value: the number or label in the row.
        :raises ValueError: the value is neither a number nor a text.
        """
        number = parse_number(value)
        if number is not None:
            return self.state_table.get(number)
        if not isinstance(value, str):
            raise ValueError(f"{quoted(value)} is not a job state")  # noqa: TRY004  # a wire value, not a type
        return self.state_table.get(normalize_label(value))

    def read_job_type(self, value: object) -> str:
        """Return our word for a row's job type. An undocumented number or label is kept as text.

        :param value: the number or label in the row.
        :raises ValueError: the value is neither a number nor a text.
        """
        return _read_word(value, self.job_type_words, self._job_type_labels, "job type")

    def read_workload(self, value: object) -> str:
        """Return our word for a row's workload. An undocumented number or label is kept as text.

        :param value: the number or label in the row.
        :raises ValueError: the value is neither a number nor a text.
        """
        return _read_word(value, self.object_type_words, self._workload_labels, "workload")


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
