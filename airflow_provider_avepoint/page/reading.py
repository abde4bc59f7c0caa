"""Read the ledger for the page: the report's own figures of the last six weeks, as the API answers them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, func, not_, select

from airflow_provider_avepoint.core.arguments import parse_list
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.model import LEVELS, BackupJob
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.ledger.reader import LedgerReader
from airflow_provider_avepoint.ledger.tables import VERDICTS
from airflow_provider_avepoint.page import schema
from airflow_provider_avepoint.page.safety import describe_activity, describe_restores
from airflow_provider_avepoint.report.backups import LETTERS, MEANINGS, Period, ScopeHistory
from airflow_provider_avepoint.report.evidence import Failure, read_verdict
from airflow_provider_avepoint.report.figures import Report
from airflow_provider_avepoint.report.gates import (
    Gates,
    Place,
    TaskRun,
    may_be_of,
    normalize_scope,
    read_evidence,
    read_judgement,
)
from airflow_provider_avepoint.report.ledger_jobs import read_newest
from airflow_provider_avepoint.report.ledger_queries import read_report
from airflow_provider_avepoint.report.licenses import LicenseHistory, Measure

#: How many days the page shows.
DAYS = 42
#: How many verdicts an answer holds at most, and how many of a scope.
MOST_VERDICTS = 50
_MOST_OF_SCOPE = 20
_MOST_LOOKED_AT = 500
_MOST_JOBS = 100
_MOST_READINGS = 400
# What the database gets for all queries of one answer; a reader waits a little longer.
_SECONDS = 7.0
_LEAST_KEEP, _MOST_KEEP = 1, 3600
_STRIP = {None: "."} | LETTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of the page in Airflow's configuration.

    :param tenants: the tenants to show; None for every tenant.
    :param keep_seconds: for how long an answer is given again.
    """

    tenants: tuple[str, ...] | None
    keep_seconds: int


def read_settings(options: Mapping[str, str | None]) -> Settings:
    """Return the options of the page.

    :param options: the texts of ``page_tenants`` and ``page_cache_seconds``; None or "" where not set.
    :raises AvePointConfigError: an option cannot be used.
    """
    names = options.get("page_tenants") or None
    if names is not None and not names.strip().startswith("["):
        names = json.dumps([each.strip() for each in names.split(",") if each.strip()])
    text = options.get("page_cache_seconds") or "30"
    try:
        seconds = int(text)
    except ValueError:
        seconds = 0
    if not _LEAST_KEEP <= seconds <= _MOST_KEEP:
        raise AvePointConfigError(
            f"[avepoint] page_cache_seconds: {one_line(text, 40)!r} is not a whole number from {_LEAST_KEEP} "
            f"to {_MOST_KEEP}."
        )
    return Settings(tenants=parse_list("[avepoint] page_tenants", names), keep_seconds=seconds)


