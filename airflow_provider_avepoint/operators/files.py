"""Files of jobs: JSON Lines or Parquet, streamed; both have the columns of :func:`build_schema`."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointPayloadError
from airflow_provider_avepoint.core.model import BackupJob, Counts
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.operators.stores import check_path, find_file, replace

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.compat.sdk import ObjectStoragePath

__all__ = ["JobFile", "build_schema"]

#: Writes one job to a file.
Write = Callable[[BackupJob], object]

# Limits of memory: jobs before they become columns, and bytes of columns before they become a row group.
_BATCH_JOBS = 1000
_ROW_GROUP_BYTES = 32 * 1024**2

# Tells zlib to write gzip's header and trailer.
_GZIP = 16 + zlib.MAX_WBITS

_encode_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
# In JSON: a text, or a number that only Python's JSON has; a whole character, or half of one.
_NO_NUMBER = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|-?(?:NaN|Infinity)')
_HALF = re.compile(r"(\\\\|\\ud[89ab]..\\ud[c-f]..)|\\ud[89a-f]..")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A file for jobs, and the encoding of its lines or columns.

    :param path: the file's path or URL.
    :param encode: takes the open binary file; returns a context manager whose value writes one job.
    """

    path: ObjectStoragePath
    encode: Callable[[IO[bytes]], AbstractContextManager[Write]]

    @classmethod
    def parse(cls, path: object, file_format: object) -> JobFile | None:
        """Check the path and the format, and return the file; None where there is no path.

        :param path: a path, or a URL that ``ObjectStoragePath`` takes; None for no file.
        :param file_format: ``jsonl`` or ``parquet``; None takes the format from the path's suffix.
        :raises AvePointConfigError: the path cannot be written to, or not in this format.
        """
        if path is None:
            _require_no_format(file_format)
            return None
        place = find_file(path)
        encode = _ENCODINGS[_find_format(place.name.casefold(), file_format)]
        if encode is _encode_parquet:
            _import_pyarrow()
        elif place.name.casefold().endswith(".gz"):
            encode = _encode_gzip
        return cls(path=place, encode=encode)

    @contextmanager
    def open(self) -> Iterator[Write]:
        """Yield a function that writes one job; the file appears only if the block ends without an error."""
        with replace(self.path) as file, self.encode(file) as write:
            yield write


def check_file(path: object, file_format: object) -> None:
    """Check what is written out of a path and a format; no store is asked.

    :param path: a path, or a URL that ``ObjectStoragePath`` takes; None for no file.
    :param file_format: ``jsonl`` or ``parquet``; None takes the format from the path's suffix.
    :raises AvePointConfigError: this is no path, or the format is not known.
    """
    if path is None:
        _require_no_format(file_format)
    else:
        _find_format(check_path("path", path).casefold(), file_format)


def _require_no_format(file_format: object) -> None:
    if file_format is not None:
        raise AvePointConfigError(f"file_format: {file_format!r} needs a path to write to.")


def _find_format(name: str, file_format: object) -> str:
    if file_format is None:
        for suffix, known in _SUFFIXES.items():
            if name.endswith(suffix):
                return known
        raise AvePointConfigError(
            f"path: {name} says no format by its suffix ({', '.join(_SUFFIXES)}); give file_format."
        )
    return parse_format("file_format", file_format)


def parse_format(name: str, value: object) -> str:
    """Parse the format of a file.

    :param name: the argument's name.
    :param value: ``jsonl`` or ``parquet``.
    :raises AvePointConfigError: the format is not known.
    """
    if not isinstance(value, str) or value not in _ENCODINGS:
        raise refuse(name, value, f"is not one of {', '.join(_ENCODINGS)}.")
    return value


def _import_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401  # fail before the first request if pyarrow is missing
    except ImportError as e:
        raise AvePointConfigError(
            "file_format: Parquet needs pyarrow; pip install 'airflow-provider-avepoint[parquet]', or write "
            f"jsonl. ({e})"
        ) from None


def _write_lines(put: Callable[[bytes], object]) -> Write:
    def write(job: BackupJob) -> None:
        put(f"{_to_json(_to_row(job))}\n".encode("ascii"))

    return write


@contextmanager
def _encode_jsonl(file: IO[bytes]) -> Iterator[Write]:
    yield _write_lines(file.write)


@contextmanager
def _encode_gzip(file: IO[bytes]) -> Iterator[Write]:
    # The header has neither name nor time, so equal jobs make equal files. GzipFile is not used: when the
    # garbage collector closes a GzipFile, the GzipFile writes to the full disk once more.
    packer = zlib.compressobj(6, wbits=_GZIP)

    def put(line: bytes) -> None:
        if packed := packer.compress(line):
            file.write(packed)

    yield _write_lines(put)
    file.write(packer.flush())


