"""A vendor's row → a :class:`BackupJob`, by the product's columns."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import (
    get_key,
    get_path,
    is_absent,
    normalize_label,
    parse_date,
    parse_digits,
    parse_integer,
    parse_time,
)
from airflow_provider_avepoint.core.model import (
    NO_COUNTS,
    BackupJob,
    Counts,
    JobError,
    JobState,
)
from airflow_provider_avepoint.core.product import (
    Columns,
    CountKeys,
    Key,
    LicenseColumns,
    Product,
    State,
    SubscriptionEndpoint,
)
from airflow_provider_avepoint.core.text import one_line, quoted, storable

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
T = TypeVar("T")

_UNDOCUMENTED: set[tuple[str, ...]] = set()

#: A row; the columns, under the names that it has for them; its id; its organisation, where it says so.
Identified = tuple[dict[Any, Any], Columns, str, str | None]


class RowReader:
    """Reads the rows of one product.

    Which key holds which column is looked up once for each set of keys that rows show, and what the vendor's
    few words mean once for each word: a listing has a million rows.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self._layouts: dict[tuple[str, ...], Columns] = {}
        self._shown: tuple[str, ...] = ()
        self._names = product.columns
        self._job_type = _remember(self._read_job_type)
        self._workload = _remember(product.read_workload)
        self._state = _remember(partial(_find_state, product))

    def identify(self, row: object) -> Identified:
        """Return *row* with what tells it from others.

        :raises AvePointPayloadError: it has no id.
        """
        product = self.product
        if not isinstance(row, dict):
            raise AvePointPayloadError(
                f"{product.label} listed a job that is no JSON object; {product.undocumented}."
            )
        # Most rows show what the one before has shown; of one document, the very same texts.
        shown = tuple(row)
        if shown != self._shown:
            self._names = self._find_names(shown)
        self._shown = shown
        names = self._names
        job_id = row.get(names.job_id)
        if is_absent(job_id) or not _is_id(job_id):
            raise AvePointPayloadError(
                f"{product.label} listed a job without {_show(product.columns.job_id)}; "
                f"{product.undocumented}."
            )
        organization = row.get(names.organization_id)
        if is_absent(organization):
            return row, names, str(job_id), None
        if not _is_id(organization):
            key = _show(product.columns.organization_id or "")
            raise self._error(str(job_id), f"{key}: {quoted(organization)} is not an id")
        return row, names, str(job_id), str(organization)

    def read(self, row: object, **asked: str | None) -> BackupJob:
        """Return *row* as a job; see :meth:`build`.

        :raises AvePointPayloadError: as :meth:`identify` and :meth:`build` do.
        """
        return self.build(self.identify(row), **asked)

    def build(
        self,
        given: Identified,
        job_type: str | None = None,
        workload: str | None = None,
        organization_id: str | None = None,
        location: str | None = None,
    ) -> BackupJob:
        """Return a row as a job; the arguments are what was asked for, and fill what the row leaves out.

        :raises AvePointPayloadError: the row lacks its state, or a value has a form nobody documented.
        """
        row, names, job_id, own_organization = given
        product = self.product
        if names.state is None:
            raise self._error(job_id, f"the key {_show(product.columns.state)} is missing")
        value = row.get
        raw_state = value(names.state)
        at = "started_at"  # what is being read, for messages
        try:
            started_at = parse_time(value(names.started_at))
            at = "finished_at"
            finished_at = parse_time(value(names.finished_at))
            at = "duration"
            duration = self._read_duration(started_at, finished_at, names, value)
            at = "job_type"
            if not is_absent(own_type := value(names.job_type)):
                job_type = self._job_type(own_type)
            at = "workload"
            if not is_absent(own_workload := value(names.workload)):
                workload = self._workload(own_workload)
                if workload in product.housekeeping:
                    job_type = workload
            at = "size"
            size_bytes = None if names.size is None else names.parse_size(value(names.size))
            at = ""
            counts = self._read_main_counts(row, names)
            record_counts = _read_counts(row, names.record_counts)
            metadata_counts = _read_counts(row, names.metadata_counts)
        except ValueError as e:
            named = f"{_show(getattr(product.columns, at))}: " if at else ""
            raise self._error(job_id, f"{named}{e}") from None
        return BackupJob(
            product=product.name,
            job_id=job_id,
            job_type=job_type,
            workload=workload,
            state=self._read_state(raw_state, has_finished=finished_at is not None),
            raw_state=storable(raw_state) if isinstance(raw_state, str) else _whole(raw_state),
            started_at=started_at,
            finished_at=finished_at,
            duration=duration,
            counts=counts,
            record_counts=record_counts,
            metadata_counts=metadata_counts,
            size_bytes=size_bytes,
            organization_id=own_organization or organization_id,
            organization_name=_text(value(names.organization_name)),
            location=location,
            errors=() if product.columns.errors is None else self._read_errors(job_id, row),
            raw=MappingProxyType(row),
        )

    def start_of(self, given: Identified) -> datetime | None:
        """Return when a row's job started; None where it does not say, or not so that it can be read."""
        try:
            row, names, *_ = given
            return parse_time(row.get(names.started_at))
        except ValueError:
            return None

    def _find_names(self, shown: tuple[str, ...]) -> Columns:
        """Return the columns under the names that a row with the keys *shown* has for them."""
        names = self._layouts.get(shown)
        if names is None:
            if len(self._layouts) > 1000:  # a server that makes up keys must not fill the memory
                self._layouts.clear()
            names = self._layouts[shown] = _resolve(self.product.columns, shown)
        return names

    @staticmethod
    def _read_duration(
        started_at: datetime | None, finished_at: datetime | None, names: Columns, value: Callable[..., Any]
    ) -> timedelta | None:
        if started_at is not None and finished_at is not None:
            return finished_at - started_at
        return None if names.parse_duration is None else names.parse_duration(value(names.duration))

    def _read_main_counts(self, row: dict[Any, Any], names: Columns) -> Counts:
        if self.product.columns.counts_at is None:
            return _read_counts(row, names.counts)
        nested = row.get(names.counts_at)
        if not isinstance(nested, dict):
            return NO_COUNTS
        return _read_counts(nested, self._find_names(tuple(nested)).counts)

    def _error(self, job_id: str, problem: str) -> AvePointPayloadError:
        return AvePointPayloadError(
            f"{self.product.label}, job {one_line(job_id, 100)}: {problem}; {self.product.undocumented}."
        )

    def _read_job_type(self, raw: object) -> str:
        word = self.product.read_job_type(raw)
        if word not in self.product.job_types:
            _warn_once(self.product, "job type", raw, "it never counts as a backup")
        return word

    def _read_state(self, raw: object, *, has_finished: bool) -> JobState:
        line = self._state(raw)
        if line is None:
            _warn_once(self.product, "job state", raw, "it is read as unknown, never as a success")
            return JobState.UNKNOWN
        if line.needs_finish and not has_finished:
            return JobState.RUNNING
        return line.state

    def _read_errors(self, job_id: str, row: Row) -> tuple[JobError, ...]:
        keys = self.product.columns.errors
        listed = None if keys is None else get_key(row, keys.at)
        if keys is None or not listed:
            return ()
        if not isinstance(listed, list) or not all(isinstance(error, dict) for error in listed):
            raise self._error(job_id, f"{keys.at} is not a list of objects")
        try:
            return tuple(
                JobError(
                    is_error_code=_flag(get_key(error, keys.is_error_code)),
                    message=_text(get_key(error, keys.message)),
                    url=_text(get_key(error, keys.url)),
                    count=parse_integer(get_key(error, keys.count)),
                )
                for error in listed
            )
        except ValueError as e:
            raise self._error(job_id, f"{keys.at}: {e}") from None


