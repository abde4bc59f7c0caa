"""A vendor's listing as a function: what any query would bring, asked by itself or for many together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.policy import OTHER, Policy
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import JobQuery
from airflow_provider_avepoint.core.verdict import Verdict

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
ORGANIZATIONS = ("contoso", "fabrikam", "{Tailspin}", "wingtip", "northwind", "adatum")
#: What is judged together, and what a random policy may ask for.
JUDGED = ("dynamics365", "salesforce", "m365", "iaas_paas", "elements", "google_workspace")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job at the vendor: what it is, whatever a row of it shows.

    :param is_named: whether its row says its organisation, where rows of the product can.
    """

    job_id: str
    job_type: str
    state: JobState
    started_at: datetime | None
    finished_at: datetime | None
    counts: Counts
    organization_id: str
    is_named: bool
    workload: str | None
    location: str | None


def list_jobs(rows: Iterable[Row], query: JobQuery) -> list[BackupJob]:
    """Return what a listing that asks *query* brings: the server's filters, then ours."""
    product, filters = query.product, query.product.filters
    jobs: dict[tuple[str | None, str], BackupJob] = {}
    for row in rows:
        wanted = normalize_id(query.organization_id)
        of_organization = wanted is None or normalize_id(row.organization_id) == wanted
        if (filters.organization_id or product.needs_organization) and not of_organization:
            continue
        if filters.location and query.location not in (None, row.location):
            continue
        if filters.job_type and query.job_type not in (None, row.job_type):
            continue
        if filters.object_type and query.object_type not in (None, row.workload):
            continue
        job = _read(row, query)
        if query.matches(job):
            jobs.setdefault((job.organization_id, job.job_id), job)
    return list(jobs.values())


def _read(row: Row, query: JobQuery) -> BackupJob:
    columns = query.product.columns
    shows_organization = columns.organization_id is not None and row.is_named
    return BackupJob(
        product=query.product.name,
        job_id=row.job_id,
        job_type=row.job_type if columns.job_type else query.job_type,
        workload=row.workload if columns.workload else query.object_type,
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=row.counts,
        organization_id=row.organization_id if shows_organization else query.organization_id,
        location=query.location,
    )


def describe(verdict: Verdict) -> list[Any]:
    """Return all of a verdict that somebody could act on."""
    return [
        verdict.passed,
        verdict.reason.value,
        [
            (
                scope.scope.as_dict(),
                scope.passed,
                scope.reason.value,
                scope.job and (scope.job.job_id, scope.job.state, scope.job.started_at),
                sorted(job.job_id for job in scope.open_jobs),
                scope.is_settled,
            )
            for scope in verdict.scopes
        ],
    ]


def _workloads(product: Product) -> list[str]:
    return [word for word in product.known_workloads if word not in product.housekeeping][:3]


@st.composite
def rows_of(draw: st.DrawFn, product: Product, *, is_named: bool | None = None) -> list[Row]:
    """Draw what a vendor holds: few ids, few times, so that what could be confused often is.

    :param is_named: whether rows say their organisation; None for some of them.
    """
    hours = st.sampled_from([None, -48, -0.05, 0.5, 1, 2, 12, 23.9, 24.1, 48, 100, 200, 800])
    workloads = _workloads(product)
    # An id is one job of one organisation, where anybody can tell that there are two.
    tells_apart = product.tells_organizations and is_named
    drawn = draw(
        st.lists(
            st.builds(
                dict,
                job_id=st.sampled_from(["J1", "J2", "J3", "J4", "J5", "J6", "J7", "J8"]),
                job_type=st.sampled_from([*product.backup_types, "backup", "restore"]),
                state=st.sampled_from([*JobState, *[JobState.SUCCESS, JobState.FAILED] * 4]),
                start=hours,
                lasts=st.sampled_from([None, 0.25, 1]),
                counts=st.sampled_from([Counts(), Counts(total=10, failed=0), Counts(total=10, failed=1)]),
                organization_id=st.sampled_from(ORGANIZATIONS),
                is_named=st.booleans() if is_named is None else st.just(is_named),
                workload=st.sampled_from(
                    [*workloads, None] if product.asks_each_object_type else workloads or [None]
                ),
                location=st.sampled_from(["EUR", "NAM", None]) if product.tells_locations else st.none(),
            ),
            max_size=14,
            unique_by=lambda row: (row["organization_id"] if tells_apart else None, row["job_id"]),
        )
    )
    rows = []
    for fields in drawn:
        start, lasts = fields.pop("start"), fields.pop("lasts")
        started_at = None if start is None else NOW - timedelta(hours=start)
        finished_at = None if lasts is None else (started_at or NOW) + timedelta(hours=lasts)
        rows.append(Row(started_at=started_at, finished_at=finished_at, **fields))
    return rows


