"""All figures of the report, and the findings that need attention."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, TypeVar

from airflow_provider_avepoint.core.license import Audit
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.text import one_line
from airflow_provider_avepoint.core.verdict import RULES_VERSION
from airflow_provider_avepoint.ledger.foreign import ForeignRows
from airflow_provider_avepoint.report.backups import Outcome, Period, ScopeHistory
from airflow_provider_avepoint.report.drills import DrillHistory, DrillPlace, LostRestore, RestoreDrill
from airflow_provider_avepoint.report.evidence import Failure, JudgedVerdict
from airflow_provider_avepoint.report.formatting import (
    say_count,
    say_duration,
    say_moment,
    say_share,
)
from airflow_provider_avepoint.report.gates import Gate, Gates, Place
from airflow_provider_avepoint.report.kept_schedules import MissedRuns, PlannedService, UnreadDay, Vanished
from airflow_provider_avepoint.report.licenses import LicenseHistory
from airflow_provider_avepoint.report.protection import (
    KeptAudit,
    ProtectionHistory,
    Subject,
    list_subjects,
)
from airflow_provider_avepoint.report.recurrence import find_recurrence
from airflow_provider_avepoint.report.sizes import BackedUp

T = TypeVar("T")

_LATEST_LOAD = timedelta(hours=3)
_MOST_NAMED = 5
_MOST_SENTENCES = 20
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One finding that needs attention.

    :param text: the finding, in a sentence.
    :param is_urgent: whether the state is bad now; otherwise it was bad, or may become bad.
    :param section: the section of the page with the details.
    """

    text: str
    is_urgent: bool
    section: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What an earlier report said.

    :param generated_at: the moment of the report.
    :param states: ``Report.states`` of that report.
    """

    generated_at: datetime
    states: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of a period.

    :param period: the period.
    :param tenants: the tenants that were asked for, or all tenants with figures.
    :param scopes: the histories of the scopes, worst first.
    :param long_gone: places that the ledger knows only from long before the period, with their newest backup.
    :param licenses: the histories of the licences, those that need attention first.
    :param audits: the newest audit of each licence, with its tenant.
    :param failures: the kinds of failure, newest day first.
    :param failures_left_out: the number of failures of kinds that are not listed.
    :param verdicts: the verdicts, newest first.
    :param silent_tenants: tenants that were asked for but are not in the ledger.
    :param gates: the gates, of a product by name.
    :param loaded_without_jobs: the tenants and products whose backups are loaded, and of which none came.
    :param unknown_products: the tenants and products of which a newer release has written into the ledger.
    :param previous: the last report on the same tenants; None where the ledger knows none.
    :param drills: the histories of the restore drills, those that need attention first.
    :param lost_restores: the restores that were begun, and that nobody has judged.
    :param never_drilled: the services with backups that a drill could restore: never drilled, none demanded.
    :param protection: the histories of the protection audits, those that need attention first.
    :param missed_runs: the runs of the kept schedules that did not start, by scope.
    :param vanished: the services that the kept schedules no longer name.
    :param sizes: how much was backed up, by service, where the vendor states sizes.
    :param foreign_rows: the rows that are not understood, and that are left out, by table.
    :param unread_schedules: the tenants, products and days whose kept schedules are not understood.
    :param unread_verdicts: of each gate whose newest verdict is not understood, that verdict.
    """

    period: Period
    tenants: tuple[str, ...]
    scopes: tuple[ScopeHistory, ...]
    long_gone: tuple[tuple[Place, datetime], ...]
    licenses: tuple[LicenseHistory, ...]
    audits: tuple[tuple[str, Audit], ...]
    failures: tuple[Failure, ...]
    failures_left_out: int
    verdicts: tuple[JudgedVerdict, ...]
    silent_tenants: tuple[str, ...]
    previous: Reported | None
    gates: Gates
    loaded_without_jobs: tuple[tuple[str, str], ...]
    unknown_products: tuple[tuple[str, str], ...]
    drills: tuple[DrillHistory, ...]
    lost_restores: tuple[LostRestore, ...]
    never_drilled: tuple[DrillPlace, ...]
    protection: tuple[ProtectionHistory, ...]
    missed_runs: tuple[MissedRuns, ...]
    vanished: tuple[Vanished, ...]
    unread_schedules: tuple[UnreadDay, ...]
    unread_verdicts: tuple[JudgedVerdict, ...]
    sizes: tuple[BackedUp, ...] = ()
    foreign_rows: tuple[ForeignRows, ...] = ()

    @property
    def outcomes(self) -> Counter[Outcome]:
        """The number of days by outcome, over all scopes."""
        return sum((scope.counts for scope in self.scopes), Counter())

    @property
    def bad_by_day(self) -> dict[date, int]:
        """The number of scopes without a good backup, by day.

        A scope whose backup is running, or whose day is not loaded, does not count.
        """
        unsettled = (Outcome.GOOD, Outcome.RUNNING, Outcome.EXCLUDED, Outcome.NOT_LOADED)
        days = [day for scope in self.scopes for day in scope.days if day.outcome is not None]
        bad = dict.fromkeys((day.date for day in days), 0)
        for day in days:
            bad[day.date] += day.outcome not in unsettled
        return bad

    @property
    def covered(self) -> tuple[date, date] | None:
        """The first and the last day of the period that the ledger tells of; None where it tells of none."""
        since = [scope.known_since for scope in self.scopes if scope.known_since is not None]
        until = [scope.loaded_until for scope in self.scopes if scope.known_since is not None]
        told = [
            *(newest_at for _, newest_at in self.long_gone),
            *(verdict.judged_at for verdict in self.verdicts),
            *(reading.at for each in self.licenses for part in each.measures for reading in part.readings),
            *(audit.audited_at for _, audit in self.audits),
            *(each.last.audited_at for each in self.protection),
            *(each.newest.sent_at for each in self.drills if each.newest is not None),
        ]
        if not since and not told:
            return None
        dates = self.period.dates
        first = max(dates[0], self.period.date_of(min([*since, *told])))
        last = min(dates[-1], self.period.date_of(max([*until, *told])))
        return (first, last) if first <= last else None

    @property
    def bad_verdicts(self) -> tuple[JudgedVerdict, ...]:
        """The verdicts that did not pass."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)

    @property
    def shut_gates(self) -> tuple[Gate, ...]:
        """The gates in use whose newest verdict did not pass."""
        return tuple(gate for gate in self._tasks if self._is_in_use(gate) and not gate.newest.passed)

    @property
    def silent_gates(self) -> tuple[Gate, ...]:
        """The gates that have judged in the period, and no longer do."""
        start = self.period.start
        return tuple(
            gate for gate in self._tasks if not self._is_in_use(gate) and gate.newest.judged_at >= start
        )

    @property
    def _tasks(self) -> list[Gate]:
        return [gate for gate in self.gates if gate.name is not None]

    def _is_in_use(self, gate: Gate) -> bool:
        return gate.guards_until >= self.period.now

    @property
    def states(self) -> dict[str, str]:
        """The state of each scope, licence, gate, audit and drill at the moment of the report, in words.

        The keys hold ids rather than names, which may change.
        """
        states = {_key_of(scope): scope.current.value for scope in self.scopes}
        for history in self.licenses:
            states[_key_of_license(history)] = _tell_license(history)
        for tenant, audit in self.audits:
            if audit.error is not None:
                states[f"{tenant}, {get_product(audit.product).label}, licences"] = "could not be read"
        for gate in self._tasks:
            if self._is_in_use(gate):
                states[_key_of_gate(gate)] = gate.newest.reason
        for subject in self.list_subjects():  # the worse first: of two tasks on one subject the worse counts
            states.setdefault(_key_of_subject(subject), subject.state)
        for each in self.protection:
            if each.failed is not None:
                states[f"{_name_audit(each.failed)}, protection audit"] = "could not be read"
        for drills in self.drills:
            states[f"{_list_names(drills.place)}, restore"] = drills.current
        return {one_line(name, _LONGEST): state for name, state in states.items()}

    def list_changes(self) -> tuple[str, ...]:
        """Return what has changed since the last report, a sentence each; empty without a last report."""
        if self.previous is None:
            return ()
        before, now = self.previous.states, self.states
        names = {one_line(_key_of(scope), _LONGEST): _name_scope(scope) for scope in self.scopes}
        names |= {one_line(_key_of_license(each), _LONGEST): _name_license(each) for each in self.licenses}
        names |= {
            one_line(_key_of_subject(each), _LONGEST): _name_subject(each) for each in self.list_subjects()
        }
        names |= {
            one_line(f"{_list_names(each.place)}, restore", _LONGEST): f"{_name_service(each.place)}, restore"
            for each in self.drills
        }
        changed = [
            f"{names.get(name, name)}: {before[name]} → {state}."
            for name, state in now.items()
            if before.get(name, state) != state
        ]
        new = [f"{names.get(name, name)}: new, {state}." for name, state in now.items() if name not in before]
        gone = [f"{name}: no longer reported; was {before[name]}." for name in before if name not in now]
        return (*changed, *new, *gone)

    def summarize(self) -> str:
        """Return one sentence that an auditor can quote."""
        period, outcomes = self.period, self.outcomes
        zone = period.timezone.tzname(None) or str(period.timezone)
        first, last = self.covered or (period.dates[0], period.dates[-1])
        when = f"From {first} to {last} ({zone})"
        if not self.scopes:
            return f"{when}, the ledger holds no backup{self._tell_protection()}."
        good, expected = outcomes[Outcome.GOOD], sum(scope.expected_days for scope in self.scopes)
        share = f" ({say_share(good / expected)})" if expected else ""
        loaded_until = min(scope.loaded_until for scope in self.scopes)
        return (
            f"{when}, {good:,} of {say_count(expected, 'day')} on which a backup ran or was due ended with a "
            f"good backup{share}, counted over {say_count(len(self.scopes), 'scope')}; "
            f"{self._tell_now()}; "
            f"{len(self.verdicts) - len(self.bad_verdicts):,} of {say_count(len(self.verdicts), 'verdict')} "
            f"passed{self._tell_protection()}. The ledger was loaded until "
            f"{self._say(loaded_until)}; the rules of judgement have version {RULES_VERSION}."
        )

    def _tell_now(self) -> str:
        """Say how many scopes are good now, and how many are excluded."""
        now = Counter(scope.current for scope in self.scopes)
        excluded = f", and {now[Outcome.EXCLUDED]:,} excluded" if now[Outcome.EXCLUDED] else ""
        return f"{now[Outcome.GOOD]:,} of {len(self.scopes):,} are good now{excluded}"

    def _tell_protection(self) -> str:
        """Say how many protection audits are in order, and of how much restores are proven."""
        told = ""
        if audits := self.protection:
            good = sum(not each.needs_attention for each in audits)
            told += f"; {good:,} of {say_count(len(audits), 'protection audit')} found all in order"
        if proofs := [each.proven for each in self.drills if each.proven is not None]:
            newest = max(each.sent_at for each in proofs)
            told += f"; restores are proven for {self._count_proven()}, last on {self._say(newest)}"
        elif self.drills:
            told += f"; restores are proven for {self._count_proven()}"
        return told

    @property
    def restores_proven(self) -> int:
        """The number of services with a proven restore, and with nothing to say against it."""
        return sum(each.current == "proven" for each in self.drills)

    def _count_proven(self) -> str:
        return f"{self.restores_proven:,} of {say_count(len(self.drills), 'service')}"

    def say_all_clear(self) -> str:
        """Say what is in order; for a report that lists nothing."""
        licenses, verdicts = len(self.licenses), len(self.verdicts)
        audits, drills = len(self.protection), len(self.drills)
        return " ".join(
            [
                "Nothing.",
                f"Scopes: {self._tell_now() if self.scopes else 'none recorded'}.",
                f"Licences: {f'{licenses:,}, none near a limit' if licenses else 'none recorded'}.",
                f"Verdicts: {f'{verdicts:,}, all passed' if verdicts else 'none recorded'}.",
                f"Protection audits: {f'{audits:,}, nothing found' if audits else 'none recorded'}.",
                f"Restores: {f'proven for {self._count_proven()}' if drills else 'none recorded'}.",
            ]
        )

    def list_attention(self) -> tuple[Attention, ...]:
        """Return the findings that need attention, urgent ones first."""
        found = [
            *self._about_silence(),
            *self._about_scopes(),
            *self._about_schedules(),
            *self._about_audits(),
            *self._about_licenses(),
            *self._about_protection(),
            *self._about_drills(),
            *self._about_gates(),
            *self._about_verdicts(),
        ]
        return tuple(sorted(found, key=lambda each: not each.is_urgent))

    def as_dict(self) -> dict[str, Any]:
        """Return the key figures, ready for JSON: durations in seconds."""
        now, outcomes = self.period.now, self.outcomes
        ages = [age.total_seconds() for scope in self.scopes if (age := scope.age(now)) is not None]
        gaps = [scope.longest_gap.length.total_seconds() for scope in self.scopes if scope.longest_gap]
        attention, changes = self.list_attention(), self.list_changes()
        return {
            "generated_at": now.isoformat(),
            "days": self.period.days,
            "timezone": str(self.period.timezone),
            "summary": self.summarize(),
            "tenants": list(self.tenants),
            "scopes": len(self.scopes),
            "scopes_not_good": sum(scope.needs_attention for scope in self.scopes),
            "scopes_never_good": sum(scope.newest_good_at is None for scope in self.scopes),
            "days_by_outcome": {outcome.value: outcomes[outcome] for outcome in Outcome},
            "oldest_newest_good_seconds": max(ages, default=None),
            "longest_gap_seconds": max(gaps, default=None),
            "failure_kinds": len(self.failures),
            "verdicts": len(self.verdicts),
            "verdicts_not_passed": len(self.bad_verdicts),
            "gates_shut": len(self.shut_gates),
            "licenses": len(self.licenses),
            "licenses_needing_attention": sum(each.needs_attention for each in self.licenses),
            "protection_audits": len(self.protection),
            "protection_findings": self.protection_findings,
            "protection_not_read": sorted({each.failed.tenant for each in self.protection if each.failed}),
            "drilled_services": len(self.drills),
            "restores_proven": self.restores_proven,
            "needs_attention": any(each.is_urgent for each in attention),
            "licenses_not_read": sorted({tenant for tenant, audit in self.audits if audit.error is not None}),
            "attention_count": len(attention),
            "attention": [each.text for each in attention[:_MOST_SENTENCES]],
            "previous_report_at": None if self.previous is None else self.previous.generated_at.isoformat(),
            "changes_count": len(changes),
            "changes": list(changes[:_MOST_SENTENCES]),
        }

    def _about_silence(self) -> Iterator[Attention]:
        for tenant in self.silent_tenants:
            yield _urgent(f"{tenant}: the ledger holds nothing of this tenant.", "method")
        recorded = (self.scopes, self.long_gone, self.licenses, self.audits, self.verdicts)
        if not any((*recorded, self.drills, self.lost_restores, self.protection)):
            yield _urgent(
                "The ledger holds no backup, no licence reading and no verdict of these tenants.", "method"
            )
        for tenant, product in self.unknown_products:
            yield _urgent(
                f"{tenant}: the ledger holds {one_line(product, 60)!r} from a newer release of the provider, "
                "and this release does not know it. Update the provider here, too.",
                "method",
            )
        for table, rows in self.foreign_rows:
            are = "is" if rows == 1 else "are"
            yield _urgent(
                f"The ledger: {say_count(rows, 'row')} of {table} {are} not understood and left out: "
                "a column holds what the provider never writes.",
                "method",
            )
        for tenant, product, day in self.unread_schedules[:_MOST_NAMED]:
            yield _urgent(
                f"{tenant}, {get_product(product).label}: the kept schedule of {day} is not understood; "
                "delete its rows in avepoint_schedules.",
                "method",
            )
        for each in self.unread_verdicts[:_MOST_NAMED]:
            yield _urgent(
                f"{each.tenant}, {get_product(each.product).label}: the newest verdict of "
                f"{each.gate or 'a check outside of Airflow'} is not understood, and only verdicts before "
                "it count. If a newer release of the provider wrote it, update the provider here, too.",
                "method",
            )
        for tenant, product in self.loaded_without_jobs:
            yield _urgent(
                f"{tenant}, {get_product(product).label}: backups are loaded, and there has never been one.",
                "method",
            )
        # A ledger that is loaded by the hour is not behind in the first hours of a day.
        expected = min(self.period.begin(self.period.dates[-1]), shift(self.period.now, -_LATEST_LOAD))
        behind = sorted(
            (scope for scope in self.scopes if scope.loaded_until < expected),
            key=lambda scope: (scope.place.tenant, scope.place.product),
        )
        for (tenant, product), scopes in groupby(
            behind, key=lambda scope: (scope.place.tenant, scope.place.product)
        ):
            until = min(scope.loaded_until for scope in scopes)
            yield _urgent(
                f"{tenant}, {get_product(product).label}: the ledger was last loaded {self._say(until)}; "
                "later days are not known.",
                "method",
            )

    def _about_scopes(self) -> Iterator[Attention]:
        bad = [scope for scope in self.scopes if scope.needs_attention]
        yield from _tell_some(
            bad,
            lambda scope: [_urgent(self._describe_scope(scope), "freshness")],
            lambda rest: _urgent(
                f"{say_count(rest, 'more scope')} {'is' if rest == 1 else 'are'} not good now.", "freshness"
            ),
        )
        today = self.period.dates[-1]
        now_good = [scope for scope in self.scopes if scope.bad_days and scope.current is Outcome.GOOD]
        recurring = {scope.place: found for scope in now_good if (found := find_recurrence(scope, today))}
        yield from _tell_some(
            [scope for scope in now_good if scope.place in recurring],
            lambda scope: [
                _watch(
                    f"{_name_scope(scope)}: good now, but {recurring[scope.place].describe()}.", "calendar"
                )
            ],
            lambda rest: _watch(
                f"{say_count(rest, 'more scope')} {'is' if rest == 1 else 'are'} good now, but bad time and "
                "again.",
                "calendar",
            ),
        )
        mended = [scope for scope in now_good if scope.place not in recurring]
        if mended:
            yield _watch(
                f"{say_count(len(mended), 'scope')} had days without a good backup, and "
                f"{'is' if len(mended) == 1 else 'are'} good again.",
                "calendar",
            )
        known = {scope.place.tenant for scope in self.scopes}
        tell = {True: _watch, False: _urgent}  # of a tenant without any scope, nothing is known now
        yield from _tell_some(
            self.long_gone,
            lambda each: [tell[each[0].tenant in known](self._describe_long_gone(*each), "gone")],
            lambda rest: _watch(f"{say_count(rest, 'more scope')} no longer expected.", "gone"),
        )

    def _about_schedules(self) -> Iterator[Attention]:
        tell = {True: _urgent, False: _watch}
        yield from _tell_some(
            self.vanished,
            lambda each: [
                _urgent(
                    f"{_name_planned(each.planned)}: no longer scheduled. It was on {each.last_day} (UTC); "
                    f"the schedule of {each.missing_on} does not name it.",
                    "calendar",
                )
            ],
            lambda rest: _urgent(
                f"{say_count(rest, 'more service')} {'is' if rest == 1 else 'are'} no longer scheduled.",
                "calendar",
            ),
        )
        yield from _tell_some(
            sorted(self.missed_runs, key=lambda each: each.newest is None),
            lambda each: [tell[each.newest is not None](self._describe_missed(each), "calendar")],
            lambda rest: _watch(
                f"{say_count(rest, 'more scope')} with scheduled backups that did not start.", "calendar"
            ),
        )

    def _describe_missed(self, found: MissedRuns) -> str:
        name = _name_planned(found.planned) if found.history is None else _name_scope(found.history)
        last = self._say(found.newest or found.missed[-1])
        if found.history is None:
            return f"{name}: scheduled, and the ledger knows no backup of it; one was due {last}."
        if not found.missed:
            return f"{name}: the newest scheduled backup did not start; it was due {last}."
        return (
            f"{name}: {len(found.missed):,} of {say_count(found.due, 'scheduled backup')} did not start; the "
            f"last of these was due {last}."
        )

    def _describe_long_gone(self, place: Place, newest_at: datetime) -> str:
        return (
            f"{place.tenant}, {get_product(place.product).label}, {place.scope}: no longer expected; the "
            f"last backup started on {self._say(newest_at)}."
        )

    def _describe_scope(self, scope: ScopeHistory) -> str:
        age = scope.age(self.period.now)
        good = (
            "no good backup is known" if age is None else f"the newest good backup is {say_duration(age)} old"
        )
        return f"{_name_scope(scope)}: {scope.current}; {good}."

    def _say(self, moment: datetime) -> str:
        return say_moment(moment, self.period.timezone)

    def _about_audits(self) -> Iterator[Attention]:
        for tenant, audit in self.audits:
            start = f"{tenant}, {get_product(audit.product).label}"
            when = self._say(audit.audited_at)
            if audit.error is not None:
                yield _urgent(f"{start}: the licences could not be read on {when}: {audit.error}", "licenses")
            elif audit.audited_at < self.period.start:
                yield _urgent(f"{start}: the licences were last read on {when}.", "licenses")

    def _about_licenses(self) -> Iterator[Attention]:
        yield from _tell_some(
            [each for each in self.licenses if each.needs_attention],
            lambda each: [
                _urgent(f"{each.subscription.tenant}, {each.name}: {sentence}.", "licenses")
                for sentence in each.findings.values()
            ],
            lambda rest: _urgent(f"{say_count(rest, 'more licence')} to look at.", "licenses"),
        )
        yield from _tell_some(
            [each for each in self.licenses if each.doubts],
            lambda each: [
                _watch(f"{each.subscription.tenant}, {each.name}: {sentence}.", "licenses")
                for sentence in each.doubts
            ],
            lambda rest: _watch(f"{say_count(rest, 'more licence')} without a forecast.", "licenses"),
        )

    def _about_protection(self) -> Iterator[Attention]:
        for each in self.protection:
            start = _name_audit(each.last)
            if each.failed is not None:
                when, error = self._say(each.failed.audited_at), one_line(each.failed.error)
                yield _urgent(
                    f"{start}: the protection could not be audited on {when}: {error}", "protection"
                )
            elif each.is_late:
                when = self._say(each.last.audited_at)
                yield _urgent(f"{start}: the protection was last audited on {when}.", "protection")
        by_reason = self._find_unprotected()
        # One of each kind comes first: whoever reads a few sentences reads of each kind.
        for first, *_ in by_reason.values():
            yield _urgent(first, "protection")
        for reason, (_, *more) in by_reason.items():
            yield from (_urgent(sentence, "protection") for sentence in more[: _MOST_NAMED - 1])
            if rest := len(more[_MOST_NAMED - 1 :]):
                yield _urgent(f"{rest:,} more: {reason}.", "protection")

    @property
    def protection_findings(self) -> int:
        """The number of findings of the protection audits."""
        return sum(map(len, self._find_unprotected().values()))

    def _find_unprotected(self) -> dict[str, list[str]]:
        """Return what the protection audits found, a sentence each, by reason; what two tasks found, once."""
        sentences: dict[str, dict[str, None]] = defaultdict(dict)
        for each in self.list_subjects():
            start = f"{each.audit.tenant}, {get_product(each.audit.product).label}"
            start = ", ".join(filter(None, (start, each.name)))
            for found in each.findings:
                sentences[found.reason][f"{start}: {one_line(found.text)}."] = None
        return {reason: list(found) for reason, found in sentences.items()}

    def list_subjects(self) -> list[Subject]:
        """Return what the protection audits are about: what is not in order first."""
        names = {
            (scope.place.tenant, scope.place.scope.organization_id): scope.organization_name
            for scope in self.scopes
        }
        names |= {
            (each.subscription.tenant, each.subscription.organization_id): each.newest.organization_name
            for each in self.licenses
        }
        return list_subjects(self.protection, names)

    def _about_drills(self) -> Iterator[Attention]:
        yield from _tell_some(
            [each for each in self.drills if each.open_failures],
            self._tell_unproven,
            lambda rest: _urgent(
                f"{say_count(rest, 'more service')} without a restore that is proven.", "restores"
            ),
        )
        yield from _tell_some(
            self.lost_restores,
            lambda each: [
                _urgent(
                    f"{each.tenant}: the restore of {one_line(each.task)} had begun on "
                    f"{self._say(each.kept_at)}, and nobody has judged it.",
                    "restores",
                )
            ],
            lambda rest: _urgent(f"{say_count(rest, 'more restore')} that nobody has judged.", "restores"),
        )
        start = self.period.start
        yield from _tell_some(
            [
                (each, drill)
                for each in self.drills
                for drill in each.unproven
                if each.is_proven_since(drill) and drill.sent_at >= start
            ],
            lambda each: [
                _urgent(f"{self._describe_drill(*each)}; one on another target has passed since.", "restores")
            ],
            lambda rest: _urgent(f"{say_count(rest, 'more drill')} did not pass.", "restores"),
        )
        yield from _tell_some(
            [(each.place, each.newest) for each in self.drills if each.newest and each.has_stopped],
            lambda each: [
                _watch(f"{_name_service(each[0])}: no drill since {self._say(each[1].sent_at)}.", "restores")
            ],
            lambda rest: _watch(f"{say_count(rest, 'more service')} without a drill of late.", "restores"),
        )

    def _tell_unproven(self, history: DrillHistory) -> Iterator[Attention]:
        proof = history.describe_proof()
        for drill in history.open_failures:
            why = f": {one_line(drill.message).rstrip('.')}" if drill.message else ""
            yield _urgent(f"{self._describe_drill(history, drill)}; {proof}{why}.", "restores")

    def _describe_drill(self, history: DrillHistory, drill: RestoreDrill) -> str:
        outcome = "has no verdict" if drill.passed is None else f"did not pass ({drill.outcome})"
        when, target = self._say(drill.sent_at), one_line(drill.target, 160)
        return f"{_name_service(history.place)}: the restore drill of {when} on {target} {outcome}"

    def _about_gates(self) -> Iterator[Attention]:
        yield from _tell_some(
            self.shut_gates,
            lambda gate: [
                _urgent(
                    f"{_name_gate(gate)} was shut on {self._say(gate.newest.judged_at)}, and has not opened "
                    f"since: {gate.newest.reason}.",
                    "verdicts",
                )
            ],
            lambda rest: _urgent(
                f"{say_count(rest, 'more gate')} {'was' if rest == 1 else 'were'} shut.", "verdicts"
            ),
        )
        yield from _tell_some(
            self.silent_gates,
            lambda gate: [
                _watch(
                    f"{_name_gate(gate)} has not judged since {self._say(gate.newest.judged_at)}.", "verdicts"
                )
            ],
            lambda rest: _watch(
                f"{say_count(rest, 'more gate')} no longer {'judges' if rest == 1 else 'judge'}.", "verdicts"
            ),
        )

    def _about_verdicts(self) -> Iterator[Attention]:
        if bad := self.bad_verdicts:
            newest = bad[0]
            yield _watch(
                f"{len(bad)} of {say_count(len(self.verdicts), 'verdict')} did not pass; the newest: "
                f"{newest.tenant}, {get_product(newest.product).label}, {newest.reason}, "
                f"{self._say(newest.judged_at)}.",
                "verdicts",
            )


def _key_of(scope: ScopeHistory) -> str:
    return f"{scope.place.tenant}, {scope.place.product}, {scope.place.scope}"


def _key_of_license(history: LicenseHistory) -> str:
    of = history.subscription
    parts = (of.tenant, of.product, of.organization_id, of.service, of.location, "licence")
    return ", ".join(filter(None, parts))


def _name_license(history: LicenseHistory) -> str:
    return f"{history.subscription.tenant}, {history.name}, licence"


def _tell_license(history: LicenseHistory) -> str:
    return ", ".join(history.findings) or ("no forecast" if history.doubts else "in order")


def _key_of_gate(gate: Gate) -> str:
    return f"{gate.tenant}, {gate.product}, gate {gate.name}"


def _name_gate(gate: Gate) -> str:
    return f"{gate.tenant}, {get_product(gate.product).label}: the gate {gate.name}"


def _name_scope(scope: ScopeHistory) -> str:
    return f"{scope.place.tenant}, {get_product(scope.place.product).label}, {scope.name}"


def _name_planned(planned: PlannedService) -> str:
    parts = (planned.tenant, get_product(planned.product).label, planned.service, planned.location)
    return ", ".join(one_line(part, 80) for part in parts if part)


def _name_audit(audit: KeptAudit) -> str:
    parts = (audit.organization_id, audit.location)
    return ", ".join((audit.tenant, get_product(audit.product).label, *filter(None, parts)))


def _key_of_subject(subject: Subject) -> str:
    return ", ".join((subject.audit.tenant, subject.audit.product, *subject.ids, "protection"))


def _name_subject(subject: Subject) -> str:
    label = get_product(subject.audit.product).label
    return ", ".join(filter(None, (subject.audit.tenant, label, subject.name, "protection")))


def _name_service(place: DrillPlace) -> str:
    parts = (place.tenant, get_product(place.product).label, place.service, place.location)
    return ", ".join(one_line(part, 80) for part in parts if part)


def _list_names(place: DrillPlace) -> str:
    return ", ".join(filter(None, (place.tenant, place.product, place.service, place.location)))


def _tell_some(
    items: Sequence[T], tell: Callable[[T], Iterable[Attention]], tell_rest: Callable[[int], Attention]
) -> Iterator[Attention]:
    """Yield the findings about the first items, and how many more items there are."""
    for item in items[:_MOST_NAMED]:
        yield from tell(item)
    if rest := len(items[_MOST_NAMED:]):
        yield tell_rest(rest)


def _urgent(text: str, section: str) -> Attention:
    return Attention(text=one_line(text, _LONGEST), is_urgent=True, section=section)


def _watch(text: str, section: str) -> Attention:
    return Attention(text=one_line(text, _LONGEST), is_urgent=False, section=section)