class Snapshot:
    """The figures of one moment, ready to be sent.

    :param report: the report of the last :data:`DAYS` days.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        failures: dict[Place, Failure] = {}
        for each in report.failures:
            known = failures.get(each.place)
            if known is None or each.last_at > known.last_at:
                failures[each.place] = each
        self._failures = failures
        self._scopes = {key_of(scope.place): scope for scope in report.scopes}
        self._answer = self._describe_posture()
        self.posture = _write(self._answer)
        self.licenses = self._write_licenses()

    @property
    def gates(self) -> Gates:
        """The gates of all tenants."""
        return self._report.gates

    def find(self, key: str) -> ScopeHistory | None:
        """Return a scope by its key; None where there is none.

        :param key: the key of :func:`key_of`.
        """
        return self._scopes.get(key)

    def describe(self, scope: ScopeHistory) -> schema.ScopeAnswer:
        """Return a scope as the API answers it.

        :param scope: one of the report's scopes.
        """
        place, now = scope.place, self._report.period.now
        age = scope.age(now)
        product = get_product(place.product)
        return schema.ScopeAnswer(
            key=key_of(place),
            tenant=one_line(place.tenant, 200),
            product=place.product,
            product_label=product.label,
            name=scope.name,
            organization_id=_line(place.scope.organization_id),
            organization=_line(scope.organization_name),
            workload=_line(place.scope.workload),
            location=_line(place.scope.location),
            content=place.scope.content,
            state=scope.current.value,
            needs_attention=scope.needs_attention,
            newest_good_at=scope.newest_good_at,
            age_seconds=None if age is None else age.total_seconds(),
            allowed_age_seconds=None if scope.allowed_age is None else scope.allowed_age.total_seconds(),
            due_at=None if scope.due_at is None else scope.due_at.astimezone(UTC),
            expected=scope.expected,
            strip="".join([_STRIP[day.outcome] for day in scope.days]),
            loaded_until=scope.loaded_until,
            gates=list(self._describe_gates(scope)),
            failure=self._describe_failure(place),
        )

    def _describe_gates(self, scope: ScopeHistory) -> Iterable[schema.GateAnswer]:
        now = self._report.period.now
        for gate, on_scope in self.gates.list_newest(scope.place, now, scope.gates):
            newest = on_scope or gate.newest
            if gate.name is not None and newest.task is not None:
                yield schema.GateAnswer(
                    name=one_line(gate.name, 300),
                    has_judged_scope=on_scope is not None,
                    judged_at=newest.judged_at,
                    passed=newest.passed,
                    reason=newest.reason,
                    **newest.task._asdict(),
                )

    def _describe_failure(self, place: Place) -> schema.FailureAnswer | None:
        failure = self._failures.get(place)
        if failure is None:
            return None
        return schema.FailureAnswer(
            message=failure.message,
            url=failure.url,
            count=failure.count,
            unit=failure.unit,
            backups=failure.jobs,
            last_at=failure.last_at,
        )

    def _describe_posture(self) -> schema.PostureAnswer:
        report = self._report
        scopes = [self.describe(scope) for scope in report.scopes]
        return schema.PostureAnswer(
            read_at=report.period.now,
            loaded_until=min((scope.loaded_until for scope in report.scopes), default=None),
            timezone=str(report.period.timezone),
            days=list(report.period.dates),
            summary=report.summarize(),
            attention=[each.text for each in report.list_attention()],
            counts=_count(scopes),
            letters={outcome.value: letter for outcome, letter in LETTERS.items()},
            meanings={outcome.value: meaning for outcome, meaning in MEANINGS.items()},
            scopes=scopes,
            restores=describe_restores(report),
            activity=describe_activity(report),
        )

    def select(self, tenant: str | None, product: str | None) -> bytes:
        """Return the posture with the scopes of a tenant or a product alone.

        :param tenant: the name of the tenant; None for every tenant.
        :param product: the product's name; None for every product.
        """

        def is_meant(each: schema.ScopeAnswer | schema.RestoreAnswer | schema.ActivityAnswer) -> bool:
            return tenant in (None, each.tenant) and product in (None, each.product)

        whole = self._answer
        scopes = list(filter(is_meant, whole.scopes))
        selected = {
            "scopes": scopes,
            "counts": _count(scopes),
            "loaded_until": min((each.loaded_until for each in scopes), default=None),
            "restores": list(filter(is_meant, whole.restores)),
            "activity": list(filter(is_meant, whole.activity)),
        }
        return _write(whole.model_copy(update=selected))

    def _write_licenses(self) -> bytes:
        report = self._report
        return _write(
            schema.LicensesAnswer(
                read_at=report.period.now,
                licenses=[_describe_license(each) for each in report.licenses],
                unread=[
                    schema.UnreadAnswer(
                        tenant=one_line(tenant, 200),
                        product=audit.product,
                        product_label=get_product(audit.product).label,
                        audited_at=audit.audited_at,
                        error=one_line(audit.error, 500),
                    )
                    for tenant, audit in report.audits
                    if audit.error is not None
                ],
            )
        )


def _count(scopes: Iterable[schema.ScopeAnswer]) -> dict[str, int]:
    return dict(Counter(scope.state for scope in scopes))


@lru_cache(maxsize=10_000)
def key_of(place: Place) -> str:
    """Return the name of a place in addresses.

    :param place: the place.
    """
    scope = place.scope
    parts = (
        place.tenant,
        place.product,
        scope.organization_id,
        scope.workload,
        scope.location,
        scope.content,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def read_snapshot(tenants: tuple[str, ...] | None) -> Snapshot:
    """Return the figures of now.

    :param tenants: the names of the tenants; None for every tenant in the ledger.
    :raises AvePointConfigError: the ledger's connection cannot be used.
    :raises AvePointLedgerError: there is no ledger of this release, or its database fails.
    """
    with LedgerReader(seconds=_SECONDS) as ledger:
        period = Period(now=datetime.now(UTC), days=DAYS)
        report = read_report(ledger, period, tenants, with_sizes=False)
    return Snapshot(report)


def read_verdicts(
    tenants: tuple[str, ...] | None,
    *,
    most: int = MOST_VERDICTS,
    offset: int = 0,
    **wanted: str | int | None,
) -> bytes:
    """Return verdicts, those that did not pass first, then newest first, as the API answers them.

    :param tenants: the names of the tenants; None for every tenant.
    :param most: the number of verdicts at most.
    :param offset: how many verdicts to leave out before them.
    :param wanted: the value of each column that a verdict must have; None for any value.
    :raises AvePointConfigError: the ledger's connection cannot be used.
    :raises AvePointLedgerError: there is no ledger of this release, or its database fails.
    """
    asked = [VERDICTS.c[name] == value for name, value in wanted.items() if value is not None]
    meant = [*_of(tenants), *asked]
    query = (
        select(VERDICTS)
        .where(*meant)
        .order_by(VERDICTS.c.passed, VERDICTS.c.judged_at.desc(), VERDICTS.c.tenant, VERDICTS.c.verdict_id)
        .limit(most)
        .offset(offset)
    )
    counts = (
        select(VERDICTS.c.passed, func.count().label("verdicts")).where(*meant).group_by(VERDICTS.c.passed)
    )
    hidden = select(func.count().label("verdicts")).where(*asked, not_(and_(*_of(tenants))))
    with LedgerReader(seconds=_SECONDS) as ledger:
        rows = [dict(row) for row in ledger.iter_rows(query)]
        by_outcome = {row["passed"]: row["verdicts"] for row in ledger.iter_rows(counts)}
        left_out = [row["verdicts"] for row in ledger.iter_rows(hidden)] if tenants is not None else []
    total = sum(by_outcome.values())
    return _write(
        schema.VerdictsAnswer(
            verdicts=[_describe_verdict(row) for row in rows],
            total=total,
            not_passed=by_outcome.get(False, 0),
            is_complete=offset + len(rows) >= total,
            hidden=sum(left_out),
        )
    )


def read_scope(snapshot: Snapshot, scope: ScopeHistory) -> bytes:
    """Return a scope with its jobs and the verdicts on it, as the API answers it.

    :param snapshot: the figures of now.
    :param scope: a scope of these figures.
    :raises AvePointConfigError: the ledger's connection cannot be used.
    :raises AvePointLedgerError: there is no ledger of this release, or its database fails.
    """
    place, gap = scope.place, scope.longest_gap
    with LedgerReader(seconds=_SECONDS) as ledger:
        jobs = read_newest(ledger, place, snapshot.gates, _MOST_JOBS)
        query = (
            select(VERDICTS)
            .where(VERDICTS.c.tenant == place.tenant, VERDICTS.c.product == place.product)
            .order_by(VERDICTS.c.judged_at.desc(), VERDICTS.c.verdict_id)
            .limit(_MOST_LOOKED_AT)
        )
        verdicts: list[schema.VerdictAnswer] = []
        for row in ledger.iter_rows(query):
            judgement = read_judgement(row, read_evidence(row["evidence"]))
            if judgement is None or not judgement.names(place):
                continue
            evidence = json.loads(row["evidence"])
            narrowed = _narrow(evidence, place)
            if not narrowed["scopes"]:
                continue
            of_gate = _describe_verdict(row)
            counts = {"judged": of_gate.judged, "good": of_gate.good}
            verdicts.append(_describe_verdict(row, narrowed).model_copy(update=counts))
            if len(verdicts) >= _MOST_OF_SCOPE:
                break
    return _write(
        schema.ScopeDetailAnswer(
            scope=snapshot.describe(scope),
            days=[
                schema.DayAnswer(
                    date=day.date,
                    outcome=None if day.outcome is None else day.outcome.value,
                    backups=day.backups,
                )
                for day in scope.days
            ],
            longest_gap_seconds=None if gap is None else gap.length.total_seconds(),
            jobs=[_describe_job(job) for job in jobs],
            verdicts=verdicts,
        )
    )


def _of(tenants: tuple[str, ...] | None) -> list[Any]:
    known = VERDICTS.c.product.in_(PRODUCTS)
    return [known] if tenants is None else [known, VERDICTS.c.tenant.in_(tenants)]


def _narrow(evidence: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Return the evidence with the scopes alone that may be of a place."""
    from airflow_provider_avepoint.core.policy import Scope

    wanted = normalize_scope(place.scope)
    scopes = [
        each for each in evidence["scopes"] if may_be_of(wanted, normalize_scope(Scope(**each["scope"])))
    ]
    return {**evidence, "scopes": scopes}


