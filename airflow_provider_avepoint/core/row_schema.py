"""The documented form of a product's rows, as a type that msgspec converts a row to.

A type is made from the product's columns, in the spelling of the rows at hand. A row of this spelling that
msgspec converts has values of the documented types only: texts and numbers as they should be, counts that are
whole and not negative.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from airflow_provider_avepoint.core.model import Counts
from airflow_provider_avepoint.core.products.vocabulary import Columns, CountKeys

#: A word or a number, as the vendor writes a state, a job type, a workload or an id.
Word = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | str | None
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None
_TextCount = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,18}\Z")] | None
_KINDS = ("total", "successful", "failed", "skipped", "warning")


class Values:
    """The values of a row, by the names of our columns: None for a column that such rows do not have.

    :param has_text_counts: whether the main counts are texts, as AvePoint Elements documents them.
    """

    __slots__ = ()

    has_text_counts = False
    job_id: Any = None
    state: Any = None
    started_at: Any = None
    finished_at: Any = None
    job_type: Any = None
    workload: Any = None
    duration: Any = None
    size: Any = None
    organization_id: Any = None
    organization_name: Any = None
    errors: Any = None
    counts_at: Any = None
    total: Any = None
    successful: Any = None
    failed: Any = None
    skipped: Any = None
    warning: Any = None
    record_total: Any = None
    record_successful: Any = None
    record_failed: Any = None
    record_skipped: Any = None
    record_warning: Any = None
    metadata_total: Any = None
    metadata_successful: Any = None
    metadata_failed: Any = None
    metadata_skipped: Any = None
    metadata_warning: Any = None


class _TextValues(Values):
    __slots__ = ()

    has_text_counts = True


def define_row(names: Columns, errors_at: str | None, first: dict[Any, Any]) -> type[Values] | None:
    """Return the type of the rows with the columns *names*.

    :param names: the key of each column, as the rows spell it; None for a column that they do not have.
    :param errors_at: the key of the list of errors, if they have one.
    :param first: one of the rows, which shows whether counts are texts.
    :returns: None where two columns have one key.
    """
    columns = {
        "job_id": (names.job_id, str),
        "state": (names.state, Word),
        "started_at": (names.started_at, Any),
        "finished_at": (names.finished_at, Any),
        "job_type": (names.job_type, Word),
        "workload": (names.workload, Word),
        "duration": (names.duration, Any),
        "size": (names.size, Any),
        "organization_id": (names.organization_id, Word),
        "organization_name": (names.organization_name, str | None),
        "errors": (errors_at, Any),
        "counts_at": (names.counts_at, Any),
        **_list_counts(names.record_counts, "record_"),
        **_list_counts(names.metadata_counts, "metadata_"),
    }
    return _define(columns, names.counts, first)


def define_counts(keys: CountKeys, first: dict[Any, Any]) -> type[Values] | None:
    """Return the type of the objects that hold a row's counts.

    :param keys: the key of each count, as the objects spell it.
    :param first: one of the objects, which shows whether counts are texts.
    :returns: None where two counts have one key.
    """
    return _define({}, keys, first)


def get_counts(values: Values) -> Counts:
    """Return the main level of counts.

    :param values: the values of a row, or of the object that holds its counts.
    """
    if values.has_text_counts:
        texts = {kind: getattr(values, kind) for kind in _KINDS}
        return Counts(**{kind: None if text is None else int(text) for kind, text in texts.items()})
    return Counts(
        total=values.total,
        successful=values.successful,
        failed=values.failed,
        skipped=values.skipped,
        warning=values.warning,
    )


def get_record_counts(values: Values) -> Counts:
    """Return the counts of records.

    :param values: the values of a row.
    """
    return Counts(
        total=values.record_total,
        successful=values.record_successful,
        failed=values.record_failed,
        skipped=values.record_skipped,
        warning=values.record_warning,
    )


def get_metadata_counts(values: Values) -> Counts:
    """Return the counts of metadata.

    :param values: the values of a row.
    """
    return Counts(
        total=values.metadata_total,
        successful=values.metadata_successful,
        failed=values.metadata_failed,
        skipped=values.metadata_skipped,
        warning=values.metadata_warning,
    )


def _define(
    columns: dict[str, tuple[Any, Any]], counts: CountKeys | None, first: dict[Any, Any]
) -> type[Values] | None:
    is_text = counts is not None and isinstance(first.get(counts.total), str)
    columns |= _list_counts(counts, "", _TextCount if is_text else _Count)
    keys = {column: key for column, (key, _) in columns.items() if key is not None}
    if len(set(keys.values())) < len(keys):
        return None
    defined: Any = msgspec.defstruct(
        "Row",
        [(column, columns[column][1]) for column in keys],
        bases=(_TextValues if is_text else Values, msgspec.Struct),
        rename=keys,
    )
    return defined  # type: ignore[no-any-return]  # a struct, and Values as well


def _list_counts(keys: CountKeys | None, prefix: str, kind: Any = _Count) -> dict[str, tuple[Any, Any]]:
    return {} if keys is None else {prefix + each: (getattr(keys, each), kind) for each in _KINDS}