@contextmanager
def _encode_parquet(file: IO[bytes]) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import parquet

    schema = build_schema()
    jobs: list[BackupJob] = []
    batches: list[pa.RecordBatch] = []

    def write(job: BackupJob) -> None:
        jobs.append(job)
        if len(jobs) == _BATCH_JOBS:
            flush()
            if sum(batch.nbytes for batch in batches) >= _ROW_GROUP_BYTES:
                write_group()

    def flush() -> None:
        batches.append(_to_columns(jobs, schema))
        jobs.clear()

    def write_group() -> None:
        writer.write_table(pa.Table.from_batches(batches, schema))
        batches.clear()

    with parquet.ParquetWriter(file, schema) as writer:
        yield write
        flush()
        write_group()


def build_schema() -> pa.Schema:
    """Return the columns of a file: the fields of ``BackupJob``, the same for every product and both formats.

    Durations are in seconds. ``raw_state`` is a text for every product. ``raw``, the row as received, is a
    JSON text, because each product has keys of its own. JSON Lines write times in ISO 8601.

    A Parquet file holds this schema. A reader of JSON Lines needs it: the first lines may hold nothing but
    nulls in a column, and a listing without a job writes an empty file. pyarrow takes it as
    ``ParseOptions(explicit_schema=build_schema())``, polars as ``schema=polars.Schema(build_schema())``,
    DuckDB as ``columns``. pyarrow refuses an empty file even so: it is ``build_schema().empty_table()``.
    ``docs/files.md`` has the code.
    """
    import pyarrow as pa

    text, count, moment = pa.string(), pa.int64(), pa.timestamp("us", tz="UTC")
    counts = pa.struct([(each.name, count) for each in fields(Counts)])
    error = pa.struct([("is_error_code", pa.bool_()), ("message", text), ("url", text), ("count", count)])
    return pa.schema(
        [
            pa.field("product", text, nullable=False),
            pa.field("job_id", text, nullable=False),
            pa.field("job_type", text),
            pa.field("workload", text),
            pa.field("state", text, nullable=False),
            pa.field("raw_state", text),
            pa.field("started_at", moment),
            pa.field("finished_at", moment),
            pa.field("duration", pa.float64()),
            pa.field("counts", counts),
            pa.field("record_counts", counts),
            pa.field("metadata_counts", counts),
            pa.field("size_bytes", count),
            pa.field("organization_id", text),
            pa.field("organization_name", text),
            pa.field("location", text),
            pa.field("errors", pa.list_(error)),
            pa.field("problems", pa.list_(text)),
            pa.field("raw", text, nullable=False),
        ]
    )


def _to_columns(jobs: list[BackupJob], schema: pa.Schema) -> pa.RecordBatch:
    """Return *jobs* as columns.

    :raises AvePointPayloadError: a number is larger than Parquet's integers.
    """
    import pyarrow as pa

    rows = [_to_row(job) for job in jobs]
    try:
        try:
            return pa.RecordBatch.from_pylist(_add_times(rows, jobs), schema=schema)
        except UnicodeEncodeError:  # the vendor cut a text in the middle of a character
            mended = [json.loads(_to_json(row)) for row in rows]
            return pa.RecordBatch.from_pylist(_add_times(mended, jobs), schema=schema)
    except OverflowError as e:
        raise AvePointPayloadError(
            f"{jobs[0].product}: a number among the jobs {one_line(jobs[0].job_id, 100)} to "
            f"{one_line(jobs[-1].job_id, 100)} is larger than Parquet's integers ({e}); write jsonl."
        ) from None


def _add_times(rows: list[dict[str, Any]], jobs: list[BackupJob]) -> list[dict[str, Any]]:
    """Return *rows* with the times of *jobs* as datetimes."""
    return [
        row | {"started_at": job.started_at, "finished_at": job.finished_at}
        for row, job in zip(rows, jobs, strict=True)
    ]


def _to_row(job: BackupJob) -> dict[str, Any]:
    """Return *job* in the columns of :func:`build_schema`, ready for JSON."""
    return {
        **job.as_dict(),
        "raw_state": None if job.raw_state is None else str(job.raw_state),
        "raw": _to_json(dict(job.raw)),
    }


def _to_json(value: Any) -> str:
    """Return *value* as JSON in ASCII that every reader takes.

    Half a character becomes a question mark; a NaN and an infinity become null.
    """
    text = _encode_json(value)
    if "NaN" in text or "Infinity" in text:
        text = _NO_NUMBER.sub(lambda found: found[1] or "null", text)
    if "\\ud" in text:
        text = _HALF.sub(lambda found: found[1] or "?", text)
    return text


_ENCODINGS = {"jsonl": _encode_jsonl, "parquet": _encode_parquet}
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson.gz": "jsonl",
    ".parquet": "parquet",
}