def _describe_verdict(
    row: Mapping[Any, Any], evidence: Mapping[str, Any] | None = None
) -> schema.VerdictAnswer:
    verdict = read_verdict(row, UTC, evidence)
    whole = read_evidence(row["evidence"])
    scopes = () if whole is None else whole.scopes if evidence is None else evidence["scopes"]
    return schema.VerdictAnswer(
        **{name: row[name] for name in TaskRun._fields},
        tenant=one_line(verdict.tenant, 200),
        product=verdict.product,
        product_label=get_product(verdict.product).label,
        judged_at=verdict.judged_at,
        passed=verdict.passed,
        reason=verdict.reason,
        gate=verdict.gate,
        rules_version=verdict.rules_version,
        judged=verdict.judged,
        good=verdict.good,
        policy=verdict.policy,
        scopes=[
            schema.JudgedScopeAnswer(
                name=one_line(each.name, 300),
                passed=each.passed,
                reason=each.reason,
                is_judged=each.is_judged,
                job_id=_line(each.job_id),
                state=_line(each.state),
                started_at=each.started_at,
                failed=each.failed,
                open_jobs=each.open_jobs,
                notes=list(each.notes),
            )
            for each in verdict.scopes
        ],
        scopes_left_out=max(0, len(scopes) - len(verdict.scopes)),
    )


