"""Listing to a file: both formats, several kinds of store, and never half a file under its name."""

from __future__ import annotations

import gc
import gzip
import json
import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, ObjectStoragePath
from pyarrow import json as arrow_json
from pyarrow import parquet

from airflow_provider_avepoint.core.errors import AvePointAuthError, AvePointPayloadError
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.operators.avepoint import AvePointListJobsOperator
from airflow_provider_avepoint.operators.files import JobFile, build_schema
from airflow_provider_avepoint.simulator import Simulator
from tests.hooks.drivers import required_by
from tests.operators.stores import Copying, Disk, Renaming, Uploading, attach_store, disk_full
from tests.versions import object_stores

ROOT = Path(__file__).parent.parent.parent
START = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
Store = Disk | Copying | Renaming | Uploading
# Small pages, and none on its way when a listing ends early: it would meet the next test's faults.
PAGE_BY_PAGE = {"page_size": 10, "max_concurrency": 1}
FORMATS = ["jsonl", "jsonl.gz", "parquet"]


@pytest.fixture
def attach(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that makes a store known to Airflow, for this test."""
    return partial(attach_store, monkeypatch)


@pytest.fixture(params=["path", "file", "copying", "renaming", "uploading"])
def store(request: pytest.FixtureRequest, tmp_path: Path, attach: Callable[..., Any]) -> Store:
    """Return each kind of store in turn."""
    match request.param:
        case "path":
            return Disk(tmp_path)
        case "file":
            return Disk(tmp_path, "file://")
        case kind:
            return attach({"copying": Copying, "renaming": Renaming, "uploading": Uploading}[kind]())


def let_go(store: Store) -> None:
    """Have the garbage collector close the files that a failed task left: that would upload them."""
    if isinstance(store, Uploading):
        gc.collect()


def list_jobs(**arguments: Any) -> AvePointListJobsOperator:
    return AvePointListJobsOperator(task_id="list", **({"product": "dynamics365"} | arguments))


def read_lines(content: bytes, name: str) -> list[dict[str, Any]]:
    text = gzip.decompress(content) if name.endswith(".gz") else content
    return [json.loads(line) for line in text.splitlines()]


def read_table(content: bytes) -> list[dict[str, Any]]:
    return parquet.read_table(pa.BufferReader(content)).to_pylist()


def as_line(job: BackupJob) -> dict[str, Any]:
    """Return what a line says of *job*."""
    return job.as_dict() | {
        "raw_state": None if job.raw_state is None else str(job.raw_state),
        "raw": json.dumps(dict(job.raw), separators=(",", ":")),
    }


def as_row(job: BackupJob) -> dict[str, Any]:
    """Return what a row of Parquet says of *job*."""
    return as_line(job) | {"started_at": job.started_at, "finished_at": job.finished_at}


def read_typed(path: Path) -> pa.Table:
    """Read JSON Lines as ``build_schema`` says."""
    options = arrow_json.ParseOptions(explicit_schema=build_schema(), unexpected_field_behavior="error")
    return arrow_json.read_json(path, parse_options=options)


def arrange(simulator: Simulator) -> None:
    """Add two jobs that differ in what they say."""
    simulator.add_job(
        "dynamics365",
        job_id="JAPAN",
        started_at=START,
        finished_at=START + timedelta(minutes=7),
        counts={"successful": 8, "failed": 1, "skipped": 1},
        size_bytes=4096,
        organization_name="株式会社",
    )
    simulator.add_job(
        "dynamics365", job_id="RUNNING", state="running", started_at=START, finished_at=None, counts=None
    )


def listed(*products: str) -> list[BackupJob]:
    with AvePointHook() as hook:
        return [job for product in products for job in hook.iter_jobs(product)]


def test_the_summary_of_a_file(simulator: Simulator, connect: Callable[..., str], store: Store) -> None:
    """Path, rows and counts, and no jobs: they are in the file."""
    connect()
    arrange(simulator)
    path = store.url("jobs.jsonl")

    summary = list_jobs(path=path).execute({})

    assert summary == {
        "product": "dynamics365",
        "total": 2,
        "states": {"success": 1, "running": 1},
        "newest_started_at": START.isoformat(),
        "oldest_started_at": START.isoformat(),
        "jobs": [],
        "is_truncated": True,
        "path": str(ObjectStoragePath(path)),  # in the words of the installed Airflow
        "rows": 2,
        "counts": {"dynamics365": {"success": 1, "running": 1}},
    }
    assert store.names() == ["jobs.jsonl"]


def test_json_lines_are_the_jobs(simulator: Simulator, connect: Callable[..., str], store: Store) -> None:
    """A line is the job that the hook lists, the row as received included."""
    connect()
    arrange(simulator)
    simulator.generate("m365", 40, every_seconds=60)

    jobs = listed("dynamics365", "m365")
    for name in ("jobs.jsonl", "jobs.NDJSON", "jobs.jsonl.gz", "jobs.ndjson.gz"):
        list_jobs(product=["dynamics365", "m365"], path=store.url(name)).execute({})
        assert read_lines(store.read(name), name) == [as_line(job) for job in jobs]
    assert {job.organization_name for job in jobs} >= {"株式会社"}


def test_parquet_is_the_jobs(simulator: Simulator, connect: Callable[..., str], store: Store) -> None:
    connect()
    arrange(simulator)
    simulator.generate("m365", 40, every_seconds=60)

    list_jobs(product=["dynamics365", "m365"], path=store.url("jobs.parquet")).execute({})

    assert read_table(store.read("jobs.parquet")) == [as_row(job) for job in listed("dynamics365", "m365")]


@pytest.mark.parametrize("product", PRODUCTS)
def test_each_product_fits_both_formats(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path, product: str
) -> None:
    connect()
    required = required_by(product)
    simulator.add_job(product, state="running", finished_at=None, **required)
    simulator.generate(product, 20, every_seconds=60)

    for name in ("jobs.jsonl", "jobs.parquet"):
        list_jobs(product=product, path=tmp_path / name, **required).execute({})

    with AvePointHook() as hook:
        jobs = list(hook.iter_jobs(product, **required))
    assert len(jobs) == 21
    assert read_lines((tmp_path / "jobs.jsonl").read_bytes(), "") == [as_line(job) for job in jobs]
    assert read_table((tmp_path / "jobs.parquet").read_bytes()) == [as_row(job) for job in jobs]


def full_job(**changes: Any) -> BackupJob:
    """Return a job that says everything."""
    counts = Counts(total=10, successful=6, failed=1, skipped=2, warning=1)
    error = JobError(is_error_code=True, message="Quota", url="https://errors.example/7", count=3)
    return BackupJob(
        **{
            "product": "m365",
            "job_id": "J0",
            "job_type": "backup",
            "workload": "teams",
            "state": JobState.PARTIAL,
            "raw_state": 4,
            "started_at": datetime(2026, 11, 20, 1, 2, 3, 456789, tzinfo=UTC),
            "finished_at": datetime(2026, 11, 20, 1, 3, tzinfo=UTC),
            "duration": timedelta(seconds=56.543211),
            "counts": counts,
            "record_counts": counts,
            "metadata_counts": counts,
            "size_bytes": 2**50,
            "organization_id": "contoso",
            "organization_name": "Contoso",
            "location": "EUR",
            "errors": (error, JobError()),
            "problems": ("status: 'Odd'",),
            "raw": {"id": "J0", "nested": {"list": [1, None, "é"]}},
        }
        | changes
    )


def write(
    path: Path, *jobs: BackupJob, file_format: str | None = None, then: Callable[[], Any] = lambda: None
) -> None:
    file = JobFile.parse(path, file_format)
    assert file is not None
    with file.open() as write_job:
        for job in jobs:
            write_job(job)
        then()


def test_parquet_columns(tmp_path: Path) -> None:
    """Times, figures and lists keep their types, and no field of a job is left out."""
    write(tmp_path / "jobs.parquet", full_job(), full_job(errors=(), raw_state="x", started_at=None))

    table = parquet.read_table(tmp_path / "jobs.parquet")
    counts = {"total": 10, "successful": 6, "failed": 1, "skipped": 2, "warning": 1}
    assert table.schema.names == list(full_job().as_dict())
    assert table.schema.field("started_at").type == pa.timestamp("us", tz="UTC")
    assert table.to_pylist() == [
        as_row(full_job()),
        as_row(full_job(errors=(), raw_state="x", started_at=None)),
    ]
    assert table.to_pylist()[0] == {
        "product": "m365",
        "job_id": "J0",
        "job_type": "backup",
        "workload": "teams",
        "state": "partial",
        "raw_state": "4",
        "started_at": datetime(2026, 11, 20, 1, 2, 3, 456789, tzinfo=UTC),
        "finished_at": datetime(2026, 11, 20, 1, 3, tzinfo=UTC),
        "duration": 56.543211,
        "counts": counts,
        "record_counts": counts,
        "metadata_counts": counts,
        "size_bytes": 2**50,
        "organization_id": "contoso",
        "organization_name": "Contoso",
        "location": "EUR",
        "errors": [
            {"is_error_code": True, "message": "Quota", "url": "https://errors.example/7", "count": 3},
            {"is_error_code": None, "message": None, "url": None, "count": None},
        ],
        "problems": ["status: 'Odd'"],
        "raw": '{"id":"J0","nested":{"list":[1,null,"\\u00e9"]}}',
    }


def test_the_schema_is_the_same_without_a_job(tmp_path: Path) -> None:
    """Files of a quiet day and of a busy one can be read as one table."""
    write(tmp_path / "quiet.parquet")
    write(tmp_path / "busy.parquet", full_job())

    quiet, busy = (parquet.read_table(tmp_path / f"{name}.parquet") for name in ("quiet", "busy"))
    assert (quiet.num_rows, quiet.schema) == (0, busy.schema)


def test_row_groups_are_bounded(tmp_path: Path) -> None:
    """What waits in memory is some 32 MB and a thousand jobs, however many there are."""
    names = [f"J{number}" for number in range(2500)]

    write(tmp_path / "jobs.parquet", *(full_job(job_id=name, raw={"text": "x" * 20_000}) for name in names))

    file = parquet.ParquetFile(tmp_path / "jobs.parquet")
    groups = [file.metadata.row_group(each).num_rows for each in range(file.num_row_groups)]
    assert groups == [2000, 500]
    assert file.read(["job_id"])["job_id"].to_pylist() == names


def test_every_product_in_one_file(simulator: Simulator, connect: Callable[..., str], tmp_path: Path) -> None:
    """A column has one type for all products, so that pyarrow reads the lines, with the schema or not."""
    connect()
    for product in PRODUCTS:
        simulator.generate(product, 3, every_seconds=60)
        simulator.add_job(product, state="running", finished_at=None, **required_by(product))
    with AvePointHook() as hook:
        jobs = [job for product in PRODUCTS for job in hook.iter_jobs(product, **required_by(product))]
    assert {type(job.raw_state) for job in jobs} == {int, str}

    write(tmp_path / "jobs.jsonl", *jobs)

    table = read_typed(tmp_path / "jobs.jsonl")
    assert table.to_pylist() == [as_row(job) for job in jobs]
    assert arrow_json.read_json(tmp_path / "jobs.jsonl").schema.names == build_schema().names


def test_the_schema_reads_lines_that_begin_with_nulls(tmp_path: Path) -> None:
    """The types that a reader would guess from these are wrong, and the first megabyte holds nothing else."""
    bare = BackupJob(product="m365", job_id="J", state=JobState.UNKNOWN, raw={"text": "x" * 10_000})
    write(tmp_path / "jobs.jsonl", *[bare] * 200, full_job())

    assert read_typed(tmp_path / "jobs.jsonl").to_pylist()[-1] == as_row(full_job())


def test_the_documented_way_to_read_json_lines(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path
) -> None:
    """The document names every column, and its code for pyarrow reads a listing with jobs and one without."""
    document = (ROOT / "docs" / "files.md").read_text().partition("## Files of jobs")[2]
    (code,) = re.findall(r"^```python\n(from pyarrow.*?)^```$", document, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| (`.*?) \|", document, re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(cells)) == build_schema().names
    connect()
    arrange(simulator)

    for product, rows in (("dynamics365", 2), ("m365", 0)):
        summary = list_jobs(product=product, path=tmp_path / "jobs.jsonl").execute({})
        names = {"summary": summary}
        exec(compile(code, "files.md", "exec"), names)

        jobs: Any = names["jobs"]
        assert (jobs.num_rows, jobs.schema.names) == (rows, build_schema().names)
        assert jobs.schema.types == build_schema().types


def test_no_job_is_an_empty_file(tmp_path: Path) -> None:
    """A line that holds no job would be none of JSON Lines."""
    write(tmp_path / "jobs.jsonl")
    write(tmp_path / "jobs.parquet")

    assert (tmp_path / "jobs.jsonl").read_bytes() == b""
    assert parquet.read_table(tmp_path / "jobs.parquet").equals(build_schema().empty_table())


@pytest.mark.parametrize("name", ["jobs.jsonl", "jobs.parquet"])
def test_what_json_cannot_hold_is_mended(tmp_path: Path, name: str) -> None:
    """A text that the vendor cut in the middle of an emoji is no reason to lose a million jobs.

    DuckDB refuses a whole file, or a whole query of ``raw``, for one such text; polars for a NaN.
    """
    cut = "cut \ud83d"
    kept = {"path": r"c:\ud83d", "text": 'NaN, \\"-Infinity', "한": "\ud7a3"}
    odd = {
        cut: [cut, {"whole": "👍🏽", "number": float("nan")}],
        "far": float("-inf"),
        "turned": "\udc4d\ud83d",
    }
    job = full_job(organization_name=cut, errors=(JobError(message=cut),), raw=odd | kept)

    write(tmp_path / name, full_job(), job)

    table = read_typed(tmp_path / name) if name == "jobs.jsonl" else parquet.read_table(tmp_path / name)
    whole, row = table.to_pylist()
    assert whole == as_row(full_job())
    raw = json.loads(row.pop("raw"))
    mended = {"cut ?": ["cut ?", {"whole": "👍🏽", "number": None}], "far": None, "turned": "??"}
    assert raw == mended | kept
    assert row | {"raw": ""} == as_row(job) | {
        "organization_name": "cut ?",
        "errors": [{"is_error_code": None, "message": "cut ?", "url": None, "count": None}],
        "raw": "",
    }


@pytest.mark.parametrize(
    "changes", [{"size_bytes": 2**63}, {"counts": Counts(total=-(2**70))}], ids=["size", "counts"]
)
def test_a_number_beyond_parquet_is_an_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(AvePointPayloadError, match=r"m365: .* J0 to J1 .*write jsonl"):
        write(tmp_path / "jobs.parquet", full_job(), full_job(job_id="J1", **changes))

    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "jobs.jsonl", full_job(**changes))


def test_an_error_of_the_file_is_airflows_too(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path
) -> None:
    connect()
    simulator.add_job("dynamics365", job_id="J0", started_at=START, size_bytes=2**70)

    with pytest.raises(AvePointPayloadError) as caught:
        list_jobs(path=tmp_path / "jobs.parquet").execute({})

    assert isinstance(caught.value, AirflowException)
    assert list(tmp_path.iterdir()) == []


def test_equal_jobs_make_equal_packed_files(tmp_path: Path) -> None:
    """Neither name nor time is in them, so that a copy can be told by its checksum."""
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        write(tmp_path / name, full_job())

    one, two = ((tmp_path / f"{name}.jsonl.gz").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one[4:8] == bytes(4)  # where the format has the time


def test_the_format_outranks_the_suffix(tmp_path: Path) -> None:
    for name, file_format, magic in (
        ("jobs.parquet", "jsonl", b'{"product"'),
        ("jobs.jsonl", "parquet", b"PAR1"),
        ("jobs", "jsonl", b'{"product"'),
        ("jobs.2026", "parquet", b"PAR1"),
        ("jobs.gz", "jsonl", b"\x1f\x8b"),
        ("jobs.gz", "parquet", b"PAR1"),
    ):
        write(tmp_path / name, full_job(), file_format=file_format)
        assert (tmp_path / name).read_bytes().startswith(magic), (name, file_format)


def test_rendered_templates_decide_the_same(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path
) -> None:
    connect()
    arrange(simulator)
    task = list_jobs(
        product='["dynamics365", "{{ other }}"]',
        path=f"file://{tmp_path}/{{{{ ds }}}}/jobs",
        file_format="{{ form }}",
        max_rows="{{ rows }}",
    )

    task.render_template_fields(
        {"ds": "2026-11-22", "form": "parquet", "other": "m365", "rows": 1}, task.get_template_env()
    )
    summary = task.execute({})

    assert (summary["path"], summary["rows"]) == (f"file://{tmp_path}/2026-11-22/jobs", 2)
    assert summary["counts"] == {"dynamics365": {"success": 1, "running": 1}, "m365": {}}
    assert len(summary["jobs"]) == 1
    assert len(read_table((tmp_path / "2026-11-22" / "jobs").read_bytes())) == 2


@pytest.mark.parametrize("kind", [str, Path, ObjectStoragePath])
def test_a_path_of_any_kind(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path, kind: Callable[[str], Any]
) -> None:
    connect()
    arrange(simulator)

    summary = list_jobs(path=kind(str(tmp_path / "jobs.jsonl"))).execute({})

    assert summary["path"] == str(tmp_path / "jobs.jsonl")
    assert len(read_lines((tmp_path / "jobs.jsonl").read_bytes(), "")) == 2


def test_a_relative_path(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    arrange(simulator)
    monkeypatch.chdir(tmp_path)

    list_jobs(path="new/jobs.jsonl").execute({})

    assert [path.name for path in (tmp_path / "new").iterdir()] == ["jobs.jsonl"]


UNWRITABLE: list[tuple[Any, Any, str]] = [
    ("{tmp}/jobs.csv", None, r"path: jobs\.csv .*\.jsonl, .*\.parquet.*file_format"),
    ("{tmp}/jobs", None, "path: .*file_format"),
    ("{tmp}/jobs.jsonl", "csv", "file_format: 'csv' .*jsonl, parquet"),
    ("{tmp}/jobs.jsonl", ["jsonl"], "file_format"),
    (None, "jsonl", "file_format: 'jsonl' needs a path"),
    ("", "jsonl", "path: '' names no file"),
    ("{tmp}/", "jsonl", "path: .* names no file"),
    ("file:///", "jsonl", "path: .* names no file"),
    ("s3://store@backups", "jsonl", "path: .* names no file"),
    ("{tmp}", "jsonl", "path: .* is a directory"),
    (5, "jsonl", "path: 5 is not the URL"),
    ("nonsense://bucket/jobs.jsonl", None, "path: .*nonsense"),
    ("gs://bucket/jobs.jsonl", None, "path: .*No filesystem registered.*install its provider"),
]


def test_a_place_that_cannot_be_written_is_told_before_anything_is_sent(
    simulator: Simulator, connect: Callable[..., str], attach: Callable[..., Any], tmp_path: Path
) -> None:
    connect()
    attach(Uploading())

    for path, file_format, told in UNWRITABLE:
        given = path.format(tmp=tmp_path) if isinstance(path, str) else path
        with pytest.raises(AirflowFailException, match=told):
            pytest.fail(f"{path!r}: {list_jobs(path=given, file_format=file_format).execute({})}")

    assert simulator.requests() == []


class Unreachable(object_stores.ObjectStore):
    """A store that looks its connection up when it is used, as those of Airflow's providers do."""

    @property
    def fs(self) -> Any:
        if self.conn_id == "absent":
            AvePointHook.get_connection(self.conn_id)
        raise ImportError("needs s3fs")


@pytest.mark.parametrize(("conn_id", "told"), [("absent", "absent"), ("present", "needs s3fs.*install")])
def test_a_store_that_cannot_be_reached(
    simulator: Simulator,
    connect: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    conn_id: str,
    told: str,
) -> None:
    """Its connection is not defined, or its client is not installed."""
    connect()
    monkeypatch.setitem(object_stores._STORE_CACHE, f"s3-{conn_id}", Unreachable("s3", conn_id))

    with pytest.raises(AirflowFailException, match=f"path: .*s3://{conn_id}@.*{told}"):
        list_jobs(path=f"s3://{conn_id}@backups/jobs.jsonl").execute({})

    assert simulator.requests() == []


def test_a_bad_argument_writes_nothing(
    simulator: Simulator, connect: Callable[..., str], store: Store
) -> None:
    """Not even for the products that could take it."""
    connect()
    arrange(simulator)
    store.write("jobs.jsonl", b"before")
    bad: list[dict[str, Any]] = [
        {"product": ["dynamics365", "m365"], "object_type": "teams"},
        {"product": ["dynamics365", "nonsense"]},
        {"started_after": "yesterday"},
        {"max_rows": -1},
        {"avepoint_conn_id": "elsewhere"},
    ]

    for arguments in bad:
        with pytest.raises(AirflowFailException):
            pytest.fail(f"{list_jobs(path=store.url('jobs.jsonl'), **arguments).execute({})}")

    assert simulator.requests() == []
    assert (store.names(), store.read("jobs.jsonl")) == (["jobs.jsonl"], b"before")


@pytest.mark.parametrize("module", ["pyarrow", "pyarrow.parquet"])
def test_parquet_without_pyarrow(
    simulator: Simulator,
    connect: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
) -> None:
    """The message says what to install, before anything is listed; JSON Lines need nothing."""
    connect()
    arrange(simulator)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(AirflowFailException, match=r"pip install 'airflow-provider-avepoint\[parquet\]'"):
        list_jobs(path=tmp_path / "jobs.parquet").execute({})

    assert (simulator.requests(), list(tmp_path.iterdir())) == ([], [])
    assert list_jobs(path=tmp_path / "jobs.jsonl").execute({})["rows"] == 2


# A page of jobs has come when the listing fails: what a server says, and what the task raises.
FAILURES = {
    "a payload": ({"kind": "broken_json"}, AvePointPayloadError),
    "the credentials": ({"kind": "status", "status": 401, "count": None}, AvePointAuthError),
}


@pytest.mark.no_cover
@pytest.mark.parametrize(("fault", "error"), FAILURES.values(), ids=FAILURES)
def test_a_listing_that_fails_leaves_nothing(
    simulator: Simulator,
    connect: Callable[..., str],
    store: Store,
    fault: dict[str, Any],
    error: type[Exception],
) -> None:
    """Neither half a file under the name nor a temporary one, though pages were written before."""
    connect(extra=PAGE_BY_PAGE)
    simulator.generate("dynamics365", 35, every_seconds=60)

    for form in FORMATS:
        simulator.clear_faults()
        simulator.add_fault(path="/dynamicsbackup/jobs", skip=1, **fault)
        with pytest.raises(error):
            list_jobs(path=store.url(f"jobs.{form}"), product=["m365", "dynamics365"]).execute({})
        let_go(store)
        assert store.names() == [], form
        assert getattr(store, "pending", 0) == 0, form


def test_a_file_is_replaced_by_a_whole_one_only(
    simulator: Simulator, connect: Callable[..., str], store: Store
) -> None:
    """The old one stays through a failure, and goes with the success of the retry."""
    connect(extra=PAGE_BY_PAGE)
    simulator.generate("dynamics365", 35, every_seconds=60)
    wanted = [job.job_id for job in listed("dynamics365")]

    for form in FORMATS:
        name = f"jobs.{form}"
        store.write(name, b"before")
        simulator.add_fault("broken_json", path="/dynamicsbackup/jobs", skip=1)
        task = list_jobs(path=store.url(name))

        with pytest.raises(AvePointPayloadError):
            task.execute({})
        let_go(store)
        kept = store.read(name)
        task.execute({})

        assert kept == b"before", form
        rows = read_table(store.read(name)) if form == "parquet" else read_lines(store.read(name), name)
        assert [row["job_id"] for row in rows] == wanted, form

    assert sorted(store.names()) == sorted(f"jobs.{form}" for form in FORMATS)


def test_uploads_are_streamed(
    simulator: Simulator, connect: Callable[..., str], attach: Callable[..., Any]
) -> None:
    connect()
    simulator.generate("dynamics365", 35, every_seconds=60)
    store = attach(Uploading())

    list_jobs(path=store.url("jobs.jsonl")).execute({})

    assert store.parts >= 35


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond *size*."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("form", FORMATS)
def test_a_disk_that_is_full(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path, form: str
) -> None:
    """The operating system refuses to write further: in the middle, or when the file is closed."""
    connect(extra=PAGE_BY_PAGE)
    simulator.generate("dynamics365", 35, every_seconds=60)
    (tmp_path / f"jobs.{form}").write_bytes(b"before")

    with small_disk(500), pytest.raises(OSError, match="File too large"):
        list_jobs(path=tmp_path / f"jobs.{form}").execute({})

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(f"jobs.{form}", b"before")]


