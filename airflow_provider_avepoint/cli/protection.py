"""``airflow avepoint protection``: what a tenant has beside its jobs, judged by what it must have."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_avepoint.cli.command import BAD, GOOD, UNKNOWN, as_command, get_conn_id
from airflow_provider_avepoint.cli.terminal import print_json, print_line, print_table, say
from airflow_provider_avepoint.core.arguments import parse_ledger
from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.license import describe_subject, list_usages
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.protection import Ask, ProtectionAudit, summarize_readings
from airflow_provider_avepoint.core.query import choose_location
from airflow_provider_avepoint.core.refusals import refuse
from airflow_provider_avepoint.core.requirements import Required, Topic, choose_organization
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.hooks.avepoint import AvePointHook
from airflow_provider_avepoint.hooks.protection import Readings
from airflow_provider_avepoint.required_file import read_required

_Rows = Iterator[tuple[str, str]]
# The longest that the ledger may take to answer.
_LEDGER_SECONDS = 60.0

# What is read where nothing is required. Scans and drills say nothing without a time.
_TOPICS = (
    *(Topic.SCHEDULE, Topic.RETENTION, Topic.ACTIVITY, Topic.ALERTS),
    *(Topic.COVERAGE, Topic.USERS, Topic.CHANGES, Topic.LICENSE),
)


@as_command
def protection(args: Namespace) -> int:
    """Read what a product tells beside its jobs, and judge it by a file if one is named.

    :param args: the parsed arguments of ``airflow avepoint protection``.
    :returns: the exit status, with which the process ends.
    """
    product = get_product(args.product)
    return _read(args, product) if args.required is None else _audit(args, product)


def _audit(args: Namespace, product: Product) -> int:
    required = read_required(args.required, Path.cwd(), product)
    with AvePointHook(get_conn_id(args)) as hook:
        audit = _judge(hook, required, args)
    if args.output == "json":
        print_json(audit.as_dict())
    else:
        _print_audit(audit)
    if not audit.findings:
        return GOOD
    return UNKNOWN if audit.reasons == ("unreadable",) else BAD


def _judge(hook: AvePointHook, required: Required, args: Namespace) -> ProtectionAudit:
    """Return the audit; the ledger is opened only where a rule needs it."""
    options: dict[str, Any] = {
        "product": required.product.name,
        "organization_id": args.organization_id,
        "location": args.location,
    }
    if Topic.DRILLS not in required.topics:
        return hook.audit_protection(required, **options)
    from airflow_provider_avepoint.ledger.proofs import find_proofs
    from airflow_provider_avepoint.ledger.reader import LedgerReader

    conn_id, tenant = parse_ledger(args.ledger_conn_id, args.tenant, get_conn_id(args))
    with LedgerReader(conn_id, seconds=_LEDGER_SECONDS) as ledger:  # a command creates no ledger
        return hook.audit_protection(
            required,
            **options,
            proofs=lambda product, location, now: find_proofs(ledger, tenant, product, location, now),
        )


def _print_audit(audit: ProtectionAudit) -> None:
    rows: list[dict[str, object]] = [
        {
            "organization": each.organization_id,
            "service": each.service,
            "location": each.location,
            "reason": each.reason,
            "finding": each.text,
        }
        for each in audit.findings
    ]
    if rows:
        print_table(rows)
    count = len(rows)
    end = f"{count} finding{'' if count == 1 else 's'}" if count else "everything that is required is there"
    for sentence in (*audit.notes, f"{audit.product}: {end}"):
        print_line(f"{sentence}.")


def _read(args: Namespace, product: Product) -> int:
    """Show what can be read, without a judgement."""
    topics = [topic for topic in _TOPICS if topic.is_told_by(product)]
    if not topics:
        able = ", ".join(
            each.name for each in PRODUCTS.values() if any(topic.is_told_by(each) for topic in _TOPICS)
        )
        raise refuse("product", product.name, f"tells nothing beside its jobs; those that do: {able}.")
    with AvePointHook(get_conn_id(args)) as hook:
        readings = Readings(
            hook,
            product,
            organization_id=choose_organization(args.organization_id, product, topics),
            location=choose_location(product, args.location, hook.settings.location),
            proofs=None,
        )
        answers = {Ask(topic): readings.read(Ask(topic)) for topic in topics}
    problems = {ask.topic: answer for ask, answer in answers.items() if isinstance(answer, AvePointError)}
    if len(problems) == len(topics):
        raise problems[topics[0]]
    if args.output == "json":
        told = {str(topic): one_line(error, 1000) for topic, error in problems.items()}
        print_json(
            {
                "product": product.name,
                "location": readings.location,
                "organization_id": readings.organization_id,
                "readings": summarize_readings(answers),
                "problems": told,
            }
        )
    else:
        print_table([row for ask, answer in answers.items() for row in _list_rows(ask.topic, answer)])
        print_line("Nothing is judged: name what the tenant must have by --required.")
    for topic, error in problems.items():
        say(f"{topic}: {one_line(error, 1000)}")
    return UNKNOWN if problems else GOOD


def _list_rows(topic: Topic, answer: Any) -> Iterator[dict[str, object]]:
    if isinstance(answer, AvePointError):
        yield {"about": topic.value, "subject": "", "shown": "not readable"}
        return
    rows = list(_WRITERS[topic](answer))
    for subject, shown in rows or [("", "none")]:
        yield {"about": topic.value, "subject": subject, "shown": shown}


def _write_schedule(schedule: Any) -> _Rows:
    for each in schedule.services:
        listed = len(each.starts)
        yield each.service, f"{each.runs_a_day:,} a day, {listed:,} start{'' if listed == 1 else 's'} listed"
    yield from _write_odd(schedule)


def _write_odd(reading: Any) -> _Rows:
    for each in reading.odd:
        yield each.service or "", f"not understood ({each.problem})"


def _write_retention(policy: Any) -> _Rows:
    if policy.period is not None:
        yield "default", str(policy.period)
    for service in dict.fromkeys(each.service for each in policy.services):
        if (found := policy.find_shortest(service)) is not None:
            yield service, f"{found[1]} ({found[0]})"


def _write_activity(activity: Any) -> _Rows:
    for each in activity.counts:
        yield each.subject, f"alarm: {each.shown}" if each.alarm else each.shown


def _write_alerts(read: Any) -> _Rows:
    summary = summarize_readings({Ask(Topic.ALERTS): read})["alerts"]
    for organization, counts in summary.items():
        yield organization, ", ".join(f"{count:,} {operation}" for operation, count in counts.items())
    for problem in read.problems:
        yield "", f"not understood ({problem})"


def _write_services(coverage: Any) -> _Rows:
    for each in coverage.services:
        share = "nothing scanned" if each.ratio is None else f"{each.ratio:.0%}"
        yield each.service, f"{each.protected:,} of {each.scanned:,} protected, {share}"
    yield from _write_odd(coverage)


def _write_users(coverage: Any) -> _Rows:
    unprotected = sum(not each.is_protected for each in coverage.users)
    yield "users", f"{unprotected:,} of {len(coverage.users):,} with an unprotected part"
    yield from _write_odd(coverage)


def _write_changes(coverage: Any) -> _Rows:
    for each in coverage.changes:
        yield each.profile_name or each.profile_id, f"{each.removed_count:,} fell out of backup"


def _write_licenses(consumptions: Any) -> _Rows:
    for each in consumptions:
        state = "out of policy" if each.is_out_of_policy else "in policy"
        used = (
            f"{usage.used:g} of {usage.purchased:g} {usage.unit}"
            for usage in list_usages(each)
            if usage.purchased
        )
        yield describe_subject(each), "; ".join((*(each.problems or (state,)), *used))


_WRITERS: Mapping[Topic, Callable[[Any], _Rows]] = {
    Topic.SCHEDULE: _write_schedule,
    Topic.RETENTION: _write_retention,
    Topic.ACTIVITY: _write_activity,
    Topic.ALERTS: _write_alerts,
    Topic.COVERAGE: _write_services,
    Topic.USERS: _write_users,
    Topic.CHANGES: _write_changes,
    Topic.LICENSE: _write_licenses,
}
