"""What was bought and what is used, over time, and where it is heading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_avepoint.core.forecast import Crossing, Trend, fit
from airflow_provider_avepoint.core.license import audit
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.text import one_line

#: The share of what was bought from which it is nearly used up.
NEAR_LIMIT = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a licence is for: a product of a tenant or, for Elements, a customer's subscription."""

    tenant: str
    product: str
    location: str | None = None
    organization_id: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was used and bought at a moment; 0 bought is another licence model, without a limit."""

    at: datetime
    used: float
    bought: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing that is bought: seats or storage.

    :param trend: None where there is too little history.
    :param crossing: when the trend reaches what is bought today, within *horizon* of the last reading.
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
        """Used over bought; None where nothing is bought: another licence model."""
        return self.newest.used / self.newest.bought if self.newest.bought else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseHistory:
    """The period of one licence.

    :param newest: what it was at *read_at*, the last reading.
    :param findings: what is wrong by then: reason → sentence.
    """

    subscription: Subscription
    newest: LicenseConsumption
    read_at: datetime
    measures: tuple[Measure, ...]
    findings: dict[str, str]

    @property
    def name(self) -> str:
        """What the licence is called: its organisation, service and location, on one line."""
        organization = one_line(self.newest.organization_name or "", 80)
        parts = (
            organization or one_line(self.subscription.organization_id or "", 80),
            one_line(self.subscription.service or "", 80),
            one_line(self.subscription.location or "", 80),
        )
        return " / ".join(filter(None, parts)) or get_product(self.subscription.product).label

    @property
    def needs_attention(self) -> bool:
        """Tell whether something is wrong with it, or will be."""
        return bool(self.findings) or any(measure.crossing for measure in self.measures)

    @property
    def share(self) -> float:
        """The larger share of what is bought that is used."""
        return max((measure.share or 0.0 for measure in self.measures), default=0.0)


def follow(
    subscription: Subscription, readings: Iterable[tuple[datetime, LicenseConsumption]], horizon: timedelta
) -> LicenseHistory:
    """Return the history of one licence.

    :param readings: at least one, oldest first.
    :param horizon: how far to look ahead from the last reading.
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
    """Return the histories, those that need attention first, then by how much of them is used."""
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
