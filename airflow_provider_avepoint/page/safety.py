"""What the page's tiles say of restores and of unusual activity, by the report's own figures."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.requirements import TENANT
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.page import schema
from airflow_provider_avepoint.report.drills import DrillHistory
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.gates import Gate
from airflow_provider_avepoint.report.protection import UNREADABLE, ProtectionHistory

# The rules that look for unusual activity, and the reasons of their findings.
_RULES = frozenset({"max_unusual", "max_removed"})
_REASONS = frozenset({"unusual_activity", "mass_deletion"})
_ORDER = ("found", "not known", "none")


def describe_restores(report: Report) -> list[schema.RestoreAnswer]:
    """Return what is proven of the restore of each service, those that need attention first.

    :param report: the figures.
    """
    return [_describe_restore(each) for each in report.drills]


def _describe_restore(history: DrillHistory) -> schema.RestoreAnswer:
    place, proven, age = history.place, history.proven, history.age
    return schema.RestoreAnswer(
        tenant=one_line(place.tenant, 200),
        product=place.product,
        product_label=get_product(place.product).label,
        service=one_line(place.service, 200),
        location=None if place.location is None else one_line(place.location, 200),
        state=history.current,
        needs_attention=history.needs_attention,
        proven_at=None if proven is None else proven.judged_at,
        age_seconds=None if age is None else age.total_seconds(),
        demand=history.describe_demand(),
    )


def describe_activity(report: Report) -> list[schema.ActivityAnswer]:
    """Return what was last said of unusual activity, what was found first.

    :param report: the figures.
    """
    audited = [answer for each in report.protection for answer in _describe_audit(each)]
    gates = [_describe_gate(each) for each in report.gates if _looks_for_activity(each, report)]
    return sorted([*audited, *gates], key=lambda each: _ORDER.index(each.state))


def _describe_audit(history: ProtectionHistory) -> Iterator[schema.ActivityAnswer]:
    last = history.last
    is_known = history.failed is None and not history.is_late
    for service, rules in history.required.items():
        if not _RULES.intersection(rules):
            continue
        about = [each for each in history.findings if service == TENANT or each.service in (None, service)]
        found = [one_line(each.text, 500) for each in about if each.reason in _REASONS]
        is_read = is_known and not any(each.reason == UNREADABLE for each in about)
        place = (last.organization_id, None if service == TENANT else service, last.location)
        yield schema.ActivityAnswer(
            tenant=one_line(last.tenant, 200),
            product=last.product,
            product_label=get_product(last.product).label,
            name=" / ".join(one_line(part, 80) for part in place if part),
            state="found" if found else "none" if is_read else "not known",
            findings=found,
            read_at=(history.newest or last).audited_at,
        )


def _looks_for_activity(gate: Gate, report: Report) -> bool:
    is_in_use = gate.name is not None and gate.guards_until >= report.period.now
    return is_in_use and gate.newest.policy.max_unusual is not None


def _describe_gate(gate: Gate) -> schema.ActivityAnswer:
    newest = gate.newest
    is_found = newest.reason in _REASONS
    return schema.ActivityAnswer(
        tenant=one_line(gate.tenant, 200),
        product=gate.product,
        product_label=get_product(gate.product).label,
        name=one_line(gate.name or "", 200),
        # Of several reasons a verdict names the worst; a gate that is shut for another one says nothing here.
        state="found" if is_found else "none" if newest.passed else "not known",
        findings=["The gate was shut because of unusual activity"] if is_found else [],
        read_at=newest.judged_at,
    )