@st.composite
def policies_of(draw: st.DrawFn, product: Product) -> Policy:
    """Draw a policy of *product*: any that can be written."""
    hours = st.sampled_from([1, 12, 24, 72])
    some = st.lists(st.sampled_from(ORGANIZATIONS), min_size=1, max_size=3, unique=True)
    spelled = some.map(lambda names: [f" {names[0]}\n", *names[1:]])
    arguments: dict[str, Any] = {"product": product.name}
    window = draw(st.sampled_from(["max_age", "started_after", "both"]))
    if window != "started_after":
        arguments["max_age"] = draw(hours) * 3600
    if window != "max_age":
        arguments["started_after"] = NOW - timedelta(hours=draw(hours))
    arguments["expect_seen_within"] = draw(st.sampled_from([None, 3600, 86400, 7 * 86400]))
    if product.needs_organization or (product.tells_organizations and draw(st.booleans())):
        arguments["organization_ids"] = draw(st.one_of(some, spelled))
    workloads = _workloads(product)
    if workloads and draw(st.booleans()):
        arguments["object_types"] = draw(st.lists(st.sampled_from(workloads), min_size=1, unique=True))
    if product.tells_locations and draw(st.booleans()):
        arguments["locations"] = draw(st.lists(st.sampled_from(["EUR", "NAM"]), min_size=1, unique=True))
    arguments["job_type"] = draw(
        st.lists(st.sampled_from(product.backup_types), min_size=1, max_size=2, unique=True)
    )
    arguments["decide_by"] = draw(st.sampled_from([None, "newest", "any", "all"]))
    limit = draw(st.sampled_from([None, "accept_partial", "max_failed", "max_failed_ratio"]))
    if limit is not None:
        arguments[limit] = {"accept_partial": True, "max_failed": 1, "max_failed_ratio": 0.05}[limit]
    arguments["fail_fast"] = draw(st.booleans())
    if draw(st.integers(0, 4)) == 0:
        excluded = (
            {"organization_id": ORGANIZATIONS[0]} if product.tells_organizations else {"workload": OTHER}
        )
        arguments["exclude"] = [{**excluded, "until": "2026-12-31", "reason": "moved"}]
    try:
        return Policy(**arguments)
    except AvePointConfigError:
        arguments.pop("exclude", None)
        return Policy(**arguments)


@st.composite
def job_queries_of(draw: st.DrawFn, product: Product) -> JobQuery:
    """Draw what a wait for one job asks at its first look."""
    is_named = product.needs_organization or (product.tells_organizations and draw(st.booleans()))
    return JobQuery(
        product=product,
        started_after=NOW - timedelta(days=draw(st.sampled_from([1, 30]))),
        organization_id=draw(st.sampled_from(ORGANIZATIONS)) if is_named else None,
        location=draw(st.sampled_from(["EUR", None])) if product.tells_locations else None,
        job_id=draw(st.sampled_from(["J1", "J2", "nobody's"])),
    )


def products() -> list[Product]:
    return [get_product(name) for name in JUDGED]
