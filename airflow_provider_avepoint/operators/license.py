"""Audit licences: compare used with purchased, and forecast when a limit is reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.arguments import parse_text
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.license import (
    FORECAST_DAYS,
    HISTORY,
    NEAR_LIMIT,
    Audit,
    Finding,
    Forecast,
    audit,
    describe_models,
    describe_subject,
    forecast,
    require_license,
)
from airflow_provider_avepoint.core.literals import check_each, is_literal
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.exceptions import AvePointLicenseBreach
from airflow_provider_avepoint.gates import name_try
from airflow_provider_avepoint.operators.audit import AuditOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_avepoint.ledger.store import Ledger

__all__ = ["AvePointLicenseAuditOperator"]

_MOST_DAYS = 3650
# The most findings in the log: a partner may have many customers. The result holds all.
_MOST_SENTENCES = 20

_Audited = tuple[LicenseConsumption, list[Forecast], dict[str, str]]


class AvePointLicenseAuditOperator(AuditOperator):
    """Compare used licences with purchased ones, record both in the ledger, and forecast their use.

    The forecast uses the readings of the last 90 days in the ledger, since the last change of the figure,
    such as a purchase or a cleanup. A trend needs at least four readings over at least a week; with fewer the
    result says that there is too little history, or that the figure changed too recently to tell. That is no
    breach; a note says so where a reader has to look.

    Returns ``tenant``, ``passed``, ``reasons``, ``findings`` (a sentence for each), ``notes`` (where nothing
    is purchased, hence no limit; where the licence does not tell its policy or its end; where the figure
    changed too recently, or the limit may be reached though there is no forecast), ``consumptions``,
    ``consumption`` (where there is only one), ``forecast`` (a list with one item for each limit),
    ``near_limit`` and ``forecast_days``. The reasons are among

    - ``over_assigned``: more seats assigned than purchased;
    - ``storage_over``: more storage protected than purchased;
    - ``near_limit``: seats or storage at *near_limit* or more of what is purchased;
    - ``out_of_policy``: the vendor backs up no new objects, and with some licences nothing after 90 days;
    - ``forecast``: a trend reaches what is purchased within *forecast_days*;
    - ``expired``, ``expires_soon``: the subscription has ended, or ends within *forecast_days*.

    :param product: ``m365``, ``m365_legacy``, or ``elements``, which audits each subscription of a partner's
        customers.
    :param near_limit: the share of seats or storage, above 0 and at most 1, from which ``near_limit`` is
        reported.
    :param forecast_days: how many days the forecast covers; 0 for no forecast.
    :param on_breach: what the task does if there is a reason: ``fail``, ``skip``, or ``warn``, which logs the
        findings.
    :param organization_id: the customer, for ``elements``; None audits all customers.
    :param location: the Multi-Geo location.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param ledger_conn_id: an Airflow connection to PostgreSQL or SQLite; None: ``[avepoint] ledger_conn_id``
        of Airflow's configuration, or else a SQLite file under ``AIRFLOW_HOME``.
    :param avepoint_conn_id: the id of the AvePoint connection.
    :raises AvePointLicenseBreach: there is a reason, with ``on_breach="fail"``.
    :raises AvePointLedgerError: the database fails; the figures have been logged before.
    """

    template_fields: Sequence[str] = (*AuditOperator.template_fields, "near_limit", "forecast_days")
    _breach = AvePointLicenseBreach

    # AuditOperator declares what both audits have. It is repeated here for editors.
    def __init__(
        self,
        *,
        product: str = "m365",
        near_limit: float | str = NEAR_LIMIT,
        forecast_days: int | str = FORECAST_DAYS,
        on_breach: str = "fail",
        organization_id: str | None = None,
        location: str | None = None,
        tenant: str | None = None,
        ledger_conn_id: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            product=product,
            on_breach=on_breach,
            organization_id=organization_id,
            location=location,
            tenant=tenant,
            ledger_conn_id=ledger_conn_id,
            avepoint_conn_id=avepoint_conn_id,
            **kwargs,
        )
        self.near_limit = near_limit
        self.forecast_days = forecast_days
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        check_each(
            given,
            near_limit=lambda _, value: _parse_share(value),
            forecast_days=lambda _, value: _parse_days(value),
        )
        if is_literal(given["product"]):
            organization_id = given["organization_id"]
            product = get_product(given["product"])
            require_license(product, organization_id if is_literal(organization_id) else None)

    def _audit(self, context: Context) -> dict[str, Any]:
        asked = Audit(
            product=get_product(self.product).name,
            audited_at=datetime.now(UTC),
            location=parse_text("location", self.location),
            organization_id=parse_text("organization_id", self.organization_id),
            near_limit=_parse_share(self.near_limit),
            forecast_days=_parse_days(self.forecast_days),
        )
        with self._open_hook(context, lambda _: asked) as hook:
            consumptions = hook.get_license_consumptions(
                asked.product, organization_id=asked.organization_id, location=asked.location
            )
        for each in consumptions:  # whatever comes next
            self.log.info(
                "%s: %s of %s seats, %s of %s GB.",
                describe_subject(each),
                each.assigned_user_seats,
                each.purchased_user_seats,
                each.protected_gb,
                each.purchased_storage_gb,
            )
        result = _summarize(self._judge(asked, consumptions, name_try(context, self.task_id)), asked)
        self._tell(result)
        return result

    def _save(self, ledger: Ledger, tenant: str, audit: Any, task: dict[str, Any] | None) -> None:
        ledger.save_audit(tenant, audit, task)

    def _judge(
        self, asked: Audit, consumptions: list[LicenseConsumption], task: dict[str, Any] | None
    ) -> list[_Audited]:
        """Record what was read, and what is wrong with it; return both, with the forecasts."""
        from sqlalchemy import select

        from airflow_provider_avepoint.ledger.rows import write_license
        from airflow_provider_avepoint.ledger.tables import LICENSES

        now = asked.audited_at
        history = defaultdict(list)
        with self._open_ledger() as (ledger, tenant):
            ledger.save_licenses(tenant, consumptions, now)
            query = select(LICENSES).where(
                LICENSES.c.tenant == tenant,
                LICENSES.c.product == asked.product,
                LICENSES.c.read_at >= now - HISTORY,
            )
            for row in ledger.iter_rows(query):
                past = LicenseConsumption(
                    product=asked.product,
                    purchased_user_seats=row["purchased_user_seats"],
                    assigned_user_seats=row["assigned_user_seats"],
                    purchased_storage_gb=row["purchased_storage_gb"],
                    protected_gb=row["protected_gb"],
                )
                history[_key_of(row)].append((row["read_at"], past))
            audited = []
            for each in consumptions:
                key = _key_of(write_license(tenant, each, now))
                forecasts = forecast(each, history[key], now, asked.within)
                found = audit(each, asked.near_limit, forecasts=forecasts, now=now, within=asked.within)
                audited.append((each, forecasts, found))
            findings = tuple(
                Finding(
                    organization_id=normalize_id(each.organization_id),
                    service=each.service,
                    location=each.location,
                    reason=reason,
                    text=text,
                )
                for each, _, wrong in audited
                for reason, text in wrong.items()
            )
            self._save(ledger, tenant, replace(asked, findings=findings), task)
        return audited

    def _tell(self, result: dict[str, Any]) -> None:
        """Log what the result does not end the task with."""
        for line in (*result["notes"], *(each["text"] for each in result["forecast"])):
            self.log.info("%s.", line)
        sentences = result["findings"]
        if not sentences:
            self.log.info("%s: within the licence.", self.product)
        elif self.on_breach == "warn":
            for sentence in sentences[:_MOST_SENTENCES]:
                self.log.warning("%s.", sentence)
            if (rest := len(sentences) - _MOST_SENTENCES) > 0:
                self.log.warning("And %s more findings.", rest)


def _summarize(audited: list[_Audited], asked: Audit) -> dict[str, Any]:
    consumptions = [consumption.as_dict() for consumption, _, _ in audited]
    reasons = list(dict.fromkeys(reason for _, _, findings in audited for reason in findings))
    return {
        "passed": not reasons,
        "reasons": reasons,
        "findings": [
            f"{describe_subject(one)}: {text}" for one, _, found in audited for text in found.values()
        ],
        "notes": [
            f"{describe_subject(one)}: {text}"
            for one, forecasts, _ in audited
            for text in (
                *describe_models(one),
                *one.problems,
                *(each.doubt for each in forecasts if each.doubt),
            )
        ],
        "consumptions": consumptions,
        "consumption": consumptions[0] if len(consumptions) == 1 else None,
        "forecast": [
            {"organization_id": one.organization_id, "service": one.service, **each.as_dict()}
            for one, forecasts, _ in audited
            for each in forecasts
        ],
        "near_limit": asked.near_limit,
        "forecast_days": asked.forecast_days,
    }


def _key_of(row: Any) -> tuple[str, str, str]:
    return row["location"], row["organization_key"], row["service"]


def _parse_share(value: object) -> float:
    try:
        share = float(str(value))
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise refuse("near_limit", value, "is not a share, more than 0 and at most 1.")
    return share


def _parse_days(value: object) -> int:
    try:
        days = int(str(value))
    except ValueError:
        days = -1
    if not 0 <= days <= _MOST_DAYS:
        raise refuse("forecast_days", value, f"is not a number of days from 0 to {_MOST_DAYS}.")
    return days
