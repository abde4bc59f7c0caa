"""Judge a backup now, list jobs, audit licences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.license import audit
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.exceptions import AvePointLicenseBreach, to_airflow
from airflow_provider_avepoint.sensors.gate import PolicyOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = [
    "AvePointBackupCheckOperator",
    "AvePointLicenseAuditOperator",
    "AvePointListJobsOperator",
]


class AvePointBackupCheckOperator(PolicyOperator):
    """Judge the backup now; see :class:`~airflow_provider_avepoint.core.policy.Policy` for the arguments.

    Returns the verdict with its evidence.

    :raises AvePointBackupNotVerified: the verdict does not pass. With ``on_failed="skip"`` the task is
        skipped instead; downstream tasks whose trigger rule admits skipped ones (``none_failed``,
        ``all_done``) then still run.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, judge, and return the evidence."""
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        policy = self.build_policy()
        with AvePointHook(self.avepoint_conn_id) as hook:
            verdict = hook.judge(policy)
        evidence, message = verdict.as_dict(), verdict.describe()
        if verdict.passed:
            self.log.info("%s", message)
            return evidence
        self.log.error("%s", message)
        self.keep_evidence(context, evidence)
        return self.reject(message, evidence)


class AvePointListJobsOperator(BaseOperator):
    """List jobs and return a summary: counts by state, newest and oldest start, and rows up to a limit.

    The arguments are those of
    :meth:`~airflow_provider_avepoint.hooks.avepoint.AvePointHook.iter_jobs`.

    :param max_rows: how many jobs, newest first as the server lists them, the summary holds as rows; all are
        counted. XCom is a database column: keep this small.
    """

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "product",
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

    def __init__(
        self,
        *,
        product: str,
        started_after: datetime | str | None = None,
        started_before: datetime | str | None = None,
        job_type: str | list[str] = "backup",
        state: str | list[str] | None = None,
        object_type: str | list[str] | None = None,
        organization_id: str | None = None,
        location: str | None = None,
        max_rows: int | str = 100,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.started_after = started_after
        self.started_before = started_before
        self.job_type = job_type
        self.state = state
        self.object_type = object_type
        self.organization_id = organization_id
        self.location = location
        self.max_rows = max_rows

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """List, count, and return the summary."""
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        limit = _parse_row_limit(self.max_rows)
        states: Counter[str] = Counter()
        rows: list[dict[str, Any]] = []
        newest: datetime | None = None
        oldest: datetime | None = None
        with AvePointHook(self.avepoint_conn_id) as hook:
            for job in hook.iter_jobs(
                self.product,
                started_after=self.started_after,
                started_before=self.started_before,
                job_type=self.job_type,
                state=self.state,
                object_type=self.object_type,
                organization_id=self.organization_id,
                location=self.location,
            ):
                states[job.state.value] += 1
                if job.started_at is not None:
                    newest = max(newest or job.started_at, job.started_at)
                    oldest = min(oldest or job.started_at, job.started_at)
                if len(rows) < limit:
                    rows.append(job.as_dict())
        total = states.total()
        self.log.info("%s: %s jobs listed (%s).", self.product, total, dict(states))
        return {
            "product": self.product,
            "total": total,
            "states": dict(states),
            "newest_started_at": newest.isoformat() if newest else None,
            "oldest_started_at": oldest.isoformat() if oldest else None,
            "jobs": rows,
            "is_truncated": total > len(rows),
        }


class AvePointLicenseAuditOperator(BaseOperator):
    """Compare what is used with what is bought.

    Returns ``{"passed", "reasons", "consumption", "near_limit"}``; the reasons are among ``over_assigned``,
    ``near_limit``, ``storage_over`` and ``out_of_policy``.

    :param product: ``m365`` or ``m365_legacy``.
    :param near_limit: the share of seats or storage, 0 to 1, from which ``near_limit`` is reported.
    :param on_breach: what a reason does to the task: ``fail``, ``skip``, or ``warn``, which logs it.
    :param location: the Multi-Geo location.
    :raises AvePointLicenseBreach: there is a reason, with ``on_breach="fail"``.
    """

    template_fields: Sequence[str] = ("avepoint_conn_id", "product", "near_limit", "on_breach", "location")
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        product: str = "m365",
        near_limit: float | str = 0.9,
        on_breach: str = "fail",
        location: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.near_limit = near_limit
        self.on_breach = on_breach
        self.location = location

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, compare, and return the figures."""
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        if self.on_breach not in ("fail", "skip", "warn"):
            raise to_airflow(
                AvePointConfigError(f"on_breach: {self.on_breach!r} is not one of fail, skip, warn.")
            )
        near_limit = _parse_share("near_limit", self.near_limit)
        with AvePointHook(self.avepoint_conn_id) as hook:
            consumption = hook.get_license_consumption(self.product, location=self.location)
        findings = audit(consumption, near_limit)
        result = {
            "passed": not findings,
            "reasons": list(findings),
            "consumption": consumption.as_dict(),
            "near_limit": near_limit,
        }
        if not findings:
            self.log.info("%s: within the licence.", self.product)
            return result
        message = f"{self.product}: " + "; ".join(findings.values()) + "."
        if self.on_breach == "warn":
            self.log.warning("%s", message)
            return result
        if (ti := context.get("ti")) is not None:
            ti.xcom_push("audit", result)
        if self.on_breach == "skip":
            raise AirflowSkipException(message)
        raise AvePointLicenseBreach(message, reasons=tuple(findings))


def _parse_row_limit(value: object) -> int:
    try:
        limit = int(str(value))
    except ValueError:
        limit = -1
    if limit < 0:
        raise to_airflow(AvePointConfigError(f"max_rows: {value!r} is not a whole number from 0 up."))
    return limit


def _parse_share(name: str, value: object) -> float:
    try:
        share = float(str(value))
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise to_airflow(AvePointConfigError(f"{name}: {value!r} is not a share, more than 0 and at most 1."))
    return share
