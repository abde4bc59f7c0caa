"""Read the verdicts of a period from the ledger, and the gates that reached them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import select, tuple_

from airflow_provider_avepoint.ledger.tables import VERDICTS
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.evidence import JudgedVerdict, read_verdict, summarize_verdict
from airflow_provider_avepoint.report.gates import (
    Gate,
    Gates,
    Judgement,
    is_judged,
    may_guard,
    read_evidence,
    read_judgement,
)
from airflow_provider_avepoint.report.rows import Rows, find_earliest, of_tenants

# How many verdicts are shown with their evidence, by passed: the newest ones.
_MOST_SHOWN = {False: 40, True: 20}
# What is read of a verdict, and what the tries of one task in one run have in common.
_VERDICT = [
    VERDICTS.c[name]
    for name in (
        *("tenant", "verdict_id", "product", "judged_at", "passed", "reason", "rules_version", "evidence"),
        *("dag_id", "run_id", "task_id", "map_index", "try_number"),
    )
]
_TASK = ("dag_id", "run_id", "task_id", "map_index")


def read_verdicts(
    ledger: Rows, period: Period, tenants: tuple[str, ...] | None
) -> tuple[Gates, tuple[JudgedVerdict, ...], tuple[JudgedVerdict, ...]]:
    """Return the gates, the verdicts of the period, and the newest ones of gates that are not understood.

    Verdicts come newest first; the newest of the period have their evidence.

    Verdicts from some time before the period tell of the gates, too. Of the tries of a task in one run,
    the last one counts.

    :param ledger: the ledger.
    :param period: the period.
    :param tenants: the names of the tenants; None for every tenant in the ledger.
    :raises AvePointLedgerError: the database fails.
    """
    query = select(*_VERDICT).where(
        VERDICTS.c.judged_at >= find_earliest(period),
        VERDICTS.c.judged_at <= period.now,
        *of_tenants(VERDICTS, tenants),
    )
    last: dict[tuple[Any, ...], _KeptVerdict] = {}
    for row in ledger.iter_rows(query):
        kept = _KeptVerdict(row)
        known = last.get(kept.task)
        if known is None or known.order < kept.order:
            last[kept.task] = kept
    newest_first = sorted(last.values(), key=lambda each: each.key)
    newest_first.sort(key=lambda each: each.verdict.judged_at, reverse=True)
    gates: dict[tuple[str, str, str | None, object], list[Judgement]] = defaultdict(list)
    unread: dict[tuple[str, str, str | None, object], JudgedVerdict] = {}
    for each in newest_first:
        of, own = each.verdict, None
        if of.gate is None:
            own = each.name or (each.judgement.policy.guarded if each.judgement else None)
        key = (of.tenant, of.product, of.gate, own)
        if each.judgement is not None:
            gates[key].append(each.judgement)
        elif key not in gates and may_guard(of.judged_at, period.now):
            unread.setdefault(key, of)
    shown = _show(ledger, period, [each for each in newest_first if each.verdict.judged_at >= period.start])
    return (
        Gates(
            Gate(tenant=tenant, product=product, name=name, judgements=tuple(reversed(judgements)))
            for (tenant, product, name, _), judgements in gates.items()
        ),
        tuple(shown),
        tuple(unread.values()),
    )


def _show(ledger: Rows, period: Period, newest_first: Sequence[_KeptVerdict]) -> Iterator[JudgedVerdict]:
    """Yield the verdicts, the newest with their evidence."""
    seen = {True: 0, False: 0}
    keys = set()
    for each in newest_first:
        seen[each.verdict.passed] += 1
        if seen[each.verdict.passed] <= _MOST_SHOWN[each.verdict.passed]:
            keys.add(each.key)
    query = select(*_VERDICT).where(tuple_(VERDICTS.c.tenant, VERDICTS.c.verdict_id).in_(keys))
    whole = {
        (row["tenant"], row["verdict_id"]): read_verdict(row, period.timezone)
        for row in (ledger.iter_rows(query) if keys else ())
    }
    for each in newest_first:
        yield whole.get(each.key, each.verdict)


class _KeptVerdict:
    """A verdict of the ledger while its evidence is left out: there may be ten thousands."""

    __slots__ = ("judgement", "key", "name", "order", "task", "verdict")

    def __init__(self, row: Mapping[Any, Any]) -> None:
        evidence = read_evidence(row["evidence"])
        self.key = (row["tenant"], row["verdict_id"])
        self.name = row["task_id"]
        self.task = (
            row["tenant"],
            *((row["verdict_id"],) if row["dag_id"] is None else [row[name] for name in _TASK]),
        )
        self.order = (row["try_number"] or 0, row["judged_at"])
        self.judgement = read_judgement(row, evidence)
        self.verdict = summarize_verdict(
            row, [each.passed for each in (evidence.scopes if evidence else ()) if is_judged(each.reason)]
        )
