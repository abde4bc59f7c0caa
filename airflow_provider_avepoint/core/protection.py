"""Judge a tenant against what it must have. Each finding gets a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.license import Finding, audit, describe_subject
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.requirements import (
    Demand,
    Required,
    Topic,
    is_same_service,
    write_span,
)
from airflow_provider_avepoint.core.text import list_some, one_line, quoted

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.activity import ActivityCounts, UnusualActivity
    from airflow_provider_avepoint.core.alerts import Alerts
    from airflow_provider_avepoint.core.coverage import Coverage
    from airflow_provider_avepoint.core.model import LicenseConsumption
    from airflow_provider_avepoint.core.retention import RetentionPolicy
    from airflow_provider_avepoint.core.schedule import BackupSchedule
    from airflow_provider_avepoint.core.verdict import Verdict

__all__ = ["REASONS", "Ask", "ProtectionAudit", "judge_protection", "list_asks", "summarize_readings"]

#: Every reason of a finding, with what it means.
REASONS = {
    "not_scheduled": "no backup of the service is scheduled today",
    "too_few_runs": "fewer backups a day are scheduled than required",
    "retention_short": "some backups are kept for less time than required",
    "retention_unknown": "the tenant does not tell, in a known form, how long backups are kept",
    "coverage_low": "fewer objects are protected than required",
    "coverage_unknown": "the coverage does not list the service, or nothing was scanned",
    "users_unprotected": "more users have an unprotected part than allowed",
    "objects_out_of_policy": "more objects fell out of backup than allowed",
    "unusual_activity": "more objects look attacked than allowed",
    "mass_deletion": "more records were removed than allowed",
    "scan_failed": "no good scan has found new objects in time",
    "out_of_policy": "the licence is out of policy: new objects are not backed up",
    "expired": "the subscription has ended",
    "license_unknown": "the licence does not tell whether it is out of policy, or when it ends",
    "not_drilled": "no restore was proven in time",
    "unreadable": "a part, or a row of it, could not be read, such as for a missing permission; all else was "
    "judged",
}
_LICENSE_REASONS = ("out_of_policy", "expired")
_NO_SCAN = ("missed", "stale", "excluded", "forgotten")
# The most names in one sentence.
_MOST = 5
# A daily report that is older is told.
_FRESH = timedelta(days=2)

#: What the tenant answered, or why it did not.
Answers = Mapping["Ask", Any]
_Found = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to read.

    :param topic: what it is about.
    :param within: how far back; None where nothing is dated.
    """

    topic: Topic
    within: timedelta | None = None


def list_asks(required: Required) -> tuple[Ask, ...]:
    """Return what has to be read to judge, each once.

    :param required: what the tenant must have.
    """
    return tuple(dict.fromkeys(map(_ask_of, required.demands)))


