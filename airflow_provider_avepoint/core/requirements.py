"""What a tenant must have beside good jobs: the rules, by service, and how they may be written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from airflow_provider_avepoint.core.arguments import (
    parse_flag,
    parse_limit,
    parse_ratio,
    parse_span,
    parse_text,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.retention import Period, parse_period
from airflow_provider_avepoint.core.text import trim

__all__ = [
    "RULES",
    "TENANT",
    "Demand",
    "KeptFor",
    "Required",
    "Rule",
    "Topic",
    "build_schema",
    "choose_organization",
    "parse_required",
]

#: The name under which the rules stand that hold for the whole tenant.
TENANT = "tenant"
#: How far back unusual activity and removed records count unless a rule says.
WITHIN = timedelta(days=7)

_ISO_PERIOD = re.compile(r"P(?=\d)(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?", re.ASCII)
# The most days that so many months in a row have.
_MOST_DAYS = (0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337)


class Topic(StrEnum):
    """What a rule is about, and so what has to be read."""

    SCHEDULE = "schedule"
    RETENTION = "retention"
    ACTIVITY = "unusual activity"
    COVERAGE = "coverage"
    USERS = "users"
    CHANGES = "objects out of policy"
    ALERTS = "monitor alerts"
    LICENSE = "licence"
    SCAN = "scan"
    DRILLS = "restore drills"

    def is_told_by(self, product: Product) -> bool:
        """Tell whether a product can be asked about it.

        :param product: the product.
        """
        endpoints: dict[Topic, object] = {
            Topic.SCHEDULE: product.schedule,
            Topic.RETENTION: product.retention,
            Topic.ACTIVITY: product.activity,
            Topic.COVERAGE: product.coverage,
            Topic.USERS: product.coverage,
            Topic.CHANGES: product.coverage,
            Topic.ALERTS: product.alerts,
            Topic.LICENSE: product.license or product.subscriptions,
            Topic.SCAN: product.scan,
            Topic.DRILLS: product.restore,
        }
        return endpoints[self] is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFor:
    """How long backups must be kept, as a calendar counts.

    :param text: as it was written.
    :param months: years and months, in months.
    :param days: weeks and days, in days.
    :param is_unlimited: for ever.
    """

    text: str
    months: int = 0
    days: int = 0
    is_unlimited: bool = False

    def is_met_by(self, period: Period) -> bool:
        """Tell whether a period of the tenant is long enough, wherever in the calendar it begins.

        Months compare with months. Days compare with the fewest or the most days that months can have: 365
        days are not always a year.

        :param period: the period; one that is not understood is never long enough.
        """
        if period.is_unlimited:
            return True
        if self.is_unlimited or period.least_days is None:
            return False
        if period.months is not None and not self.days:
            return period.months >= self.months
        return period.least_days >= self._most_days

    @property
    def _most_days(self) -> int:
        """The most days that the time can have: of four years in a row, one has a day more."""
        years, months = divmod(self.months, 12)
        return years * 365 + -(-years // 4) + _MOST_DAYS[months] + self.days

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written.

    :param parse: reads the value; raises AvePointConfigError.
    :param schema: the same as JSON schema, for editors.
    """

    parse: Callable[[str, object], Any]
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule that a tenant, or a service of it, can be held to.

    :param name: as it is written.
    :param topic: what it is about.
    :param form: how its value is written.
    :param meaning: what it demands, for editors.
    :param is_for_service: whether it can stand under a service.
    :param is_for_tenant: whether it can stand under ``tenant``.
    :param within: the name of the time that may stand beside it; None where there is none.
    """

    name: str
    topic: Topic
    form: Form
    meaning: str
    is_for_service: bool = False
    is_for_tenant: bool = False
    within: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One thing that is required.

    :param rule: the rule.
    :param service: the service; None for the whole tenant.
    :param value: the value of the rule, read.
    :param within: how far back counts; None where the rule has no such time.
    """

    rule: Rule
    service: str | None
    value: Any
    within: timedelta | None = None

    @property
    def subject(self) -> str:
        """The name under which the rule stands."""
        return self.service or TENANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Required:
    """What a tenant must have.

    :param product: the product.
    :param demands: the demands, in the order in which they are written.
    :param written: service → rule → value, ready for JSON; ``scheduled`` stands where it is demanded unsaid.
    """

    product: Product
    demands: tuple[Demand, ...]
    written: Mapping[str, Mapping[str, Any]]

    @property
    def topics(self) -> tuple[Topic, ...]:
        """What the demands are about, each once."""
        return tuple(dict.fromkeys(each.rule.topic for each in self.demands))