def read_license(product: Product, document: object) -> dict[str, Any]:
    """Return the licence figures of an answer, as keywords for ``LicenseConsumption``.

    :raises AvePointPayloadError: a figure is missing or has a form nobody documented: an audit must not
        take that for "nothing used".
    """
    endpoint = product.license
    assert endpoint is not None  # noqa: S101  # its answer is what is read
    figures = get_path(document, endpoint.figures)
    if not isinstance(figures, Mapping):
        raise AvePointPayloadError(f"{product.label} answered without licence figures.")
    return _read_figures(product, endpoint.columns, figures)


def read_customer_id(product: Product, endpoint: SubscriptionEndpoint, row: object) -> str:
    """Return the id of a partner's customer.

    :raises AvePointPayloadError: there is none.
    """
    found = get_key(row, endpoint.organization_id) if isinstance(row, Mapping) else None
    if is_absent(found) or not _is_id(found):
        raise AvePointPayloadError(f"{product.label} listed a customer without {endpoint.organization_id}.")
    return str(found)


def read_subscriptions(
    product: Product, endpoint: SubscriptionEndpoint, customer: Row
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each subscription of a customer, as keywords for ``LicenseConsumption``.

    Several of one name are numbered, so that each has a history of its own.

    :raises AvePointPayloadError: there is no list of them, or one has no name, or a figure is missing or has
        a form nobody documented.
    """
    rows = get_key(customer, endpoint.subscriptions)
    if not isinstance(rows, list):
        raise AvePointPayloadError(f"{product.label} listed a customer without {endpoint.subscriptions}.")
    names: Counter[str] = Counter()
    for row in rows:
        parts = [get_key(row, key) for key in endpoint.service] if isinstance(row, Mapping) else []
        name = ", ".join(filter(None, map(_text, parts)))
        if not name:
            raise AvePointPayloadError(
                f"{product.label} listed a subscription without {endpoint.service[0]}."
            )
        names[name] += 1
        yield {
            **_read_figures(product, endpoint.columns, row),
            "organization_id": read_customer_id(product, endpoint, customer),
            "organization_name": _text(get_key(customer, endpoint.organization_name)),
            "service": name if names[name] == 1 else f"{name} ({names[name]})",
        }


def _read_figures(product: Product, columns: LicenseColumns, row: Row) -> dict[str, Any]:
    def read(parser: Callable[[object], T], key: str | None) -> T | None:
        try:
            return parser(get_key(row, key)) if key else None
        except ValueError as e:
            raise AvePointPayloadError(f"{product.label}, licence: {key}: {e}.") from None

    def read_figure(parser: Callable[[object], T], key: str) -> T | None:
        figure = read(parser, key)
        if figure is None and (columns.not_applicable is None or get_key(row, key) != columns.not_applicable):
            raise AvePointPayloadError(f"{product.label} answered without the licence figure {key}.")
        return figure

    return {
        "product": product.name,
        "out_of_policy_at": read(parse_time, columns.out_of_policy_at),
        "purchased_user_seats": read_figure(parse_integer, columns.purchased_user_seats),
        "assigned_user_seats": read_figure(parse_integer, columns.assigned_user_seats),
        "purchased_storage_gb": read_figure(columns.parse_storage, columns.purchased_storage_gb),
        "protected_gb": read_figure(columns.parse_storage, columns.protected_gb),
        "expires_at": read(parse_date, columns.expires_at),
    }


def _show(key: Key) -> str:
    return key if isinstance(key, str) else " or ".join(key)


def _remember(read: Callable[[Any], T]) -> Callable[[object], T]:
    """Return *read* with a memory for the few values that rows repeat."""
    remembered: dict[object, T] = {}

    def look_up(value: object) -> T:
        if value.__class__ is not str and value.__class__ is not int:  # True would be found as 1
            return read(value)
        try:
            return remembered[value]
        except KeyError:
            if len(remembered) > 1000:  # a server that makes up words must not fill the memory
                remembered.clear()
            found = remembered[value] = read(value)
            return found

    return look_up


def _resolve(declared: T, shown: tuple[str, ...]) -> T:
    """Return *declared* (columns, or the keys of counts) with each key as the row spells it, else None."""
    resolved: dict[str, Any] = {}
    for each in fields(declared):  # type: ignore[arg-type]  # both are dataclasses
        value = getattr(declared, each.name)
        if isinstance(value, CountKeys):
            resolved[each.name] = _resolve(value, shown)
        elif isinstance(value, (str, tuple)):
            resolved[each.name] = _find_name(shown, value)
    return replace(declared, **resolved)  # type: ignore[type-var]


def _read_counts(row: dict[Any, Any], names: CountKeys | None) -> Counts:
    """Return one level of counts.

    :raises ValueError: a count is none; the message says which.
    """
    if names is None:
        return NO_COUNTS
    value = row.get
    try:
        return Counts(
            total=parse_integer(value(names.total)),
            successful=parse_integer(value(names.successful)),
            failed=parse_integer(value(names.failed)),
            skipped=None if names.skipped is None else parse_integer(value(names.skipped)),
            warning=None if names.warning is None else parse_integer(value(names.warning)),
        )
    except ValueError:
        for each in fields(names):
            try:
                parse_integer(value(name := getattr(names, each.name)))
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
        raise AssertionError("unreachable: one of them is no count") from None


def _find_name(names: tuple[str, ...], key: Key) -> str | None:
    """Return the name under which one of *key*'s spellings stands: the exact one, else whatever its case."""
    folded = {name.casefold(): name for name in names}
    for spelling in (key,) if isinstance(key, str) else key:
        if spelling in names:
            return spelling
        if (name := folded.get(spelling.casefold())) is not None:
            return name
    return None


def _find_state(product: Product, raw: object) -> State | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return product.state_table.get(raw)
    if isinstance(raw, str):
        number = parse_digits(raw)
        return product.state_table.get(normalize_label(raw) if number is None else number)
    return None


def _warn_once(product: Product, what: str, raw: object, meaning: str) -> None:
    key = (product.name, what, quoted(raw))
    if key not in _UNDOCUMENTED and len(_UNDOCUMENTED) < 1000:
        _UNDOCUMENTED.add(key)
        log.warning(
            "%s shows the %s %s, which its documentation does not list; %s. Documentation: %s",
            product.label,
            what,
            quoted(raw),
            meaning,
            product.documentation_url,
        )


def _is_id(value: object) -> bool:
    """Tell whether *value* can be an id: whatever cannot be shown or stored as it is would be another one."""
    return type(value) is int or (type(value) is str and value.isprintable())


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    if is_absent(value):
        return None
    return storable(value) if isinstance(value, str) else quoted(value)
