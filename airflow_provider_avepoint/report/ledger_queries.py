"""Read the figures of a period from the ledger."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, literal, not_, select, union

from airflow_provider_avepoint.core.license import HISTORY, Audit
from airflow_provider_avepoint.core.model import LicenseConsumption
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.restore import Phase
from airflow_provider_avepoint.ledger.foreign import read_understood
from airflow_provider_avepoint.ledger.rows import read_audit, read_findings, write_tenants
from airflow_provider_avepoint.ledger.tables import (
    AUDITS,
    DRILLS,
    INTENTS,
    JOBS,
    LICENSES,
    LOADS,
    PROTECTION_AUDITS,
    REPORTS,
    SCHEDULES,
    VERDICTS,
)
from airflow_provider_avepoint.report import backups, drills, licenses, protection
from airflow_provider_avepoint.report.backups import Period, ScopeHistory
from airflow_provider_avepoint.report.drills import DrillHistory, DrillPlace, LostRestore, RestoreDrill
from airflow_provider_avepoint.report.figures import Report, Reported
from airflow_provider_avepoint.report.gates import name_gate
from airflow_provider_avepoint.report.kept_schedules import judge_by_schedules
from airflow_provider_avepoint.report.ledger_jobs import read_backups, read_sizes
from airflow_provider_avepoint.report.ledger_verdicts import read_verdicts
from airflow_provider_avepoint.report.licenses import LicenseHistory, Subscription
from airflow_provider_avepoint.report.protection import KeptAudit, ProtectionHistory
from airflow_provider_avepoint.report.rows import LONG_GONE, Rows, of_tenants

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.sql import ColumnElement

# What the protection audits of one task on one subject have in common, and what is read of the newest ones.
_SERIES = ("tenant", "product", "location", "organization_key", "dag_id", "task_id", "map_index")
_AUDITED = ("audited_at", "error", "findings", "required")
# What is required, for audits without a task and a name: it alone tells them apart.
_OWN = "own"


def read_report(
    ledger: Rows, period: Period, tenants: tuple[str, ...] | None, *, with_sizes: bool = True
) -> Report:
    """Return the figures of a period.

    :param ledger: the ledger.
    :param period: the period.
    :param tenants: the names of the tenants; None for every tenant in the ledger.
    :param with_sizes: whether to find out how much was backed up.
    :raises AvePointLedgerError: the database fails.
    """

    def read() -> Report:
        report = _read_report(ledger, period, tenants, with_sizes=with_sizes)
        _ = report.states  # fails where a key is no text, as a foreign row may have it
        return report

    return read_understood(ledger, read, lambda report, foreign: replace(report, foreign_rows=foreign))


def _read_report(
    ledger: Rows, period: Period, tenants: tuple[str, ...] | None, *, with_sizes: bool
) -> Report:
    gates, verdicts, unread_verdicts = read_verdicts(ledger, period, tenants)
    found = read_backups(ledger, period, tenants, gates)
    kept = judge_by_schedules(ledger, period, tenants, found.scopes, found.loads.find_until)
    scopes = kept.scopes
    reader = _Reader(ledger, period, tenants)
    audits = tuple(reader.read_audits())
    license_histories = tuple(reader.read_licenses(audits))
    audited = reader.read_protection()
    drilled = drills.follow(reader.read_drills(), protection.list_demands(audited), period.now)
    lost_restores = tuple(reader.find_lost_restores())
    seen = {
        *(tenant for tenant, _ in audits),
        *(scope.place.tenant for scope in scopes),
        *(place.tenant for place, _ in found.long_gone),
        *(history.subscription.tenant for history in license_histories),
        *(verdict.tenant for verdict in verdicts),
        *(each.place.tenant for each in drilled),
        *(each.last.tenant for each in audited),
        *(each.tenant for each in lost_restores),
    }
    return Report(
        period=period,
        tenants=tenants or tuple(sorted(seen)),
        scopes=backups.rank(scopes, period.now),
        long_gone=tuple(sorted(found.long_gone, key=lambda each: each[1])),
        licenses=licenses.rank(license_histories),
        audits=audits,
        failures=found.failures.rank(),
        failures_left_out=found.failures.left_out,
        verdicts=verdicts,
        silent_tenants=tuple(tenant for tenant in tenants or () if tenant not in seen),
        previous=reader.read_previous(),
        gates=gates,
        loaded_without_jobs=found.loaded_without_jobs,
        unknown_products=tuple(reader.find_unknown_products()),
        drills=drilled,
        lost_restores=lost_restores,
        never_drilled=tuple(dict.fromkeys(_list_never_drilled(scopes, drilled))),
        protection=protection.judge_drills(audited, drilled),
        missed_runs=kept.missed,
        vanished=kept.vanished,
        unread_schedules=kept.unread,
        unread_verdicts=unread_verdicts,
        sizes=tuple(read_sizes(ledger, period, tenants, gates)) if with_sizes else (),
    )


class _Reader:
    def __init__(self, ledger: Rows, period: Period, tenants: tuple[str, ...] | None) -> None:
        self._ledger = ledger
        self._period = period
        self._tenants = tenants

    def _of_tenants(self, table: Table) -> list[ColumnElement[bool]]:
        return of_tenants(table, self._tenants)

    def find_unknown_products(self) -> Iterator[tuple[str, str]]:
        """Yield the tenants and products of which a newer release has written."""
        queries = [
            select(table.c.tenant, table.c.product).where(
                table.c.product.not_in(PRODUCTS),
                *([] if self._tenants is None else [table.c.tenant.in_(self._tenants)]),
            )
            for table in (JOBS, LOADS, VERDICTS, LICENSES, AUDITS, PROTECTION_AUDITS, DRILLS, SCHEDULES)
        ]
        unknown = union(*queries).subquery()
        for row in self._ledger.iter_rows(select(unknown).order_by(*unknown.c)):
            yield row["tenant"], row["product"]

    def read_audits(self) -> Iterator[tuple[str, Audit]]:
        """Yield the newest audit of each licence with its tenant, of whatever age; one that failed too."""
        asked = ("tenant", "product", "location", "organization_key")
        later_first = (AUDITS.c.audited_at.desc(), AUDITS.c.audit_id)
        place = func.row_number().over(partition_by=[AUDITS.c[name] for name in asked], order_by=later_first)
        known = (
            select(AUDITS, place.label("place"))
            .where(AUDITS.c.audited_at <= self._period.now, *self._of_tenants(AUDITS))
            .subquery()
        )
        query = select(known).where(known.c.place == 1).order_by(*(known.c[name] for name in asked))
        for row in self._ledger.iter_rows(query):
            yield row["tenant"], read_audit(row)

    def read_licenses(self, audits: Iterable[tuple[str, Audit]]) -> Iterator[LicenseHistory]:
        """Yield what was bought and used, by licence.

        :param audits: with the tenant of each.
        """
        key = ("tenant", "product", "location", "organization_key", "service")
        query = (
            select(LICENSES)
            .where(
                LICENSES.c.read_at >= self._period.start - HISTORY,
                LICENSES.c.read_at <= self._period.now,
                *self._of_tenants(LICENSES),
            )
            .order_by(*(LICENSES.c[name] for name in key), LICENSES.c.hour)
        )
        of_tenant = defaultdict(list)
        for tenant, each in audits:
            of_tenant[tenant].append(each)
        for values, rows in groupby(
            self._ledger.iter_rows(query), key=lambda row: tuple(row[name] for name in key)
        ):
            tenant, product, location, organization, service = values
            subscription = Subscription(
                tenant=tenant,
                product=product,
                location=location or None,
                organization_id=organization or None,
                service=service or None,
            )
            readings = [(row["read_at"], _read_license(row)) for row in rows]
            history = licenses.follow(
                subscription, readings, self._period.now, of_tenant[tenant], begin=self._period.start
            )
            if history.is_listed or history.read_at >= self._period.start:
                yield history

    def read_drills(self) -> Iterator[RestoreDrill]:
        """Yield the restore drills, of whatever age: a proof does not end with the period."""
        facts = ("sent_at", "judged_at", "passed", "reason", "message", "job_id", "restored_files")
        columns = ("tenant", "product", "service", "location", "target", "library", *facts)
        query = select(*(DRILLS.c[name] for name in columns)).where(
            DRILLS.c.sent_at <= self._period.now, *self._of_tenants(DRILLS)
        )
        for row in self._ledger.iter_rows(query):
            place = DrillPlace(
                tenant=row["tenant"],
                product=row["product"],
                service=row["service"],
                location=row["location"] or None,
            )
            yield RestoreDrill(
                place=place,
                target=f"{row['target']}, {row['library']}",
                **{name: row[name] for name in facts},
            )

    def find_lost_restores(self) -> Iterator[LostRestore]:
        """Yield the restores that were begun a day ago or more, and of which there is no drill."""
        task = ("dag_id", "run_id", "task_id", "map_index")
        is_judged = (
            select(literal(1))
            .where(*(DRILLS.c[name] == INTENTS.c[name] for name in ("tenant", *task)))
            .exists()
        )
        query = select(INTENTS).where(
            INTENTS.c.kept_at < shift(self._period.now, -drills.LONGEST_DRILL),
            not_(is_judged),
            *self._of_tenants(INTENTS),
        )
        for row in self._ledger.iter_rows(query):
            intent = json.loads(row["intent"])
            # One that is not understood may have been sent.
            if not isinstance(intent, dict) or intent.get("phase") != Phase.REFUSED:
                yield LostRestore(
                    tenant=row["tenant"], task=f"{name_gate(row)}, {row['run_id']}", kept_at=row["kept_at"]
                )

    def read_protection(self) -> tuple[ProtectionHistory, ...]:
        """Return what the newest audits say, of whatever age, and whether one that is usual is missing."""
        table = PROTECTION_AUDITS
        own = case((table.c.task_id.is_(None), table.c.required)).label(_OWN)
        series = [*(table.c[name] for name in _SERIES), own]
        is_known = (table.c.audited_at <= self._period.now, *self._of_tenants(table))
        later_first = (table.c.audited_at.desc(), table.c.audit_id)
        place = func.row_number().over(partition_by=[*series, table.c.error.is_(None)], order_by=later_first)
        known = (
            select(*series, *(table.c[name] for name in _AUDITED), place.label("place"))
            .where(*is_known)
            .subquery()
        )
        newest = self._ledger.iter_rows(select(known).where(known.c.place == 1))
        audits = [_read_protection(row) for row in newest]
        query = select(*series, table.c.audited_at).where(
            *is_known, table.c.audited_at >= shift(self._period.now, -LONG_GONE)
        )
        moments = [(_read_series(row), row["audited_at"]) for row in self._ledger.iter_rows(query)]
        return protection.follow(audits, moments, self._period.now)

    def read_previous(self) -> Reported | None:
        """Return what the last report on the same tenants said; None where none is understood."""
        query = (
            select(REPORTS.c.generated_at, REPORTS.c.states)
            .where(
                REPORTS.c.tenants == write_tenants(self._tenants),
                REPORTS.c.generated_at < self._period.now,
            )
            .order_by(REPORTS.c.generated_at.desc())
            .limit(1)
        )
        for row in self._ledger.iter_rows(query):
            states = json.loads(row["states"])
            if isinstance(states, dict) and all(isinstance(each, str) for each in states.values()):
                return Reported(generated_at=row["generated_at"], states=states)
        return None


def _read_protection(row: Mapping[Any, Any]) -> KeptAudit:
    tenant, product, location, organization_id, *task = _read_series(row)
    required = json.loads(row["required"])
    return KeptAudit(
        tenant=tenant,
        product=product,
        location=location,
        organization_id=organization_id,
        task=tuple(task),
        audited_at=row["audited_at"],
        error=row["error"],
        findings=read_findings(row["findings"]),
        required=required if isinstance(required, dict) else {},
    )


def _read_series(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return what the audits of one task on one subject have in common."""
    tenant, product, location, organization_key, *task = (row[name] for name in (*_SERIES, _OWN))
    return tenant, product, location or None, organization_key or None, *task


def _list_never_drilled(
    scopes: Iterable[ScopeHistory], known: Iterable[DrillHistory]
) -> Iterator[DrillPlace]:
    """Yield the services with backups that can be restored, and that have neither a drill nor a demand."""
    drilled = {each.place for each in known}
    for scope in (each.place for each in scopes):
        restore, workload = get_product(scope.product).restore, scope.scope.workload
        if restore is None or workload is None or workload not in restore.services:
            continue
        place = DrillPlace(
            tenant=scope.tenant,
            product=scope.product,
            service=workload,
            location=scope.scope.location,
        )
        if place not in drilled:
            yield place


def _read_license(row: Mapping[Any, Any]) -> LicenseConsumption:
    return LicenseConsumption(
        product=row["product"],
        service=row["service"] or None,
        organization_id=row["organization_id"] or None,
        organization_name=row["organization_name"],
        location=row["location"] or None,
        out_of_policy_at=row["out_of_policy_at"],
        purchased_user_seats=row["purchased_user_seats"],
        assigned_user_seats=row["assigned_user_seats"],
        purchased_storage_gb=row["purchased_storage_gb"],
        protected_gb=row["protected_gb"],
        is_out_of_policy=row["is_out_of_policy"],
        expires_at=row["expires_at"],
    )