def _parse_runs(name: str, value: object) -> int:
    number = parse_limit(name, value)
    if not number:
        raise refuse(name, value, "is not a whole number from 1 up.")
    return number


def _parse_kept_for(name: str, value: object) -> KeptFor:
    if isinstance(value, str):
        text = trim(value)
        period = parse_period(text)
        if period is not None and period.is_unlimited:
            return KeptFor(text=text, is_unlimited=True)
        if period is not None and period.number:
            if period.months is None:
                return KeptFor(text=text, days=period.number)
            return KeptFor(text=text, months=period.months)
        if match := _ISO_PERIOD.fullmatch(text.upper()):
            years, months, weeks, days = (int(each or 0) for each in match.groups())
            kept = KeptFor(text=text, months=years * 12 + months, days=weeks * 7 + days)
            if kept.months or kept.days:
                return kept
    raise refuse(name, value, "is not how long backups are kept; give P1Y, P18M, P90D or unlimited.")


def _parse_share(name: str, value: object) -> float:
    share = parse_ratio(name, value)
    if not share:
        raise refuse(name, value, "is not a share, more than 0 and at most 1.")
    return share


_FLAG = Form(parse_flag, {"type": "boolean"})
_COUNT = Form(parse_limit, {"type": "integer", "minimum": 0})
_RUNS = Form(_parse_runs, {"type": "integer", "minimum": 1})
_SHARE = Form(_parse_share, {"type": "number", "exclusiveMinimum": 0, "maximum": 1})
_SPAN = Form(parse_span, {"type": "string", "examples": ["P7D", "36h"]})
_KEPT_FOR = Form(_parse_kept_for, {"type": "string", "examples": ["P1Y", "P18M", "P90D", "unlimited"]})

#: Every rule.
RULES = {
    each.name: each
    for each in (
        Rule(
            name="scheduled",
            topic=Topic.SCHEDULE,
            form=_FLAG,
            meaning="A backup of the service is scheduled today; true unless said otherwise.",
            is_for_service=True,
        ),
        Rule(
            name="runs_per_day",
            topic=Topic.SCHEDULE,
            form=_RUNS,
            meaning="So many backups a day are scheduled, at least.",
            is_for_service=True,
        ),
        Rule(
            name="retention",
            topic=Topic.RETENTION,
            form=_KEPT_FOR,
            meaning="Backups are kept so long, at least.",
            is_for_service=True,
        ),
        Rule(
            name="coverage",
            topic=Topic.COVERAGE,
            form=_SHARE,
            meaning="The share of scanned objects that are protected, at least.",
            is_for_service=True,
            is_for_tenant=True,
        ),
        Rule(
            name="max_unprotected_users",
            topic=Topic.USERS,
            form=_COUNT,
            meaning="So many users may have an unprotected part.",
            is_for_tenant=True,
        ),
        Rule(
            name="max_out_of_policy",
            topic=Topic.CHANGES,
            form=_COUNT,
            meaning="So many objects may have fallen out of backup.",
            is_for_tenant=True,
        ),
        Rule(
            name="max_unusual",
            topic=Topic.ACTIVITY,
            form=_COUNT,
            meaning="So many objects may look attacked.",
            is_for_service=True,
            is_for_tenant=True,
            within="unusual_within",
        ),
        Rule(
            name="max_removed",
            topic=Topic.ALERTS,
            form=_COUNT,
            meaning="So many records of an organisation may have been removed.",
            is_for_tenant=True,
            within="removed_within",
        ),
        Rule(
            name="scanned_within",
            topic=Topic.SCAN,
            form=_SPAN,
            meaning="A scan for new objects has begun so recently, and the newest ended well.",
            is_for_tenant=True,
        ),
        Rule(
            name="licensed",
            topic=Topic.LICENSE,
            form=_FLAG,
            meaning="The licence has not ended and is not out of policy.",
            is_for_tenant=True,
        ),
        Rule(
            name="drilled_within",
            topic=Topic.DRILLS,
            form=_SPAN,
            meaning="A restore of the service was proven so recently.",
            is_for_service=True,
        ),
    )
}
_WITHINS = {each.within: each for each in RULES.values() if each.within is not None}
# Where they say "false", nothing is demanded.
_FLAGS = ("scheduled", "licensed")


