"""Compare what is used with what is purchased, now and in the forecast. Each finding gets a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.forecast import (
    LEAST_READINGS,
    LEAST_SPAN,
    Crossing,
    Estimate,
    Outlook,
    Trend,
    look_ahead,
)
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.text import one_line

#: The default number of days that an audit looks ahead.
FORECAST_DAYS = 30
#: The default share of the purchased amount from which usage is near the limit.
NEAR_LIMIT = 0.9
#: The time before the newest reading from which a forecast takes its readings.
HISTORY = timedelta(days=90)
#: Pairs of a moment and the licence figures that were read then.
History = Iterable[tuple[datetime, LicenseConsumption]]

# Differences of this share of the limit do not matter to a forecast.
_GRAIN = 0.0025
# A line through readings over this time, or less, that may never reach the limit is chance.
_SHORT = timedelta(days=21)
# A subscription by GB that is out of policy for longer stops all backups.
_GRACE = timedelta(days=90)
_OVER = {"seats": ("over_assigned", "assigned"), "storage": ("storage_over", "protected")}


class Usage(NamedTuple):
    """How much of one kind of licence is used and purchased.

    :param name: ``seats`` or ``storage``.
    :param unit: the unit of both figures: ``seats`` or ``GB``.
    :param used: the amount in use.
    :param purchased: the purchased amount, which is the limit; 0 for a licence model without a limit.
    """

    name: str
    unit: str
    used: float
    purchased: float

    @property
    def ratio(self) -> float | None:
        """Used divided by purchased; None if nothing is purchased: a licence model without a limit."""
        return self.used / self.purchased if self.purchased else None


def require_license(product: Product, organization_id: str | None) -> None:
    """Refuse a product without licences, and a customer where the tenant has one licence.

    :param product: the product.
    :param organization_id: the one customer; None for all of them.
    :raises AvePointConfigError: the product has no licences, or cannot tell customers apart.
    """
    if product.license is None and product.subscriptions is None:
        able = ", ".join(each.name for each in PRODUCTS.values() if each.license or each.subscriptions)
        raise AvePointConfigError(
            f"product: {product.label} has no API for licence consumption; those that have: {able}."
        )
    if product.subscriptions is None and organization_id is not None:
        raise AvePointConfigError(f"organization_id: {product.label} has one licence for the tenant.")


def describe_subject(consumption: LicenseConsumption) -> str:
    """Name the licence: the product and, for a partner's customer, the organisation and the service.

    :param consumption: the figures of the licence.
    """
    names = (consumption.organization_name or consumption.organization_id, consumption.service)
    return ", ".join((consumption.product, *(one_line(name, 100) for name in names if name)))


def list_usages(consumption: LicenseConsumption) -> list[Usage]:
    """Return the usage of seats and of storage, each if the licence has both of its figures.

    :param consumption: the figures of the licence.
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
    """The forecast of one figure of a licence.

    :param usage: the figure, and its limit: the amount that is purchased today.
    :param until: the end of the forecast.
    :param outlook: what the readings say.
    :param trend: the line through the readings since the last change; None where nothing can be told: there
        is too little history, or the figure changed too recently.
    :param crossing: when the trend reaches the limit; None if the trend does not reach it before *until*.
    :param doubt: a sentence for a reader who has to look at the figure: the figure changed too recently, or
        there is too little history and the limit may be reached; None otherwise. A doubt is no finding,
        because no breach is forecast.
    """

    usage: Usage
    until: datetime
    outlook: Outlook
    trend: Trend | None
    crossing: Crossing | None
    doubt: str | None

    @property
    def readings(self) -> int:
        """The number of readings."""
        return self.outlook.readings

    @property
    def unknown(self) -> str | None:
        """Why nothing can be told, in a few words; None where there is a trend."""
        if self.trend is not None:
            return None
        return "too little history" if self.outlook.changed_at is None else "changed too recently to tell"

    @property
    def estimate(self) -> Estimate | None:
        """The figure at *until*, not below 0; None where nothing can be told."""
        return (
            None if self.trend is None else Estimate(*(max(0.0, each) for each in self.trend.at(self.until)))
        )

    def describe(self) -> str:
        """Describe the forecast in one sentence."""
        estimate, usage, changed_at = self.estimate, self.usage, self.outlook.changed_at
        if estimate is None:
            unknown = _describe_unknown(usage, self.outlook)
            return unknown if changed_at is None else f"{unknown}: {_describe_change(usage, self.outlook)}"
        since = "" if changed_at is None else f", by the readings since the change of {changed_at:%Y-%m-%d}"
        if self.crossing is None:
            value, low, high = map(_write, estimate)
            return (
                f"{usage.name}: about {value} on {self.until:%Y-%m-%d} (95 %: {low} to {high}), of "
                f"{_describe_limit(usage)}{since}"
            )
        earliest, expected, latest = self.crossing
        end = "or later, or never" if latest is None else f"to {latest:%Y-%m-%d}"
        return (
            f"{usage.name} will reach the {_describe_limit(usage)} about {expected:%Y-%m-%d} "
            f"(95 %: {earliest:%Y-%m-%d} {end}){since}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the forecast, ready for JSON; without a trend it has no estimate and no crossing."""
        crossing = {} if self.crossing is None else self.crossing._asdict()
        changed_at = self.outlook.changed_at
        return {
            "of": self.usage.name,
            "limit": self.usage.purchased,
            "until": self.until.isoformat(),
            "readings": self.readings,
            "changed_at": changed_at and changed_at.isoformat(),
            "has_enough_history": self.trend is not None,
            "doubt": self.doubt,
            "estimate": None if self.estimate is None else self.estimate._asdict(),
            "crossing": {name: moment and moment.isoformat() for name, moment in crossing.items()} or None,
            "text": self.describe(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a licence, or with the protection of a tenant.

    :param organization_id: the customer with the licence, or the organisation; None for the tenant's own.
    :param service: the subscription, for the licences of Elements; the service; None for the whole tenant.
    :param location: the Multi-Geo location that was asked for.
    :param reason: such as ``expired``; see :func:`audit` and :data:`.protection.REASONS`.
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
    """The result of one audit of the licences of a product.

    :param product: the name of the product.
    :param audited_at: when the audit was made (UTC).
    :param location: the Multi-Geo location that was asked for; None for all.
    :param organization_id: the customer that was asked for; None for all.
    :param near_limit: the share of a limit, 0 to 1, from which usage is near the limit.
    :param forecast_days: the number of days that the audit looked ahead.
    :param error: why no figures could be read; None if they were read.
    :param findings: what is wrong; empty if *error* is set.
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
        """How far the audit looked ahead."""
        return timedelta(days=self.forecast_days)


def forecast(
    consumption: LicenseConsumption, history: History, now: datetime, within: timedelta
) -> list[Forecast]:
    """Forecast each figure of a licence that has a limit.

    :param consumption: the figures of the licence today.
    :param history: the earlier readings of this licence.
    :param now: when the forecast begins, an aware datetime.
    :param within: how far to look ahead.
    """
    past = list(history)
    return [
        foresee(usage, _list_used(past, usage.name), now, within)
        for usage in list_usages(consumption)
        if usage.purchased
    ]


def foresee(
    usage: Usage, readings: Iterable[tuple[datetime, float]], now: datetime, within: timedelta
) -> Forecast:
    """Forecast one figure of a licence.

    A line through few readings that scatter can reach the limit by chance. Where its band may never reach the
    limit, nothing is told.

    :param usage: the figure today, and its limit.
    :param readings: aware moments with the figure that was read then; those after *now* do not count, nor
        those from more than ``HISTORY`` before the newest one.
    :param now: when the forecast begins, an aware datetime.
    :param within: how far to look ahead.
    """
    past = {moment: used for moment, used in readings if moment <= now} or {now: usage.used}
    first = max(past) - HISTORY
    past = {moment: used for moment, used in past.items() if moment >= first}
    limit, has_limit = usage.purchased, usage.used <= usage.purchased and usage.purchased > 0
    outlook = look_ahead(past.items(), _GRAIN * (limit or max(map(abs, past.values()))))
    trend = outlook.trend
    crossing = trend.reaches(limit, now, within) if trend and has_limit else None
    is_chance = (
        trend is not None
        and crossing is not None
        and crossing.latest is None
        and trend.end - trend.begin <= _SHORT
    )
    if is_chance:
        trend = crossing = None
    doubt = None
    if trend is None and has_limit and within:
        may_reach = is_chance or _may_reach(usage, outlook, now, within)
        if may_reach or outlook.changed_at is not None:
            doubt = f"{_describe_unknown(usage, outlook)}: {_describe_change(usage, outlook)}"
        if may_reach:
            doubt = f"{doubt}; the limit may be reached by {now + within:%Y-%m-%d}"
    return Forecast(
        usage=usage, until=now + within, outlook=outlook, trend=trend, crossing=crossing, doubt=doubt
    )


def _list_used(history: History, name: str) -> Iterator[tuple[datetime, float]]:
    """Yield the used figures of seats or storage."""
    for moment, each in history:
        used = each.assigned_user_seats if name == "seats" else each.protected_gb
        if used is not None:
            yield moment, used


def _may_reach(usage: Usage, outlook: Outlook, now: datetime, within: timedelta) -> bool:
    """Tell whether as much growth again, or the growth before the change, reaches the limit."""
    if outlook.swing and usage.used + outlook.swing >= usage.purchased:
        return True
    return outlook.earlier is not None and outlook.earlier.reaches(usage.purchased, now, within) is not None


def _describe_unknown(usage: Usage, outlook: Outlook) -> str:
    """Say why nothing can be told."""
    if outlook.changed_at is not None:
        return f"{usage.name}: changed too recently to tell"
    if outlook.trend is not None:
        return (
            f"{usage.name}: too little history for a forecast: the {outlook.readings} readings so far "
            "scatter too much"
        )
    return (
        f"{usage.name}: too little history for a forecast: readings so far {outlook.readings}, and it takes "
        f"{LEAST_READINGS} over {LEAST_SPAN.days} days"
    )


def _describe_change(usage: Usage, outlook: Outlook) -> str:
    (moment, before), (now, used) = outlook.before, outlook.newest
    figures = f"{_write(before)} on {moment:%Y-%m-%d} and {_write(used)} on {now:%Y-%m-%d}"
    return f"{figures}, of {_describe_limit(usage)}"


def _describe_limit(usage: Usage) -> str:
    if usage.purchased:
        return f"{_write(usage.purchased)} {usage.unit} purchased"
    return f"an unlimited number of {usage.unit}"


def audit(
    consumption: LicenseConsumption,
    near_limit: float,
    *,
    forecasts: Iterable[Forecast] = (),
    now: datetime | None = None,
    within: timedelta = timedelta(),
) -> dict[str, str]:
    """Return what is wrong with a licence: reason → sentence.

    The vendor compares assigned with purchased seats, and protected with purchased storage. If nothing is
    purchased, the licence has no limit: see :func:`describe_models`.

    :param consumption: the figures of the licence.
    :param near_limit: the share of a limit, 0 to 1, from which usage is near the limit.
    :param forecasts: the forecasts for this licence.
    :param now: the time of the audit, an aware datetime; None skips the check of the subscription's end.
    :param within: how long before the subscription's end the end is reported.
    :returns: the findings; empty if nothing is wrong.
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
            near.append(f"{usage.name} at {_write_share(ratio)}")
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
    """Return a sentence for each figure without a purchased amount.

    :param consumption: the figures of the licence.
    """
    return [
        f"{usage.name}: {_write(usage.used)} {usage.unit} used, none purchased: another licence model, "
        "without a limit"
        for usage in list_usages(consumption)
        if usage.ratio is None
    ]


def _write_share(share: float) -> str:
    # What is close to the limit is not at the limit.
    return f"{share:.0%}" if share == 1 or share < 0.995 else f"{min(share, 0.999):.1%}"


def _describe_out_of_policy(since: datetime) -> str:
    # From the vendor's pages on subscription consumption: protected objects stay protected with a licence by
    # user, and for 90 days with a licence by GB.
    return (
        f"out_of_policy since {since:%Y-%m-%d}: new objects are not backed up; with a licence by GB all "
        f"backups stop after {_GRACE.days} days, on {since + _GRACE:%Y-%m-%d}"
    )


def _find_end(consumption: LicenseConsumption, now: datetime, within: timedelta) -> Iterator[tuple[str, str]]:
    """Yield a finding if a subscription has ended, or ends soon."""
    end = consumption.expires_at
    if end is not None and end <= now:
        yield "expired", f"expired: the subscription ended on {end:%Y-%m-%d}"
    elif end is not None and end <= now + within:
        yield "expires_soon", f"expires_soon: the subscription ends on {end:%Y-%m-%d}"
    # The vendor's table has a past moment here and the vendor's sample a future one: report a future one.
    end = consumption.out_of_policy_at
    if end is not None and now < end <= now + within:
        yield "expires_soon", f"expires_soon: the subscription is out of policy from {end:%Y-%m-%d}"


def _write(number: float) -> str:
    """Write *number* with at most two decimals."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