def _ask_of(demand: Demand) -> Ask:
    return Ask(demand.rule.topic, demand.value if demand.rule.topic is Topic.SCAN else demand.within)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionAudit:
    """The result of one audit of what a tenant must have.

    :param product: the name of the product.
    :param audited_at: when the audit was made, by the API's clock.
    :param location: the Multi-Geo location that was asked for; None for all, or the central one.
    :param organization_id: the customer or organisation that was asked for; None for all.
    :param required: what was required: service → rule → value, ready for JSON.
    :param readings: what was read, in short, ready for JSON.
    :param error: why nothing could be read; None if at least a part was read.
    :param findings: what is wrong; empty if *error* is set.
    :param notes: what a reader should know, and what is nothing wrong.
    :param schedule: the schedule, where it was read.
    """

    product: str
    audited_at: datetime
    location: str | None = None
    organization_id: str | None = None
    required: Mapping[str, Any]
    readings: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    schedule: BackupSchedule | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the findings, each once."""
        return tuple(dict.fromkeys(each.reason for each in self.findings))

    def as_dict(self) -> dict[str, Any]:
        """Return the audit ready for JSON."""
        return {
            "product": self.product,
            "audited_at": self.audited_at.isoformat(),
            "location": self.location,
            "organization_id": self.organization_id,
            "passed": not self.findings,
            "reasons": list(self.reasons),
            "findings": [describe_finding(each, self.product) for each in self.findings],
            "notes": list(self.notes),
            "required": {service: dict(rules) for service, rules in self.required.items()},
            "readings": dict(self.readings),
        }


def describe_finding(finding: Finding, product: str) -> str:
    """Return a finding as a sentence that names its subject, without the full stop.

    :param finding: the finding.
    :param product: the name of the product.
    """
    names = (product, finding.organization_id, finding.service, finding.location)
    return f"{', '.join(one_line(name, 100) for name in names if name)}: {finding.text}"


def judge_protection(required: Required, answers: Answers, now: datetime) -> tuple[list[Finding], list[str]]:
    """Return what is wrong, and what a reader should know beside.

    :param required: what the tenant must have.
    :param answers: for each of :func:`list_asks` the reading, or the AvePointError that came instead.
    :param now: the time of the audit, an aware datetime.
    """
    findings: list[Finding] = []
    notes: list[str] = []
    failed: dict[Ask, list[Demand]] = defaultdict(list)
    for demand in required.demands:
        answer = answers[_ask_of(demand)]
        if isinstance(answer, AvePointError):
            failed[_ask_of(demand)].append(demand)
        else:
            findings += _JUDGES[demand.rule.topic](demand, answer, now, notes)
    findings += (_refuse_reading(ask, demands, answers[ask]) for ask, demands in failed.items())
    return list(dict.fromkeys(findings)), list(dict.fromkeys(notes))


def _refuse_reading(ask: Ask, demands: list[Demand], error: AvePointError) -> Finding:
    subjects = list_some(dict.fromkeys(f"{each.rule.name} of {each.subject}" for each in demands), _MOST)
    return Finding(
        organization_id=None,
        service=None,
        location=None,
        reason="unreadable",
        text=f"unreadable: {ask.topic} cannot be read, so nobody knows: {subjects}: {str(error).rstrip('.')}",
    )


def _find(reason: str, text: str, service: str | None, organization_id: str | None = None) -> Finding:
    return Finding(
        organization_id=organization_id,
        service=service,
        location=None,
        reason=reason,
        text=f"{reason}: {text}",
    )


def _judge_schedule(demand: Demand, schedule: BackupSchedule, _now: datetime, notes: list[str]) -> _Found:
    service = demand.service or ""
    runs = [each.runs_a_day for each in schedule.services if each.is_scheduled and each.service == service]
    starts = schedule.list_starts(service)
    if problems := schedule.list_problems(service):
        yield _refuse_rows(demand, problems)
    elif demand.rule.name == "scheduled":
        if not runs:
            yield _find("not_scheduled", "no backup is scheduled today", service)
        elif schedule.is_of_another_day(service):
            listed = f"the listed backups are of {starts[-1]:%Y-%m-%d}, not of today"
            yield _find("not_scheduled", listed, service)
        elif len(starts) < max(runs):
            notes.append(f"{service}: {max(runs)} backups a day scheduled, {len(starts)} listed for today")
    elif runs and max(runs) < demand.value:
        scheduled = f"{max(runs)} {'backup' if max(runs) == 1 else 'backups'} a day scheduled"
        yield _find("too_few_runs", f"{scheduled}, {demand.value} required", service)


def _judge_retention(demand: Demand, policy: RetentionPolicy, _now: datetime, notes: list[str]) -> _Found:
    parts = _list_parts(demand, policy.product)
    told = {each.service for each in policy.services}
    periods = [
        each
        for part in parts
        if part == demand.service or part in told  # else the part is kept as its service is
        for each in policy.list_periods(part)
    ]
    unused = [
        f"{one_line(period.text, 60)} for {one_line(of, 100)}"
        for part in parts
        for of, period in policy.list_unused_periods(part)
        if not demand.value.is_met_by(period)
    ]
    if unused:
        named = list_some(unused, _MOST)
        notes.append(f"{demand.service}: periods of services are off, and one is listed: {named}")
    required = f"{demand.value} required"
    unknown = [
        f"{quoted(period.text)} for {one_line(of, 100)}" for of, period in periods if not period.is_understood
    ]
    short = [
        f"{one_line(period.text, 60)} for {one_line(of, 100)}"
        for of, period in periods
        if period.is_understood and not demand.value.is_met_by(period)
    ]
    if short:
        yield _find("retention_short", f"kept {list_some(short, _MOST)}, {required}", demand.service)
    if unknown:
        yield _find(
            "retention_unknown", f"not understood: {list_some(unknown, _MOST)}, {required}", demand.service
        )
    if not periods:
        yield _find("retention_unknown", f"the tenant tells none, {required}", demand.service)


def _list_parts(demand: Demand, product: str) -> tuple[str, ...]:
    """Return the service of a demand, and the services that hold a part of its data."""
    service = demand.service or ""
    return (service, *get_product(product).service_parts.get(service, ()))


def _judge_coverage(demand: Demand, coverage: Coverage, _now: datetime, notes: list[str]) -> _Found:
    rows = [
        each
        for each in coverage.services or ()
        if demand.service is None or is_same_service(each.service, demand.service)
    ]
    problems = [
        each.problem
        for each in coverage.odd
        if None in (demand.service, each.service) or is_same_service(each.service or "", demand.service or "")
    ]
    if problems:
        yield _refuse_rows(demand, problems)
    elif not rows:
        listed = list_some(dict.fromkeys(each.label for each in coverage.services or ()), _MOST) or "nothing"
        yield _find("coverage_unknown", f"the coverage lists {one_line(listed)}", demand.service)
    for row in rows:
        service = demand.service or row.service
        ratio, counts = row.ratio, f"{row.protected} of {row.scanned} scanned objects protected"
        if ratio is None and demand.service is None and not row.protected:
            notes.append(f"{service}: nothing was scanned, and nothing is protected")
        elif ratio is None:
            yield _find("coverage_unknown", counts, service)
        elif ratio < demand.value:
            yield _find("coverage_low", f"{counts}, a share of {demand.value:g} required", service)
        elif ratio > 1:
            notes.append(f"{service}: {counts}")


def _judge_users(demand: Demand, coverage: Coverage, _now: datetime, _notes: list[str]) -> _Found:
    users = coverage.users or ()
    if coverage.odd:
        yield _refuse_rows(demand, [each.problem for each in coverage.odd])
    elif not users:
        yield _find("coverage_unknown", "no user is listed", demand.service)
    unprotected = [each for each in users if not each.is_protected]
    if len(unprotected) > demand.value:
        named = list_some((one_line(each.email or each.user_id, 100) for each in unprotected), _MOST)
        counted = f"{len(unprotected)} of {len(users)} users, {demand.value} allowed"
        yield _find("users_unprotected", f"{counted}: {named}", demand.service)


def _judge_changes(demand: Demand, coverage: Coverage, now: datetime, notes: list[str]) -> _Found:
    changes = coverage.changes or ()
    for each in changes:
        # The documents do not say how often a report comes: an old one is told, and is no finding.
        if each.reported_at is None or now - each.reported_at > _FRESH:
            age = "is not dated" if each.reported_at is None else f"is of {each.reported_at:%Y-%m-%d}"
            notes.append(
                f"scan profile {one_line(each.profile_name or each.profile_id, 100)}: its report {age}"
            )
    if not changes:
        yield _find("coverage_unknown", "no scan profile is listed", demand.service)
    count = sum(each.removed_count for each in changes)
    if count > demand.value:
        named = list_some((one_line(each, 100) for profile in changes for each in profile.removed), _MOST)
        counted = f"{count} {'object' if count == 1 else 'objects'}, {demand.value} allowed"
        yield _find("objects_out_of_policy", f"{counted}{named and ': '}{named}", demand.service)


def _judge_activity(demand: Demand, activity: UnusualActivity, _now: datetime, _notes: list[str]) -> _Found:
    above: dict[str | None, list[ActivityCounts]] = defaultdict(list)
    parts = _list_parts(demand, activity.product)
    meant = [
        each
        for each in activity.counts
        if demand.service is None
        or each.service is None
        or any(is_same_service(each.service, part) for part in parts)
    ]
    for counts in meant:
        if counts.alarm > demand.value:
            above[counts.organization_id].append(counts)
    for organization_id, each in above.items():
        since = f"since {activity.detected_after:%Y-%m-%d %H:%M} UTC"
        text = f"{list_some(map(str, each), _MOST)}, {since}, {demand.value} allowed"
        yield _find("unusual_activity", text, demand.service, organization_id)
    odd = [each for each in meant if each.problem is not None]
    for organization_id in dict.fromkeys(each.organization_id for each in odd):
        problems = [each.problem or "" for each in odd if each.organization_id == organization_id]
        yield _refuse_rows(demand, problems, organization_id)


def _refuse_rows(demand: Demand, problems: Sequence[str], organization_id: str | None = None) -> Finding:
    """Return the finding for rows that are not understood: nobody knows what they say."""
    count = len(problems)
    rows = f"{count} row{'' if count == 1 else 's'} of {demand.rule.topic} {'is' if count == 1 else 'are'}"
    text = (
        f"{rows} not understood, so nobody knows {demand.rule.name} of {demand.subject}: "
        f"{list_some(problems, _MOST)}"
    )
    return _find("unreadable", text, demand.service, organization_id)


def _judge_alerts(demand: Demand, read: Alerts, _now: datetime, _notes: list[str]) -> _Found:
    removed: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in read.alerts:
        if each.operation == "removed":
            removed[each.organization_id][each.object_type] += each.records
    for organization_id, by_type in removed.items():
        total = sum(by_type.values())
        if total > demand.value:
            largest = sorted(by_type.items(), key=lambda item: -item[1])
            named = list_some((f"{count} {one_line(name, 100)}" for name, count in largest), _MOST)
            since = f"within {write_span(demand.within)}" if demand.within else ""
            text = f"{total} records removed {since}, {demand.value} allowed: {named}"
            yield _find("mass_deletion", text, demand.service, organization_id)
    if read.problems:
        yield _refuse_rows(demand, read.problems)


def _judge_license(
    _demand: Demand, consumptions: Iterable[LicenseConsumption], now: datetime, _notes: list[str]
) -> _Found:
    for each in consumptions:
        found = [
            (reason, text) for reason, text in audit(each, 1.0, now=now).items() if reason in _LICENSE_REASONS
        ]
        found += [("license_unknown", f"license_unknown: {problem}") for problem in each.problems]
        for reason, text in found:
            yield Finding(
                organization_id=each.organization_id,
                service=None,
                location=each.location,
                reason=reason,
                text=f"{text} ({describe_subject(each)})",
            )


def _judge_scans(demand: Demand, verdicts: list[Verdict], _now: datetime, _notes: list[str]) -> _Found:
    scopes = [each for verdict in verdicts for each in verdict.scopes]
    bad = [each for each in scopes if not each.passed and each.reason not in _NO_SCAN]
    if bad:
        yield _find("scan_failed", list_some((each.describe({}) for each in bad), _MOST), demand.service)
    elif not any(verdict.passed for verdict in verdicts):
        none = f"no scan has begun within {write_span(demand.value)}"
        yield _find("scan_failed", none, demand.service)


def _judge_drills(demand: Demand, proven: Mapping[str, datetime], now: datetime, _notes: list[str]) -> _Found:
    last = proven.get(demand.service or "")
    required = f"one within {write_span(demand.value)} required"
    if last is None:
        yield _find("not_drilled", f"no restore has been proven, {required}", demand.service)
    elif now - last > demand.value:
        text = f"the last proven restore is of {last:%Y-%m-%d}, {required}"
        yield _find("not_drilled", text, demand.service)


_JUDGES: dict[Topic, Any] = {
    Topic.SCHEDULE: _judge_schedule,
    Topic.RETENTION: _judge_retention,
    Topic.COVERAGE: _judge_coverage,
    Topic.USERS: _judge_users,
    Topic.CHANGES: _judge_changes,
    Topic.ACTIVITY: _judge_activity,
    Topic.ALERTS: _judge_alerts,
    Topic.LICENSE: _judge_license,
    Topic.SCAN: _judge_scans,
    Topic.DRILLS: _judge_drills,
}


def summarize_readings(answers: Answers) -> dict[str, Any]:
    """Return what was read in short, ready for JSON: topic → reading, or a list of them.

    :param answers: as for :func:`judge_protection`; what could not be read is left out.
    """
    summary: dict[str, Any] = {}
    for ask, answer in answers.items():
        if not isinstance(answer, AvePointError):
            key = ask.topic.name.lower()
            if ask.within is not None and sum(each.topic is ask.topic for each in answers) > 1:
                key = f"{key}_{write_span(ask.within)}"
            summary[key] = _SUMMARIES[ask.topic](answer)
    return summary


def _as_dict(reading: Any) -> Any:
    return reading.as_dict()


def _summarize_users(coverage: Coverage) -> dict[str, int]:
    users = coverage.users or ()
    return {"users": len(users), "unprotected": sum(not each.is_protected for each in users)}


def _summarize_alerts(read: Alerts) -> dict[str, dict[str, int]]:
    records: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in read.alerts:
        records[each.organization_id][each.operation] += each.records
    return {organization: dict(counts) for organization, counts in records.items()}


_SUMMARIES: dict[Topic, Any] = {
    Topic.SCHEDULE: _as_dict,
    Topic.RETENTION: _as_dict,
    Topic.COVERAGE: lambda coverage: [each.as_dict() for each in coverage.services or ()],
    Topic.USERS: _summarize_users,
    Topic.CHANGES: lambda coverage: [
        {
            "profile_id": each.profile_id,
            "profile_name": each.profile_name,
            "removed_count": each.removed_count,
        }
        for each in coverage.changes or ()
    ],
    Topic.ACTIVITY: _as_dict,
    Topic.ALERTS: _summarize_alerts,
    Topic.LICENSE: lambda consumptions: [each.as_dict() for each in consumptions],
    Topic.SCAN: lambda verdicts: [{"passed": each.passed, "reason": each.reason.value} for each in verdicts],
    Topic.DRILLS: lambda proven: {service: moment.isoformat() for service, moment in proven.items()},
}
