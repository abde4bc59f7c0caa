"""Protection audits: what holds of what a tenant must have, by the newest audits of the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_avepoint.core.arguments import parse_span
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.license import Finding
from airflow_provider_avepoint.core.requirements import TENANT
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.report.drills import DrillHistory, DrillPlace
from airflow_provider_avepoint.report.rhythm import is_late

#: The state of a subject of which all holds.
IN_ORDER = "in order"
#: The reason of a finding that says that something could not be read.
UNREADABLE = "unreadable"
#: The reason of a finding that says that no drill has proven a restore of late.
NOT_DRILLED = "not_drilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAudit:
    """One protection audit of the ledger, as the report reads it.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param location: the Multi-Geo location that was asked for; None for all.
    :param organization_id: the customer that was asked for; None for all.
    :param task: the DAG, the task and its map index; each is None outside of a task.
    :param audited_at: when the audit was made.
    :param error: why nothing could be read; None if the audit came to a result.
    :param findings: what is wrong.
    :param required: what was asked for, by service and rule.
    """

    tenant: str
    product: str
    location: str | None
    organization_id: str | None
    task: tuple[Any, ...]
    audited_at: datetime
    error: str | None
    findings: tuple[Finding, ...]
    required: Mapping[str, Any]

    @property
    def task_name(self) -> str:
        """The DAG and the task; empty outside of a task."""
        return ".".join(str(part) for part in self.task[:2] if part)

    @property
    def asked(self) -> frozenset[tuple[str, str, str]]:
        """Each demand: the service, the rule and its value."""
        return frozenset(
            (service, str(rule), str(value))
            for service, rules in self.required.items()
            for rule, value in (rules.items() if isinstance(rules, Mapping) else [("", rules)])
        )

    def covers(self, other: KeptAudit) -> bool:
        """Tell whether this audit was asked for all that another one was asked for.

        :param other: an audit of any tenant and product.
        """
        return (
            (self.tenant, self.product) == (other.tenant, other.product)
            and self.location in (None, other.location)
            and self.organization_id in (None, other.organization_id)
            and self.asked >= other.asked
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionHistory:
    """What an audit that runs again and again has found.

    :param newest: the newest audit that came to a result; None where each audit failed.
    :param failed: the newest audit, if it failed.
    :param findings: what is wrong.
    :param is_late: whether the next audit should have come.
    """

    newest: KeptAudit | None
    failed: KeptAudit | None
    findings: tuple[Finding, ...]
    is_late: bool

    @property
    def last(self) -> KeptAudit:
        """The newest audit, whatever came of it."""
        last = self.failed or self.newest
        assert last is not None  # noqa: S101  # follow() makes none without an audit
        return last

    @property
    def needs_attention(self) -> bool:
        """Whether something is wrong, or is not known."""
        return bool(self.findings or self.failed or self.is_late)

    @property
    def required(self) -> Mapping[str, Any]:
        """What the newest audit with a result was asked for."""
        return self.newest.required if self.newest else self.last.required

    def list_subjects(self, names: Mapping[tuple[str, str | None], str | None]) -> Iterator[Subject]:
        """Yield what the audit is about: what it requires by service, and what its findings name.

        :param names: the names of the organisations, by tenant and id.
        """
        audit = self.newest or self.last
        found: dict[tuple[str | None, str | None, str | None], list[Finding]] = defaultdict(list)
        for each in self.findings:
            organization = each.organization_id or audit.organization_id
            found[organization, each.service, each.location or audit.location].append(each)
        with_findings = {service for _, service, _ in found}
        # Of a partner's customers those with a finding are known by name: the others have no row.
        services = (None if name == TENANT else name for name in self.required)
        calm = [service for service in services if service not in with_findings]
        found.update({(audit.organization_id, service, audit.location): [] for service in calm})
        for (organization, service, location), findings in found.items():
            yield Subject(
                audit=audit,
                organization_id=organization,
                organization_name=names.get((audit.tenant, organization)),
                service=service,
                location=location,
                findings=tuple(findings),
                state=", ".join(dict.fromkeys(each.reason for each in findings)) if findings else self._calm,
            )

    @property
    def _calm(self) -> str:
        """The state of a subject without a finding."""
        if self.newest is None:
            return "not known"
        if self.failed or self.is_late:
            return "was in order"
        if any(each.reason == UNREADABLE and each.service is None for each in self.findings):
            return "not all read"
        return IN_ORDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A service, or a customer's service, that an audit is about.

    :param audit: the newest audit with a result, or else the one that failed.
    :param organization_id: the customer; None for the tenant's own.
    :param organization_name: the customer's name; None where it is not known.
    :param service: the service; None for all.
    :param location: the Multi-Geo location; None for all.
    :param findings: what is wrong.
    :param state: the reasons of the findings, or how far all is in order, in words.
    """

    audit: KeptAudit
    organization_id: str | None
    organization_name: str | None
    service: str | None
    location: str | None
    findings: tuple[Finding, ...]
    state: str

    @property
    def ids(self) -> tuple[str, ...]:
        """The customer, the service and the location, as far as there are any."""
        return tuple(filter(None, (self.organization_id, self.service, self.location)))

    @property
    def name(self) -> str:
        """The same on one line, with the customer's name; empty where there is none of them."""
        organization = one_line(self.organization_name or "", 80) or self.organization_id
        return " / ".join(one_line(part, 80) for part in (organization, self.service, self.location) if part)

    @property
    def is_in_order(self) -> bool:
        """Whether all that is required was read, of late, and holds."""
        return self.state == IN_ORDER

    @property
    def rules(self) -> tuple[str, ...]:
        """What is required, a few words each."""
        rules = self.audit.required.get(self.service or TENANT)
        return tuple(f"{rule}: {rules[rule]}" for rule in rules) if isinstance(rules, Mapping) else ()