@pytest.mark.parametrize("kind", [Copying, Renaming, Uploading])
def test_a_store_that_is_full(
    simulator: Simulator, connect: Callable[..., str], attach: Callable[..., Any], kind: Any
) -> None:
    connect()
    arrange(simulator)
    store = attach(kind())
    names = sorted(f"jobs.{form}" for form in FORMATS)
    for name in names:
        store.write(name, b"before")
    store.fails["write"] = disk_full()

    for name in names:
        with pytest.raises(OSError, match="No space left"):
            list_jobs(path=store.url(name)).execute({})
        let_go(store)
        assert store.read(name) == b"before"

    assert sorted(store.names()) == names
    assert getattr(store, "pending", 0) == 0


@pytest.mark.parametrize(("kind", "call"), [(Copying, "copy"), (Renaming, "rename")])
def test_a_rename_that_fails(
    simulator: Simulator, connect: Callable[..., str], attach: Callable[..., Any], kind: Any, call: str
) -> None:
    connect()
    arrange(simulator)
    store = attach(kind())
    store.write("jobs.jsonl", b"before")
    store.fails[call] = PermissionError("no rename")

    with pytest.raises(PermissionError, match="no rename"):
        list_jobs(path=store.url("jobs.jsonl")).execute({})

    assert (store.names(), store.read("jobs.jsonl")) == (["jobs.jsonl"], b"before")


