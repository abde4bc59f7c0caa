"""Read a vendor's row in any form that can be understood, and note what cannot.

This is the slow way, which knows all the rules: keys in another case, one column under several names, numbers
as texts, values that cannot be read. :mod:`.rows` takes the fast way for rows as the vendor documents them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from airflow_provider_avepoint.core.errors import AvePointPayloadError
from airflow_provider_avepoint.core.fields import (
    get_key,
    is_absent,
    parse_integer,
    parse_number,
    read_id,
    read_text,
)
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import (
    NO_COUNTS,
    BackupJob,
    Counts,
    JobError,
    JobState,
)
from airflow_provider_avepoint.core.products.vocabulary import (
    Columns,
    CountKeys,
    Key,
    Product,
)
from airflow_provider_avepoint.core.text import quoted, storable

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
T = TypeVar("T")

_UNDOCUMENTED: set[tuple[str, ...]] = set()


class Identified(msgspec.Struct):
    """A row with what tells it from others.

    :param row: the row, with each column under one name.
    :param names: the columns, under the names that *row* has for them.
    :param job_id: None where the row has none.
    :param organization_id: None where the row has none.
    :param key: the same for two rows of one job, another for rows of two jobs.
    :param raw: the row as received.
    """

    row: dict[Any, Any]
    names: Columns
    job_id: str | None
    organization_id: str | None
    key: int
    raw: dict[Any, Any]


class Asked(NamedTuple):
    """What a listing was asked for: it fills the gaps of the rows. None means any value.

    :param job_type: a job type word.
    :param workload: a workload word.
    :param organization_id: an organisation's id.
    :param location: a Multi-Geo location.
    """

    job_type: str | None = None
    workload: str | None = None
    organization_id: str | None = None
    location: str | None = None


class Layout(NamedTuple):
    """How the rows with one set of keys spell the columns.

    :param names: the name of each column.
    :param doubled: the columns that such rows have under several names, each with these names.
    """

    names: Columns
    doubled: tuple[tuple[str, tuple[str, ...]], ...]


class TolerantReader:
    """Reads the rows of one product.

    A listing may have a million rows, so the reader remembers the layout of each set of keys, and the meaning
    of each word.

    :param product: the product.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._shown: tuple[str, ...] = ()
        self._layout = Layout(product.columns, ())
        self._job_type = _remember(self._read_job_type)
        self._workload = _remember(product.read_workload)
        self._state = _remember(product.find_state)
        self._organization = _remember(read_id)

    def identify(self, row: object) -> Identified:
        """Return *row* with what tells it from others.

        :param row: a row, decoded from JSON.
        :raises AvePointPayloadError: *row* is no JSON object.
        """
        if not isinstance(row, dict):
            raise AvePointPayloadError(
                f"{self.product.label} listed a job that is no JSON object; {self.product.undocumented}."
            )
        # Most rows show the keys of the row before; in one document, these are the very same texts.
        shown = tuple(row)
        if shown != self._shown:
            self._layout = self._find_layout(shown)
        self._shown = shown
        names, doubled = self._layout
        settled = self._settle(row, doubled) if doubled else row
        value = settled.get
        job_id = read_id(value(names.job_id))
        organization = self._organization(value(names.organization_id))
        key = hash(
            (
                normalize_id(organization) if organization is not None else None,
                read_word(self._workload, value(names.workload)),
                read_word(self._job_type, value(names.job_type)),
                job_id if job_id is not None else repr(row),
            )
        )
        return Identified(settled, names, job_id, organization, key, row)

    def read(self, row: object, **asked: str | None) -> BackupJob:
        """Return *row* as a job; see :meth:`build`.

        :param row: a row, decoded from JSON.
        :param asked: the fields of :class:`Asked`.
        :raises AvePointPayloadError: *row* is no JSON object, or has no id.
        """
        given = self.identify(row)
        if given.job_id is None:
            raise self.lacks_id()
        return self.build(given, Asked(**asked))

    def is_no_job(self, given: Identified) -> bool:
        """Tell whether a row without an id stands for no job, but for a service that has no job yet.

        :param given: the row.
        """
        if given.job_id is not None:
            return False
        try:
            line = self._state(given.row.get(given.names.state))
        except ValueError:
            return False
        return line is not None and line.is_no_job

    def lacks_id(self) -> AvePointPayloadError:
        """Return the error for a row without an id; it names the key that is missing."""
        product = self.product
        return AvePointPayloadError(
            f"{product.label} listed a job without {_show(product.columns.job_id)}; {product.undocumented}."
        )

    def build(self, given: Identified, asked: Asked) -> BackupJob:
        """Return a row as a job.

        A value that cannot be read and that no verdict reads is None, and warned of once. For one that a
        verdict reads, ``BackupJob.problems`` says what is wrong.

        :param given: the row; where it has no id, that of the job is empty.
        :param asked: fills the gaps of the row.
        """
        try:
            return self._build(given, asked)
        except ValueError:
            mended, problems = self._mend(given)
            return self._build(mended, asked, problems)

    def _build(self, given: Identified, asked: Asked, problems: tuple[str, ...] = ()) -> BackupJob:
        """Return a row as a job.

        :raises ValueError: one of its values cannot be read.
        """
        row, names, raw, own_organization = given.row, given.names, given.raw, given.organization_id
        job_type, workload, organization_id, location = asked
        product = self.product
        value = row.get
        started_at = names.parse_time(value(names.started_at))
        finished_at = names.parse_time(value(names.finished_at))
        if started_at is not None and finished_at is not None:
            duration: timedelta | None = finished_at - started_at
        else:
            read_duration = names.parse_duration
            duration = None if read_duration is None else read_duration(value(names.duration))
        own_type = value(names.job_type)
        if not is_absent(own_type):
            job_type = self._job_type(own_type)
            if workload is not None and product.workload_of_type:
                problems += self._hold_against(workload, own_type)
        elif product.columns.job_type is not None and is_absent(raw.get(names.job_type)):
            problems += (f"{_show(product.columns.job_type)} is missing",)
        if not is_absent(own_workload := value(names.workload)):
            workload = self._workload(own_workload)
            if workload in product.housekeeping:
                job_type = workload
        raw_state = value(names.state)
        if is_absent(raw_state):
            state = JobState.UNKNOWN
            if is_absent(raw.get(names.state)):
                problems += (f"{_show(product.columns.state)} is missing",)
        else:
            state = self._read_state(raw_state, has_finished=finished_at is not None)
        if own_organization is None and not is_absent(stated := value(names.organization_id)):
            problems += (f"{names.organization_id}: {quoted(stated)} is not an id",)
            organization_id = None
        return BackupJob(
            product=product.name,
            job_id=given.job_id or "",
            job_type=job_type,
            workload=workload,
            state=state,
            raw_state=read_raw_state(raw_state),
            started_at=started_at,
            finished_at=finished_at,
            duration=duration,
            counts=self._read_main_counts(row, names),
            record_counts=_read_counts(row, names.record_counts),
            metadata_counts=_read_counts(row, names.metadata_counts),
            size_bytes=None if names.size is None else names.parse_size(value(names.size)),
            organization_id=own_organization or organization_id,
            organization_name=read_text(value(names.organization_name)),
            location=location,
            errors=() if product.columns.errors is None else self._read_errors(row),
            problems=problems,
            raw=MappingProxyType(raw),
        )

    def _mend(self, given: Identified) -> tuple[Identified, tuple[str, ...]]:
        """Return a row without the values that cannot be read, and what is wrong with decisive ones."""
        names = given.names
        row = dict(given.row)
        problems: list[str] = []

        def drop(name: str | None, problem: ValueError | str) -> None:
            problems.append(f"{name}: {problem}")
            row[name] = None

        decisive: tuple[tuple[Any, Callable[[object], object]], ...] = (
            (names.started_at, names.parse_time),
            (names.finished_at, names.parse_time),
            (names.job_type, self._read_if_there(self._job_type)),
            (names.workload, self._read_if_there(self._workload)),
            (names.state, self._read_if_there(self._state)),
        )
        for name, read in decisive:
            try:
                read(row.get(name))
            except ValueError as e:
                drop(name, e)
        self._leave_out_unread(row, names)
        problems += self._drop_unreadable_counts(row, names)
        return msgspec.structs.replace(given, row=row), tuple(problems)

    def _leave_out_unread(self, row: dict[Any, Any], names: Columns) -> None:
        """Set the values of *row* to None that cannot be read and that no verdict reads."""
        for name, parse in ((names.duration, names.parse_duration), (names.size, names.parse_size)):
            try:
                if name is not None and parse is not None:
                    parse(row.get(name))
            except ValueError:
                _warn_once(self.product, str(name), row[name], "it is left out")
                row[name] = None

    def _drop_unreadable_counts(self, row: dict[Any, Any], names: Columns) -> list[str]:
        """Set each level of counts in *row* to None that cannot be read; return what is wrong with them."""
        problems = []
        try:
            self._read_main_counts(row, names)
        except ValueError as e:
            problems.append(str(e))
            row |= dict.fromkeys([names.counts_at, *_list_names(names.counts)])
        for keys in (names.record_counts, names.metadata_counts):
            try:
                _read_counts(row, keys)
            except ValueError as e:
                problems.append(str(e))
                row |= dict.fromkeys(_list_names(keys))
        return problems

    @staticmethod
    def _read_if_there(read: Callable[[object], T]) -> Callable[[object], T | None]:
        return lambda value: None if is_absent(value) else read(value)

    def _hold_against(self, workload: str, own_type: object) -> tuple[str, ...]:
        """Return what is wrong if a row's type belongs to another service than the one that was asked for."""
        number = parse_number(own_type)
        belongs_to = None if number is None else self.product.workload_of_type.get(number)
        if belongs_to in (None, workload):
            return ()
        asked_by = self.product.filters.object_type
        problem = f"type {number} belongs to {belongs_to}, but {workload} was asked for"
        return (f"{problem}: the server does not filter by {asked_by}",)

    def start_of(self, given: Identified) -> datetime | None:
        """Return when a row's job started; None where the row does not say, or the value cannot be read.

        :param given: the row.
        """
        try:
            return given.names.parse_time(given.row.get(given.names.started_at))
        except ValueError:
            return None

    def _find_layout(self, shown: tuple[str, ...]) -> Layout:
        """Return how the rows with the keys *shown* spell the columns."""
        layout = self._layouts.get(shown)
        if layout is None:
            if len(self._layouts) > 1000:  # a server that makes up keys must not fill the memory
                self._layouts.clear()
            doubled: dict[str, tuple[str, ...]] = {}
            names = _resolve(self.product.columns, shown, doubled)
            layout = self._layouts[shown] = Layout(names, tuple(doubled.items()))
        return layout

    def _settle(self, row: dict[Any, Any], doubled: Iterable[tuple[str, tuple[str, ...]]]) -> dict[Any, Any]:
        """Return *row* with one value for each column that it has under several names.

        Empty values do not count. Of two states or counts, the worse one holds. If two values of another
        column differ, the value is the list of both, which no parser reads.
        """
        settled = dict(row)
        for column, names in doubled:
            values = [row[name] for name in names if not is_absent(row[name])]
            settled[names[0]] = self._choose(column, values)
        return settled

    def _choose(self, column: str, values: list[Any]) -> Any:
        if not values:
            return None
        if all(value == values[0] for value in values[1:]):
            return values[0]
        try:
            if column == "state":
                return max(values, key=self._badness)
            if (worse := _WORSE_COUNT.get(column)) is not None:
                return worse(map(parse_integer, values))
        except ValueError:
            pass
        return values

    def _badness(self, raw_state: object) -> int:
        line = self._state(raw_state)
        return _BADNESS[JobState.UNKNOWN if line is None else line.state]

    def _read_main_counts(self, row: dict[Any, Any], names: Columns) -> Counts:
        """Return the main level of counts: from the row, from the object in it that holds them, or from both.

        :raises ValueError: a count cannot be read.
        """
        counts_at = self.product.columns.counts_at
        counts = _read_counts(row, names.counts)
        if counts_at is None or is_absent(held := row.get(names.counts_at)):
            return counts
        nested = _open_nested(held)
        if nested is None:
            return counts
        layout = self._find_layout(tuple(nested))
        if layout.doubled:
            nested = self._settle(nested, layout.doubled)
        inner = _read_counts(nested, layout.names.counts)
        return inner if counts is NO_COUNTS else _take_worse(inner, counts)

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

    def _read_errors(self, row: Row) -> tuple[JobError, ...]:
        """Return the errors that a row lists, in any form: no verdict reads them."""
        keys = self.product.columns.errors
        listed = None if keys is None else get_key(row, keys.at)
        if keys is None or is_absent(listed):
            return ()
        return tuple(
            JobError(
                is_error_code=_flag(get_key(error, keys.is_error_code)),
                message=read_text(get_key(error, keys.message)),
                url=read_text(get_key(error, keys.url)),
                count=self._read_error_count(get_key(error, keys.count)),
            )
            if isinstance(error, dict)
            else JobError(message=read_text(error))
            for error in (listed if isinstance(listed, list) else [listed])
            if not is_absent(error)
        )

    def _read_error_count(self, raw: object) -> int | None:
        try:
            return parse_integer(raw)
        except ValueError:
            _warn_once(self.product, "number of errors", raw, "it is left out")
            return None