def follow(
    audits: Iterable[KeptAudit], moments: Iterable[tuple[tuple[Any, ...], datetime]], now: datetime
) -> tuple[ProtectionHistory, ...]:
    """Return what the newest audits say: those that need attention first.

    An audit of another task does not speak for this one, unless it was asked for as much or more: else a
    nightly audit of one rule would hide what the weekly audit of all rules found.

    :param audits: of each series the newest audit with a result, and the newest that failed.
    :param moments: the series and the moment of each audit that is known.
    :param now: the moment of the report.
    """
    times: dict[tuple[Any, ...], list[datetime]] = defaultdict(list)
    for series, moment in moments:
        times[series].append(moment)
    known: dict[tuple[Any, ...], list[KeptAudit]] = defaultdict(list)
    for audit in audits:
        known[series_of(audit)].append(audit)
    histories = [_follow(each, times[series], now) for series, each in known.items()]
    standing = [each for each in histories if not any(_replaces(other, each) for other in histories)]
    return rank(standing)


def list_demands(histories: Iterable[ProtectionHistory]) -> dict[DrillPlace, timedelta]:
    """Return how recent the proof of a restore must be, by service: the shortest of several.

    :param histories: what the audits have found.
    """
    demands: dict[DrillPlace, timedelta] = {}
    for history in histories:
        for service, rules in history.required.items():
            within = read_within(rules)
            if within is not None:
                place = _place_of(history, service)
                demands[place] = min(within, demands.get(place, within))
    return demands


def judge_drills(
    histories: Iterable[ProtectionHistory], drilled: Iterable[DrillHistory]
) -> tuple[ProtectionHistory, ...]:
    """Return the histories, each with what is to say of drills at the moment of the report.

    Time passes between an audit and a report: a proof grows old, and a new one comes.

    :param histories: what the audits have found.
    :param drilled: the histories of the drills, with what the audits demand.
    """
    known = {each.place: each for each in drilled if each.demanded is not None}
    return rank(_judge_drills(history, known) for history in histories)


def _judge_drills(history: ProtectionHistory, known: Mapping[DrillPlace, DrillHistory]) -> ProtectionHistory:
    findings = [
        each
        for each in history.findings
        if each.reason != NOT_DRILLED or _place_of(history, each.service or "") not in known
    ]
    for service, rules in history.required.items():
        drills = known.get(_place_of(history, service))
        if drills is not None and drills.is_overdue and read_within(rules) is not None:
            findings.append(
                Finding(
                    organization_id=history.last.organization_id,
                    service=service,
                    location=history.last.location,
                    reason=NOT_DRILLED,
                    text=f"{NOT_DRILLED}: {drills.describe_proof()}; {drills.describe_demand()}",
                )
            )
    return replace(history, findings=tuple(findings))


def _place_of(history: ProtectionHistory, service: str) -> DrillPlace:
    last = history.last
    return DrillPlace(tenant=last.tenant, product=last.product, service=service, location=last.location)


def rank(histories: Iterable[ProtectionHistory]) -> tuple[ProtectionHistory, ...]:
    """Return the histories, those that need attention first.

    :param histories: what the audits have found.
    """
    return tuple(
        sorted(histories, key=lambda each: (not each.needs_attention, each.last.tenant, each.last.product))
    )


def read_within(rules: object) -> timedelta | None:
    """Return how recent the proof of a restore must be; None where no drill is demanded.

    :param rules: what an audit requires of a service.
    """
    value = rules.get("drilled_within") if isinstance(rules, Mapping) else None
    try:
        return None if value is None else parse_span("drilled_within", value)
    except AvePointConfigError:
        return None  # not this release's: what the audit found stands


def series_of(audit: KeptAudit) -> tuple[Any, ...]:
    """Return what the audits of one task on one subject have in common.

    :param audit: one of them.
    """
    return (audit.tenant, audit.product, audit.location, audit.organization_id, *audit.task)


def _follow(audits: list[KeptAudit], moments: list[datetime], now: datetime) -> ProtectionHistory:
    audits = sorted(audits, key=lambda each: each.audited_at, reverse=True)
    newest = next((each for each in audits if each.error is None), None)
    return ProtectionHistory(
        newest=newest,
        failed=None if audits[0].error is None else audits[0],
        findings=newest.findings if newest else (),
        is_late=is_late(moments, now),
    )


def _replaces(other: ProtectionHistory, each: ProtectionHistory) -> bool:
    """Tell whether the audits of another task are newer, and were asked for all that these were asked for."""
    if other is each or other.newest is None or not each.required:
        return False
    return other.newest.audited_at > each.last.audited_at and other.newest.covers(each.newest or each.last)


def list_subjects(
    histories: Iterable[ProtectionHistory], names: Mapping[tuple[str, str | None], str | None]
) -> list[Subject]:
    """Return what all audits are about: what is not in order first.

    :param histories: what the audits have found.
    :param names: the names of the organisations, by tenant and id.
    """
    subjects = [subject for history in histories for subject in history.list_subjects(names)]
    return sorted(subjects, key=lambda each: (not each.findings, each.is_in_order))
