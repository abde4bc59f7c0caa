"""Compare what a licence allows with what is used, now and soon, and describe each finding in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from airflow_provider_avepoint.core.forecast import LEAST_READINGS, LEAST_SPAN, Crossing, Estimate, Trend, fit
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.text import one_line

#: How many days ahead an audit looks, unless told otherwise.
FORECAST_DAYS = 30
#: The share of what is purchased from which it is nearly used up, unless told otherwise.
NEAR_LIMIT = 0.9
#: The readings of a licence, each with its moment.
History = Iterable[tuple[datetime, LicenseConsumption]]

# After so long out of policy, a licence by GB ends all backups.
_GRACE = timedelta(days=90)
_OVER = {"seats": ("over_assigned", "assigned"), "storage": ("storage_over", "protected")}


class Usage(NamedTuple):
    """How much of one thing is used, and how much is purchased.

    :param name: ``seats`` or ``storage``.
    :param unit: of both figures.
    :param used: what is used.
    :param purchased: what is purchased.
    """

    name: str
    unit: str
    used: float
    purchased: float

    @property
    def ratio(self) -> float | None:
        """Used over purchased; None where nothing is purchased, which is another licence model."""
        return self.used / self.purchased if self.purchased else None


def describe_subject(consumption: LicenseConsumption) -> str:
    """Say whose licence it is: the product and, for a partner's customer, the name and the service.

    :param consumption: the licence's figures.
    """
    names = (consumption.organization_name or consumption.organization_id, consumption.service)
    return ", ".join((consumption.product, *(one_line(name, 100) for name in names if name)))


def list_usages(consumption: LicenseConsumption) -> list[Usage]:
    """Return the usage of seats and of storage, where the licence has figures.

    :param consumption: the licence's figures.
    """
    seats = (consumption.assigned_user_seats, consumption.purchased_user_seats)
    storage = (consumption.protected_gb, consumption.purchased_storage_gb)
    return [
        Usage(name, unit, used, purchased)
        for name, unit, (used, purchased) in (("seats", "seats", seats), ("storage", "GB", storage))
        if used is not None and purchased is not None
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one figure of a licence will be.

    :param usage: the figure, and its limit: what is purchased today.
    :param until: the end of the forecast.
    :param readings: the number of readings in the history.
    :param trend: None where the history is too short.
    :param crossing: when the trend reaches the limit; None where it does not before the forecast's end.
    """

    usage: Usage
    until: datetime
    readings: int
    trend: Trend | None
    crossing: Crossing | None

    @property
    def estimate(self) -> Estimate | None:
        """The figure at the forecast's end; None where the history is too short."""
        return None if self.trend is None else self.trend.at(self.until)

    def describe(self) -> str:
        """Describe the forecast in a sentence, without its full stop."""
        estimate, usage = self.estimate, self.usage
        if estimate is None:
            return (
                f"{usage.name}: too little history for a forecast: readings so far {self.readings}, and it "
                f"takes {LEAST_READINGS} over {LEAST_SPAN.days} days"
            )
        limit = f"{_write(usage.purchased)} {usage.unit} purchased"
        if self.crossing is None:
            value, low, high = map(_write, estimate)
            return f"{usage.name}: about {value} on {self.until:%Y-%m-%d} (95 %: {low} to {high}), of {limit}"
        earliest, expected, latest = self.crossing
        end = "or later, or never" if latest is None else f"to {latest:%Y-%m-%d}"
        return (
            f"{usage.name} will reach the {limit} about {expected:%Y-%m-%d} (95 %: {earliest:%Y-%m-%d} {end})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the forecast ready for JSON; without enough history, no estimate and no crossing."""
        crossing = {} if self.crossing is None else self.crossing._asdict()
        return {
            "of": self.usage.name,
            "limit": self.usage.purchased,
            "until": self.until.isoformat(),
            "readings": self.readings,
            "has_enough_history": self.trend is not None,
            "estimate": None if self.estimate is None else self.estimate._asdict(),
            "crossing": {name: moment and moment.isoformat() for name, moment in crossing.items()} or None,
            "text": self.describe(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a licence.

    :param organization_id: the customer whose licence it is; None for the tenant's own.
    :param service: the subscription, for Elements.
    :param location: the Multi-Geo location that was asked for.
    :param reason: such as ``expired``; see :func:`audit`.
    :param text: the reason in a sentence, without its full stop.
    """

    organization_id: str | None
    service: str | None
    location: str | None
    reason: str
    text: str

    def as_dict(self) -> dict[str, str | None]:
        """Return the finding ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result of one audit of a product's licences.

    :param product: the name of the product.
    :param audited_at: when the audit was made.
    :param location: the Multi-Geo location that was asked for; None for all.
    :param organization_id: the customer that was asked for; None for all.
    :param near_limit: the share of a limit, 0 to 1, from which a figure is near its limit.
    :param forecast_days: the days from the audit to the forecast's end.
    :param error: why no figures could be read; None where they could.
    :param findings: what is wrong; empty where there is an error.
    """

    product: str
    audited_at: datetime
    location: str | None = None
    organization_id: str | None = None
    near_limit: float = NEAR_LIMIT
    forecast_days: int = FORECAST_DAYS
    error: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def within(self) -> timedelta:
        """The time from the audit to the forecast's end."""
        return timedelta(days=self.forecast_days)


def forecast(
    consumption: LicenseConsumption, history: History, now: datetime, within: timedelta
) -> list[Forecast]:
    """Return a forecast for each figure that has a limit.

    :param consumption: the licence's figures of today.
    :param history: the readings of this licence.
    :param now: the moment of the forecast.
    :param within: the time from *now* to the forecast's end.
    """
    past = [(moment, usage) for moment, each in history for usage in list_usages(each)]
    found = []
    for usage in list_usages(consumption):
        if usage.purchased:
            readings = {moment: each.used for moment, each in past if each.name == usage.name}
            trend = fit(readings.items())
            found.append(
                Forecast(
                    usage=usage,
                    until=now + within,
                    readings=len(readings),
                    trend=trend,
                    crossing=None if trend is None else trend.reaches(usage.purchased, now, within),
                )
            )
    return found


def audit(
    consumption: LicenseConsumption,
    near_limit: float,
    *,
    forecasts: Iterable[Forecast] = (),
    now: datetime | None = None,
    within: timedelta = timedelta(),
) -> dict[str, str]:
    """Return what is wrong with a licence.

    Where nothing is purchased, there is no limit: see :func:`describe_models`. As the vendor does, the audit
    compares assigned with purchased seats, and protected with purchased storage.

    :param consumption: the licence's figures.
    :param near_limit: the share of a limit, 0 to 1, from which a figure is near its limit.
    :param forecasts: those of this licence.
    :param now: the moment of the audit; None leaves out the end of the subscription.
    :param within: how long before its end a subscription is reported.
    :returns: reason → sentence, without its full stop; empty where nothing is wrong.
    """
    findings: dict[str, str] = {}
    near, over = [], set()
    for usage in list_usages(consumption):
        ratio = usage.ratio
        if ratio is not None and ratio > 1:
            reason, used = _OVER[usage.name]
            findings[reason] = (
                f"{reason}: {_write(usage.used)} {usage.unit} {used}, {_write(usage.purchased)} purchased"
            )
            over.add(usage.name)
        elif ratio is not None and ratio >= near_limit:
            near.append(f"{usage.name} at {ratio:.0%}")
    if near:
        findings["near_limit"] = f"near_limit: {' and '.join(near)} of what is purchased"
    if consumption.is_out_of_policy and consumption.out_of_policy_at is not None:
        findings["out_of_policy"] = _describe_out_of_policy(consumption.out_of_policy_at)
    coming = [each for each in forecasts if each.crossing is not None and each.usage.name not in over]
    if coming:
        findings["forecast"] = f"forecast: {' and '.join(each.describe() for each in coming)}"
    if now is not None:
        findings |= _find_end(consumption, now, within)
    return findings


def describe_models(consumption: LicenseConsumption) -> list[str]:
    """Return a sentence for each figure of which nothing is purchased.

    :param consumption: the licence's figures.
    """
    return [
        f"{usage.name}: {_write(usage.used)} {usage.unit} used, none purchased: another licence model, "
        "without a limit"
        for usage in list_usages(consumption)
        if usage.ratio is None
    ]


def _describe_out_of_policy(since: datetime) -> str:
    # The vendor's pages on subscription consumption: a licence by user goes on protecting what is protected,
    # a licence by GB does so for 90 days.
    return (
        f"out_of_policy since {since:%Y-%m-%d}: new objects are not backed up; with a licence by GB all "
        f"backups stop after {_GRACE.days} days, on {since + _GRACE:%Y-%m-%d}"
    )


def _find_end(consumption: LicenseConsumption, now: datetime, within: timedelta) -> Iterator[tuple[str, str]]:
    """Yield a finding where a subscription has ended or ends soon: its reason and its sentence."""
    end = consumption.expires_at
    if end is not None and end <= now:
        yield "expired", f"expired: the subscription ended on {end:%Y-%m-%d}"
    elif end is not None and end <= now + within:
        yield "expires_soon", f"expires_soon: the subscription ends on {end:%Y-%m-%d}"
    # In the table this is when the licence went out of policy, in the sample when it will: then it is ahead.
    end = consumption.out_of_policy_at
    if end is not None and now < end <= now + within:
        yield "expires_soon", f"expires_soon: the subscription is out of policy from {end:%Y-%m-%d}"


def _write(number: float) -> str:
    """Write *number* with up to two decimals."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
