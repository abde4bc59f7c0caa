"""A vendor's row → a :class:`BackupJob`, by the product's columns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
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
    to_word,
)
from airflow_provider_avepoint.core.model import (
    NO_COUNTS,
    BackupJob,
    Counts,
    JobError,
    JobState,
)
from airflow_provider_avepoint.core.product import CountKeys, ErrorKeys, Key, Product, State
from airflow_provider_avepoint.core.text import one_line, quoted

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
T = TypeVar("T")

_UNDOCUMENTED: set[tuple[str, object]] = set()


class RowReader:
    """Reads the rows of one product.

    Which key holds which column is looked up once for each set of keys that rows show, not once a row.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self._layouts: dict[tuple[str, ...], dict[Key, str | None]] = {}

    def read(
        self,
        row: object,
        *,
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
        value = self._cells(row)
        job_id = value(columns.job_id)
        if is_absent(job_id) or not isinstance(job_id, (str, int)):
            raise AvePointPayloadError(f"{product.label} listed a job without {columns.job_id}.")
        job_id = str(job_id)
        shown = one_line(job_id, 100)

        def parse(parser: Callable[[object], T], key: Key | None, given: Any = ...) -> T:
            try:
                return parser(value(key) if given is ... else given)
            except ValueError as e:
                raise AvePointPayloadError(f"{product.label}, job {shown}: {key}: {e}.") from None

        started_at = parse(parse_time, columns.started_at)
        finished_at = parse(parse_time, columns.finished_at)
        if value(columns.state, _MISSING) is _MISSING:
            raise AvePointPayloadError(f"{product.label}, job {shown}: the key {columns.state} is missing.")
        raw_state = value(columns.state)
        state = self._read_state(raw_state, has_finished=finished_at is not None)

        duration: timedelta | None = None
        if started_at is not None and finished_at is not None:
            duration = finished_at - started_at
        elif columns.duration is not None and columns.parse_duration is not None:
            duration = parse(columns.parse_duration, columns.duration)

        counts_row = value
        if columns.counts_at is not None:
            nested = value(columns.counts_at)
            counts_row = self._cells(nested) if isinstance(nested, dict) else _no_cells
        own_type = value(columns.job_type)
        own_workload = value(columns.workload)
        own_organization = value(columns.organization_id)
        size = parse(parse_integer, columns.size)
        return BackupJob(
            product=product.name,
            job_id=job_id,
            job_type=job_type if is_absent(own_type) else parse(product.read_job_type, columns.job_type),
            workload=workload if is_absent(own_workload) else to_word(str(own_workload)),
            state=state,
            raw_state=raw_state if isinstance(raw_state, (str, int)) else None,
            started_at=started_at,
            finished_at=finished_at,
            duration=duration,
            counts=self._read_counts(shown, counts_row, columns.counts),
            record_counts=self._read_counts(shown, value, columns.record_counts),
            size_bytes=None if size is None else size * columns.size_unit_bytes,
            organization_id=organization_id if is_absent(own_organization) else str(own_organization),
            organization_name=_text(value(columns.organization_name)),
            location=location,
            errors=self._read_errors(shown, row, columns.errors),
            raw=MappingProxyType(row),
        )

    def _cells(self, row: dict[str, Any]) -> Callable[..., Any]:
        """Return a function from one of our keys to what *row* holds there."""
        names = tuple(row)
        layout = self._layouts.get(names)
        if layout is None:
            # A server that makes up keys as it goes must not fill the memory.
            if len(self._layouts) > 1000:
                self._layouts.clear()
            layout = self._layouts[names] = {}

        def value(key: Key | None, default: Any = None) -> Any:
            if key is None:
                return default
            try:
                name = layout[key]
            except KeyError:
                name = layout[key] = _find_name(names, key)
            return default if name is None else row[name]

        return value

    def _read_state(self, raw: object, *, has_finished: bool) -> JobState:
        line = _find_state(self.product, raw)
        if line is None:
            _warn_once(self.product, raw)
            return JobState.UNKNOWN
        if line.needs_finish and not has_finished:
            return JobState.RUNNING
        return line.state

    def _read_counts(self, job_id: str, value: Callable[..., Any], keys: CountKeys | None) -> Counts:
        if keys is None:
            return NO_COUNTS

        def read(key: Key | None) -> int | None:
            try:
                return parse_integer(value(key))
            except ValueError as e:
                raise AvePointPayloadError(f"{self.product.label}, job {job_id}: {key}: {e}.") from None

        return Counts(
            total=read(keys.total),
            successful=read(keys.successful),
            failed=read(keys.failed),
            skipped=read(keys.skipped),
            warning=read(keys.warning),
        )

    def _read_errors(self, job_id: str, row: Row, keys: ErrorKeys | None) -> tuple[JobError, ...]:
        listed = None if keys is None else get_key(row, keys.at)
        if keys is None or not listed:
            return ()
        if not isinstance(listed, list) or not all(isinstance(error, dict) for error in listed):
            raise AvePointPayloadError(
                f"{self.product.label}, job {job_id}: {keys.at} is not a list of objects."
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
            raise AvePointPayloadError(f"{self.product.label}, job {job_id}: {keys.at}: {e}.") from None


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


def _no_cells(_key: Key | None, default: Any = None) -> Any:
    return default


_MISSING = object()
