"""Load jobs into the ledger repeatedly, without losing any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.checked import CheckedOperator
from airflow_provider_avepoint.core.arguments import (
    parse_flag,
    parse_ledger,
    parse_limit,
    parse_list,
    parse_moment,
    parse_text,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.literals import check_each, check_listing, is_literal
from airflow_provider_avepoint.core.products import get_product, require_endpoint
from airflow_provider_avepoint.core.query import CLOCK_SKEW, LISTED_LATE, LONGEST_JOB, SEARCH_SPAN, shift
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.starts import find_start_range
from airflow_provider_avepoint.exceptions import to_airflow
from airflow_provider_avepoint.operators.listing import Progress

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_avepoint.hooks.avepoint import AvePointHook
    from airflow_provider_avepoint.ledger.store import Changes, Ledger, LoadPoint

__all__ = ["AvePointJobsToSqlOperator"]

# Jobs that are kept in memory and written in one transaction.
_JOBS_AT_A_TIME = 1000
_MOST_DAYS = 3650


# The arguments that say which jobs are listed.
_FILTERS = ("product", "started_after", "job_type", "object_type", "organization_id", "location")


class AvePointJobsToSqlOperator(CheckedOperator):
    """Load jobs into the ledger: new jobs, and jobs that have changed since the last load.

    A load begins at the start of the oldest job that had not ended in the last load, at least six hours
    before the last load began, and at least *reread_days* before this load. So no job is missed, each job is
    stored in its final state, and the correction of a job that has ended is stored too. (A job that has run
    for more than 30 days does not delay the next load's start.) The API's clock holds where its answers carry
    the time; a worker whose clock is wrong loses no job. Jobs are written while they are read,
    a thousand in a transaction. After a crash the next load begins where the failed load began, and writes
    what is missing. A job that one load lists twice, in two states, is written as a gate reads it: an end
    rather than a running state, and the worse of two ends. The column ``problems`` says which parts of a job
    could not be read.

    Returns ``tenant``, ``inserted``, ``updated`` and ``unchanged``. ``products`` holds the same counts for
    each product, and ``started_after``: the earliest start that was read. With *keep_schedule*, they also
    hold ``schedule_kept``.

    :param product: one product, or several: a list, or a JSON array in a string. They are loaded in turn.
    :param started_after: the earliest start to read. Where it is given, each load reads everything from here
        again, so name it with a template, such as ``{{ data_interval_start }}``, or for one load only. Unless
        it is given, the first load reads the last 30 days.
    :param reread_days: how many days each load reads again, from 0 to 3650. The correction of a job that
        started within these days is stored.
    :param job_type: as for :meth:`~airflow_provider_avepoint.hooks.avepoint.AvePointHook.iter_jobs`. Other
        values of *job_type*, *object_type*, *organization_id* or *location* are another listing, which is
        loaded by itself.
    :param object_type: as for ``iter_jobs``. Microsoft 365 jobs have a workload only if *object_type* names
        the workload.
    :param organization_id: as for ``iter_jobs``.
    :param location: as for ``iter_jobs``.
    :param keep_schedule: keep the backup schedule of the current UTC day too (Microsoft 365), so that gates
        with ``expect_scheduled`` can judge the due runs of past days. This needs the permission
        ``microsoft365backup.settings.read.all``. A schedule that cannot be read is only logged: the jobs are
        loaded all the same. Several products may be named, of which one at least has a schedule.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param ledger_conn_id: an Airflow connection to PostgreSQL or SQLite; None: ``[avepoint] ledger_conn_id``
        of Airflow's configuration, or else a SQLite file under ``AIRFLOW_HOME``.
    :param avepoint_conn_id: the id of the AvePoint connection.
    :raises AvePointLedgerError: the database fails.
    """

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "product",
        "started_after",
        "reread_days",
        "job_type",
        "object_type",
        "organization_id",
        "location",
        "keep_schedule",
        "tenant",
        "ledger_conn_id",
    )
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        product: str | list[str],
        started_after: datetime | str | None = None,
        reread_days: int | str = 3,
        job_type: str | list[str] = "backup",
        object_type: str | list[str] | None = None,
        organization_id: str | None = None,
        location: str | None = None,
        keep_schedule: bool | str = False,
        tenant: str | None = None,
        ledger_conn_id: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.started_after = started_after
        self.reread_days = reread_days
        self.job_type = job_type
        self.object_type = object_type
        self.organization_id = organization_id
        self.location = location
        self.keep_schedule = keep_schedule
        self.tenant = tenant
        self.ledger_conn_id = ledger_conn_id
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        check_listing({name: given[name] for name in _FILTERS})
        check_each(given, reread_days=lambda _, value: _parse_days(value), keep_schedule=parse_flag)
        if is_literal(given["product"]) and is_literal(given["keep_schedule"]):
            _find_scheduled(_parse_products(given["product"]), given["keep_schedule"])

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """Read and write the jobs of each product, and return the counts.

        :param context: Airflow's context of the task.
        :returns: the counts that the class describes, ready for JSON.
        :raises AvePointConfigError: an argument cannot be used.
        :raises AvePointError: the API or the database failed; the error is also an ``AirflowException``.
        """
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook
        from airflow_provider_avepoint.ledger.store import Changes, Ledger

        try:
            products = _parse_products(self.product)
            asked = parse_moment("started_after", self.started_after)
            reread = _parse_days(self.reread_days)
            scheduled = _find_scheduled(products, self.keep_schedule)
            ledger_conn_id, tenant = parse_ledger(self.ledger_conn_id, self.tenant, self.avepoint_conn_id)
            loaded: dict[str, dict[str, Any]] = {}
            total = Changes()
            with Ledger(ledger_conn_id) as ledger, AvePointHook(self.avepoint_conn_id) as hook:
                for product in products:
                    changes, since = self._load(
                        tenant, product, asked=asked, reread=reread, hook=hook, ledger=ledger
                    )
                    total = total.plus(changes)
                    loaded[product] = {**changes._asdict(), "started_after": since.isoformat()}
                    if product in scheduled:
                        loaded[product]["schedule_kept"] = self._keep_schedule(tenant, product, hook, ledger)
        except AvePointError as e:
            raise to_airflow(e) from None
        return {"tenant": tenant, **total._asdict(), "products": loaded}

    def _keep_schedule(self, tenant: str, product: str, hook: AvePointHook, ledger: Ledger) -> bool:
        """Keep the schedule; where the API does not tell it, say so, and return False."""
        try:
            schedule = hook.get_backup_schedule(parse_text("location", self.location), product=product)
        except AvePointError as e:
            self.log.warning("%s: the backup schedule was not read, and is not kept: %s", product, e)
            return False
        ledger.save_schedule(tenant, schedule)
        self.log.info("%s: the schedule of %s services is kept.", product, len(schedule.scheduled))
        return True

    def _load(
        self,
        tenant: str,
        product: str,
        *,
        asked: datetime | None,
        reread: timedelta,
        hook: AvePointHook,
        ledger: Ledger,
    ) -> tuple[Changes, datetime]:
        """Load one product; return the changes, and the earliest start that was read."""
        from airflow_provider_avepoint.ledger.store import Changes, LoadPoint, Stream

        location = parse_text("location", self.location)
        if location is None and get_product(product).tells_locations:
            location = hook.settings.location
        organization_id = parse_text("organization_id", self.organization_id)
        stream = Stream(
            tenant=tenant,
            product=product,
            location=location or "",
            organization_id=organization_id or "",
            selection=json.dumps([_sort("job_type", self.job_type), _sort("object_type", self.object_type)]),
        )
        point = ledger.load_point(stream)
        clock = hook.client.clock
        for _ in clock.rounds():
            begun_at = clock.now()
            # Of two clocks the earlier one loses nothing.
            now = min(begun_at, begun_at - clock.ahead)
            is_ahead = point is not None and max(point.begun_at, point.resume_from) > begun_at + CLOCK_SKEW
            since, loaded_from = _plan(point, asked, now, reread, is_ahead=is_ahead)
            jobs = hook.iter_jobs(
                product,
                started_after=since,
                job_type=self.job_type,
                object_type=self.object_type,
                organization_id=organization_id,
                location=location,
                with_changes=True,
            )
            batch = list(islice(jobs, _JOBS_AT_A_TIME))
        self.log.info("%s: loading what has started since %s UTC.", product, f"{since:%Y-%m-%d %H:%M:%S}")
        if is_ahead:
            self.log.warning(
                "%s: an earlier load had a clock that was ahead, so this load reads again from %s UTC.",
                product,
                f"{since:%Y-%m-%d %H:%M:%S}",
            )
            ledger.set_clock_right(tenant, product, begun_at)
        progress = Progress(self.log.info)
        resume_from = now - LISTED_LATE
        changes = Changes()
        while batch:
            changes = changes.plus(ledger.save_jobs(tenant, batch, begun_at))
            for job in batch:
                progress.add(job)
                start = find_start_range(job)[0]
                if not job.state.is_terminal and start is not None and start >= now - LONGEST_JOB:
                    resume_from = min(resume_from, start)
            batch = list(islice(jobs, _JOBS_AT_A_TIME))
        loaded = LoadPoint(loaded_from=loaded_from, resume_from=resume_from, begun_at=begun_at)
        ledger.save_load_point(stream, loaded, point)
        self.log.info(
            "%s: %s jobs inserted, %s updated, %s unchanged; the next load begins at %s UTC or before.",
            product,
            *changes,
            f"{resume_from:%Y-%m-%d %H:%M:%S}",
        )
        return changes, since


def _plan(
    point: LoadPoint | None, asked: datetime | None, now: datetime, reread: timedelta, *, is_ahead: bool
) -> tuple[datetime, datetime]:
    """Return the earliest start to read, and the start from which the ledger will be complete afterwards.

    :param point: the progress of the listing; None for a first load.
    :param asked: the earliest start that the task names.
    :param now: the present time, by the earlier one of the two clocks.
    :param reread: how much is read again.
    :param is_ahead: whether *point* was written by a clock that was ahead. Then jobs may be missing, and
        nobody knows from when on.
    """
    if point is None or point.loaded_from > now:
        since = shift(now, -SEARCH_SPAN) if asked is None else min(asked, now)
        return since, since
    since = min(point.resume_from, max(shift(now, -reread), point.loaded_from))
    if is_ahead:
        since = point.loaded_from
    if asked is not None:
        since = min(since, asked)
    return since, min(since, point.loaded_from)


def _parse_products(value: object) -> Sequence[str]:
    products = parse_list("product", value)
    if products is None:
        raise AvePointConfigError("product is None; name one product or several.")
    return products


def _find_scheduled(products: Sequence[str], keep_schedule: object) -> list[str]:
    """Return the products whose schedule is kept.

    :raises AvePointConfigError: it shall be kept, and none of the products tells it.
    """
    if not parse_flag("keep_schedule", keep_schedule):
        return []
    able = [product for product in products if get_product(product).schedule is not None]
    if not able:
        try:
            require_endpoint(products[0], "schedule", "backup schedule")
        except AvePointConfigError as e:
            raise AvePointConfigError(f"keep_schedule: {e}") from None
    return able


def _parse_days(value: object) -> timedelta:
    days = parse_limit("reread_days", value)
    if days is None or days > _MOST_DAYS:
        raise refuse("reread_days", value, f"is not a number of days from 0 to {_MOST_DAYS}.")
    return timedelta(days=days)


def _sort(name: str, value: object) -> list[str]:
    """Return the words of an argument in sorted order, so that equal arguments give equal lists."""
    return sorted(parse_list(name, value) or ())