def _write_path(*path: str) -> str:
    return ".".join(("required", *path))


def parse_required(value: object, product: Product, write_path: Callable[..., str] = _write_path) -> Required:
    """Parse what a tenant must have.

    :param value: service → rule → value; the rules under ``tenant`` hold for the whole tenant.
    :param product: the product that is to be asked.
    :param write_path: says where a service or a rule stands, for messages.
    :raises AvePointConfigError: a service, a rule or a value cannot be used, or the product cannot tell; the
        message says where.
    """
    if not isinstance(value, Mapping) or not value:
        raise refuse(write_path(), value, "does not say what is required: give an object with the services.")
    demands: list[Demand] = []
    written: dict[str, dict[str, Any]] = {}
    for name, rules in value.items():
        service = _read_service(name, product, write_path)
        if service in written:
            raise AvePointConfigError(f"{write_path(str(name))} stands twice.")
        own = list(_read_rules(service, rules, product, write_path, str(name)))
        if not own:
            rules_known = ", ".join(_list_rules(service, product))
            raise AvePointConfigError(f"{write_path(str(name))} demands nothing; rules are: {rules_known}.")
        demands += own
        off = {flag: False for flag in _FLAGS if isinstance(rules, Mapping) and rules.get(flag) is not None}
        written[service] = {**off, **dict(_write(own))}
    return Required(product=product, demands=tuple(demands), written=written)


def _read_service(name: object, product: Product, write_path: Callable[..., str]) -> str:
    if name == TENANT:
        return TENANT
    known = list_services(product)
    if isinstance(name, str):
        for each in known:
            if is_same_service(name, each):
                return each
    services = ", ".join((*known, TENANT)) if known else f"{TENANT} only, since it tells nothing by service"
    raise AvePointConfigError(
        f"{write_path(str(name))} is no service that {product.label} tells about; known are {services}."
    )


def list_services(product: Product) -> tuple[str, ...]:
    """Return the services that a product tells about by name.

    :param product: the product.
    """
    if product.coverage is None:
        return tuple(product.service_types)
    return tuple(each for each in product.object_types if each not in ("none", *product.housekeeping))


def is_same_service(one: str, other: str) -> bool:
    """Tell whether two words name one service: Elements says Teams in one place, Microsoft Teams in another.

    :param one: a word for a service.
    :param other: another one.
    """
    return one.removeprefix("microsoft_") == other.removeprefix("microsoft_")


def _list_rules(service: str, product: Product) -> list[str]:
    return [
        each.name
        for each in RULES.values()
        if (each.is_for_tenant if service == TENANT else each.is_for_service)
        and each.topic.is_told_by(product)
        and _is_restorable(each, service, product)
    ]


def _is_restorable(rule: Rule, service: str, product: Product) -> bool:
    restore = product.restore
    return rule.topic is not Topic.DRILLS or (restore is not None and service in restore.services)


def _read_rules(
    service: str, rules: object, product: Product, write_path: Callable[..., str], name: str
) -> Iterator[Demand]:
    given = _check_rules(service, {} if rules is None else rules, product, write_path, name)
    for rule in RULES.values():
        if rule.name not in given:
            continue
        where = write_path(name, rule.name)
        _require_told(rule, service, product, where)
        if given[rule.name] is None:
            raise AvePointConfigError(f"{where} has no value; give one, or leave the rule out.")
        parsed = rule.form.parse(where, given[rule.name])
        if rule.name in _FLAGS and not parsed:
            continue
        yield Demand(
            rule=rule,
            service=None if service == TENANT else service,
            value=parsed,
            within=_read_within(rule, given, product, write_path, name),
        )


def _check_rules(
    service: str, rules: object, product: Product, write_path: Callable[..., str], name: str
) -> Mapping[str, Any]:
    """Return the rules with what holds unsaid; refuse those that do not exist or say nothing."""
    if not isinstance(rules, Mapping):
        raise refuse(write_path(name), rules, "is no object of rules.")
    for key in rules:
        beside = _WITHINS.get(key)
        if key not in RULES and beside is None:
            known = ", ".join(_list_rules(service, product))
            raise AvePointConfigError(f"{write_path(name, str(key))} is no rule; rules are: {known}.")
        if beside is not None and beside.name not in rules:
            raise AvePointConfigError(f"{write_path(name, key)} says nothing without {beside.name}.")
    if service == TENANT or not Topic.SCHEDULE.is_told_by(product):
        return rules
    return {"scheduled": True, **rules}


