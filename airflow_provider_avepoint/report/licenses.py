"""Purchased and used licences over time, and their forecast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_avepoint.core.forecast import Crossing, Trend
from airflow_provider_avepoint.core.license import Audit, Finding, Forecast, Usage, audit, forecast, foresee
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.report.rhythm import is_late

# The figures of an audit are read in its own time.
_SAME_AUDIT = timedelta(hours=2)
_NO_FIGURES = {"no_figures": "no_figures: the answer has neither seats nor storage"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A licence's subject: a product of a tenant or, for Elements, a customer's subscription.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param location: the Multi-Geo location; None for none.
    :param organization_id: the customer's id; None for none.
    :param service: the subscription's name; None for none.
    """

    tenant: str
    product: str
    location: str | None = None
    organization_id: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The used and purchased amounts at one time.

    :param at: when the amounts were read.
    :param used: the used amount.
    :param bought: the purchased amount; 0 or None is another licence model, without a limit.
    """

    at: datetime
    used: float
    bought: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The readings of one purchased thing: seats or storage.

    :param name: ``seats`` or ``storage``.
    :param unit: the unit of the amounts.
    :param readings: the readings, oldest first; at least one.
    :param forecast: the forecast, as far ahead as the audit looks.
    """

    name: str
    unit: str
    readings: tuple[Reading, ...]
    forecast: Forecast

    @property
    def newest(self) -> Reading:
        """The last reading."""
        return self.readings[-1]

    @property
    def horizon(self) -> timedelta:
        """How far the forecast looks ahead of the last reading."""
        return self.forecast.until - self.newest.at

    @property
    def trend(self) -> Trend | None:
        """The trend; None where nothing can be told."""
        return self.forecast.trend

    @property
    def crossing(self) -> Crossing | None:
        """When the trend reaches today's purchased amount; None if the audit does not look so far."""
        return self.forecast.crossing

    @property
    def share(self) -> float | None:
        """The used share of the purchased amount; None for a licence model without a purchased amount."""
        return self.newest.used / self.newest.bought if self.newest.bought else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseHistory:
    """The period of one licence.

    :param subscription: the licence's subject.
    :param newest: the last reading's figures.
    :param read_at: when they were read.
    :param measures: seats and storage, as far as they were read.
    :param findings: what the audit found, and what is wrong at the moment of the report: reason →
        sentence.
    :param is_listed: whether no later audit has read the licences without this one.
    """

    subscription: Subscription
    newest: LicenseConsumption
    read_at: datetime
    measures: tuple[Measure, ...]
    findings: dict[str, str]
    is_listed: bool

    @property
    def doubts(self) -> tuple[str, ...]:
        """A sentence for each figure without a forecast that a reader has to look at."""
        return tuple(each.forecast.doubt for each in self.measures if each.forecast.doubt)

    @property
    def name(self) -> str:
        """The name of the licence: its organisation, service and location, on one line."""
        organization = one_line(self.newest.organization_name or "", 80)
        parts = (
            organization or one_line(self.subscription.organization_id or "", 80),
            one_line(self.subscription.service or "", 80),
            one_line(self.subscription.location or "", 80),
        )
        return " / ".join(filter(None, parts)) or get_product(self.subscription.product).label

    @property
    def needs_attention(self) -> bool:
        """Whether something is wrong now, or a limit will be reached."""
        return bool(self.findings)

    @property
    def share(self) -> float:
        """The larger used share of the two measures; 0 without a limit."""
        return max((measure.share or 0.0 for measure in self.measures), default=0.0)


