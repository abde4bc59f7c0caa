"""The columns and conditions by which the report reads the ledger's table of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, literal, not_, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from airflow_provider_avepoint.core.model import LEVELS, BackupJob, JobState
from airflow_provider_avepoint.ledger.tables import COUNTS, JOBS, Moment
from airflow_provider_avepoint.report.backups import scope_of
from airflow_provider_avepoint.report.gates import Gates, Place

if TYPE_CHECKING:
    from sqlalchemy.sql import ColumnElement

    _Moments = FunctionElement[datetime]
    _Texts = FunctionElement[str]
else:
    _Moments = _Texts = FunctionElement  # SQLAlchemy 1.4 has no such parameter

# The report names an organisation by the id for comparison: the API may spell the id in several ways.
_ORGANIZATION = JOBS.c.organization_key.label("organization_id")
#: What tells one scope from another.
SCOPE = (
    *(JOBS.c.tenant, JOBS.c.product, JOBS.c.organization_key),
    *(JOBS.c.workload, JOBS.c.location, JOBS.c.job_type),
)
#: What a job of the report is made from.
BACKUP = (
    *SCOPE,
    _ORGANIZATION,
    *(JOBS.c.job_id, JOBS.c.state, JOBS.c.raw_state, JOBS.c.started_at, JOBS.c.finished_at),
    *(JOBS.c.duration_seconds, JOBS.c.organization_name, JOBS.c.errors, JOBS.c.problems, JOBS.c.read_at),
    *(JOBS.c[f"{level}_{kind}"] for level in LEVELS for kind in COUNTS),
)


class _Before(_Moments):
    """A time minus a number of seconds, in SQL."""

    inherit_cache = True
    type = JOBS.c.started_at.type


@compiles(_Before, "postgresql")
def _compile_for_postgresql(element: _Before, compiler: Any, **kwargs: Any) -> str:
    moment, seconds = (compiler.process(each, **kwargs) for each in element.clauses)
    return f"({moment} - {seconds} * INTERVAL '1 second')"


@compiles(_Before, "sqlite")
def _compile_for_sqlite(element: _Before, compiler: Any, **kwargs: Any) -> str:
    moment, seconds = (compiler.process(each, **kwargs) for each in element.clauses)
    # The text has the form of Moment, with six digits after the second.
    return f"(strftime('%Y-%m-%d %H:%M:%f', {moment}, printf('%.3f seconds', -({seconds}))) || '000')"


class Gathered(_Texts):
    """The values of a column in several rows: a JSON list; the column holds moments or texts."""

    inherit_cache = True


@compiles(Gathered, "postgresql")
def _gather_in_postgresql(element: Gathered, compiler: Any, **kwargs: Any) -> str:
    return f"json_agg({compiler.process(element.clauses, **kwargs)})"


@compiles(Gathered, "sqlite")
def _gather_in_sqlite(element: Gathered, compiler: Any, **kwargs: Any) -> str:
    (gathered,) = element.clauses
    # A text of Moment does not name its time zone.
    zone = " || 'Z'" if isinstance(gathered.type, Moment) else ""
    return f"json_group_array({compiler.process(gathered, **kwargs)}{zone})"


#: When a job started: the same rule as BackupJob.effective_start.
START = func.coalesce(
    JOBS.c.started_at,
    case(
        (
            and_(JOBS.c.is_terminal, JOBS.c.duration_seconds.is_not(None)),
            _Before(JOBS.c.finished_at, JOBS.c.duration_seconds),
        )
    ),
)
#: When a job started; for a job without a start, when it was there.
WHEN = func.coalesce(START, JOBS.c.finished_at, JOBS.c.first_read_at)


def select_backups(gates: Gates) -> list[ColumnElement[bool]]:
    """Return the conditions that select backups.

    Backups are the jobs of the type ``backup``, and of the types that a gate names. A listing without an
    object type repeats the jobs of the listings with one; the conditions drop these copies.

    :param gates: the gates of all tenants.
    """
    twin = JOBS.alias()
    same = ("tenant", "product", "job_id", "location", "organization_key", "run_start")
    claimed = (
        select(literal(1))
        .where(*(twin.c[name] == JOBS.c[name] for name in same), twin.c.workload != "")
        .exists()
    )
    named = [
        and_(JOBS.c.tenant == tenant, JOBS.c.product == product, JOBS.c.job_type.in_(words))
        for (tenant, product), words in gates.job_types.items()
    ]
    return [
        or_(
            JOBS.c.job_type == "backup",
            and_(JOBS.c.job_type.is_(None), JOBS.c.problems != "[]"),
            *named,
        ),
        or_(JOBS.c.workload != "", not_(claimed)),
    ]


def is_partial(level: str) -> ColumnElement[bool]:
    """Return the condition for a success that a gate grades as partial: parts failed or nothing was saved.

    :param level: one of ``LEVELS``.
    """
    total, successful, failed, skipped, warning = (JOBS.c[f"{level}_{kind}"] for kind in COUNTS)
    # What is true of few rows stands first: the database looks no further then. Without the number of saved
    # objects nobody knows that there were none.
    has_done_nothing = and_(
        func.coalesce(successful, 1) == 0,
        func.coalesce(total, 0) > 0,
        func.coalesce(skipped, 0) + func.coalesce(warning, 0) == 0,
    )
    return or_(func.coalesce(failed, 0) > 0, has_done_nothing)


def place_of(row: Mapping[Any, Any]) -> Place:
    """Return the place that a job belongs to.

    :param row: a row with the columns of :data:`SCOPE`.
    """
    return _make_place(tuple(row[column.name] for column in SCOPE))


@lru_cache(maxsize=10_000)
def _make_place(values: tuple[Any, ...]) -> Place:
    tenant, product, organization, workload, location, job_type = values
    job = BackupJob(
        product=product,
        job_id="",
        job_type=job_type,
        state=JobState.UNKNOWN,
        workload=workload or None,
        organization_id=organization or None,
        location=location or None,
    )
    return Place(tenant=tenant, product=product, scope=scope_of(job))