def _show(key: Key) -> str:
    return key if isinstance(key, str) else " or ".join(key)


def _remember(read: Callable[[Any], T]) -> Callable[[object], T]:
    """Return a function like *read* that remembers the few values that rows repeat."""
    remembered: dict[object, T] = {}

    def look_up(value: object) -> T:
        if value.__class__ is not str and value.__class__ is not int:  # a dict takes True for 1
            return read(value)
        try:
            return remembered[value]
        except KeyError:
            if len(remembered) > 1000:  # a server that makes up words must not fill the memory
                remembered.clear()
            found = remembered[value] = read(value)
            return found

    return look_up


def _resolve(declared: T, shown: tuple[str, ...], doubled: dict[str, tuple[str, ...]]) -> T:
    """Return *declared* (columns, or the keys of counts) with each key as the row spells it, else None.

    :param doubled: gets the columns that the row has under several names.
    """
    resolved: dict[str, Any] = {}
    for each in fields(declared):  # type: ignore[arg-type]  # both are dataclasses
        value = getattr(declared, each.name)
        if isinstance(value, CountKeys):
            inner: dict[str, tuple[str, ...]] = {}
            keys = _resolve(value, shown, inner)
            resolved[each.name] = keys if _list_names(keys) else None
            doubled |= {f"{each.name}.{name}": found for name, found in inner.items()}
        elif isinstance(value, (str, tuple)):
            found = _find_names(shown, value)
            resolved[each.name] = found[0] if found else None
            if len(found) > 1:
                doubled[each.name] = found
    return replace(declared, **resolved)  # type: ignore[type-var]


