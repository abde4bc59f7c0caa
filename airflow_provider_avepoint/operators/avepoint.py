"""Judge a backup now, list jobs, audit licences."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from itertools import chain
from os import PathLike
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.checked import CheckedOperator
from airflow_provider_avepoint.core.arguments import parse_list
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.literals import check_each, check_listing, is_literal
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.exceptions import to_airflow
from airflow_provider_avepoint.gates import PolicyOperator
from airflow_provider_avepoint.operators.drills import record_content_check
from airflow_provider_avepoint.operators.files import JobFile, check_file, parse_format
from airflow_provider_avepoint.operators.ledger import AvePointJobsToSqlOperator
from airflow_provider_avepoint.operators.license import AvePointLicenseAuditOperator
from airflow_provider_avepoint.operators.listing import Progress, Summary
from airflow_provider_avepoint.operators.protection import AvePointProtectionAuditOperator
from airflow_provider_avepoint.operators.report import AvePointReportOperator
from airflow_provider_avepoint.operators.restore import AvePointRestoreOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

__all__ = [
    "AvePointBackupCheckOperator",
    "AvePointJobsToSqlOperator",
    "AvePointLicenseAuditOperator",
    "AvePointListJobsOperator",
    "AvePointProtectionAuditOperator",
    "AvePointReportOperator",
    "AvePointRestoreOperator",
    "record_content_check",
]

# The arguments that say which jobs of a product are listed.
_FILTERS = (
    *("started_after", "started_before", "job_type", "state"),
    *("object_type", "organization_id", "location"),
)


class AvePointBackupCheckOperator(PolicyOperator):
    """Judge the backup now; see :class:`~airflow_provider_avepoint.core.policy.Policy` for the arguments.

    Returns the verdict with its evidence.

    :raises AvePointBackupFailed: the verdict is bad, and neither waiting nor a retry can mend it: the task
        fails without a retry. With ``on_failed="retry"`` the task raises ``AvePointBackupNotVerified``
        instead.
    :raises AvePointBackupNotVerified: the verdict does not pass, but a later one may pass (``running``,
        ``missed``, ``stale`` …): Airflow retries the task by its own settings. With ``on_failed="skip"`` the
        task is skipped instead of failing with either error; downstream tasks whose trigger rule matches
        skipped tasks (``none_failed``, ``all_done``) then still run.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the API, judge the answer, and return the evidence.

        :param context: Airflow's context of the task.
        :returns: ``Verdict.as_dict()`` of a verdict that passes.
        """
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        policy = self.build_policy()
        with AvePointHook(self.avepoint_conn_id) as hook:
            self.leave_link(context, hook.settings)
            verdict = hook.judge(policy, keep_days=self.build_keeper())
        evidence, message = verdict.as_dict(), verdict.describe()
        self.note_verdict(context, evidence)
        if verdict.passed:
            self.log.info("%s", message)
            return evidence
        self.keep_evidence(context, evidence)
        return self.reject(message, evidence, is_settled=verdict.is_settled)


class AvePointListJobsOperator(CheckedOperator):
    """List the jobs of one product or several, write them to a file if a path is given; return a summary.

    The summary holds ``product``, ``total``, ``states`` (counts by state), ``newest_started_at``,
    ``oldest_started_at``, ``jobs`` (up to *max_rows*) and ``is_truncated`` (whether there are more jobs than
    rows). With a path or a list of products it also holds ``counts``, by product and state. With a path it
    also holds ``path`` and ``rows``.

    The filters are those of :meth:`~airflow_provider_avepoint.hooks.avepoint.AvePointHook.iter_jobs`, and
    apply to each product. A filter that one of the products cannot take fails the task before anything is
    sent.

    :param product: one product, or several: a list, or a JSON array in a string. They are listed in turn.
    :param path: the file that receives all jobs while they are read: a path, or any URL that Airflow's
        ``ObjectStoragePath`` takes, such as ``s3://aws_default@bucket/jobs.jsonl``. The file appears when it
        is complete; a task that fails leaves an older file of this name untouched.
    :param file_format: ``jsonl`` (compressed where the path ends in ``.gz``) or ``parquet`` (needs the extra
        ``parquet``). None takes the format from the suffix of the path: ``.jsonl``, ``.ndjson``,
        ``.jsonl.gz``, ``.ndjson.gz`` or ``.parquet``. Both have the columns of
        :func:`~airflow_provider_avepoint.operators.files.build_schema`, which says how to read them.
    :param started_after: the earliest start, inclusive: an aware datetime, or an ISO 8601 string with an
        offset.
    :param started_before: the latest start, exclusive; written in the same way.
    :param job_type: a word such as ``backup`` or ``restore``, several words, or ``all``.
    :param state: a ``JobState`` word, or several; None lists every state.
    :param object_type: a workload, or several: a Microsoft 365 object type, a Dynamics module …
    :param organization_id: the organisation, for products whose jobs name it.
    :param location: the Multi-Geo location; None takes the connection's own.
    :param max_rows: how many jobs the summary holds as rows, in the order of the listing, which is newest
        first as a rule. The default is 100, and 0 with a path. XCom is a database column: keep this small.
    :param avepoint_conn_id: the id of the AvePoint connection.
    """

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "product",
        "path",
        "file_format",
        "started_after",
        "started_before",
        "job_type",
        "state",
        "object_type",
        "organization_id",
        "location",
        "max_rows",
    )
    ui_color = "#dcecf7"

    _is_listing = False

    def __init__(
        self,
        *,
        product: str | list[str],
        path: str | PathLike[str] | ObjectStoragePath | None = None,
        file_format: str | None = None,
        started_after: datetime | str | None = None,
        started_before: datetime | str | None = None,
        job_type: str | list[str] = "backup",
        state: str | list[str] | None = None,
        object_type: str | list[str] | None = None,
        organization_id: str | None = None,
        location: str | None = None,
        max_rows: int | str | EllipsisType = ...,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.path = path
        self.file_format = file_format
        self.started_after = started_after
        self.started_before = started_before
        self.job_type = job_type
        self.state = state
        self.object_type = object_type
        self.organization_id = organization_id
        self.location = location
        if max_rows is ...:
            max_rows = 100 if path is None else 0
        self.max_rows = max_rows
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        check_listing({name: given[name] for name in ("product", *_FILTERS)})
        check_each(given, max_rows=lambda _, value: _parse_row_limit(value))
        if is_literal(given["path"]) and is_literal(given["file_format"]):
            check_file(given["path"], given["file_format"])
        elif given["file_format"] is not None:
            check_each(given, file_format=parse_format)

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """List, count and write the jobs, and return the summary.

        :param context: Airflow's context of the task.
        :returns: the summary that the class describes, ready for JSON.
        :raises AvePointConfigError: an argument cannot be used; nothing was sent.
        :raises AvePointError: the listing failed; the error is also an ``AirflowException``.
        """
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        self._is_listing = True
        try:
            limit = _parse_row_limit(self.max_rows)
            products = parse_list("product", self.product)
            if products is None:
                raise AvePointConfigError("product is None; name one product or several.")
            file = JobFile.parse(self.path, self.file_format)
            with AvePointHook(self.avepoint_conn_id) as hook:
                # The call checks the arguments now; iterating sends the requests.
                listings = [hook.iter_jobs(product, **self._filters()) for product in products]
                return self._list(chain.from_iterable(listings), Summary(products, limit), file)
        except AvePointError as e:
            raise to_airflow(e) from None
        finally:
            self._is_listing = False

    def on_kill(self) -> None:
        """End a listing that is running, so that the incomplete file is removed.

        Airflow 3 calls this method when the task is told to end, lets the task run on, and kills the process
        soon after.
        """
        if self._is_listing:
            self._is_listing = False
            sys.exit("The listing was told to end.")

    def _filters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FILTERS}

    def _list(self, jobs: Iterable[BackupJob], summary: Summary, file: JobFile | None) -> dict[str, Any]:
        progress = Progress(self.log.info)
        with nullcontext() if file is None else file.open() as write:
            for job in jobs:
                summary.add(job)
                progress.add(job)
                if write is not None:
                    write(job)
        products, found = list(summary.counts), summary.as_dict()
        is_one = products == [self.product]
        self.log.info("%s: %s jobs listed (%s).", ", ".join(products), found["total"], found["states"])
        if file is not None:
            self.log.info("Written to %s.", file.path)
            found |= {"path": str(file.path), "rows": found["total"]}
        if file is not None or not is_one:
            found["counts"] = {product: dict(states) for product, states in summary.counts.items()}
        return {"product": self.product if is_one else products, **found}


def _parse_row_limit(value: object) -> int:
    try:
        limit = int(str(value))
    except ValueError:
        limit = -1
    if limit < 0:
        raise refuse("max_rows", value, "is not a whole number from 0 up.")
    return limit
