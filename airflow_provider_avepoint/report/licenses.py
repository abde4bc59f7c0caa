"""Purchased and used licences over time, and their forecast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_avepoint.core.forecast import Crossing, Trend, fit
from airflow_provider_avepoint.core.license import audit
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line

#: The share of the purchased amount from which a licence is near its limit.
NEAR_LIMIT = 0.9


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
    :param horizon: how far the forecast looks ahead of the last reading.
    :param trend: the trend; None where there is too little history.
    :param crossing: when the trend reaches today's purchased amount; None if not within *horizon*.
    """

    name: str
    unit: str
    readings: tuple[Reading, ...]
    horizon: timedelta
    trend: Trend | None
    crossing: Crossing | None

    @property
    def newest(self) -> Reading:
        """The last reading."""
        return self.readings[-1]

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
    :param findings: what is wrong at *read_at*: reason → sentence.
    """

    subscription: Subscription
    newest: LicenseConsumption
    read_at: datetime
    measures: tuple[Measure, ...]
    findings: dict[str, str]

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
        return bool(self.findings) or any(measure.crossing for measure in self.measures)

    @property
    def share(self) -> float:
        """The larger used share of the two measures; 0 without a limit."""
        return max((measure.share or 0.0 for measure in self.measures), default=0.0)


def follow(
    subscription: Subscription, readings: Iterable[tuple[datetime, LicenseConsumption]], horizon: timedelta
) -> LicenseHistory:
    """Return the history of one licence.

    :param subscription: the licence's subject.
    :param readings: the figures with the time of each reading, oldest first; at least one.
    :param horizon: how far to look ahead of the last reading.
    """
    known = list(readings)
    read_at, newest = known[-1]
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
    return LicenseHistory(
        subscription=subscription,
        newest=newest,
        read_at=read_at,
        measures=tuple(
            _measure(name, unit, history, horizon)
            for name, unit, history in (("seats", "seats", seats), ("storage", "GB", storage))
            if history
        ),
        findings=audit(newest, NEAR_LIMIT),
    )


def _measure(name: str, unit: str, readings: list[Reading], horizon: timedelta) -> Measure:
    newest = readings[-1]
    trend = fit((reading.at, reading.used) for reading in readings)
    is_within = bool(newest.bought) and newest.used <= (newest.bought or 0)
    crossing = None
    if trend is not None and newest.bought and is_within:
        crossing = trend.reaches(newest.bought, newest.at, horizon)
    return Measure(
        name=name, unit=unit, readings=tuple(readings), horizon=horizon, trend=trend, crossing=crossing
    )


def rank(histories: Iterable[LicenseHistory]) -> tuple[LicenseHistory, ...]:
    """Return the histories: those that need attention first, then by their used share.

    :param histories: the histories of all licences.
    """
    return tuple(
        sorted(
            histories,
            key=lambda history: (
                not history.findings,
                not history.needs_attention,
                -history.share,
                history.subscription.tenant,
                history.name,
            ),
        )
    )