def _read_counts(row: dict[Any, Any], names: CountKeys | None) -> Counts:
    """Return one level of counts.

    :raises ValueError: a value cannot be a count; the message says which one.
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
        for name in _list_names(names):
            try:
                parse_integer(value(name))
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
        raise AssertionError("unreachable: one of them is no count") from None


# Of two counts of the same objects, the one that makes the job worse.
_WORSE: Mapping[str, Callable[..., Any]] = {
    "total": max,
    "failed": max,
    "successful": min,
    "skipped": min,
    "warning": min,
}
_WORSE_COUNT = {
    f"{level}.{kind}": worse
    for level in ("counts", "record_counts", "metadata_counts")
    for kind, worse in _WORSE.items()
}
# The states, each further from a pass than the one before.
_BADNESS = {
    state: badness
    for badness, state in enumerate(
        (
            JobState.SUCCESS,
            JobState.PARTIAL,
            JobState.SKIPPED,
            JobState.STOPPED,
            JobState.WAITING,
            JobState.RUNNING,
            JobState.UNKNOWN,
            JobState.FAILED,
        )
    )
}


def _take_worse(one: Counts, other: Counts) -> Counts:
    """Return one level of counts from two readings: of two figures, the worse one."""
    chosen = {}
    for kind, worse in _WORSE.items():
        known = [each for each in (getattr(one, kind), getattr(other, kind)) if each is not None]
        chosen[kind] = worse(known) if known else None
    return Counts(**chosen)


def _open_nested(held: object) -> dict[Any, Any] | None:
    """Return the object that holds a row's counts, which may be written as JSON in a text or in a list.

    :returns: None where there is none.
    :raises ValueError: the value has another form.
    """
    if isinstance(held, dict):
        return held
    if isinstance(held, str):
        try:
            opened = json.loads(held)
        except (ValueError, RecursionError):
            opened = held
        if opened is None or isinstance(opened, (dict, list)):
            held = opened
    if isinstance(held, list) and len(held) < 2:
        held = held[0] if held else None
    if held is None or isinstance(held, dict):
        return held
    raise ValueError(f"the counts are {quoted(held)}")


def _list_names(keys: CountKeys | None) -> list[str]:
    """Return the keys of one level of counts, as a row spells them."""
    names = [] if keys is None else [getattr(keys, each.name) for each in fields(keys)]
    return [name for name in names if name is not None]


def _find_names(names: tuple[str, ...], key: Key) -> tuple[str, ...]:
    """Return those of *names* that spell *key*, whatever their case; the exact spelling comes first."""
    spellings = (key,) if isinstance(key, str) else key
    folded = [spelling.casefold() for spelling in spellings]
    found = [name for name in names if isinstance(name, str) and name.casefold() in folded]
    return tuple(sorted(found, key=lambda name: (name not in spellings, folded.index(name.casefold()))))


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


def read_word(read: Callable[[object], str], value: object) -> str | None:
    """Return our word for a row's type or workload; for a value that cannot be read, how the value looks.

    :param read: returns the word, or raises ValueError.
    :param value: what the row says.
    :returns: None where the row says nothing.
    """
    if value is None:
        return None
    try:
        return read(value)
    except ValueError:
        return quoted(value)


def read_raw_state(value: object) -> str | int | None:
    """Return a row's state as the vendor wrote it; None where it is neither a text nor a whole number.

    :param value: what the row says.
    """
    if isinstance(value, str):
        return storable(value)
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else parse_number(value)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
