"""The vocabulary in which a product is described: paths, names at the wire, tables of numbers, paging.

A product is data: one of the files beside this one. The code that reads it is :mod:`..rows`, :mod:`..query`
and :mod:`..paging`. A product that needs code of its own means that a word is missing here.
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

#: A key of a row, or several of which the documents show now one, now another.
Key = str | tuple[str, ...]
#: Where something stands in nested objects.
Path = tuple[str, ...]
#: How a filter names a state, a job type or a workload: by the vendor's number, or by a word.
Code = int | str
#: One code, or several that mean the same to us.
Codes = Code | tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class State:
    """One line of a product's state table.

    :param number: the vendor's number, in filters and (for most products) in rows; None where the vendor has
        words alone.
    :param labels: the vendor's spellings; case, spaces, hyphens and underscores do not count.
    :param needs_finish: the documents leave open whether the state is final: without a finish time the
        job counts as running.
    :param is_no_job: a row in this state may have no id, and then stands for no job at all.
    """

    number: int | None
    labels: tuple[str, ...]
    state: JobState
    needs_finish: bool = False
    is_no_job: bool = False

    @property
    def code(self) -> Code:
        """What a filter calls the state: its number, or its first label where it has none."""
        return self.labels[0] if self.number is None else self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class CountKeys:
    """Where a row holds one level of counts."""

    total: Key
    successful: Key
    failed: Key
    skipped: Key | None = None
    warning: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKeys:
    """Where a row holds its list of errors, and the keys of each."""

    at: str
    is_error_code: str
    message: str
    url: str
    count: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a row holds what: our field → the vendor's key. Keys are matched whatever their case.

    :param counts_at: the key of the object that holds the counts, where they are not in the row itself.
    :param parse_time: how the vendor writes times; where it gives none for a time without an offset, that
        time is a problem of the row.
    :param parse_duration: how the vendor's own duration is written.
    :param parse_size: how the vendor writes a size; gives bytes.
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
    """The names of the parameters; None where the product has no such filter: we filter its rows ourselves.

    :param always: parameters sent with this value where the query does not set them.
    :param write_time: how the window's ends are written: a text, or a number.
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

    :param index: the parameter that says which page; None where nothing but a link leads to the next one.
    :param is_offset: *index* counts the rows before the page, from 0, not pages.
    :param sizes: page sizes to try, largest first; the next is tried where the server refuses one.
    :param token: the parameter that takes a next link which is an opaque token.
    :param newest_first: the parameters ask for the newest start first, so that a listing may stop where its
        window begins. Believed only as far as each page shows it.
    """

    index: str | None = None
    is_offset: bool = False
    size: str
    newest_first: bool = False
    token: str = "skiptoken"  # noqa: S105  # a parameter's name
    sizes: tuple[int, ...] = (1000, 500, 200, 100, 50, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Where an answer holds its rows, its next link and its total: the places that the documents show.

    :param rows: where in the body the rows stand; the first place that is there counts.
    :param link: where in the body the next link stands.
    :param link_header: the header that has the next link, or an opaque token of the next page, instead.
    :param total: where in the body totals stand; the largest counts.
    """

    rows: tuple[Path, ...]
    link: Path = ()
    link_header: str | None = None
    total: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEndpoint:
    """The endpoint for one job: its path with ``{job_id}``, and where the row stands."""

    path: str
    row: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseColumns:
    """Where licence figures stand: our field → the vendor's key.

    :param parse_storage: how the vendor writes an amount of storage; gives GB.
    :param not_applicable: what stands for a figure that a subscription has not; anything else is an error.
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
    """The endpoint for a tenant's licence figures.

    :param figures: where they stand in its answer.
    :param location: the parameter for the Multi-Geo location.
    """

    path: str
    permission: str
    columns: LicenseColumns
    figures: Path = ()
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEndpoint:
    """The endpoint by which a partner lists customers, each with their subscriptions.

    It is asked by POST: paging in the query, the customers that are wanted in the body.

    :param wanted: the body's key for a list of ids; without it the list is of all.
    :param subscriptions: the key of a customer's list of subscriptions.
    :param service: the keys that, together, name a subscription.
    :param columns: of a subscription.
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
    """One product, described.

    :param label: the vendor's name of it.
    :param permission: the OAuth scope, which is the permission of the app registration.
    :param path: of the list of jobs; ``{organization_id}`` in it where a list is of one organisation.
    :param method: ``POST`` where the filters travel in a JSON body; paging stays in the query.
    :param job_types: our word → the vendor's code. A word that has several is what rows of any of them read
        as, and is not asked for but filtered here; one that has none is found by its workload.
    :param backup_types: the job types that are a backup and may stand for one in a verdict: ``backup``, and
        those that a caller opts into by name.
    :param contents: what a backup type holds, where that is not the data: ``audit_log``. Types that hold the
        same stand for one another, and for no other.
    :param object_types: our word → the vendor's code of a workload, where rows or filters have one.
    :param workload_of_type: the vendor's number of a job type → the workload that alone has jobs of it, where
        rows carry a type and no workload.
    :param workloads: the known words for ``BackupJob.workload``, where rows carry words.
    :param housekeeping: workloads that are in truth job types: a row of one reads as a job of this type.
    :param asks_each_organization: rows may leave out their organisation, so each that a policy names is asked
        for by itself.
    :param differs_by_tenant_only: rows that do not name their organisation differ in nothing but the tenant:
        where there is one tenant, its newest backup decides.
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
        """What to say of an answer that this description does not fit, and what to do about it."""
        return f"{self.documentation_url} has it otherwise: update this provider, or report it"

    @cached_property
    def state_table(self) -> Mapping[int | str, State]:
        """Every spelling of every state: the number, and each label normalised."""
        table: dict[int | str, State] = {each.number: each for each in self.states if each.number is not None}
        for state in self.states:
            table |= {normalize_label(label): state for label in state.labels}
        return table

    @cached_property
    def job_type_words(self) -> Mapping[Code, str]:
        """The vendor's code, a text normalised → our word (the first, where a code has two)."""
        return {
            _normalize_code(code): word
            for word in reversed(tuple(self.job_types))
            for code in self.job_type_codes(word)
        }

    @cached_property
    def object_type_words(self) -> Mapping[Code, str]:
        """The vendor's code of a workload, a text normalised → our word."""
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
        """Whether every list is of one organisation, which must be named."""
        return "{organization_id}" in self.path

    @property
    def tells_locations(self) -> bool:
        """Whether jobs can be asked for by location."""
        return self.filters.location is not None

    @property
    def asks_each_object_type(self) -> bool:
        """Whether rows do not say their workload, so that each must be asked for by itself."""
        return self.filters.object_type is not None and self.columns.workload is None

    @property
    def known_workloads(self) -> tuple[str, ...]:
        """The words a caller may use for workloads, whether asked for or read from rows."""
        return tuple(self.object_types) or self.workloads

    def job_type_codes(self, word: str) -> tuple[Code, ...]:
        """Return the vendor's codes for our *word*."""
        codes = self.job_types[word]
        return codes if isinstance(codes, tuple) else (codes,)

    def canonical_job_type(self, word: str) -> str:
        """Return the word that rows get for the type that a caller calls *word*."""
        codes = self.job_type_codes(word)
        return self.job_type_words[_normalize_code(codes[0])] if codes else word

    def state_codes(self, states: frozenset[JobState]) -> list[Code]:
        """Return the vendor's codes that mean one of *states*."""
        return [
            line.code
            for line in self.states
            if line.state in states or (line.needs_finish and JobState.RUNNING in states)
        ]

    def find_state(self, value: object) -> State | None:
        """Return the line of the state table that a row's state names; None where it lists no such state.

        :raises ValueError: *value* can be no state.
        """
        number = parse_number(value)
        if number is not None:
            return self.state_table.get(number)
        if not isinstance(value, str):
            raise ValueError(f"{quoted(value)} is not a job state")  # noqa: TRY004  # a wire value, not a type
        return self.state_table.get(normalize_label(value))

    def read_job_type(self, value: object) -> str:
        """Return our word for a row's job type; an undocumented number or label is kept as text.

        :raises ValueError: *value* can be no job type.
        """
        return _read_word(value, self.job_type_words, self._job_type_labels, "job type")

    def read_workload(self, value: object) -> str:
        """Return our word for a row's workload; an undocumented number or label is kept as text.

        :raises ValueError: *value* can be no workload.
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
