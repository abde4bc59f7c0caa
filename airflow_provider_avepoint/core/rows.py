"""A vendor's row → a :class:`BackupJob`, by the product's columns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, TypeVar

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import (
    get_key,
    get_path,
    is_absent,
    normalize_label,
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
from airflow_provider_avepoint.core.product import Columns, CountKeys, ErrorKeys, Key, Product, State
from airflow_provider_avepoint.core.text import one_line, quoted

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
T = TypeVar("T")

_UNDOCUMENTED: set[tuple[str, object]] = set()


class RowReader:
    """Reads the rows of one product.

    Which key holds which column is looked up once for each set of keys that rows show, and what the vendor's
    few words mean once for each word: a listing has a million rows.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self._layouts: dict[tuple[str, ...], Columns] = {}
        self._job_type = _remember(product.read_job_type)
        self._workload = _remember(product.read_workload)
        self._state = _remember(partial(_find_state, product))

    def read(
        self,
        row: object,
        job_type: str | None = None,
        workload: str | None = None,
        organization_id: str | None = None,
        location: str | None = None,
    ) -> BackupJob:
        """Return *row* as a job; the arguments are what was asked for, and fill what the row leaves out.

        :raises AvePointPayloadError: the row lacks its id or state, or a value has a form nobody documented.
        """
        product, columns = self.product, self.product.columns
        if not isinstance(row, dict):
            raise AvePointPayloadError(f"{product.label} listed a job that is no JSON object.")
        names = self._find_names(row)
        value = row.get
        job_id = value(names.job_id)
        if is_absent(job_id) or not isinstance(job_id, (str, int)):
            raise AvePointPayloadError(f"{product.label} listed a job without {columns.job_id}.")
        job_id = str(job_id)
        if names.state is None:
            raise AvePointPayloadError(
                f"{product.label}, job {one_line(job_id, 100)}: the key {columns.state} is missing."
            )
        raw_state = value(names.state)

        key: Key | CountKeys | None = None
        duration: timedelta | None = None
        counts = record_counts = metadata_counts = NO_COUNTS
        try:
            key = columns.started_at
            started_at = parse_time(value(names.started_at))
            key = columns.finished_at
            finished_at = parse_time(value(names.finished_at))
            if started_at is not None and finished_at is not None:
                duration = finished_at - started_at
            elif columns.parse_duration is not None:
                key = columns.duration
                duration = columns.parse_duration(value(names.duration))
            key = columns.job_type
            if not is_absent(own_type := value(names.job_type)):
                job_type = self._job_type(own_type)
            key = columns.workload
            if not is_absent(own_workload := value(names.workload)):
                workload = self._workload(own_workload)
                if workload in product.housekeeping:
                    job_type = workload
            key = columns.size
            size_bytes = None if key is None else columns.parse_size(value(names.size))
            if columns.counts is not None:
                key, counts = columns.counts, self._read_main_counts(row, names)
            if columns.record_counts is not None:
                key, record_counts = columns.record_counts, _read_counts(row, names.record_counts)
            if columns.metadata_counts is not None:
                key, metadata_counts = columns.metadata_counts, _read_counts(row, names.metadata_counts)
        except ValueError as e:
            named = "" if isinstance(key, CountKeys) else f"{key}: "
            raise AvePointPayloadError(f"{product.label}, job {one_line(job_id, 100)}: {named}{e}.") from None
        own_organization = value(names.organization_id)
        return BackupJob(
            product=product.name,
            job_id=job_id,
            job_type=job_type,
            workload=workload,
            state=self._read_state(raw_state, has_finished=finished_at is not None),
            raw_state=raw_state if isinstance(raw_state, (str, int)) else None,
            started_at=started_at,
            finished_at=finished_at,
            duration=duration,
            counts=counts,
            record_counts=record_counts,
            metadata_counts=metadata_counts,
            size_bytes=size_bytes,
            organization_id=organization_id if is_absent(own_organization) else str(own_organization),
            organization_name=_text(value(names.organization_name)),
            location=location,
            errors=() if columns.errors is None else self._read_errors(job_id, row, columns.errors),
            raw=MappingProxyType(row),
        )

    def _find_names(self, row: dict[Any, Any]) -> Columns:
        """Return the columns under the names that this very row has for them."""
        shown = tuple(row)
        names = self._layouts.get(shown)
        if names is None:
            if len(self._layouts) > 1000:
                self._layouts.clear()
            names = self._layouts[shown] = _resolve(self.product.columns, shown)
        return names

    def _read_main_counts(self, row: dict[Any, Any], names: Columns) -> Counts:
        if names.counts_at is None:
            return NO_COUNTS if self.product.columns.counts_at else _read_counts(row, names.counts)
        nested = row[names.counts_at]
        if not isinstance(nested, dict):
            return NO_COUNTS
        return _read_counts(nested, self._find_names(nested).counts)

    def _read_state(self, raw: object, *, has_finished: bool) -> JobState:
        line = self._state(raw)
        if line is None:
            _warn_once(self.product, raw)
            return JobState.UNKNOWN
        if line.needs_finish and not has_finished:
            return JobState.RUNNING
        return line.state

    def _read_errors(self, job_id: str, row: Row, keys: ErrorKeys) -> tuple[JobError, ...]:
        listed = get_key(row, keys.at)
        if not listed:
            return ()
        if not isinstance(listed, list) or not all(isinstance(error, dict) for error in listed):
            raise AvePointPayloadError(
                f"{self.product.label}, job {one_line(job_id, 100)}: {keys.at} is not a list of objects."
            )
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
            raise AvePointPayloadError(
                f"{self.product.label}, job {one_line(job_id, 100)}: {keys.at}: {e}."
            ) from None


