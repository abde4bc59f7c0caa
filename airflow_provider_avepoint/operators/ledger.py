"""Load jobs into the ledger, again and again, and lose none."""

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

# Kept in memory, and written in one transaction.
_JOBS_AT_A_TIME = 1000


class AvePointJobsToSqlOperator(BaseOperator):
    """Load jobs into the ledger: those that are new, and those that have changed since the last load.

    A load reads from the start of the oldest job that had not ended at the last one, six hours before that
    load at the latest, so that no job is missed and each ends in its last state. (What has run for more than
    30 days is not waited for.) Jobs are written as they come, a thousand a transaction; after a crash the
    next load begins where this one did, and writes what is missing. A job that is listed twice in one load,
    and otherwise, is written as a gate reads it: its end, and of two ends the worse. What of a job cannot be
    read stands in its column ``problems``.

    Returns ``tenant``, ``inserted``, ``updated`` and ``unchanged``, and in ``products`` the same for each
    product, with ``started_after``: from when on it was read.

    :param product: one product, or several: a list, or a JSON array in a string. They are loaded in turn.
    :param started_after: how far back the first load goes, 30 days unless given; a later load goes back
        again where this is earlier than all loads before.
    :param job_type: as for :meth:`~airflow_provider_avepoint.hooks.avepoint.AvePointHook.iter_jobs`, like
        *object_type*, *organization_id* and *location*. Other values of these four are another listing, which
        is loaded by itself. Microsoft 365 jobs name their workload only where *object_type* asks for it.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param ledger_conn_id: an Airflow connection to PostgreSQL or SQLite; None: a SQLite file under
        ``AIRFLOW_HOME``.
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
        """Read and write each product; return the counts."""
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
        """Load one product; return what has changed, and from when on it was read."""
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
    """Return from when on to read, and since when everything will be in the ledger then."""
    if point is not None and (asked is None or asked >= point.loaded_from):
        return point.resume_from, point.loaded_from
    since = now - SEARCH_SPAN if asked is None else min(asked, now)
    return since, since


def _sort(name: str, value: object) -> list[str]:
    """Return the words of an argument in an order of their own: the same however it is written."""
    return sorted(parse_list(name, value) or ())