def _describe_job(job: BackupJob) -> schema.JobAnswer:
    failed = {unit: level.failed for unit, level in zip(LEVELS, job.levels, strict=True) if level.failed}
    return schema.JobAnswer(
        job_id=one_line(job.job_id, 200),
        state=job.state.value,
        raw_state=None if job.raw_state is None else one_line(job.raw_state, 200),
        started_at=job.effective_start,
        finished_at=job.finished_at,
        failed=failed,
        messages=[text for error in job.errors if (text := one_line(error.message or "", 300))],
        problems=[one_line(each, 300) for each in job.problems],
    )


def _describe_license(history: LicenseHistory) -> schema.LicenseAnswer:
    of = history.subscription
    return schema.LicenseAnswer(
        tenant=one_line(of.tenant, 200),
        product=of.product,
        product_label=get_product(of.product).label,
        name=history.name,
        read_at=history.read_at,
        needs_attention=history.needs_attention,
        findings=list(history.findings.values()),
        doubts=list(history.doubts),
        measures=[_describe_measure(each) for each in history.measures],
    )


def _describe_measure(measure: Measure) -> schema.MeasureAnswer:
    newest, crossing, estimate = measure.newest, measure.crossing, measure.forecast.estimate
    return schema.MeasureAnswer(
        name=measure.name,
        unit=measure.unit,
        used=newest.used,
        bought=newest.bought,
        share=measure.share,
        readings=[(each.at, each.used, each.bought) for each in measure.readings[-_MOST_READINGS:]],
        forecast_at=measure.forecast.until,
        forecast=None if estimate is None else (estimate[0], estimate[1], estimate[2]),
        limit_reached_at=None if crossing is None else crossing.expected,
    )


def _line(text: str | None) -> str | None:
    return None if text is None else one_line(text, 200)


def _write(answer: Any) -> bytes:
    written: str = answer.model_dump_json()
    return written.encode()
