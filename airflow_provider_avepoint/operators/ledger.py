"""Load jobs into the ledger repeatedly, without losing any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_avepoint.core.arguments import parse_ledger, parse_list, parse_moment, parse_text
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import LISTED_LATE, LONGEST_JOB, SEARCH_SPAN
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


class AvePointJobsToSqlOperator(BaseOperator):
    """Load jobs into the ledger: new jobs, and jobs that have changed since the last load.

    A load begins at the start of the oldest job that had not ended in the last load, and at least six hours
    before the last load began. So no job is missed, and each job is stored in its final state. (A job that
    has run for more than 30 days does not delay the next load's start.) Jobs are written while they are read,
    a thousand in a transaction. After a crash the next load begins where the failed load began, and writes
    what is missing. A job that one load lists twice, in two states, is written as a gate reads it: an end
    rather than a running state, and the worse of two ends. The column ``problems`` says which parts of a job
    could not be read.

    Returns ``tenant``, ``inserted``, ``updated`` and ``unchanged``. ``products`` holds the same counts for
    each product, and ``started_after``: the earliest start that was read.

    :param product: one product, or several: a list, or a JSON array in a string. They are loaded in turn.
    :param started_after: the earliest start that the first load reads; 30 days ago unless given. A later load
        reads from here again if this is earlier than in every load before.
    :param job_type: as for :meth:`~airflow_provider_avepoint.hooks.avepoint.AvePointHook.iter_jobs`. Other
        values of *job_type*, *object_type*, *organization_id* or *location* are another listing, which is
        loaded by itself.
    :param object_type: as for ``iter_jobs``. Microsoft 365 jobs have a workload only if *object_type* names
        the workload.
    :param organization_id: as for ``iter_jobs``.
    :param location: as for ``iter_jobs``.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param ledger_conn_id: an Airflow connection to PostgreSQL or SQLite; None: a SQLite file under
        ``AIRFLOW_HOME``.
    :param avepoint_conn_id: the id of the AvePoint connection.
    :raises AvePointLedgerError: the database fails.
    """

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "product",
        "started_after",
        "job_type",
        "object_type",
        "organization_id",
        "location",
        "tenant",
        "ledger_conn_id",
    )
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        product: str | list[str],
        started_after: datetime | str | None = None,
        job_type: str | list[str] = "backup",
        object_type: str | list[str] | None = None,
        organization_id: str | None = None,
        location: str | None = None,
        tenant: str | None = None,
        ledger_conn_id: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.started_after = started_after
        self.job_type = job_type
        self.object_type = object_type
        self.organization_id = organization_id
        self.location = location
        self.tenant = tenant
        self.ledger_conn_id = ledger_conn_id

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
            products = parse_list("product", self.product)
            if products is None:
                raise AvePointConfigError("product is None; name one product or several.")
            asked = parse_moment("started_after", self.started_after)
            ledger_conn_id, tenant = parse_ledger(self.ledger_conn_id, self.tenant, self.avepoint_conn_id)
            loaded = {}
            total = Changes()
            with Ledger(ledger_conn_id) as ledger, AvePointHook(self.avepoint_conn_id) as hook:
                for product in products:
                    changes, since = self._load(tenant, product, asked, hook, ledger)
                    total = total.plus(changes)
                    loaded[product] = {**changes._asdict(), "started_after": since.isoformat()}
        except AvePointError as e:
            raise to_airflow(e) from None
        return {"tenant": tenant, **total._asdict(), "products": loaded}

    def _load(
        self, tenant: str, product: str, asked: datetime | None, hook: AvePointHook, ledger: Ledger
    ) -> tuple[Changes, datetime]:
        """Load one product; return the changes, and the earliest start that was read."""
        from airflow_provider_avepoint.ledger.store import Changes, LoadPoint, Stream

        begun_at = datetime.now(UTC)
        location = parse_text("location", self.location)
        if location is None and get_product(product).tells_locations:
            location = hook.settings.location
        organization_id = normalize_id(parse_text("organization_id", self.organization_id))
        stream = Stream(
            tenant=tenant,
            product=product,
            location=location or "",
            organization_id=organization_id or "",
            selection=json.dumps([_sort("job_type", self.job_type), _sort("object_type", self.object_type)]),
        )
        point = ledger.load_point(stream)
        since, loaded_from = _plan(point, asked, begun_at)
        jobs = hook.iter_jobs(
            product,
            started_after=since,
            job_type=self.job_type,
            object_type=self.object_type,
            organization_id=organization_id,
            location=location,
            with_changes=True,
        )
        self.log.info("%s: loading what has started since %s UTC.", product, f"{since:%Y-%m-%d %H:%M:%S}")
        progress = Progress(self.log.info)
        resume_from = begun_at - LISTED_LATE
        changes = Changes()
        while batch := list(islice(jobs, _JOBS_AT_A_TIME)):
            changes = changes.plus(ledger.save_jobs(tenant, batch, begun_at))
            for job in batch:
                progress.add(job)
                start = find_start_range(job)[0]
                if not job.state.is_terminal and start is not None and start >= begun_at - LONGEST_JOB:
                    resume_from = min(resume_from, start)
        loaded = LoadPoint(loaded_from=loaded_from, resume_from=resume_from, begun_at=begun_at)
        ledger.save_load_point(stream, loaded, point)
        self.log.info(
            "%s: %s jobs inserted, %s updated, %s unchanged; the next load begins at %s UTC.",
            product,
            *changes,
            f"{resume_from:%Y-%m-%d %H:%M:%S}",
        )
        return changes, since


def _plan(point: LoadPoint | None, asked: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """Return the earliest start to read, and the start from which the ledger will be complete afterwards."""
    if point is not None and (asked is None or asked >= point.loaded_from):
        return point.resume_from, point.loaded_from
    since = now - SEARCH_SPAN if asked is None else min(asked, now)
    return since, since


def _sort(name: str, value: object) -> list[str]:
    """Return the words of an argument in sorted order, so that equal arguments give equal lists."""
    return sorted(parse_list(name, value) or ())