def read_license(product: Product, document: object) -> dict[str, Any]:
    """Return the licence figures of an answer, as keywords for ``LicenseConsumption``.

    :raises AvePointPayloadError: a figure is missing or has a form nobody documented: an audit must not
        take that for "nothing used".
    """
    endpoint = product.license
    figures = get_path(document, endpoint.figures if endpoint else ())
    if not isinstance(figures, Mapping):
        raise AvePointPayloadError(f"{product.label} answered without licence figures.")

    def read(parser: Callable[[object], T], name: str, *, required: bool = True) -> T:
        try:
            parsed = parser(get_key(figures, name))
        except ValueError as e:
            raise AvePointPayloadError(f"{product.label}, licence: {name}: {e}.") from None
        if parsed is None and required:
            raise AvePointPayloadError(f"{product.label} answered without the licence figure {name}.")
        return parsed

    return {
        "product": product.name,
        "out_of_policy_at": read(parse_time, "outOfPolicyTime", required=False),
        "purchased_user_seats": read(parse_integer, "purchasedUserSeats"),
        "assigned_user_seats": read(parse_integer, "assignedUserSeats"),
        "purchased_storage_gb": read(parse_integer, "purchasedStorageSize"),
        "protected_gb": read(parse_integer, "protectedSize"),
    }


def _remember(read: Callable[[Any], T]) -> Callable[[object], T]:
    """Return *read* with a memory for the few values that rows repeat."""
    # Bounded: a server may make up words as it goes. Typed: True is no 1.
    remembered = lru_cache(maxsize=256, typed=True)(read)

    def look_up(value: object) -> T:
        return remembered(value) if isinstance(value, (str, int)) else read(value)

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
    assert names is not None  # noqa: S101  # as declared
    value = row.get
    try:
        return Counts(
            total=parse_integer(value(names.total)),
            successful=parse_integer(value(names.successful)),
            failed=parse_integer(value(names.failed)),
            skipped=parse_integer(value(names.skipped)),
            warning=parse_integer(value(names.warning)),
        )
    except ValueError:
        for each in fields(names):
            try:
                parse_integer(value(name := getattr(names, each.name)))
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
        raise


def _find_name(names: Iterable[str], key: Key) -> str | None:
    """Return the name under which one of *key*'s spellings stands: the exact one, else whatever its case."""
    folded = {name.casefold(): name for name in names}
    for spelling in (key,) if isinstance(key, str) else key:
        if spelling in folded.values():
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
        if raw.isascii() and raw.isdigit():
            return product.state_table.get(int(raw))
        return product.state_table.get(normalize_label(raw))
    return None


def _warn_once(product: Product, raw: object) -> None:
    key = (product.name, str(raw))
    if key not in _UNDOCUMENTED and len(_UNDOCUMENTED) < 1000:
        _UNDOCUMENTED.add(key)
        log.warning(
            "%s shows the job state %s, which its documentation does not list; it is read as unknown, "
            "never as a success. Documentation: %s",
            product.label,
            quoted(raw),
            product.documentation_url,
        )


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return None if is_absent(value) else str(value)
