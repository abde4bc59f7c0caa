"""Audit licences: compare used with purchased, and forecast when a limit is reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.arguments import parse_breach, parse_ledger, parse_text
from airflow_provider_avepoint.core.errors import AvePointError
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
)
from airflow_provider_avepoint.core.literals import check_each
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.exceptions import AvePointLicenseBreach, skip, to_airflow
from airflow_provider_avepoint.gates import check_literals, name_try
from airflow_provider_avepoint.links import LinkedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["AvePointLicenseAuditOperator"]

_MOST_DAYS = 3650
# The most findings in an error message: a partner may have many customers. The result and the log hold all.
_MOST_SENTENCES = 20

_Audited = tuple[LicenseConsumption, list[Forecast], dict[str, str]]


class AvePointLicenseAuditOperator(LinkedOperator):
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

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "product",
        "near_limit",
        "forecast_days",
        "on_breach",
        "organization_id",
        "location",
        "tenant",
        "ledger_conn_id",
    )
    ui_color = "#dcecf7"

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
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.near_limit = near_limit
        self.forecast_days = forecast_days
        self.on_breach = on_breach
        self.organization_id = organization_id
        self.location = location
        self.tenant = tenant
        self.ledger_conn_id = ledger_conn_id
        check_literals(self, self._check_literals)

    def _check_literals(self) -> None:
        check_each(
            vars(self),
            product=lambda _, value: get_product(value),
            on_breach=parse_breach,
            near_limit=lambda _, value: _parse_share(value),
            forecast_days=lambda _, value: _parse_days(value),
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Read, record and compare the figures, and return them.

        :param context: Airflow's context of the task.
        :returns: the figures that the class describes, ready for JSON.
        :raises AvePointConfigError: an argument cannot be used.
        :raises AvePointError: the API or the database failed; the error is also an ``AirflowException``.
        """
        try:
            parse_breach("on_breach", self.on_breach)
            self._name_ledger()
            asked = Audit(
                product=get_product(self.product).name,
                audited_at=datetime.now(UTC),
                location=parse_text("location", self.location),
                organization_id=parse_text("organization_id", self.organization_id),
                near_limit=_parse_share(self.near_limit),
                forecast_days=_parse_days(self.forecast_days),
            )
            audited = self._audit(asked, self._read(context, asked), name_try(context))
        except AvePointError as e:
            raise to_airflow(e) from None
        return self._end(context, self._summarize(audited, asked))

    def _name_ledger(self) -> tuple[str | None, str]:
        """Return the ledger's connection, and the tenant's name in the ledger."""
        return parse_ledger(self.ledger_conn_id, self.tenant, self.avepoint_conn_id)

    def _read(self, context: Context, asked: Audit) -> list[LicenseConsumption]:
        """Return what is bought and used, now; log it, whatever comes next. Record why it cannot be read.

        :raises AvePointError: it cannot be read.
        """
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        try:
            with AvePointHook(self.avepoint_conn_id) as hook:
                self.leave_link(context, hook.settings)
                consumptions = hook.get_license_consumptions(
                    asked.product, organization_id=asked.organization_id, location=asked.location
                )
        except AvePointError as e:
            self._record_error(replace(asked, error=str(e)), name_try(context))
            raise
        for each in consumptions:
            self.log.info(
                "%s: %s of %s seats, %s of %s GB.",
                describe_subject(each),
                each.assigned_user_seats,
                each.purchased_user_seats,
                each.protected_gb,
                each.purchased_storage_gb,
            )
        return consumptions

    def _record_error(self, failed: Audit, task: dict[str, Any] | None) -> None:
        """Keep in the ledger why an audit has no figures; the task's own error is the greater news."""
        from airflow_provider_avepoint.ledger.store import Ledger

        ledger_conn_id, tenant = self._name_ledger()
        try:
            with Ledger(ledger_conn_id) as ledger:
                ledger.save_audit(tenant, failed, task)
        except AvePointError as e:
            self.log.error("The failed audit could not be recorded: %s", e)  # noqa: TRY400  # no bug, no stack

    def _audit(
        self, asked: Audit, consumptions: list[LicenseConsumption], task: dict[str, Any] | None
    ) -> list[_Audited]:
        """Record what was read, and what is wrong with it; return both, with the forecasts."""
        from sqlalchemy import select

        from airflow_provider_avepoint.ledger.rows import write_license
        from airflow_provider_avepoint.ledger.store import Ledger
        from airflow_provider_avepoint.ledger.tables import LICENSES

        ledger_conn_id, tenant = self._name_ledger()
        now = asked.audited_at
        history = defaultdict(list)
        query = select(LICENSES).where(
            LICENSES.c.tenant == tenant,
            LICENSES.c.product == asked.product,
            LICENSES.c.read_at >= now - HISTORY,
        )
        with Ledger(ledger_conn_id) as ledger:
            ledger.save_licenses(tenant, consumptions, now)
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
            ledger.save_audit(tenant, replace(asked, findings=findings), task)
        return audited

    def _summarize(self, audited: list[_Audited], asked: Audit) -> dict[str, Any]:
        consumptions = [consumption.as_dict() for consumption, _, _ in audited]
        reasons = list(dict.fromkeys(reason for _, _, findings in audited for reason in findings))
        return {
            "tenant": self._name_ledger()[1],
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

    def _end(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """Log the result; then return it, skip the task or fail the task, as *on_breach* says."""
        for line in (*result["notes"], *(each["text"] for each in result["forecast"])):
            self.log.info("%s.", line)
        sentences = result["findings"]
        if not sentences:
            self.log.info("%s: within the licence.", self.product)
            return result
        rest = len(sentences) - _MOST_SENTENCES
        if self.on_breach == "warn":
            for sentence in sentences[:_MOST_SENTENCES]:
                self.log.warning("%s.", sentence)
            if rest > 0:
                self.log.warning("And %s more findings.", rest)
            return result
        if (ti := context.get("ti")) is not None:
            ti.xcom_push("audit", result)
        message = "; ".join(sentences[:_MOST_SENTENCES]) + (f"; and {rest} more." if rest > 0 else ".")
        if self.on_breach == "skip":
            skip(self, message)
        raise AvePointLicenseBreach(message, reasons=tuple(result["reasons"]))


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