def follow(
    subscription: Subscription,
    readings: Iterable[tuple[datetime, LicenseConsumption]],
    now: datetime,
    audits: Iterable[Audit] = (),
    *,
    begin: datetime | None = None,
) -> LicenseHistory:
    """Return the history of one licence, judged as its audit judges it.

    Time passes between an audit and a report: what the newest audit found stands, and the last reading is
    judged once more by the audit's own limits, at *now*.

    :param subscription: the licence's subject.
    :param readings: the figures with the time of each reading, oldest first; at least one.
    :param now: the moment of the report.
    :param audits: the tenant's audits; those of other licences are passed over.
    :param begin: the moment from which readings are shown; None shows all. The forecast uses all.
    """
    known = list(readings)
    read_at, newest = known[-1]
    audit_of = max(
        (each for each in audits if each.error is None and _covers(each, subscription)),
        key=lambda each: each.audited_at,
        default=Audit(product=subscription.product, audited_at=read_at),
    )
    forecasts = {each.usage.name: each for each in forecast(newest, known, now, audit_of.within)}
    kept = {each.reason: each.text for each in audit_of.findings if _is_about(each, subscription)}
    is_out_of_policy = newest.out_of_policy_at is not None and newest.out_of_policy_at <= now
    today = audit(
        replace(newest, is_out_of_policy=is_out_of_policy or newest.is_out_of_policy),
        audit_of.near_limit,
        forecasts=forecasts.values(),
        now=now,
        within=audit_of.within,
    )
    seats = [
        Reading(at=at, used=each.assigned_user_seats, bought=each.purchased_user_seats)
        for at, each in known
        if each.assigned_user_seats is not None
    ]
    storage = [
        Reading(at=at, used=each.protected_gb, bought=each.purchased_storage_gb)
        for at, each in known
        if each.protected_gb is not None
    ]
    measures = []
    for name, unit, history in (("seats", "seats", seats), ("storage", "GB", storage)):
        shown = tuple(each for each in history if begin is None or each.at >= begin)
        if shown:
            usage = Usage(name, unit, shown[-1].used, shown[-1].bought or 0)
            used = [(each.at, each.used) for each in history]
            ahead = forecasts.get(name) or foresee(usage, used, now, audit_of.within)
            measures.append(Measure(name=name, unit=unit, readings=shown, forecast=ahead))
    is_listed = audit_of.audited_at - read_at <= _SAME_AUDIT
    if is_listed:
        findings = kept | today | _find_age([at for at, _ in known], now)
        findings |= {} if seats or storage else _NO_FIGURES
    else:
        findings = {
            "not_listed": f"not_listed: the audit of {audit_of.audited_at:%Y-%m-%d} no longer found the "
            f"licence, whose figures are of {read_at:%Y-%m-%d}"
        }
    return LicenseHistory(
        subscription=subscription,
        newest=newest,
        read_at=read_at,
        measures=tuple(measures),
        findings=findings,
        is_listed=is_listed,
    )


def _covers(audit_of: Audit, subscription: Subscription) -> bool:
    """Tell whether an audit of the tenant was about this licence too."""
    return (
        audit_of.product == subscription.product
        and audit_of.location in (None, subscription.location)
        and audit_of.organization_id in (None, subscription.organization_id)
    )


def _is_about(finding: Finding, subscription: Subscription) -> bool:
    return (finding.organization_id, finding.service, finding.location) == (
        subscription.organization_id,
        subscription.service,
        subscription.location,
    )


def _find_age(moments: list[datetime], now: datetime) -> dict[str, str]:
    """Return that the last reading is old, by the time that usually lies between two readings."""
    if not is_late(moments, now):
        return {}
    days = (now - moments[-1]).days
    return {"not_read": f"not_read: the figures are of {moments[-1]:%Y-%m-%d}, {days} days ago"}


def rank(histories: Iterable[LicenseHistory]) -> tuple[LicenseHistory, ...]:
    """Return the histories: those that need attention first, then those in doubt, then by their used share.

    :param histories: the histories of all licences.
    """
    return tuple(
        sorted(
            histories,
            key=lambda history: (
                not history.findings,
                not history.doubts,
                -history.share,
                history.subscription.tenant,
                history.name,
            ),
        )
    )