def test_a_rename_that_fails_on_disk(tmp_path: Path) -> None:
    """Nothing is copied in its place: a copy would be half a file for a while."""
    path = tmp_path / "jobs.jsonl"

    with pytest.raises(IsADirectoryError):
        write(path, full_job(), then=path.mkdir)

    assert ([path], []) == (list(tmp_path.iterdir()), list(path.iterdir()))


def test_a_temporary_file_that_cannot_be_removed(
    simulator: Simulator,
    connect: Callable[..., str],
    attach: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The task ends with what went wrong first; the log names what is left."""
    connect()
    arrange(simulator)
    store = attach(Renaming())
    store.fails = {"rename": PermissionError("no rename"), "remove": PermissionError("no removal")}

    with pytest.raises(PermissionError, match="no rename"):
        list_jobs(path=store.url("jobs.jsonl")).execute({})

    (left,) = store.names()
    assert left.startswith(".avepoint-")
    assert left.endswith(".tmp")
    assert f"{left} could not be removed (no removal)" in caplog.text


def test_a_task_that_is_told_to_end_leaves_nothing(
    simulator: Simulator, connect: Callable[..., str], tmp_path: Path
) -> None:
    """Airflow 3 answers SIGTERM by ``on_kill`` alone, and kills the process five seconds later.

    By then a page has been written, and the next is waited for.
    """
    connect(extra=PAGE_BY_PAGE)
    simulator.generate("dynamics365", 35, every_seconds=60)
    simulator.add_fault("slow", seconds=30, path="/dynamicsbackup/jobs", skip=1)
    (tmp_path / "jobs.jsonl").write_bytes(b"before")
    task = list_jobs(path=tmp_path / "jobs.jsonl")
    is_over = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: task.on_kill())

    def end_task() -> None:
        while simulator.faults():  # until the second page has been asked for
            if is_over.wait(0.01):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=end_task)
    watcher.start()
    try:
        with pytest.raises(SystemExit):
            task.execute({})
    finally:
        is_over.set()
        watcher.join()
        signal.signal(signal.SIGTERM, previous)

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("jobs.jsonl", b"before")]


def test_on_kill_without_a_listing_does_nothing(simulator: Simulator, connect: Callable[..., str]) -> None:
    """Airflow calls it after an execution timeout too, which has ended the listing already."""
    connect()
    task = list_jobs()
    task.on_kill()
    task.execute({})
    task.on_kill()
