"""A vendor's row → a :class:`.BackupJob`: fast for a row as documented, tolerant of any other.

msgspec converts a row to a struct of the documented types (:mod:`.row_schema`), in one call that checks them
all. A row that does not fit goes to the :class:`.TolerantReader`. Both ways give the same job for each row
that the fast way can read.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec.structs import force_setattr

from airflow_provider_avepoint.core.fields import get_key, is_absent, read_id, read_text
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import NO_COUNTS, BackupJob, Counts, JobState
from airflow_provider_avepoint.core.products.vocabulary import Columns, Product, State
from airflow_provider_avepoint.core.row_schema import (
    Values,
    Word,
    define_counts,
    define_row,
    get_counts,
    get_metadata_counts,
    get_record_counts,
)
from airflow_provider_avepoint.core.tolerant_rows import (
    Asked,
    Identified,
    TolerantReader,
    read_raw_state,
    read_word,
)

K = TypeVar("K")
V = TypeVar("V")

__all__ = ["Asked", "Identified", "RowReader"]

# A server that shows more different ones than this makes them up: they must not fill the memory.
_MOST_REMEMBERED = 1000
_NO_ERRORS: tuple[object, ...] = (None, [])


class _Form(msgspec.Struct):
    """The documented form of the rows with one set of keys.

    :param schema: the type of their structs.
    :param names: the key of each column, as the rows spell it.
    """

    schema: type[Values]
    names: Columns


class _Words(msgspec.Struct):
    """What a row's organisation, workload and job type mean: most rows repeat those of another one.

    :param key: the same for rows of the same organisation, workload and job type.
    :param organization_id: None where the row has none, as below.
    :param organization_name: as the row has it.
    :param workload: our word.
    :param job_type: our word.
    """

    key: tuple[str | None, str | None, str | None]
    organization_id: str | None
    organization_name: str | None
    workload: str | None
    job_type: str | None


class _Fitting(Identified):
    """A row of the documented form.

    :param values: the row's values, of the documented types.
    :param words: what some of the values mean.
    """

    values: Values
    words: _Words


class RowReader(TolerantReader):
    """Reads the rows of one product: those of the documented form the fast way, others the tolerant one.

    :param product: the product.
    """

    def __init__(self, product: Product) -> None:
        super().__init__(product)
        self._owns_types = bool(product.workload_of_type)
        self._form_shown: tuple[str, ...] = ()
        self._form: _Form | None = None
        self._forms: dict[tuple[str, ...], _Form | None] = {}
        self._count_schemas: dict[tuple[str, ...], type[Values] | None] = {}
        self._words: dict[tuple[Word, ...], _Words | None] = {}
        self._states: dict[Word, tuple[State | None, str | int | None]] = {}

    def identify(self, row: object) -> Identified:
        """Return *row* with what tells it from others.

        :param row: a row, decoded from JSON.
        :raises AvePointPayloadError: *row* is no JSON object.
        """
        if row.__class__ is not dict:
            return super().identify(row)
        # Most rows show the keys of the row before; in one document, these are the very same texts.
        shown = tuple(row)
        if shown != self._form_shown:
            self._form = self._find_form(shown, row)
            self._form_shown = shown
        form = self._form
        if form is None:
            return super().identify(row)
        try:
            values = msgspec.convert(row, form.schema)
        except (msgspec.ValidationError, UnicodeEncodeError):
            return super().identify(row)
        shown_words = (values.organization_id, values.organization_name, values.workload, values.job_type)
        try:
            words = self._words[shown_words]
        except KeyError:
            words = _remember(self._words, shown_words, self._read_words(*shown_words))
        job_id = values.job_id
        if words is None or not job_id.isprintable() or is_absent(job_id):
            return super().identify(row)
        key = hash((*words.key, job_id))
        return _Fitting(row, form.names, job_id, words.organization_id, key, row, values, words)

    def build(self, given: Identified, asked: Asked) -> BackupJob:
        """Return a row as a job.

        A value that cannot be read and that no verdict reads is None, and warned of once. For one that a
        verdict reads, ``BackupJob.problems`` says what is wrong.

        :param given: the row; where it has no id, that of the job is empty.
        :param asked: fills the gaps of the row.
        """
        job = self._build_fitting(given, asked) if given.__class__ is _Fitting else None
        return super().build(given, asked) if job is None else job

    def _build_fitting(self, given: _Fitting, asked: Asked) -> BackupJob | None:
        """Return a row as a job; None where one of its values does not have the documented form after all."""
        values, words, names = given.values, given.words, given.names
        state, raw_state = self._find_state(values.state)
        counts = self._find_counts(values, names)
        if state is None or counts is None:
            return None
        if self._owns_types and asked.workload and self._hold_against(asked.workload, values.job_type):
            return None
        try:
            started_at = names.parse_time(values.started_at)
            finished_at = names.parse_time(values.finished_at)
            if started_at is not None and finished_at is not None:
                duration: timedelta | None = finished_at - started_at
            else:
                duration = None if names.parse_duration is None else names.parse_duration(values.duration)
            size_bytes = None if names.size is None else names.parse_size(values.size)
        except ValueError:
            return None
        job = BackupJob(
            product=self.product.name,
            job_id=given.job_id or "",
            job_type=words.job_type or asked.job_type,
            workload=words.workload or asked.workload,
            state=JobState.RUNNING if state.needs_finish and finished_at is None else state.state,
            raw_state=raw_state,
            started_at=started_at,
            finished_at=finished_at,
            duration=duration,
            counts=counts,
            record_counts=NO_COUNTS if names.record_counts is None else get_record_counts(values),
            size_bytes=size_bytes,
            organization_id=words.organization_id or asked.organization_id,
            organization_name=words.organization_name,
            raw=MappingProxyType(given.raw),
        )
        # For a call with more than 15 keywords, Python makes a dict first: as slow as the job itself.
        if asked.location is not None:
            force_setattr(job, "location", asked.location)
        if names.metadata_counts is not None:
            force_setattr(job, "metadata_counts", get_metadata_counts(values))
        if values.errors not in _NO_ERRORS:
            force_setattr(job, "errors", self._read_errors(given.raw))
        return job

    def _find_form(self, shown: tuple[str, ...], first: dict[Any, Any]) -> _Form | None:
        """Return the form of the rows with the keys *shown*, of which *first* is the first one.

        :returns: None where only the tolerant way can read such rows.
        """
        try:
            return self._forms[shown]
        except KeyError:
            pass
        layout = self._find_layout(shown)
        columns, names = self.product.columns, layout.names
        lacks = names.job_id is None or names.state is None or (columns.job_type and names.job_type is None)
        has_both_counts = names.counts_at is not None and names.counts is not None
        form = None
        if not (layout.doubled or lacks or has_both_counts):
            keys = dict(zip(shown, shown, strict=True))
            errors_at = None if columns.errors is None else get_key(keys, columns.errors.at)
            schema = define_row(names, errors_at, first)
            form = None if schema is None else _Form(schema, names)
        return _remember(self._forms, shown, form)

    def _find_counts(self, values: Values, names: Columns) -> Counts | None:
        """Return the main level of counts: those in the row, or in the object that holds them.

        :returns: None where the object does not have the documented form.
        """
        if names.counts_at is None:
            return NO_COUNTS if names.counts is None else get_counts(values)
        held = values.counts_at
        if held.__class__ is not dict:
            return None
        shown = tuple(held)
        try:
            schema = self._count_schemas[shown]
        except KeyError:
            layout = self._find_layout(shown)
            keys = None if layout.doubled else layout.names.counts
            schema = _remember(
                self._count_schemas, shown, None if keys is None else define_counts(keys, held)
            )
        if schema is None:
            return None
        try:
            return get_counts(msgspec.convert(held, schema))
        except (msgspec.ValidationError, UnicodeEncodeError):
            return None

    def _find_state(self, raw_state: Word) -> tuple[State | None, str | int | None]:
        """Return the documented state that a row names, and the state as we show it."""
        try:
            return self._states[raw_state]
        except KeyError:
            pass
        state = None if is_absent(raw_state) else self._state(raw_state)
        return _remember(self._states, raw_state, (state, read_raw_state(raw_state)))

    def _read_words(
        self, organization: Word, organization_name: str | None, workload: Word, job_type: Word
    ) -> _Words | None:
        """Return what these values of a row mean.

        :returns: None where the organisation's id can be none, or the job type is missing.
        """
        organization_id = read_id(organization)
        if organization_id is None and not is_absent(organization):
            return None
        if is_absent(job_type) and self.product.columns.job_type is not None:
            return None
        own_workload = None if is_absent(workload) else self._workload(workload)
        own_type = None if is_absent(job_type) else self._job_type(job_type)
        return _Words(
            key=(
                normalize_id(organization_id),
                read_word(self._workload, workload),
                read_word(self._job_type, job_type),
            ),
            organization_id=organization_id,
            organization_name=read_text(organization_name),
            workload=own_workload,
            job_type=own_workload if own_workload in self.product.housekeeping else own_type,
        )


def _remember(memory: dict[K, V], key: K, value: V) -> V:
    """Keep *value* in *memory*, and return it."""
    if len(memory) > _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value
    return value
