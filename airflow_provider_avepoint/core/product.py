"""The vocabulary in which a product is described: paths, names at the wire, tables of numbers, paging.

A product is data (see ``products``); the code that reads it is :mod:`.rows`, :mod:`.question` and
:mod:`.paging`. A product that needs code of its own means that a word is missing here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.fields import normalize_label, to_iso, to_word
from airflow_provider_avepoint.core.model import JobState

#: A key of a row, or several of which the documents show now one, now another.
Key = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """One line of a product's state table.

    :param number: the vendor's number, in filters and (for most products) in rows.
    :param labels: the vendor's spellings; case, spaces, hyphens and underscores do not count.
    :param needs_finish: the documents leave open whether the state is final: without a finish time the
        job counts as running.
    """

    number: int
    labels: tuple[str, ...]
    state: JobState
    needs_finish: bool = False


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
    :param parse_duration: how the vendor's own duration is written.
    :param size_unit_bytes: bytes in one unit of the size column.
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
    size: Key | None = None
    size_unit_bytes: int = 1
    organization_id: Key | None = None
    organization_name: Key | None = None
    errors: ErrorKeys | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The names of the query parameters; None where the product has no such filter.

    :param always: parameters sent with this value where the question does not set them.
    :param write_time: how the window's ends are written.
    """

    started_after: str
    started_before: str
    write_time: Callable[[datetime], str] = to_iso
    window_required: bool = False
    job_type: str
    state: str
    object_type: str | None = None
    organization_id: str | None = None
    location: str | None = None
    always: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How the product cuts a listing into pages.

    :param sizes: page sizes to try, largest first; the next is tried where the server refuses one.
    :param token: the parameter that takes a next link which is an opaque token.
    """

    index: str
    size: str
    token: str = "skiptoken"  # noqa: S105  # a parameter's name
    sizes: tuple[int, ...] = (1000, 500, 200, 100, 50, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Where an answer holds its rows, its next link and its total."""

    rows: tuple[str, ...]
    link: tuple[str, ...]
    total: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEndpoint:
    """The endpoint for one job: its path with ``{job_id}``, and where the row stands."""

    path: str
    row: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseEndpoint:
    """The endpoint for licence figures: its path, permission, and where the figures stand."""

    path: str
    permission: str
    figures: tuple[str, ...]
    location: str | None = None


@dataclass(frozen=True, kw_only=True)
class Product:
    """One product, described.

    :param label: the vendor's name of it.
    :param permission: the OAuth scope, which is the permission of the app registration.
    :param job_types: our word → the vendor's number.
    :param backup_types: the job types that are a backup and may stand for one in a verdict: ``backup``, and
        those that a caller opts into by name.
    :param object_types: our word → the vendor's number, where jobs are asked for by object type.
    :param workloads: the known words for ``BackupJob.workload``, where rows carry it.
    """

    name: str
    label: str
    documentation_url: str
    permission: str
    path: str
    columns: Columns
    filters: Filters
    paging: Paging
    envelope: Envelope
    states: tuple[State, ...]
    job_types: Mapping[str, int]
    backup_types: tuple[str, ...] = ("backup",)
    object_types: Mapping[str, int] = field(default_factory=dict)
    workloads: tuple[str, ...] = ()
    job: JobEndpoint | None = None
    license: LicenseEndpoint | None = None

    @cached_property
    def state_table(self) -> Mapping[int | str, State]:
        """Every spelling of every state: the number, and each label normalised."""
        table: dict[int | str, State] = {state.number: state for state in self.states}
        for state in self.states:
            table |= {normalize_label(label): state for label in state.labels}
        return table

    @cached_property
    def job_type_words(self) -> Mapping[int, str]:
        """The vendor's number → our word (the first, where a number has two)."""
        return {number: word for word, number in reversed(tuple(self.job_types.items()))}

    @property
    def tells_organizations(self) -> bool:
        """Whether jobs can be told apart by organisation."""
        return bool(self.columns.organization_id or self.filters.organization_id)

    @property
    def tells_locations(self) -> bool:
        """Whether jobs can be asked for by location."""
        return self.filters.location is not None

    @property
    def known_workloads(self) -> tuple[str, ...]:
        """The words a caller may use for workloads, whether asked for or read from rows."""
        return tuple(self.object_types) or self.workloads

    def state_numbers(self, states: frozenset[JobState]) -> list[int]:
        """Return the vendor's numbers that mean one of *states*."""
        return [
            line.number
            for line in self.states
            if line.state in states or (line.needs_finish and JobState.RUNNING in states)
        ]

    def read_job_type(self, value: object) -> str:
        """Return our word for a row's job type; an undocumented number is kept as text."""
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return self.job_type_words.get(value, str(value))
        if isinstance(value, str):
            return to_word(value)
        raise ValueError(f"{value!r} is not a job type")


_PRODUCTS: dict[str, Product] = {}


def register(product: Product) -> Product:
    """Add *product* to the table that :func:`get_product` reads."""
    _PRODUCTS[product.name] = product
    return product


def all_products() -> Mapping[str, Product]:
    """Return every product by name, in the order of the table in ``products``.

    That package is found by name, the way a plugin is: core knows the vocabulary, not who uses it.
    """
    if not _PRODUCTS:
        importlib.import_module("airflow_provider_avepoint.products")
    return _PRODUCTS


def get_product(name: object) -> Product:
    """Return the product called *name*.

    :raises AvePointConfigError: there is none; the message lists those there are.
    """
    products = all_products()
    if isinstance(name, str) and name in products:
        return products[name]
    raise AvePointConfigError(f"product: {name!r} is not known; known are {', '.join(products)}.")