def _require_told(rule: Rule, service: str, product: Product, where: str) -> None:
    if not rule.topic.is_told_by(product):
        able = ", ".join(each.name for each in PRODUCTS.values() if rule.topic.is_told_by(each))
        raise AvePointConfigError(
            f"{where}: {product.label} cannot tell its {rule.topic}; those that can: {able}."
        )
    if service == TENANT and not rule.is_for_tenant:
        raise AvePointConfigError(f"{where} is told by service: write the rule under a service.")
    if service != TENANT and not rule.is_for_service:
        raise AvePointConfigError(f"{where} is told for the whole tenant: write the rule under {TENANT!r}.")
    if not _is_restorable(rule, service, product):
        assert product.restore is not None  # noqa: S101  # the topic is told
        raise AvePointConfigError(
            f"{where}: {service} cannot be restored; those that can: {', '.join(product.restore.services)}."
        )


def _read_within(
    rule: Rule, given: Mapping[str, object], product: Product, write_path: Callable[..., str], name: str
) -> timedelta | None:
    if rule.within is None:
        return None
    where = write_path(name, rule.within)
    span = parse_span(where, given.get(rule.within, WITHIN))
    if span is None:
        raise AvePointConfigError(f"{where} has no value; give a time span, such as P7D.")
    activity = product.activity
    if (
        rule.topic is Topic.ACTIVITY
        and activity is not None
        and activity.detected_after is None
        and span != WITHIN
    ):
        raise AvePointConfigError(f"{where}: {product.label} knows the last 7 days only; leave it out.")
    return span


def _write(demands: list[Demand]) -> Iterator[tuple[str, Any]]:
    for each in demands:
        yield each.rule.name, _write_value(each.value)
        if each.rule.within is not None and each.within is not None:
            yield each.rule.within, _write_value(each.within)


def _write_value(value: Any) -> Any:
    if isinstance(value, timedelta):
        return write_span(value)
    return str(value) if isinstance(value, KeptFor) else value


def write_span(span: timedelta) -> str:
    """Write a time span as ISO 8601, such as ``P7D``.

    :param span: the time span.
    """
    days, seconds = span.days, span.seconds
    hours, minutes = divmod(seconds // 60, 60)
    clock = "".join(
        f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds % 60, "S")) if number
    )
    return "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")


def build_schema() -> dict[str, Any]:
    """Return what can be required as JSON schema, for editors: of all products, so more than one product has.

    The provider ships the same as ``required.schema.json``.
    """
    services = dict.fromkeys(name for product in PRODUCTS.values() for name in list_services(product))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "What a tenant must have, for AvePointProtectionAuditOperator",
        "type": "object",
        "minProperties": 1,
        "properties": {TENANT: _build_rules(lambda rule: rule.is_for_tenant)},
        "patternProperties": {
            f"^({'|'.join(services)})$": _build_rules(lambda rule: rule.is_for_service),
        },
        "additionalProperties": False,
    }


def _build_rules(is_meant: Callable[[Rule], bool]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for rule in filter(is_meant, RULES.values()):
        properties[rule.name] = {"description": rule.meaning, **rule.form.schema}
        if rule.within is not None:
            meaning = f"How far back {rule.name} counts; {write_span(WITHIN)} unless said otherwise."
            properties[rule.within] = {"description": meaning, **_SPAN.schema}
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def choose_organization(value: object, product: Product, topics: Iterable[Topic]) -> str | None:
    """Return the customer or organisation.

    :param value: the caller's.
    :param product: the product.
    :param topics: what is to be read.
    :raises AvePointConfigError: nothing is told about one, or the one is missing that has to be named.
    """
    organization = parse_text("organization_id", value)
    by_customer = product.coverage is not None
    if by_customer and organization is None and set(topics) - {Topic.LICENSE}:
        raise AvePointConfigError(f"organization_id: {product.label} knows one customer at a time; name it.")
    if organization is not None and not (by_customer or product.alerts is not None):
        able = ", ".join(each.name for each in PRODUCTS.values() if each.coverage or each.alerts)
        raise AvePointConfigError(
            f"organization_id: {product.label} tells about the whole tenant; leave the id out. Those that "
            f"tell about one: {able}."
        )
    return organization
